//! `topics`: what is watched, why a text counts for it, and what its files lack.
//!
//! Lines for people; `--json` gives the same to programs.

mod emerging;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufWriter, Read, Write, stdin, stdout};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use lexicon::{Effect, Entry, Explanation, How, Topic, explain, lint, overdue};
use record::TopicSetting;
use record::kind::Kind;
use record::text::fold;
use serde_json::{Value, json};

use super::{Failure, check, tags};
use crate::cli::TopicsCommand;
use crate::config::{self, Config, display_duration};
use crate::near;

pub(crate) fn run(config: &Config, command: &TopicsCommand) -> Result<(), Failure> {
    match command {
        TopicsCommand::List { json } => {
            print(&if *json { listed_json(config) } else { listed(config) })
        }
        TopicsCommand::Show { id, json } => {
            let topic = topic(config, id)?;
            print(&if *json {
                format!("{}\n", shown_json(config, topic))
            } else {
                shown(config, topic)
            })
        }
        TopicsCommand::Lint { files, json } => lint_files(config, files, *json),
        TopicsCommand::Explain { text, lang, tag, json } => {
            explain_text(config, text, lang, tag, *json)
        }
        TopicsCommand::Emerging(args) => emerging::run(config, args),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = BufWriter::new(stdout().lock());
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// The topic of this name, or which one may be meant.
fn topic<'config>(config: &'config Config, id: &str) -> Result<&'config Topic, Failure> {
    let topics = config.topics.lexicon.topics();
    topics.iter().find(|topic| topic.id == id).ok_or_else(|| {
        let hint = near::hint(
            near::topic(&config.topics.lexicon, id),
            "`pumphandle topics list` lists all",
        );
        Failure::usage(format!("no topic `{id}`"), hint)
    })
}

// --- list, show ---

fn listed(config: &Config) -> String {
    let topics = sorted(config);
    let wide = |of: fn(&Topic) -> usize, least: usize| {
        topics.iter().map(|topic| of(topic)).max().unwrap_or(0).max(least)
    };
    let (id, kind) = (wide(|topic| topic.id.len(), 5), wide(|topic| topic.kind.name().len(), 4));
    let mut text =
        format!("{:id$}  {:kind$}  {:>4}  {:>7}  languages\n", "topic", "kind", "tags", "phrases");
    for topic in topics {
        let languages = languages(topic).join(" ");
        let (tags, phrases) = (topic.tags.len(), topic.phrases.len());
        // A string takes any line.
        let _ = writeln!(
            text,
            "{:id$}  {:kind$}  {tags:>4}  {phrases:>7}  {languages}",
            topic.id,
            topic.kind.name()
        );
    }
    text
}

fn listed_json(config: &Config) -> String {
    let mut text = String::new();
    for topic in sorted(config) {
        let line = json!({
            "id": topic.id, "kind": topic.kind.name(), "name": topic.name, "tags": topic.tags.len(), "phrases": topic.phrases.len(),
            "languages": languages(topic), "file": topic.file, "line": topic.line,
        });
        let _ = writeln!(text, "{line}");
    }
    text
}

/// By kind, then by name.
fn sorted(config: &Config) -> Vec<&Topic> {
    let mut topics: Vec<&Topic> = config.topics.lexicon.topics().iter().collect();
    topics.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
    topics
}

/// In which tags or phrases are written, without `any`.
fn languages(topic: &Topic) -> Vec<&str> {
    let all: BTreeSet<&str> =
        topic.tags.iter().chain(&topic.phrases).map(|entry| entry.lang.as_str()).collect();
    all.into_iter().filter(|lang| *lang != "any").collect()
}

