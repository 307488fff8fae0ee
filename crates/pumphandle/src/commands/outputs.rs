//! Files that `replay` writes: counts, tag counts, verdicts, alerts, rejects.
//!
//! Rows are held in small form until the end, since they are written sorted by their columns;
//! alerts and rejects are written as they come.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context;
use record::time::SECOND;
use record::{Micros, Record, Reject, Verdict};

use super::Failure;
use crate::cli::Replay;
use crate::printer;

const COUNTS: &str = "topic,region,pane_start,posts,authors,authors_24h,total_posts";
const TAG_COUNTS: &str = "tag,region,pane_start,posts";
const VERDICTS: &str = "topic,region,window_end,window_seconds,method,stage,\
    observed,expected,upperbound,pvalue,alarm,reason";
const REJECTS: &str = "file,line,reason,length,hash,detail";

type Sink = Box<dyn Write>;

pub(crate) struct Outputs {
    counts: Option<Sink>,
    tag_counts: Option<Sink>,
    verdicts: Option<Sink>,
    alerts: Option<Sink>,
    rejects: Option<csv::Writer<Sink>>,
    words: Words,
    count_rows: BTreeMap<(u32, u32, Micros), CountRow>,
    tag_rows: BTreeMap<(u32, u32, Micros), u32>,
    verdict_rows: Vec<VerdictRow>,
}

/// Each word once.
#[derive(Debug, Default)]
struct Words {
    words: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

#[derive(Debug)]
struct CountRow {
    posts: u32,
    authors: u32,
    authors_24h: Option<u32>,
    total_posts: u64,
}

#[derive(Debug)]
struct VerdictRow {
    topic: u32,
    region: u32,
    window_end: Micros,
    window_length: Micros,
    method: u32,
    stage: record::Stage,
    observed: u32,
    expected: Option<f64>,
    upperbound: Option<f64>,
    pvalue: Option<f64>,
    alarm: Option<bool>,
    reason: u32,
}

impl Outputs {
    pub(crate) fn open(args: &Replay) -> Result<Outputs, Failure> {
        let named = [&args.counts, &args.tag_counts, &args.verdicts, &args.alerts, &args.rejects];
        if named.iter().filter(|file| file.as_deref() == Some(Path::new("-"))).count() > 1 {
            return Err(Failure::usage(
                "only one output can go to standard output",
                "give the others a file name",
            ));
        }
        let mut rejects = open(&args.rejects)?.map(csv::Writer::from_writer);
        if let Some(rejects) = &mut rejects {
            rejects.write_record(REJECTS.split(','))?;
        }
        Ok(Outputs {
            counts: open(&args.counts)?,
            tag_counts: open(&args.tag_counts)?,
            verdicts: open(&args.verdicts)?,
            alerts: open(&args.alerts)?,
            rejects,
            words: Words::default(),
            count_rows: BTreeMap::new(),
            tag_rows: BTreeMap::new(),
            verdict_rows: Vec::new(),
        })
    }

    /// Whether a requested output needs judged windows.
    pub(crate) fn wants_judging(&self) -> bool {
        self.verdicts.is_some() || self.alerts.is_some()
    }

