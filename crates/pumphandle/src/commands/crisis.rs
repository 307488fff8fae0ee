//! `crisis`: a topic for a while, in a polygon, on somebody's word.
//!
//! A crisis is two files in the folder of crises, a topic and its polygon, which the configuration
//! reads beside its own. So it holds wherever these hold, is checked as they are, and ends by
//! itself: what is posted from its end on is not counted for it.
//! Who began and ended which, when and why, stands in a file beside them that is only ever appended
//! to.

mod expected;

use std::fs::{self, OpenOptions};
use std::io::{Write, stdout};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lexicon::{Crisis, Entry, Topic};
use record::kind::{CRISIS_INHABITANTS_LEAST, Kind};
use record::{Micros, time};
use serde_json::{Value, json};

use super::{Failure, actor, export};
use crate::cli::{CrisisCommand, CrisisStart};
use crate::config::{self, Config};
use crate::roles::now;
use crate::whole;

const AUDIT: &str = "audit.ndjson";
/// Fewer placed posts a day than this show hardly anything.
const PLACED_A_DAY_LEAST: f64 = 10.0;
const NEXT: &str = "hint: `run` applies it at its next start, a cluster after `pumphandle migrate`";

pub(crate) fn run(
    load: impl Fn() -> Result<Config, Failure>,
    command: &CrisisCommand,
) -> Result<(), Failure> {
    match command {
        CrisisCommand::Start(args) => start(&load, args),
        CrisisCommand::List { json } => list(&load()?, *json),
        CrisisCommand::Stop { id, reason, by } => stop(&load()?, id, reason, by.clone()),
    }
}

fn start(load: &impl Fn() -> Result<Config, Failure>, args: &CrisisStart) -> Result<(), Failure> {
    let config = load()?;
    let from = now();
    let until = export::instant("--until", &Some(args.until.clone()))?.unwrap_or(from);
    let shape = Shape::read(&args.polygon)?;
    let id = new_id(&config, args)?;
    let region = format!("x:{id}");
    let inhabitants =
        args.inhabitants.or(shape.inhabitants).or_else(|| config.places.population(&region));
    let Some(inhabitants) =
        inhabitants.filter(|inhabitants| *inhabitants >= CRISIS_INHABITANTS_LEAST)
    else {
        let message = format!(
            "a crisis needs a polygon in which at least {CRISIS_INHABITANTS_LEAST} people live"
        );
        return Err(Failure::usage(message, "state the number: `--inhabitants 120000`"));
    };
    let crisis = Crisis {
        region,
        inhabitants,
        from,
        until,
        reason: args.reason.trim().to_owned(),
        by: actor(args.by.clone()),
    };
    let topic = Topic { id, crisis: Some(crisis), ..topic(args)? };
    let topic = Topic { name: args.name.clone().unwrap_or_else(|| topic.name.clone()), ..topic };
    lint(&topic)?;
    let files = Files::of(&config, &topic.id);
    files.write(&topic, &shape)?;
    // Read as `run` will read it: everything that is wrong comes out now, and nothing wrong stays.
    let config = load().inspect_err(|_| files.remove())?;
    let expected = expected::of(&config, &topic);
    note(&config, "start", &topic, args.reason.trim(), &actor(args.by.clone()))
        .inspect_err(|_| files.remove())?;
    let mut out = stdout().lock();
    writeln!(out, "crisis `{}`: {}, until {}", topic.id, topic.name, time::display(until))?;
    writeln!(out, "  {} and {}", files.topic.display(), files.polygon.display())?;
    writeln!(out, "  {expected}")?;
    match expected.a_day {
        Some(a_day) if a_day < PLACED_A_DAY_LEAST => {
            tracing::warn!(
                "fewer than ten located posts per day expected: too few for alerts; use a larger \
                    polygon, or feeds whose posts have coordinates"
            );
        }
        Some(_) => {}
        None => tracing::warn!("no estimate of located posts per day before any have been counted"),
    }
    Ok(writeln!(std::io::stderr().lock(), "{NEXT}")?)
}

/// The id that was given, or the name of the polygon's file.
fn new_id(config: &Config, args: &CrisisStart) -> Result<String, Failure> {
    let of_file = || {
        let stem = args.polygon.file_stem().unwrap_or_default();
        stem.to_string_lossy().to_ascii_lowercase().replace([' ', '_'], "-")
    };
    let id = args.id.clone().unwrap_or_else(of_file);
    let is_id = !id.is_empty()
        && id.len() <= 28
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_id {
        return Err(Failure::usage(
            format!("`{id}` is not a valid crisis id"),
            "give `--id`: small letters, digits and hyphens, at most 28",
        ));
    }
    if config.topics.lexicon.topics().iter().any(|topic| topic.id == id) {
        return Err(Failure::usage(
            format!("topic `{id}` already exists"),
            "give another `--id`, or `pumphandle crisis stop` it first",
        ));
    }
    Ok(id)
}

