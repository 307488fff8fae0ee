//! The topic files: found by their patterns, read, and made into one lexicon.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lexicon::{Entry, Lexicon, Topic, TopicFile, VoiceRules};
use record::kind::Kind;
use record::text::fold;

use super::problem::{Place, Problem};
use super::reader::At;
use super::written::syntax_hint;
use super::{Topics, base_of, read_text, resolve};

const KEY: &str = "`files` in `[topics]`";
const FILES_MAX: usize = 10_000;
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The lexicon of the files that `patterns` name, or of those that are compiled in, and of the
/// crises; or everything that is wrong.
pub(super) fn load(
    patterns: Option<&[At<String>]>,
    crises: &Path,
    config_file: Option<&Path>,
    segment: bool,
) -> Result<Topics, Vec<Problem>> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    match patterns {
        Some(patterns) => named(patterns, config_file, &mut files, &mut problems),
        None => compiled_in(&mut files, &mut problems),
    }
    for path in in_folder(crises, "toml") {
        let file = path.display().to_string();
        match read_text(&path, FILE_BYTES_MAX) {
            Ok(text) => parse(&file, &text, &mut files, &mut problems),
            Err(error) => {
                let problem =
                    error.problem(&Place::WholeFile { file: file.clone() }, "the crisis", &file);
                problems.push(problem.or_hint("`crises` in `[topics]` names the folder"));
            }
        }
    }
    // A template is no crisis yet.
    for topic in files
        .iter()
        .flat_map(|file| &file.topics)
        .filter(|topic| topic.kind == Kind::Crisis && topic.crisis.is_none())
    {
        let place = Place::File { file: topic.file.clone(), line: topic.line };
        let problem = Problem::new(
            &place,
            format!("crisis topic `{}` says neither where nor until when", topic.id),
        );
        problems.push(
            problem.hint(
                "`pumphandle crisis start` makes a crisis of a template or of a file like this",
            ),
        );
    }
    if patterns.is_some() {
        add_voices(&mut files);
    }
    finish(files, problems, segment, crises)
}

/// The files of one ending in a folder that need not exist, sorted.
pub(super) fn in_folder(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    paths.sort();
    paths
}

fn named(
    patterns: &[At<String>],
    config_file: Option<&Path>,
    files: &mut Vec<TopicFile>,
    problems: &mut Vec<Problem>,
) {
    let mut paths = Vec::new();
    let mut seen = BTreeSet::new();
    for pattern in patterns {
        match matches(pattern, KEY, base_of(&pattern.place, config_file)) {
            Ok(found) => paths.extend(
                found
                    .into_iter()
                    .filter(|path| seen.insert(path.clone()))
                    .map(|path| (path, &pattern.place)),
            ),
            Err(problem) => problems.push(problem),
        }
    }
    for (path, place) in paths {
        let file = path.display().to_string();
        match read_text(&path, FILE_BYTES_MAX) {
            Ok(text) => parse(&file, &text, files, problems),
            Err(error) => {
                let hint = match path.is_dir() {
                    true => format!("write `{file}/*.toml` for the files in it"),
                    false => "paths in a configuration file are relative to its folder".to_owned(),
                };
                problems.push(error.problem(place, &format!("`{file}`"), &file).or_hint(hint));
            }
        }
    }
    if problems.is_empty()
        && files.iter().all(|file| file.topics.is_empty())
        && let Some(pattern) = patterns.first()
    {
        problems.push(
            Problem::new(&pattern.place, "no topic in any of the files for `files` in `[topics]`")
                .hint("write `[[topic]]` before each topic"),
        );
    }
}

/// Whose voice a post is depends on its language, not on who wrote the topic: where the files say
/// nothing of a language,
/// the rules that are compiled in hold for it.
fn add_voices(files: &mut Vec<TopicFile>) {
    let own: BTreeSet<String> =
        files.iter().flat_map(|file| &file.voices).map(|voice| voice.lang.clone()).collect();
    for (file, text) in lexicon::default_files() {
        let voices = lexicon::parse(file, text).map(|file| file.voices).unwrap_or_default();
        let missing: Vec<VoiceRules> =
            voices.into_iter().filter(|voice| !own.contains(&voice.lang)).collect();
        if !missing.is_empty() {
            files.push(TopicFile { topics: Vec::new(), voices: missing });
        }
    }
}

fn compiled_in(files: &mut Vec<TopicFile>, problems: &mut Vec<Problem>) {
    for (file, text) in lexicon::default_files() {
        parse(file, text, files, problems);
    }
}

/// The topics of files that somebody names, and nothing else; everything that keeps them from being
/// read.
pub(crate) fn read_files(paths: &[PathBuf]) -> Result<Vec<Topic>, Vec<Problem>> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let file = path.display().to_string();
        match read_text(path, FILE_BYTES_MAX) {
            Ok(text) => parse(&file, &text, &mut files, &mut problems),
            Err(error) => {
                let problem =
                    error.problem(&Place::WholeFile { file: file.clone() }, "the topics", &file);
                problems.push(problem.or_hint(
                    "name files, not folders; `pumphandle topics lint config/topics/*.toml`",
                ));
            }
        }
    }
    finish(files, problems, true, Path::new("")).map(|topics| topics.lexicon.topics().to_vec())
}

fn parse(file: &str, text: &str, files: &mut Vec<TopicFile>, problems: &mut Vec<Problem>) {
    match lexicon::parse(file, text) {
        Ok(parsed) if parsed.topics.is_empty() && parsed.voices.is_empty() => {
            let problem = Problem::new(&Place::WholeFile { file: file.to_owned() }, "no topic");
            problems.push(problem.hint("write `[[topic]]` before each topic"));
        }
        Ok(parsed) => files.push(parsed),
        Err(found) => problems.extend(found.into_iter().map(Problem::from)),
    }
}

