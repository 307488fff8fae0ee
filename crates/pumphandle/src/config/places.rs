//! `[atlas]`: the operator's own regions, the evidence of places, and populations.
//!
//! Read after topics, because crises add polygons.
//! Knows no geometry.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use atlas::Atlas;
use feeds::intake::{Evidence, Placing};
use record::diagnostic::Diagnostic;

use super::files::{TextFile, in_folder, read_all};
use super::reader::{Misfit, Noted, Read, Reader, Section};
use super::topics::Topics;
use crate::near;

const REGION_BYTES_MAX: u64 = atlas::own::FILE_BYTES_MAX as u64;
const POPULATION_BYTES_MAX: u64 = 16 << 20;

/// The atlas with the operator's own regions, and how it is used.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) placing: Placing,
    /// The operator's, by region.
    pub(crate) populations: BTreeMap<String, u64>,
    /// Hash of what decides places.
    pub(crate) meaning: String,
}

impl Places {
    /// Inhabitants of a region, by the operator or by the atlas.
    pub(crate) fn population(&self, code: &str) -> Option<u64> {
        let known = || self.placing.atlas.region(code).and_then(|region| region.population);
        self.populations.get(code).copied().or_else(known)
    }

    /// Whether there is such a region: of the tree, the operator's own, or a language.
    pub(crate) fn is_region(&self, code: &str) -> bool {
        let atlas = &self.placing.atlas;
        let language = |code| record::language::find(code) == Some(code);
        code == record::region::NO_LANGUAGE
            || code.strip_prefix("lang:").is_some_and(language)
            || matches!(code, record::region::WORLD | record::region::UNLOCATED)
            || atlas.name(code).is_some()
    }

    /// Whether a code is a region's: of ISO 3166, of the operator's own, the world, or a
    /// language's.
    pub(crate) fn knows(&self, code: &str) -> bool {
        let language = code.strip_prefix("lang:");
        let is_language = language.is_some_and(|code| {
            (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase())
        });
        let own = || {
            self.placing
                .atlas
                .own()
                .is_some_and(|own| own.each().any(|own| own.code.eq_ignore_ascii_case(code)))
        };
        let is_special = code == record::region::WORLD || code == record::region::UNLOCATED;
        is_special || is_language || self.placing.atlas.region(code).is_some() || own()
    }

    /// What every region is called in the languages of the page, own ones included.
    pub(crate) fn names(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        const LANGUAGES: [&str; 4] = ["en", "fr", "es", "de"];
        let atlas = &self.placing.atlas;
        let named = |name: &dyn Fn(&'static str) -> String| {
            LANGUAGES.map(|language| (language.to_owned(), name(language))).into()
        };
        let world = atlas.regions().iter().map(|region| {
            (region.code.clone(), named(&|language| region.name_in(language).to_owned()))
        });
        let own = atlas.own().into_iter().flat_map(atlas::OwnRegions::each);
        let own = own
            .filter_map(|own| Some((own.code.to_owned(), own.name?)))
            .map(|(code, name)| (code, named(&|_| name.to_owned())));
        world.chain(own).collect()
    }
}

pub(super) fn read_places(reader: &mut Reader, topics: Option<&Topics>) -> Read<Places> {
    reader.section("atlas", |section| {
        let evidence = section.evidence("evidence");
        let mentions_in_crises = section.boolean("mentions-in-crises");
        let confidence_min = section.number("confidence-min", 0.5..=1.0);
        let errors_before = section.reader.error_count();
        let regions = section.files("regions", "geojson", REGION_BYTES_MAX);
        let crises = topics.map(|topics| in_folder(&topics.crises, "geojson")).unwrap_or_default();
        let (crises, errors) = read_all(&crises, REGION_BYTES_MAX, "the regions", REGIONS_HINT);
        section.reader.note_all(errors);
        let is_sound = section.reader.error_count() == errors_before;
        let populations = section.files("populations", "csv", POPULATION_BYTES_MAX);
        let (mut files, populations) = (regions?.1, populations?.1);
        files.extend(crises);
        let atlas = if is_sound { read_regions(&files) } else { Err(Vec::new()) };
        let atlas = atlas.map_err(|errors| section.reader.note_all(errors))?;
        let populations = section.populations(&populations, &atlas, topics);
        if section.reader.error_count() > errors_before {
            return Err(Noted);
        }
        let placing = Placing {
            atlas: Arc::new(atlas),
            evidence: evidence?,
            mentions_in_crises: mentions_in_crises?,
            confidence_min: confidence_min?,
        };
        Ok(Places { meaning: meaning(&placing), placing, populations })
    })
}

const REGIONS_HINT: &str = "name GeoJSON files";