/// The template or the file that was named, without place and time.
fn topic(args: &CrisisStart) -> Result<Topic, Failure> {
    let named = &args.topic;
    let mut topic = if named.ends_with(".toml") {
        let path = PathBuf::from(named);
        let found = config::read_topic_files(std::slice::from_ref(&path))
            .map_err(Failure::Configuration)?;
        match <[Topic; 1]>::try_from(found) {
            Ok([topic]) if topic.kind == Kind::Crisis => topic,
            _ => {
                return Err(Failure::usage(
                    format!("`{named}` is not one topic of the kind `crisis`"),
                    "copy one of config/topics/templates/crisis.toml",
                ));
            }
        }
    } else {
        let templates = lexicon::templates()
            .iter()
            .filter_map(|(file, text)| lexicon::parse(file, text).ok())
            .flat_map(|file| file.topics);
        let templates: Vec<Topic> = templates.collect();
        let bare = |id: &str| id.strip_prefix("crisis-").unwrap_or(id).to_owned();
        let names = templates.iter().map(|topic| bare(&topic.id)).collect::<Vec<_>>().join(", ");
        let found = templates.into_iter().find(|topic| bare(&topic.id) == bare(named));
        found.ok_or_else(|| {
            Failure::usage(
                format!("no template `{named}`"),
                format!("one of {names}, or a topic file: `words.toml`"),
            )
        })?
    };
    topic.tags.extend(args.tag.iter().map(|tag| Entry {
        lang: "any".to_owned(),
        text: tag.trim_start_matches('#').to_owned(),
        line: 1,
    }));
    Ok(topic)
}

/// What an editor would only ask about is no word for a crisis: it can't be mended while it lasts.
fn lint(topic: &Topic) -> Result<(), Failure> {
    // Which languages a place needs, whoever lives there knows.
    let found = lexicon::lint(std::slice::from_ref(topic))
        .into_iter()
        .filter(|problem| !problem.message.contains(" has no tags"));
    let found: Vec<String> = found.map(|problem| problem.message).collect();
    if found.is_empty() {
        Ok(())
    } else {
        Err(Failure::usage(found.join("; "), "common words do not identify a crisis"))
    }
}

/// A polygon as it was handed in.
struct Shape {
    geometry: Value,
    inhabitants: Option<u64>,
}

impl Shape {
    /// Of GeoJSON: a collection of one feature, a feature, or a geometry. What is wrong with its
    /// rings the atlas tells.
    fn read(path: &Path) -> Result<Shape, Failure> {
        let shown = path.display();
        let wrong = |why: &str| {
            Failure::usage(
                format!("`{shown}` {why}"),
                "GeoJSON with one Polygon or MultiPolygon, longitude first",
            )
        };
        let length = fs::metadata(path)
            .map_err(|error| wrong(&format!("cannot be read: {}", error.kind())))?
            .len();
        if length > atlas::own::FILE_BYTES_MAX as u64 {
            return Err(wrong("is too large"));
        }
        let text = fs::read_to_string(path)
            .map_err(|error| wrong(&format!("cannot be read: {}", error.kind())))?;
        let read: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| wrong(&format!("is not JSON: {error}")))?;
        let feature = match (read["type"].as_str(), read["features"].as_array().map(Vec::as_slice))
        {
            (Some("FeatureCollection"), Some([feature])) => feature,
            (Some("FeatureCollection"), found) => {
                return Err(wrong(&format!(
                    "has {} features instead of one",
                    found.map_or(0, <[Value]>::len)
                )));
            }
            _ => &read,
        };
        let geometry = if feature["type"] == "Feature" { &feature["geometry"] } else { feature };
        if !matches!(geometry["type"].as_str(), Some("Polygon" | "MultiPolygon")) {
            return Err(wrong("contains no polygon"));
        }
        let properties = &feature["properties"];
        let inhabitants =
            properties["inhabitants"].as_u64().or_else(|| properties["population"].as_u64());
        Ok(Shape { geometry: geometry.clone(), inhabitants })
    }
}

/// Where a crisis is written down.
struct Files {
    topic: PathBuf,
    polygon: PathBuf,
    mode: u32,
}

impl Files {
    fn of(config: &Config, id: &str) -> Files {
        let folder = &config.topics.crises;
        Files {
            topic: folder.join(format!("{id}.toml")),
            polygon: folder.join(format!("{id}.geojson")),
            mode: mode(config),
        }
    }

    /// The polygon first: a topic without one is refused.
    fn write(&self, topic: &Topic, shape: &Shape) -> anyhow::Result<()> {
        let code = topic.crisis.as_ref().map(|crisis| crisis.region.as_str()).unwrap_or_default();
        let feature = json!({"type": "Feature", "properties": {"code": code, "name": topic.name}, "geometry": shape.geometry});
        let polygon = json!({"type": "FeatureCollection", "features": [feature]});
        let write = |path: &Path, text: String| {
            whole::write(path, text.as_bytes(), self.mode)
                .with_context(|| format!("failed to write `{}`", path.display()))
        };
        write(&self.polygon, polygon.to_string())?;
        write(&self.topic, written(topic)).inspect_err(|_| self.remove())
    }