/// Even where a file is broken, the others are held against each other.
fn finish(
    files: Vec<TopicFile>,
    mut problems: Vec<Problem>,
    segment: bool,
    crises: &Path,
) -> Result<Topics, Vec<Problem>> {
    let crises = crises.to_owned();
    let meaning = meaning(&files, segment);
    match Lexicon::of_files(files) {
        Ok(lexicon) if problems.is_empty() => {
            Ok(Topics { lexicon: Arc::new(lexicon), segment, crises, meaning })
        }
        Ok(_) => Err(problems),
        Err(found) => {
            problems.extend(found.into_iter().map(Problem::from));
            Err(problems)
        }
    }
}

/// The files that a path or a pattern names, sorted. `key` is what it was written for.
pub(super) fn matches(
    pattern: &At<String>,
    key: &str,
    base: &Path,
) -> Result<Vec<PathBuf>, Problem> {
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
    let found = glob::glob(&in_folder).map_err(|error| {
        problem(format!("bad pattern `{written}` for {key}")).hint(error.msg.to_lowercase())
    })?;
    let mut paths = Vec::new();
    for path in found.take(FILES_MAX + 1) {
        let path = path.map_err(|error| {
            problem(format!("a folder of `{written}` can't be read: {}", error.error().kind()))
                .hint("see who may read it")
        })?;
        paths.push(path);
    }
    match paths.len() {
        0 => Err(problem(format!("no file matches `{written}` for {key}"))
            .hint(format!("they are looked for in {}", shown_folder(base)))),
        count if count > FILES_MAX => {
            Err(problem(format!("`{written}` matches more than {FILES_MAX} files for {key}"))
                .hint("join small files"))
        }
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
        let hint = problem.hint.unwrap_or_else(|| hint_for(&problem.message).to_owned());
        Problem::new(&Place::File { file: problem.file, line: problem.line }, problem.message)
            .hint(hint)
    }
}

/// For the messages of topic files that come without one.
fn hint_for(message: &str) -> &'static str {
    let hints = [
        ("a topic without", "every topic has `id`, `kind` and `name`"),
        (
            "a crisis without",
            "`pumphandle crisis start` writes `region`, `inhabitants`, `from`, `until`, `reason` \
                and `by`",
        ),
        ("in `crisis`", "`crisis` has `region`, `inhabitants`, `from`, `until`, `reason` and `by`"),
        ("a voice without", "rules of voice say of which language they are: `lang = \"fr\"`"),
        (
            "in `[[voice]]`",
            "rules of voice have `lang`, `own`, `not`, `news`, `asks` and `counters`",
        ),
        ("in `exclude`", "`exclude` has `tags` and `phrases`"),
        ("in a topic file", "a topic file has `[[topic]]` and `[[voice]]`"),
        (
            "unknown key",
            "a topic has `id`, `kind`, `name`, `tags`, `phrases`, `exclude`, `shared`, and where \
                they fit `source`, `review`, `days`, `crisis`",
        ),
        ("already", "give one of them another id, or make one topic of both"),
        ("nothing is left", "write letters or digits, or leave it out"),
        ("excludes its own", "leave it out of one of the two"),
    ];
    let found = hints.iter().find(|(words, _)| message.contains(words));
    found.map_or_else(|| syntax_hint(message), |(_, hint)| hint)
}

/// Hash of what decides topics and voice from text: the same for files that mean the same, however
/// they are written and
/// ordered.
fn meaning(files: &[TopicFile], segment: bool) -> String {
    let key = |entry: &Entry| fold(&entry.text);
    // A phrase is tried in posts of its language's primary subtag.
    let phrase = |entry: &Entry| {
        format!("{} {}", entry.lang.split(['-', '_']).next().unwrap_or_default(), entry.text.trim())
    };
    let mut hash = Hash(blake3::Hasher::new());
    hash.part("lexicon 1");
    hash.part(if segment { "by segment" } else { "whole" });
    let mut topics: Vec<&Topic> = files.iter().flat_map(|file| &file.topics).collect();
    topics.sort_by(|a, b| a.id.cmp(&b.id));
    for topic in topics {
        ["topic", &topic.id, topic.kind.name()].iter().for_each(|text| hash.part(text));
        hash.set(topic.tags.iter().map(key));
        hash.set(topic.exclude_tags.iter().map(key));
        hash.set(topic.phrases.iter().map(phrase));
        hash.set(topic.exclude_phrases.iter().map(phrase));
        if let Some(crisis) = &topic.crisis {
            ["crisis", &crisis.region, &crisis.until.to_string()]
                .iter()
                .for_each(|text| hash.part(text));
        }
    }
    let mut voices: Vec<&VoiceRules> = files.iter().flat_map(|file| &file.voices).collect();
    voices.sort_by(|a, b| a.lang.cmp(&b.lang));
    for voice in voices {
        ["voice", &voice.lang].iter().for_each(|text| hash.part(text));
        hash.set(voice.own.iter().map(phrase));
        hash.set(voice.not.iter().map(phrase));
        hash.set(voice.news.iter().map(phrase));
        hash.set(voice.asks.iter().map(phrase));
        hash.set(voice.counters.iter().map(phrase));
    }
    hash.0.finalize().to_hex().as_str()[..32].to_owned()
}

/// Parts with their lengths, so that no two lists of parts collide.
struct Hash(blake3::Hasher);

impl Hash {
    fn part(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn set(&mut self, texts: impl Iterator<Item = String>) {
        let texts: BTreeSet<String> = texts.collect();
        self.0.update(&(texts.len() as u64).to_le_bytes());
        texts.iter().for_each(|text| self.part(text));
    }
}
