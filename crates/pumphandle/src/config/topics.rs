//! The topic files: found by their patterns, read, and made into one lexicon.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lexicon::{Entry, Lexicon, Topic};
use record::text::fold;

use super::problem::{Place, Problem};
use super::reader::At;
use super::{base_of, read_text, resolve};

const FILES_MAX: usize = 10_000;
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The lexicon of the files that `patterns` name, or everything that is wrong with them.
pub(super) fn load(patterns: &[At<String>], config_file: Option<&Path>) -> Result<Lexicon, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut paths = Vec::new();
    let mut seen = BTreeSet::new();
    for pattern in patterns {
        match matches(pattern, base_of(&pattern.place, config_file)) {
            Ok(found) => paths.extend(found.into_iter().filter(|path| seen.insert(path.clone())).map(|path| (path, &pattern.place))),
            Err(problem) => problems.push(problem),
        }
    }
    let mut topics = Vec::new();
    for (path, place) in paths {
        let file = path.display().to_string();
        match read_text(&path, FILE_BYTES_MAX) {
            Ok(text) => parse(&file, &text, &mut topics, &mut problems),
            Err(error) => problems.push(error.problem(place, &file)),
        }
    }
    finish(topics, problems)
}

/// The lexicon of the files that are compiled in.
pub(super) fn compiled_in() -> Result<Lexicon, Vec<Problem>> {
    let (mut topics, mut problems) = (Vec::new(), Vec::new());
    for (file, text) in lexicon::default_files() {
        parse(file, text, &mut topics, &mut problems);
    }
    finish(topics, problems)
}

fn parse(file: &str, text: &str, topics: &mut Vec<Topic>, problems: &mut Vec<Problem>) {
    match lexicon::parse(file, text) {
        Ok(parsed) if parsed.topics.is_empty() => {
            let problem = Problem::new(&Place::WholeFile { file: file.to_owned() }, "no topic");
            problems.push(problem.hint("write `[[topic]]` before each topic"));
        }
        Ok(parsed) => topics.extend(parsed.topics),
        Err(found) => problems.extend(found.into_iter().map(Problem::from)),
    }
}

/// Even where a file is broken, the others are held against each other.
fn finish(topics: Vec<Topic>, mut problems: Vec<Problem>) -> Result<Lexicon, Vec<Problem>> {
    let lexicon = Lexicon::new(topics);
    match lexicon {
        Ok(lexicon) if problems.is_empty() => Ok(lexicon),
        Ok(_) => Err(problems),
        Err(found) => {
            problems.extend(found.into_iter().map(Problem::from));
            Err(problems)
        }
    }
}

/// The files that a path or a pattern names, sorted.
fn matches(pattern: &At<String>, base: &Path) -> Result<Vec<PathBuf>, Problem> {
    let written = &pattern.value;
    if !written.contains(['*', '?', '[']) {
        return Ok(vec![resolve(base, written)]);
    }
    let problem = |message: String| Problem::new(&pattern.place, message);
    // The folder is no part of the pattern, whatever characters its name has.
    let in_folder = match Path::new(written).is_absolute() || base.as_os_str().is_empty() {
        true => written.clone(),
        false => format!("{}/{written}", glob::Pattern::escape(&base.to_string_lossy())),
    };
    let found = glob::glob(&in_folder)
        .map_err(|error| problem(format!("bad pattern `{written}` for `files` in `[topics]`")).hint(error.msg.to_lowercase()))?;
    let mut paths = Vec::new();
    for path in found.take(FILES_MAX + 1) {
        let path = path.map_err(|error| problem(format!("a folder of `{written}` can't be read: {}", error.error().kind())))?;
        paths.push(path);
    }
    match paths.len() {
        0 => Err(problem(format!("no file matches `{written}` for `files` in `[topics]`"))
            .hint(format!("it is looked for in {}", shown_folder(base)))),
        count if count > FILES_MAX => Err(problem(format!("`{written}` matches more than {FILES_MAX} files for `files` in `[topics]`"))),
        _ => {
            paths.sort();
            Ok(paths)
        }
    }
}

fn shown_folder(base: &Path) -> String {
    match base.as_os_str().is_empty() {
        true => "the working directory".to_owned(),
        false => format!("`{}`, the folder of the configuration file", base.display()),
    }
}

impl From<lexicon::Problem> for Problem {
    fn from(problem: lexicon::Problem) -> Problem {
        Problem { place: Place::File { file: problem.file, line: problem.line }, message: problem.message, hint: problem.hint }
    }
}

/// Hash of what decides topics from text: the same for files that mean the same, however they are written and ordered.
pub(super) fn meaning(lexicon: &Lexicon, segment: bool) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part("lexicon 1");
    part(if segment { "by segment" } else { "whole" });
    let mut topics: Vec<&Topic> = lexicon.topics().iter().collect();
    topics.sort_by(|a, b| a.id.cmp(&b.id));
    for topic in topics {
        part("topic");
        part(&topic.id);
        part(topic.kind.name());
        let key = |entry: &Entry| fold(&entry.text);
        // A phrase is tried in posts of its language's primary subtag.
        let phrase = |entry: &Entry| format!("{} {}", entry.lang.split(['-', '_']).next().unwrap_or_default(), entry.text.trim());
        for (name, entries) in [("tags", &topic.tags), ("exclude tags", &topic.exclude_tags)] {
            part(name);
            entries.iter().map(key).collect::<BTreeSet<String>>().iter().for_each(|key| part(key));
        }
        for (name, entries) in [("phrases", &topic.phrases), ("exclude phrases", &topic.exclude_phrases)] {
            part(name);
            entries.iter().map(phrase).collect::<BTreeSet<String>>().iter().for_each(|phrase| part(phrase));
        }
    }
    hasher.finalize().to_hex().as_str()[..32].to_owned()
}