fn shown(config: &Config, topic: &Topic) -> String {
    let mut lines = vec![
        format!("{}: {}", topic.id, topic.name),
        format!("  {}, line {}", topic.file, topic.line),
        counting(config, topic),
    ];
    lines.extend(topic.source.iter().map(|source| format!("  source {source}")));
    lines.extend(topic.review.iter().map(|review| format!("  review by {review}")));
    if !topic.days.is_empty() {
        lines.push(format!(
            "  days {}",
            topic.days.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        ));
    }
    for (lang, tags) in by_language(&topic.tags) {
        lines.push(format!("  tags {lang}: {}", hashtags(&tags)));
    }
    for (lang, phrases) in by_language(&topic.phrases) {
        lines.push(format!("  phrases {lang}: {}", quoted(phrases)));
    }
    for (_, tags) in by_language(&topic.exclude_tags) {
        lines.push(format!("  excluded by tags: {}", hashtags(&tags)));
    }
    for (_, phrases) in by_language(&topic.exclude_phrases) {
        lines.push(format!("  excluded by phrases: {}", quoted(phrases)));
    }
    for (_, tags) in by_language(&topic.shared) {
        lines.push(format!("  shared with other topics: {}", hashtags(&tags)));
    }
    lines.join("\n") + "\n"
}

fn shown_windows(setting: &TopicSetting) -> Vec<String> {
    setting.windows.iter().map(|window| display_duration(*window)).collect()
}

/// How it is counted, and from how many accounts on it is shown.
fn counting(config: &Config, topic: &Topic) -> String {
    let settings = config.settings();
    let setting = settings.topics.iter().find(|setting| setting.id == topic.id);
    let pane = setting
        .map(|setting| format!(", counted by {}", display_duration(setting.pane)))
        .unwrap_or_default();
    let windows = setting.map(|setting| shown_windows(setting).join(" and "));
    let windows = windows
        .filter(|windows| !windows.is_empty())
        .map(|windows| format!(", judged over {windows}"))
        .unwrap_or_default();
    let floor = match topic.kind.floor() {
        0 => String::new(),
        floor => format!(", from {floor} accounts on"),
    };
    let levels = if topic.kind == Kind::Sensitive { ", by country and world only" } else { "" };
    format!("  kind {}{pane}{windows}{floor}{levels}", topic.kind.name())
}

fn by_language(entries: &[Entry]) -> BTreeMap<&str, Vec<&str>> {
    let mut languages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in entries {
        languages.entry(&entry.lang).or_default().push(&entry.text);
    }
    languages
}

fn hashtags(tags: &[&str]) -> String {
    tags.iter().map(|tag| format!("#{tag}")).collect::<Vec<_>>().join(" ")
}

fn quoted(phrases: Vec<&str>) -> String {
    phrases.iter().map(|phrase| format!("\"{phrase}\"")).collect::<Vec<_>>().join(" ")
}

fn shown_json(config: &Config, topic: &Topic) -> Value {
    let settings = config.settings();
    let setting = settings.topics.iter().find(|setting| setting.id == topic.id);
    let texts =
        |entries: &[Entry]| entries.iter().map(|entry| entry.text.clone()).collect::<Vec<_>>();
    json!({
        "id": topic.id, "kind": topic.kind.name(), "name": topic.name, "file": topic.file, "line": topic.line,
        "pane": setting.map(|setting| display_duration(setting.pane)),
        "windows": setting.map(shown_windows),
        "accounts_min": topic.kind.floor(),
        "source": topic.source, "review": topic.review.map(|review| review.to_string()),
        "days": topic.days.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tags": by_language(&topic.tags), "phrases": by_language(&topic.phrases),
        "keys": topic.tags.iter().map(|entry| fold(&entry.text)).collect::<BTreeSet<_>>(),
        "exclude": { "tags": texts(&topic.exclude_tags), "phrases": texts(&topic.exclude_phrases) },
        "shared": texts(&topic.shared),
    })
}

// --- lint ---