impl Section<'_> {
    fn evidence(&mut self, key: &str) -> Read<Vec<Evidence>> {
        let mut seen = Vec::new();
        let evidence = self.texts_of(key, |word, _| {
            let found = Evidence::ALL.into_iter().find(|evidence| evidence.name() == word);
            let evidence = found.ok_or_else(|| {
                let names = Evidence::ALL.map(|evidence| format!("`{}`", evidence.name()));
                format!("of {}", names.join(", "))
            })?;
            if seen.contains(&evidence) {
                let message = format!("`{word}` twice for `evidence`");
                return Err(Misfit::new(message, "name each once, best first"));
            }
            seen.push(evidence);
            Ok(evidence)
        })?;
        if evidence.is_empty() {
            let hint = "without any, only posts that state their region have one: name at least \
                `coordinates`";
            return Err(self.error(&self.place_of(key), "no evidence for `evidence`", hint));
        }
        Ok(evidence)
    }

    /// Inhabitants by region: of files, and of the polygons of crises, which must all be there.
    fn populations(
        &mut self,
        files: &[TextFile],
        atlas: &Atlas,
        topics: Option<&Topics>,
    ) -> BTreeMap<String, u64> {
        let (mut populations, mut errors) = (BTreeMap::new(), Vec::new());
        for file in files {
            read_populations(file, atlas, &mut populations, &mut errors);
        }
        let all = topics.map(|topics| topics.lexicon.topics()).unwrap_or_default();
        for topic in all {
            let Some(crisis) = &topic.crisis else { continue };
            if atlas.own().is_some_and(|own| own.each().any(|own| own.code == crisis.region)) {
                populations.entry(crisis.region.clone()).or_insert(crisis.inhabitants);
            } else {
                let message = format!(
                    "crisis `{}` is about `{}`, which no polygon has for its code",
                    topic.id, crisis.region
                );
                let folder = topics.map(|topics| topics.crises.display().to_string());
                let hint = format!("its GeoJSON belongs into `{}`", folder.unwrap_or_default());
                errors.push(Diagnostic::at(&topic.file, topic.line, message).hint(hint));
            }
        }
        self.reader.note_all(errors);
        populations
    }
}

/// The atlas with the regions of these files only, or all errors in them.
pub(crate) fn read_region_files(paths: &[PathBuf]) -> Result<Atlas, Vec<Diagnostic>> {
    let (files, errors) = read_all(paths, REGION_BYTES_MAX, "the regions", REGIONS_HINT);
    if errors.is_empty() { read_regions(&files) } else { Err(errors) }
}

fn read_regions(files: &[TextFile]) -> Result<Atlas, Vec<Diagnostic>> {
    if files.is_empty() {
        return Ok(Atlas::new());
    }
    let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
    Atlas::with_own(&texts).map_err(|found| {
        let diagnostic = |found: &atlas::Misplaced| {
            let text = found.error.to_string();
            let (message, hint) =
                text.split_once("\nhint: ").unwrap_or((&text, "see docs/atlas.md, own regions"));
            Diagnostic::at(&files[found.file].name, found.line, message).hint(hint)
        };
        found.iter().map(diagnostic).collect()
    })
}

/// `region,population`, with a header.
fn read_populations(
    file: &TextFile,
    atlas: &Atlas,
    populations: &mut BTreeMap<String, u64>,
    errors: &mut Vec<Diagnostic>,
) {
    let mut error = |line: usize, message: String, hint: &str| {
        errors.push(Diagnostic::at(&file.name, line, message).hint(hint));
    };
    let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file.text.as_bytes());
    let columns = rows.headers().ok().and_then(|header| {
        let column = |name: &str| header.iter().position(|found| found == name);
        Some((column("region")?, column("population")?))
    });
    let Some((region, population)) = columns else {
        let hint = "the first line names the columns: `region,population`";
        return error(1, "no columns `region` and `population`".to_owned(), hint);
    };
    let line_of = |position: Option<&csv::Position>| {
        let byte = position.map_or(0, csv::Position::byte);
        record::lines::line_at(file.text.as_bytes(), usize::try_from(byte).unwrap_or(usize::MAX))
            as usize
    };
    for row in rows.records() {
        let row = match row {
            Ok(row) => row,
            Err(bad) => {
                let hint = "each line has as many fields as the first";
                error(line_of(bad.position()), "a line that is no CSV".to_owned(), hint);
                continue;
            }
        };
        let line = line_of(row.position());
        let (region, population) =
            (row.get(region).unwrap_or_default(), row.get(population).unwrap_or_default());
        let code =
            if region.contains(':') { region.to_owned() } else { region.to_ascii_uppercase() };
        let Ok(inhabitants) = population.parse::<u64>() else {
            let hint = "a whole number, without separators";
            error(line, format!("`{population}` is no population"), hint);
            continue;
        };
        if atlas.name(&code).is_none() {
            let otherwise = "`pumphandle regions list` names all that are known";
            let hint = near::hint(near::region(atlas, region), otherwise);
            error(line, format!("unknown region `{code}`"), &hint);
        } else if populations.insert(code.clone(), inhabitants).is_some() {
            error(line, format!("region `{code}` twice"), "keep one line of each region");
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
