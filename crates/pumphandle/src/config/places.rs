//! `[atlas]`: the operator's own regions, what places are taken from, and populations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atlas::Atlas;
use feeds::intake::{Evidence, Placing};

use super::problem::{Place, Problem};
use super::reader::{At, Reader};
use super::topics::{in_folder, matches};
use super::{Places, Topics, base_of, read_text};
use crate::near;

const POPULATION_BYTES_MAX: u64 = 16 << 20;

/// A file that was named, and where.
struct Named {
    file: String,
    text: String,
}

/// `topics`, if they could be read: crises among them bring polygons along.
pub(super) fn read(
    reader: &mut Reader,
    topics: Option<&Topics>,
    config_file: Option<&Path>,
) -> Option<Places> {
    let read = reader.section("atlas", |section| {
        let regions = section.texts("regions");
        let populations = section.texts("populations");
        let place = section.place_of("evidence");
        let written = section.texts("evidence");
        let mentions_in_crises = section.boolean("mentions-in-crises");
        let confidence_min = section.number("confidence-min", 0.5..=1.0);
        let mut evidence = Vec::new();
        let mut fits = true;
        for word in written.iter().flatten() {
            match Evidence::ALL.into_iter().find(|evidence| evidence.name() == word.value) {
                Some(kind) if evidence.contains(&kind) => {
                    section.problem(
                        &word.place,
                        &format!(
                            "`{}` twice for \
                        `evidence`",
                            word.value
                        ),
                        Some("name each once, best first"),
                    );
                    fits = false;
                }
                Some(kind) => evidence.push(kind),
                None => {
                    let hint = format!(
                        "of \
                        {}",
                        Evidence::ALL.map(|evidence| format!("`{}`", evidence.name())).join(", ")
                    );
                    section.problem(
                        &word.place,
                        &format!(
                            "bad value `{}` for \
                        `evidence`",
                            word.value
                        ),
                        Some(&hint),
                    );
                    fits = false;
                }
            }
        }
        if fits && written.is_some() && evidence.is_empty() {
            let hint = "without any, only posts that state their region have one: name at least \
                `coordinates`";
            section.problem(&place, "no evidence for `evidence`", Some(hint));
            fits = false;
        }
        let parts = (regions?, populations?, mentions_in_crises?.value, confidence_min?.value);
        Some((parts, evidence, fits))
    });
    // Files are looked at even where a word beside them is wrong: everything is told at once.
    let ((regions, populations, mentions_in_crises, confidence_min), evidence, fits) = read?;
    let mut problems = Vec::new();
    let mut regions = named(
        &regions,
        "`regions` in `[atlas]`",
        atlas::own::FILE_BYTES_MAX as u64,
        config_file,
        &mut problems,
    );
    let crises = topics.map(|topics| in_folder(&topics.crises, "geojson")).unwrap_or_default();
    regions.extend(read_named(&crises).map_err(|found| problems.extend(found)).unwrap_or_default());
    let atlas = if problems.is_empty() {
        of_files(&regions).map_err(|found| problems.extend(found)).ok()
    } else {
        None
    };
    let files = named(
        &populations,
        "`populations` in `[atlas]`",
        POPULATION_BYTES_MAX,
        config_file,
        &mut problems,
    );
    let mut populations = BTreeMap::new();
    if let Some(atlas) = &atlas {
        files
            .iter()
            .for_each(|file| read_populations(file, atlas, &mut populations, &mut problems));
    }
    if let (Some(atlas), Some(topics)) = (&atlas, topics) {
        add_crises(topics, atlas, &mut populations, &mut problems);
    }
    let sound = problems.is_empty();
    problems.into_iter().for_each(|problem| reader.problem(problem));
    let placing = Placing { atlas: Arc::new(atlas?), evidence, mentions_in_crises, confidence_min };
    (sound && fits).then(|| Places { meaning: meaning(&placing), placing, populations })
}

/// How many people live in the polygons of crises; all of these must be there.
fn add_crises(
    topics: &Topics,
    atlas: &Atlas,
    populations: &mut BTreeMap<String, u64>,
    problems: &mut Vec<Problem>,
) {
    for topic in topics.lexicon.topics() {
        let Some(crisis) = &topic.crisis else { continue };
        if atlas.own().is_some_and(|own| own.each().any(|own| own.code == crisis.region)) {
            populations.entry(crisis.region.clone()).or_insert(crisis.inhabitants);
        } else {
            let place = Place::File { file: topic.file.clone(), line: topic.line };
            let problem = Problem::new(
                &place,
                format!(
                    "crisis `{}` is about `{}`, which no polygon has for its code",
                    topic.id, crisis.region
                ),
            );
            problems.push(
                problem.hint(format!("its GeoJSON belongs into `{}`", topics.crises.display())),
            );
        }
    }
}