fn lint_files(config: &Config, files: &[PathBuf], json: bool) -> Result<(), Failure> {
    let read = if files.is_empty() {
        None
    } else {
        Some(config::read_topic_files(files).map_err(Failure::Configuration)?)
    };
    let topics = read.as_deref().unwrap_or(config.topics.lexicon.topics());
    let mut found = lint(topics);
    found.extend(check::today(None)?.map(|today| overdue(topics, today)).unwrap_or_default());
    let mut text = String::new();
    for problem in &found {
        if json {
            let _ = writeln!(
                text,
                "{}",
                json!({ "file": problem.place.file(), "line": problem.place.line(), "message": problem.message, "hint": problem.hint })
            );
        } else {
            let _ = writeln!(text, "{}", problem.as_warning());
        }
    }
    if found.is_empty() {
        if !json {
            let _ = writeln!(text, "ok: no doubtful definitions in {} topics", topics.len());
        }
        return print(&text);
    }
    print(&text)?;
    let many =
        if found.len() == 1 { "1 place".to_owned() } else { format!("{} places", found.len()) };
    Err(anyhow!("doubtful definitions: {many}").into())
}

// --- explain ---

fn explain_text(
    config: &Config,
    text: &str,
    lang: &[String],
    tag: &[String],
    json: bool,
) -> Result<(), Failure> {
    let mut read = Vec::new();
    let bytes_max = config.limits.line_bytes as u64;
    if text == "-" {
        stdin()
            .lock()
            .take(bytes_max + 1)
            .read_to_end(&mut read)
            .context("failed to read standard input")?;
    }
    if read.len().max(text.len()) as u64 > bytes_max {
        return Err(anyhow!("text of more than {bytes_max} bytes, the maximum of a post").into());
    }
    // What isn't UTF-8 was replaced before a post is read, too.
    let from_input = String::from_utf8_lossy(&read);
    let text = if text == "-" { from_input.trim_end_matches(['\n', '\r']) } else { text };
    let (langs, tags): (Vec<&str>, Vec<&str>) =
        (lang.iter().map(String::as_str).collect(), tag.iter().map(String::as_str).collect());
    let explanation =
        explain(&config.topics.lexicon, Some(text), &tags, &langs, config.topics.segment);
    print(&if json {
        format!("{}\n", explained_json(&explanation))
    } else {
        explanation.to_string()
    })
}

fn explained_json(explanation: &Explanation) -> Value {
    let tags: Vec<Value> = explanation
        .tags
        .iter()
        .map(|tag| {
            let matches: Vec<Value> = tag
                .matches
                .iter()
                .map(|found| {
                    let how = match found.how {
                        How::Whole => "whole",
                        How::Segment => "segment",
                    };
                    json!({ "key": found.key, "topic": found.topic, "how": how, "effect": effect(found.effect) })
                })
                .collect();
            json!({ "tag": tag.written, "key": tag.key, "segments": tag.segments, "matches": matches })
        })
        .collect();
    let place = |place: &std::ops::Range<usize>| json!([place.start, place.end]);
    let phrases: Vec<Value> = explanation
        .phrases
        .iter()
        .map(|phrase| {
            let (found, at) = (&phrase.found, place(&phrase.place));
            json!({ "found": found, "place": at, "lang": phrase.lang, "topic": phrase.topic, "effect": effect(phrase.effect) })
        })
        .collect();
    let rules: Vec<Value> = explanation
        .voice_rules
        .iter()
        .map(|rule| json!({ "found": rule.found, "place": place(&rule.place), "lang": rule.lang, "rule": rule.rule }))
        .collect();
    let topics: Vec<Value> = explanation
        .topics
        .iter()
        .map(|topic| json!({ "topic": topic.id, "voice": topic.voice.map(tags::voice_name) }))
        .collect();
    json!({
        "platform_tags": explanation.platform_tags, "tags": tags, "phrases": phrases, "voice_rules": rules,
        "question_mark": explanation.question_mark, "topics": topics,
    })
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Counts => "counts",
        Effect::Inside => "inside",
        Effect::Excludes => "excludes",
    }
}
