//! `topics emerging`: tags that a topic may lack, from files of posts or from the retained stream.
//!
//! The same intake as `replay` makes posts of lines, so what is counted here is what would be
//! counted there.
//! Nothing is stored: the table is computed from the posts on each request.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use feeds::file::{Content, FileReader, FileSettings};
use feeds::intake::Outcome;
use journal::local::{LocalJournal, Options};
use journal::{Journal, Stream};
use lexicon::Topic;
use record::kind::Kind;
use record::text::fold;
use record::time::DAY;
use record::{FeedSetting, Micros, Op, Post, Record, Settings};
use serde_json::json;
use surveillance::emerging::{Emerging, EmergingTag};

use super::super::{Failure, export, replay};
use crate::cli;
use crate::config::{self, Config};
use crate::monitor;
use crate::runtime::each_retained;

/// Posts between looks at how much memory is held.
const COLUMNS: &str = "topic,tag,accounts,topic_accounts,tag_accounts,all_accounts,lift";
const POSTS_A_LOOK: u64 = 10_000;
/// One key for all of a file, however many years it spans: an account must not count as two.
const AUTHOR_EPOCH: Micros = 73_000 * DAY;

pub(super) fn run(config: &Config, args: &cli::Emerging) -> Result<(), Failure> {
    let wanted = args.topic.as_deref().map(|id| super::topic(config, id)).transpose()?;
    if wanted.is_some_and(|topic| topic.kind == Kind::Sensitive) {
        let message = format!(
            "`{}` is sensitive: co-occurring tags are not shown",
            wanted.map_or("", |topic| &topic.id)
        );
        return Err(Failure::usage(message, "see docs/privacy.md"));
    }
    if !(args.lift_min.is_finite() && args.lift_min >= 1.0) {
        return Err(Failure::usage(
            format!("`--lift-min {}` is less than 1", args.lift_min),
            "1 is chance; the default is 3",
        ));
    }
    let memory_max = match &args.memory_max {
        Some(text) => config::parse_size(text).ok_or_else(|| {
            Failure::usage(
                format!("`--memory-max {text}` is not a size"),
                "write `512MiB` or `2GB`",
            )
        })?,
        None => config.limits.memory_max,
    };
    let from = export::instant("--from", &args.from)?.unwrap_or(Micros::MIN);
    let to = export::instant("--to", &args.to)?.unwrap_or(Micros::MAX);
    let topics = config.topics.lexicon.topics();
    let kinds = topics.iter().map(|topic| (topic.id.clone(), topic.kind)).collect();
    let mut taken = Taken { emerging: Emerging::new(kinds), span: from..to, posts: 0, memory_max };
    match args.log {
        true => take_log(config, &mut taken)?,
        false => take_files(config, &args.files, &mut taken)?,
    }
    let known = Known::of(config);
    let tags = taken.emerging.tags(args.lift_min, |topic, written| known.counts(topic, written));
    super::print(&written(
        tags.iter().filter(|tag| wanted.is_none_or(|topic| topic.id == tag.topic)),
        args.json,
    )?)
}

struct Taken {
    emerging: Emerging,
    /// Of event time.
    span: Range<Micros>,
    posts: u64,
    memory_max: u64,
}

impl Taken {
    fn take(&mut self, post: &Post) -> Result<(), Failure> {
        // Deletions and removals of any time concern posts of this.
        if post.op == Op::Create && !self.span.contains(&post.event_time) {
            return Ok(());
        }
        self.emerging.take(post);
        self.posts += 1;
        if self.posts.is_multiple_of(POSTS_A_LOOK)
            && monitor::resident_bytes().is_some_and(|held| held > self.memory_max)
        {
            let message = format!(
                "stopped after {} posts: more than {} MiB in use",
                self.posts,
                self.memory_max >> 20
            );
            return Err(anyhow::anyhow!(
                "{message}\nhint: raise `--memory-max`, or take fewer days with `--from` and `--to`"
            )
            .into());
        }
        Ok(())
    }
}

