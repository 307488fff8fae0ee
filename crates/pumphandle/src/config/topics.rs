//! `[topics]`: topic files, read and made into one lexicon.
//!
//! Read after `[journal]`, whose data folder holds the crises by default.
//! Knows no syntax of topics.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lexicon::{Entry, Lexicon, Topic, TopicFile, VoiceRules};
use record::diagnostic::{Diagnostic, Place};
use record::document::syntax_hint;
use record::kind::Kind;
use record::text::fold;

use super::files::{TextFile, in_folder, read_all};
use super::reader::{Noted, Read, Reader, Section};

const FILE_BYTES_MAX: u64 = 16 << 20;

#[derive(Clone)]
pub(crate) struct Topics {
    pub(crate) lexicon: Arc<Lexicon>,
    /// Whether a tag also counts by its segments.
    pub(crate) segment: bool,
    /// The folder of crises.
    pub(crate) crises: PathBuf,
    /// Hash of what decides topics and voice from text.
    pub(crate) meaning: String,
}

/// The lexicon of the configured topic files, else of the compiled-in ones, and of the crises.
pub(super) fn read_topics(reader: &mut Reader, data: Option<&Path>) -> Read<Topics> {
    let errors_before = reader.error_count();
    let (files, segment, crises) = reader.section("topics", |section| {
        let files = section.topic_files("files");
        let segment = section.boolean("segment");
        let crises = section.optional_path("crises");
        Ok((files?, segment?, crises?))
    })?;
    let crises = crises.unwrap_or_else(|| data.unwrap_or(Path::new("data")).join("crises"));
    let mut parsed = ParsedFiles::default();
    match &files {
        Some((_, files)) => files.iter().for_each(|file| parsed.add(&file.name, &file.text)),
        None => lexicon::default_files().iter().for_each(|(file, text)| parsed.add(file, text)),
    }
    let is_sound = reader.error_count() == errors_before && parsed.errors.is_empty();
    let is_empty = parsed.files.iter().all(|file| file.topics.is_empty());
    if let (Some((place, _)), true) = (&files, is_sound && is_empty) {
        let message = "no topic in any of the files for `files` in `[topics]`";
        let error = Diagnostic::new(place, message).hint("write `[[topic]]` before each topic");
        parsed.errors.push(error);
    }
    let hint = "`crises` in `[topics]` names the folder";
    parsed.add_all(&in_folder(&crises, "toml"), "the crisis", hint);
    let topics = parsed.files.iter().flat_map(|file| &file.topics);
    parsed.errors.extend(topics.filter_map(unstarted_crisis));
    if files.is_some() {
        add_voices(&mut parsed.files);
    }
    let meaning = meaning(&parsed.files, segment);
    let lexicon = parsed.into_lexicon().map_err(|errors| reader.note_all(errors))?;
    if reader.error_count() > errors_before {
        return Err(Noted);
    }
    Ok(Topics { lexicon: Arc::new(lexicon), segment, crises, meaning })
}

/// A template of a crisis is not a crisis yet.
fn unstarted_crisis(topic: &Topic) -> Option<Diagnostic> {
    let is_template = topic.kind == Kind::Crisis && topic.crisis.is_none();
    is_template.then(|| {
        let message = format!("crisis topic `{}` says neither where nor until when", topic.id);
        Diagnostic::at(&topic.file, topic.line, message)
            .hint("`pumphandle crisis start` makes a crisis of a template or of a file like this")
    })
}

impl Section<'_> {
    /// The first pattern's place, and the files; none for the compiled-in ones.
    fn topic_files(&mut self, key: &str) -> Read<Option<(Place, Vec<TextFile>)>> {
        if self.is_default(key) {
            return self.texts(key).map(|_| None);
        }
        let (first, files) = self.files(key, "toml", FILE_BYTES_MAX)?;
        match first {
            Some(first) => Ok(Some((first, files))),
            None => {
                let hint = "leave `files` out for the topics that are compiled in";
                Err(self.error(&self.place_of(key), "no topic file for `files`", hint))
            }
        }
    }
}

/// The rules of voice that are compiled in, for languages without rules in the files: voice depends
/// on the language of a post, not on the topic.
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

/// The topics of these files only, or all errors in them.
pub(crate) fn read_topic_files(paths: &[PathBuf]) -> Result<Vec<Topic>, Vec<Diagnostic>> {
    let mut parsed = ParsedFiles::default();
    let hint = "name files, not folders; `pumphandle topics lint config/topics/*.toml`";
    parsed.add_all(paths, "the topics", hint);
    parsed.into_lexicon().map(|lexicon| lexicon.topics().to_vec())
}

#[derive(Default)]
struct ParsedFiles {
    files: Vec<TopicFile>,
    errors: Vec<Diagnostic>,
}

impl ParsedFiles {
    fn add(&mut self, file: &str, text: &str) {
        match lexicon::parse(file, text) {
            Ok(parsed) if parsed.topics.is_empty() && parsed.voices.is_empty() => {
                let error = Diagnostic::of_file(file, "no topic");
                self.errors.push(error.hint("write `[[topic]]` before each topic"));
            }
            Ok(parsed) => self.files.push(parsed),
            Err(errors) => self.errors.extend(errors.into_iter().map(with_hint)),
        }
    }

    fn add_all(&mut self, paths: &[PathBuf], what: &str, hint: &str) {
        let (files, errors) = read_all(paths, FILE_BYTES_MAX, what, hint);
        self.errors.extend(errors);
        files.iter().for_each(|file| self.add(&file.name, &file.text));
    }

    /// The lexicon of all files. Those without errors are compared even where others have some.
    fn into_lexicon(mut self) -> Result<Lexicon, Vec<Diagnostic>> {
        match Lexicon::of_files(self.files) {
            Ok(lexicon) if self.errors.is_empty() => Ok(lexicon),
            Ok(_) => Err(self.errors),
            Err(found) => {
                self.errors.extend(found.into_iter().map(with_hint));
                Err(self.errors)
            }
        }
    }
}

/// The diagnostic of a topic file with a hint.
pub(crate) fn with_hint(diagnostic: Diagnostic) -> Diagnostic {
    let hint = hint_for(&diagnostic.message);
    diagnostic.or_hint(hint)
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

/// Hash of what decides topics and voice from text: the same for files of the same meaning, however
/// they are written and ordered.
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
