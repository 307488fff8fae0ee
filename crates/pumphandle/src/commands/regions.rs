//! `regions list|show|check`: what regions there are, and whether files of own ones are in order.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write, stdout};

use atlas::OwnSummary;
use record::region::{Level, RegionTable};
use serde::Serialize;

use super::Failure;
use crate::cli::RegionsCommand;
use crate::config::{self, Config, Places};

/// A region in a line.
#[derive(Debug, Serialize)]
struct Row<'a> {
    code: &'a str,
    name: &'a str,
    /// -1 overlay, 0 country, 1 first level, 2 own.
    level: i8,
    parent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    population: Option<u64>,
}

/// All that is known of one.
#[derive(Debug, Serialize)]
struct Sheet<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    geonames: Option<u32>,
    /// By language, where it differs from `name`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    names: BTreeMap<&'a str, &'a str>,
    /// West, south, east, north; of own regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    bounds: Option<[f64; 4]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vertices: Option<usize>,
}

pub(crate) fn run(
    load: impl FnOnce() -> Result<Config, Failure>,
    command: &RegionsCommand,
) -> Result<(), Failure> {
    match command {
        RegionsCommand::List { own, under, json } => {
            list(&load()?.places, *own, under.as_deref(), *json)
        }
        RegionsCommand::Show { code, json } => show(&load()?.places, code, *json),
        RegionsCommand::Check { files } if files.is_empty() => {
            let config = load()?;
            tell_sound(config.places.placing.atlas.own().map_or(0, |own| own.each().count()))
        }
        RegionsCommand::Check { files } => {
            let atlas = config::read_region_files(files).map_err(Failure::Configuration)?;
            tell_sound(atlas.own().map_or(0, |own| own.each().count()))
        }
    }
}

fn tell_sound(count: usize) -> Result<(), Failure> {
    let plural = if count == 1 { "" } else { "s" };
    Ok(writeln!(stdout(), "ok: {count} own region{plural}")?)
}

fn rows(places: &Places, own_only: bool) -> Vec<Row<'_>> {
    let atlas = &*places.placing.atlas;
    let own = atlas.own().into_iter().flat_map(|own| own.each()).map(|own| own_row(places, &own));
    if own_only {
        return own.collect();
    }
    let world = atlas.regions().iter().map(|region| {
        let country = &atlas.regions()[usize::from(region.country)].code;
        Row {
            code: &region.code,
            name: &region.name,
            level: if region.is_country() { Level::Country } else { Level::First }.number(),
            parent: if region.is_country() { Some(record::region::WORLD) } else { Some(country) },
            population: places.population(&region.code),
        }
    });
    world.chain(own).collect()
}

fn own_row<'a>(places: &Places, own: &OwnSummary<'a>) -> Row<'a> {
    Row {
        code: own.code,
        name: own.name.unwrap_or(own.code),
        level: if own.parent.is_some() { Level::Own } else { Level::Beside }.number(),
        parent: own.parent,
        population: places.population(own.code),
    }
}

fn table(places: &Places) -> RegionTable {
    RegionTable::new(&places.placing.atlas.own().map(atlas::OwnRegions::table).unwrap_or_default())
}

fn list(places: &Places, own: bool, under: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut out = BufWriter::new(stdout().lock());
    let table = table(places);
    let under = under.map(str::to_ascii_uppercase);
    for row in rows(places, own) {
        if under
            .as_ref()
            .is_some_and(|under| row.code.contains(':') || !table.within(row.code, under))
        {
            continue;
        }
        if json {
            serde_json::to_writer(&mut out, &row)?;
            writeln!(out)?;
        } else {
            let population =
                row.population.map_or("-".to_owned(), |population| population.to_string());
            writeln!(
                out,
                "{}\t{}\t{}\t{population}\t{}",
                row.code,
                row.level,
                row.parent.unwrap_or("-"),
                row.name
            )?;
        }
    }
    out.flush()?;
    Ok(())
}

fn show(places: &Places, written: &str, json: bool) -> Result<(), Failure> {
    let atlas = &*places.placing.atlas;
    let code = written.to_ascii_uppercase();
    let own =
        atlas.own().and_then(|own| own.each().find(|own| own.code.eq_ignore_ascii_case(written)));
    let row = match &own {
        Some(own) => own_row(places, own),
        None => rows(places, false).into_iter().find(|row| row.code == code).ok_or_else(|| {
            Failure::usage(
                format!("unknown region `{written}`"),
                "`pumphandle regions list` lists all",
            )
        })?,
    };
    let region = atlas.region(row.code);
    let sheet = Sheet {
        path: if row.code.contains(':') {
            row.code.to_owned()
        } else {
            table(places).path(row.code).0
        },
        time_zone: region.and_then(|region| region.time_zone.as_deref()),
        geonames: region.and_then(|region| region.geonames),
        names: region.map(|region| region.names().collect()).unwrap_or_default(),
        bounds: own.map(|own| own.bounds),
        vertices: own.map(|own| own.vertices),
        row,
    };
    let mut out = stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &sheet)?;
        return Ok(writeln!(out)?);
    }
    writeln!(out, "{}  {}", sheet.row.code, sheet.row.name)?;
    writeln!(out, "path        {}", sheet.path)?;
    writeln!(out, "level       {}", sheet.row.level)?;
    if let Some(population) = sheet.row.population {
        writeln!(out, "population  {population}")?;
    }
    if let Some(time_zone) = sheet.time_zone {
        writeln!(out, "time zone   {time_zone}")?;
    }
    if let Some(geonames) = sheet.geonames {
        writeln!(out, "geonames    {geonames}")?;
    }
    if let (Some([west, south, east, north]), Some(vertices)) = (sheet.bounds, sheet.vertices) {
        writeln!(
            out,
            "bounds      {south} to {north} north, {west} to {east} east, {vertices} vertices"
        )?;
    }
    for (language, name) in &sheet.names {
        writeln!(out, "name {language:7}{name}")?;
    }
    Ok(())
}