/// The atlas with the regions of files that somebody names; everything that is wrong with them.
pub(crate) fn read_region_files(paths: &[PathBuf]) -> Result<Atlas, Vec<Problem>> {
    of_files(&read_named(paths)?)
}

fn read_named(paths: &[PathBuf]) -> Result<Vec<Named>, Vec<Problem>> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let file = path.display().to_string();
        match read_text(path, atlas::own::FILE_BYTES_MAX as u64) {
            Ok(text) => files.push(Named { file, text }),
            Err(error) => problems.push(
                error
                    .problem(&Place::WholeFile { file: file.clone() }, "the regions", &file)
                    .or_hint("name GeoJSON files"),
            ),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

fn of_files(files: &[Named]) -> Result<Atlas, Vec<Problem>> {
    if files.is_empty() {
        return Ok(Atlas::new());
    }
    let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
    Atlas::with_own(&texts).map_err(|found| {
        let problem = |found: &atlas::Misplaced| {
            let place = Place::File { file: files[found.file].file.clone(), line: found.line };
            let text = found.error.to_string();
            match text.split_once("\nhint: ") {
                Some((message, hint)) => Problem::new(&place, message).hint(hint),
                None => Problem::new(&place, text).hint("see docs/atlas.md, own regions"),
            }
        };
        found.iter().map(problem).collect()
    })
}

/// The texts of the files that paths and patterns name.
fn named(
    patterns: &[At<String>],
    key: &str,
    bytes_max: u64,
    config_file: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> Vec<Named> {
    let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
    for pattern in patterns {
        let paths = match matches(pattern, key, base_of(&pattern.place, config_file)) {
            Ok(paths) => paths,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for path in paths.into_iter().filter(|path| seen.insert(path.clone())) {
            let file = path.display().to_string();
            match read_text(&path, bytes_max) {
                Ok(text) => files.push(Named { file, text }),
                Err(error) => {
                    let hint = "paths in a configuration file are relative to its folder";
                    problems.push(
                        error.problem(&pattern.place, &format!("`{file}`"), &file).or_hint(hint),
                    );
                }
            }
        }
    }
    files
}

/// `region,population`, with a header.
fn read_populations(
    file: &Named,
    atlas: &Atlas,
    populations: &mut BTreeMap<String, u64>,
    problems: &mut Vec<Problem>,
) {
    let at = |line: usize| Place::File { file: file.file.clone(), line };
    let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file.text.as_bytes());
    let columns = rows.headers().ok().and_then(|header| {
        let column = |name: &str| header.iter().position(|found| found == name);
        Some((column("region")?, column("population")?))
    });
    let Some((region, population)) = columns else {
        problems.push(
            Problem::new(&at(1), "no columns `region` and `population`")
                .hint("the first line names the columns: `region,population`"),
        );
        return;
    };
    let line_of = |position: Option<&csv::Position>| {
        let byte = position.map_or(0, csv::Position::byte);
        record::lines::line_at(file.text.as_bytes(), usize::try_from(byte).unwrap_or(usize::MAX))
            as usize
    };
    for row in rows.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = line_of(error.position());
                problems.push(
                    Problem::new(&at(line), "a line that is no CSV")
                        .hint("each line has as many fields as the first"),
                );
                continue;
            }
        };
        let line = line_of(row.position());
        let (region, population) =
            (row.get(region).unwrap_or_default(), row.get(population).unwrap_or_default());
        let code =
            if region.contains(':') { region.to_owned() } else { region.to_ascii_uppercase() };
        let Ok(population) = population.parse::<u64>() else {
            problems.push(
                Problem::new(&at(line), format!("`{population}` is no population"))
                    .hint("a whole number, without separators"),
            );
            continue;
        };
        if atlas.name(&code).is_none() {
            let hint = near::hint(
                near::region(atlas, region),
                "`pumphandle regions list` names all that are known",
            );
            problems.push(Problem::new(&at(line), format!("unknown region `{code}`")).hint(hint));
        } else if populations.insert(code.clone(), population).is_some() {
            problems.push(
                Problem::new(&at(line), format!("region `{code}` twice"))
                    .hint("keep one line of each region"),
            );
        }
    }
}

/// Hash of what decides places: the same for files that mean the same.
fn meaning(placing: &Placing) -> String {
    let mut hash = blake3::Hasher::new();
    let own = placing.atlas.own().map(atlas::OwnRegions::meaning).unwrap_or_default();
    let evidence =
        placing.evidence.iter().map(|evidence| evidence.name()).collect::<Vec<_>>().join(",");
    let rules = format!("{evidence} {} {}", placing.mentions_in_crises, placing.confidence_min);
    for part in [b"places 1".as_slice(), atlas::data_version().as_bytes(), rules.as_bytes(), &own] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().to_hex().as_str()[..32].to_owned()
}