    fn remove(&self) {
        for path in [&self.topic, &self.polygon] {
            if let Err(error) = fs::remove_file(path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, file = %path.display(), "failed to remove a file of a crisis");
            }
        }
    }
}

/// A topic file.
fn written(topic: &Topic) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let list = |entries: &[&Entry]| {
        entries.iter().map(|entry| quoted(&entry.text)).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(
        "[[topic]]\nid = {}\nkind = \"crisis\"\nname = {}\n",
        quoted(&topic.id),
        quoted(&topic.name)
    );
    if !topic.shared.is_empty() {
        text += &format!("shared = [{}]\n", list(&topic.shared.iter().collect::<Vec<_>>()));
    }
    let excluded = [("tags", &topic.exclude_tags), ("phrases", &topic.exclude_phrases)];
    let excluded = excluded.iter().filter(|(_, entries)| !entries.is_empty());
    let excluded: Vec<String> = excluded
        .map(|(key, entries)| format!("{key} = [{}]", list(&entries.iter().collect::<Vec<_>>())))
        .collect();
    if !excluded.is_empty() {
        text += &format!("exclude = {{ {} }}\n", excluded.join(", "));
    }
    for (key, entries) in [("tags", &topic.tags), ("phrases", &topic.phrases)] {
        if entries.is_empty() {
            continue;
        }
        let mut languages: Vec<&str> = entries.iter().map(|entry| entry.lang.as_str()).collect();
        languages.sort_unstable();
        languages.dedup();
        text += &format!("[topic.{key}]\n");
        for language in languages {
            let entries: Vec<&Entry> =
                entries.iter().filter(|entry| entry.lang == language).collect();
            text += &format!("{language} = [{}]\n", list(&entries));
        }
    }
    if let Some(crisis) = &topic.crisis {
        let instant = |at: Micros| quoted(&time::display(at));
        text += &format!(
            "[topic.crisis]\nregion = {}\ninhabitants = {}\n",
            quoted(&crisis.region),
            crisis.inhabitants
        );
        text += &format!("from = {}\nuntil = {}\n", instant(crisis.from), instant(crisis.until));
        text += &format!("reason = {}\nby = {}\n", quoted(&crisis.reason), quoted(&crisis.by));
    }
    text
}

/// In the data folder files are their owner's alone; elsewhere the folder is for whom its owner
/// says.
fn mode(config: &Config) -> u32 {
    if config.topics.crises.starts_with(&config.journal.data) {
        whole::SECRET
    } else {
        whole::PLAIN
    }
}

/// Appends a line to the audit log.
fn note(config: &Config, did: &str, topic: &Topic, reason: &str, by: &str) -> anyhow::Result<()> {
    let crisis = topic.crisis.as_ref();
    let words: Vec<&str> =
        topic.tags.iter().chain(&topic.phrases).map(|entry| entry.text.as_str()).collect();
    let line = json!({
        "at": time::display(now()), "did": did, "crisis": topic.id, "by": by, "reason": reason,
        "region": crisis.map(|crisis| &crisis.region), "inhabitants": crisis.map(|crisis| crisis.inhabitants),
        "until": crisis.map(|crisis| time::display(crisis.until)), "words": words,
    });
    let path = config.topics.crises.join(AUDIT);
    let opened = OpenOptions::new().append(true).create(true).mode(mode(config)).open(&path);
    let written =
        opened.and_then(|mut file| writeln!(file, "{line}").and_then(|()| file.sync_data()));
    written.with_context(|| format!("failed to append to `{}`", path.display()))
}

fn list(config: &Config, as_json: bool) -> Result<(), Failure> {
    let mut out = stdout().lock();
    for (topic, crisis) in crises(config) {
        let state = if crisis.until <= now() { "over" } else { "watched" };
        if as_json {
            let line = json!({
                "id": topic.id, "name": topic.name, "region": crisis.region, "inhabitants": crisis.inhabitants, "state": state,
                "from": time::display(crisis.from), "until": time::display(crisis.until), "reason": crisis.reason, "by": crisis.by,
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(
                out,
                "{}\t{state}\t{}\t{}\t{}\t{}",
                topic.id,
                time::display(crisis.until),
                crisis.region,
                crisis.by,
                crisis.reason
            )?;
        }
    }
    Ok(())
}

fn crises(config: &Config) -> impl Iterator<Item = (&Topic, &Crisis)> {
    config.topics.lexicon.topics().iter().filter_map(|topic| Some((topic, topic.crisis.as_ref()?)))
}

fn stop(config: &Config, id: &str, reason: &str, by: Option<String>) -> Result<(), Failure> {
    let files = Files::of(config, id);
    let Some((topic, _)) =
        crises(config).find(|(topic, _)| topic.id == id && Path::new(&topic.file) == files.topic)
    else {
        return Err(Failure::usage(
            format!("no crisis `{id}`"),
            "`pumphandle crisis list` lists all",
        ));
    };
    note(config, "stop", topic, reason.trim(), &actor(by))?;
    files.remove();
    writeln!(stdout().lock(), "crisis `{id}` is removed; its counts remain")?;
    Ok(writeln!(std::io::stderr().lock(), "{NEXT}")?)
}