    pub(crate) fn take(&mut self, record: Record) -> Result<(), Failure> {
        match record {
            Record::Count(count) if count.last && self.counts.is_some() => {
                let at = (
                    self.words.number(&count.topic),
                    self.words.number(&count.region),
                    count.pane_start,
                );
                let row = CountRow {
                    posts: count.posts,
                    authors: count.authors,
                    authors_24h: count.authors_24h,
                    total_posts: count.total_posts,
                };
                if row.posts > 0 {
                    self.count_rows.insert(at, row);
                }
            }
            Record::TagCount(count)
                if count.last && count.posts > 0 && self.tag_counts.is_some() =>
            {
                self.tag_rows.insert(
                    (
                        self.words.number(&count.key),
                        self.words.number(&count.region),
                        count.pane_start,
                    ),
                    count.posts,
                );
            }
            Record::Verdict(verdict) if self.verdicts.is_some() => self.take_verdict(&verdict),
            Record::Alert(alert) => {
                if let Some(out) = &mut self.alerts {
                    printer::write_json(&alert, out)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_verdict(&mut self, verdict: &Verdict) {
        let row = VerdictRow {
            topic: self.words.number(&verdict.topic),
            region: self.words.number(&verdict.region),
            window_end: verdict.window_end,
            window_length: verdict.window_length,
            method: self.words.number(&verdict.method),
            stage: verdict.stage,
            observed: verdict.observed,
            expected: verdict.expected,
            upperbound: verdict.upperbound,
            pvalue: verdict.pvalue,
            alarm: verdict.alarm,
            reason: self.words.number(record::reason::text_of(verdict.reason)),
        };
        self.verdict_rows.push(row);
    }

    pub(crate) fn reject(&mut self, reject: &Reject) -> Result<(), Failure> {
        if let Some(out) = &mut self.rejects {
            let Reject { place, line, reason, length, hash, detail, .. } = reject;
            out.serialize((place, line, reason.name(), length, hash, detail))?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let words = std::mem::take(&mut self.words);
        if let Some(out) = self.counts.take() {
            let mut out = csv::Writer::from_writer(out);
            out.write_record(COUNTS.split(','))?;
            for ((topic, region, start), row) in sorted(self.count_rows, &words) {
                let CountRow { posts, authors, authors_24h, total_posts } = row;
                let (topic, region) = (words.word(topic), words.word(region));
                let start = start / SECOND;
                out.serialize((topic, region, start, posts, authors, authors_24h, total_posts))?;
            }
            out.flush()?;
        }
        if let Some(out) = self.tag_counts.take() {
            let mut out = csv::Writer::from_writer(out);
            out.write_record(TAG_COUNTS.split(','))?;
            for ((tag, region, start), posts) in sorted(self.tag_rows, &words) {
                out.serialize((words.word(tag), words.word(region), start / SECOND, posts))?;
            }
            out.flush()?;
        }
        if let Some(out) = self.verdicts.take() {
            write_verdicts(self.verdict_rows, &words, out)?;
        }
        if let Some(mut out) = self.alerts.take() {
            out.flush()?;
        }
        if let Some(mut out) = self.rejects.take() {
            out.flush()?;
        }
        Ok(())
    }
}

/// Rows in the order of their words, not of their numbers.
fn sorted<T>(rows: BTreeMap<(u32, u32, Micros), T>, words: &Words) -> Vec<((u32, u32, Micros), T)> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by(|((a, b, c), _), ((x, y, z), _)| {
        (words.word(*a), words.word(*b), c).cmp(&(words.word(*x), words.word(*y), z))
    });
    rows
}

fn write_verdicts(mut rows: Vec<VerdictRow>, words: &Words, out: Sink) -> Result<(), Failure> {
    rows.sort_by(|a, b| {
        let named = |row: &VerdictRow| (words.word(row.topic), words.word(row.region));
        (named(a), a.window_end, a.window_length, words.word(a.method), a.stage).cmp(&(
            named(b),
            b.window_end,
            b.window_length,
            words.word(b.method),
            b.stage,
        ))
    });
    let mut out = csv::Writer::from_writer(out);
    out.write_record(VERDICTS.split(','))?;
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for row in rows {
        let alarm = row.alarm.map_or("", |alarm| if alarm { "1" } else { "0" });
        out.serialize((
            words.word(row.topic),
            words.word(row.region),
            row.window_end / SECOND,
            row.window_length / SECOND,
            words.word(row.method),
            row.stage.name(),
            row.observed,
            number(row.expected),
            number(row.upperbound),
            number(row.pvalue),
            alarm,
            words.word(row.reason),
        ))?;
    }
    out.flush()?;
    Ok(())
}

fn open(file: &Option<PathBuf>) -> Result<Option<Sink>, Failure> {
    let Some(file) = file else { return Ok(None) };
    if file == Path::new("-") {
        return Ok(Some(Box::new(BufWriter::with_capacity(1 << 16, stdout()))));
    }
    let opened =
        File::create(file).with_context(|| format!("failed to create `{}`", file.display()))?;
    Ok(Some(Box::new(BufWriter::with_capacity(1 << 16, opened))))
}

impl Words {
    fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = self.words.len() as u32;
        self.words.push(word.to_owned());
        self.numbers.insert(word.to_owned(), number);
        number
    }

    fn word(&self, number: u32) -> &str {
        self.words.get(number as usize).map_or("", String::as_str)
    }
}