fn take_files(config: &Config, files: &[String], taken: &mut Taken) -> Result<(), Failure> {
    let feeds = vec![FeedSetting::new("files", true)];
    let settings =
        Settings { partitions: 1, feeds, author_epoch: AUTHOR_EPOCH, ..config.settings() };
    let line_bytes_max = config.limits.line_bytes;
    let mut reader = FileReader::open(
        FileSettings { line_bytes_max, ..FileSettings::new(files.to_vec()) },
        None,
    )?;
    let mut intake = replay::intake(config, &settings, false);
    let (mut lines, mut rejected) = (0_u64, 0_u64);
    let failure = replay::each_batch(&mut reader, |batch| {
        for line in batch.lines() {
            lines += 1;
            match line.content {
                Content::Bytes(bytes) => match intake.read(bytes, None) {
                    Ok(Outcome::Post { post, .. }) => taken.take(&post)?,
                    Ok(Outcome::Ignored { .. }) => {}
                    Err(_) => rejected += 1,
                },
                Content::TooLong { .. } => rejected += 1,
            }
        }
        Ok(())
    })?;
    tracing::info!(lines, posts = taken.posts, rejected, "read");
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// The posts of the data folder hold their tags for as long as the stream is retained.
fn take_log(config: &Config, taken: &mut Taken) -> Result<(), Failure> {
    let folder = &config.journal.data;
    if !folder.exists() {
        let message = format!("no data folder `{}`", folder.display());
        return Err(Failure::usage(
            message,
            "run `pumphandle run` first, or set the data folder: `--set journal.data=FOLDER`",
        ));
    }
    let journal = LocalJournal::open(folder, config.journal.partitions, Options::default())?;
    for partition in 0..journal.partitions(Stream::Posts) {
        each_retained(&journal, Stream::Posts, partition, |record| match record {
            Record::Post(post) => taken.take(&post),
            _ => Ok::<(), Failure>(()),
        })?;
    }
    tracing::info!(posts = taken.posts, "read");
    Ok(())
}

/// What the topic files say of a tag already.
struct Known<'config> {
    config: &'config Config,
    /// By which keys each topic is excluded.
    excluded: BTreeMap<&'config str, BTreeSet<String>>,
}

impl<'config> Known<'config> {
    fn of(config: &'config Config) -> Known<'config> {
        let keys =
            |topic: &Topic| topic.exclude_tags.iter().map(|entry| fold(&entry.text)).collect();
        let excluded = config
            .topics
            .lexicon
            .topics()
            .iter()
            .map(|topic| (topic.id.as_str(), keys(topic)))
            .collect();
        Known { config, excluded }
    }

    /// Whether the topic counts by this tag, is excluded by it, or the tag is a sensitive topic's.
    fn counts(&self, topic: &str, written: &str) -> bool {
        let reading =
            self.config.topics.lexicon.read(None, &[written], &[], self.config.topics.segment);
        let excluded = self.excluded.get(topic).is_some_and(|keys| keys.contains(&fold(written)));
        excluded || reading.tags.is_empty() || reading.topics.iter().any(|hit| hit.id == topic)
    }
}

fn written<'tag>(
    tags: impl Iterator<Item = &'tag EmergingTag>,
    json: bool,
) -> Result<String, Failure> {
    let mut lines = Vec::new();
    if json {
        for tag in tags {
            let EmergingTag {
                topic,
                key,
                accounts,
                topic_accounts,
                key_accounts,
                all_accounts,
                ..
            } = tag;
            let lift = (tag.lift * 100.0).round() / 100.0;
            let line = json!({
                "topic": topic, "tag": key, "accounts": accounts, "topic_accounts": topic_accounts, "tag_accounts": key_accounts,
                "all_accounts": all_accounts, "lift": lift,
            });
            lines.extend_from_slice(line.to_string().as_bytes());
            lines.push(b'\n');
        }
    } else {
        let mut csv = csv::Writer::from_writer(&mut lines);
        csv.write_record(COLUMNS.split(','))?;
        for tag in tags {
            let EmergingTag { topic, key, accounts, topic_accounts, key_accounts, .. } = tag;
            let lift = format!("{:.2}", tag.lift);
            let all = tag.all_accounts;
            csv.serialize((topic, key, accounts, topic_accounts, key_accounts, all, lift))?;
        }
        csv.flush()?;
    }
    Ok(String::from_utf8(lines)?)
}
