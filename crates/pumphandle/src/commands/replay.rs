//! `replay`: posts from files through the whole engine, in one process and without a store.
//!
//! Plain mode takes everything in before the clock moves, so the order of lines can't matter; then
//! it closes pane after pane.
//! `--as-live` takes file order as order of arrival and ticks on the way, as a live feed would.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use feeds::file::{Batch, Content, FileError, FileReader, FileSettings, looks};
use feeds::intake::{ArrivalRule, Intake, IntakeSettings, Outcome};
use feeds::line::Rejected;
use indicatif::{ProgressBar, ProgressStyle};
use journal::{Journal, Stream};
use record::pseudonym::{AuthorKeys, Key};
use record::time::{DAY, HOUR, SECOND, pane_start};
use record::{
    FeedSetting, FeedTick, Frame, Handled, Micros, Op, Position, Record, RejectReason, Settings,
    Span, Tick, TopicMatch, Voice,
};
use surveillance::{Mode, Tally, Watch};

use super::Failure;
use super::outputs::Outputs;
use crate::cli;
use crate::config::{self, Config};
use crate::monitor;
use crate::roles::stores;
use crate::runtime::each_retained;
use crate::runtime::reader::{READ_BYTES_MAX, read_from};

/// The one feed that all files are.
const FEED: &str = "files";
/// Without stamps a line may be this far ahead of those before it.
const AHEAD_MAX: Micros = 7 * DAY;
/// A tick for every so much arrival, as ingest does.
const TICK_EVERY: Micros = 10 * SECOND;
/// Lines between looks at how much memory is held.
const LINES_A_LOOK: u64 = 10_000;
const LINES_A_BATCH: usize = 4096;

pub(crate) fn run(config: &Config, args: &cli::Replay) -> Result<(), Failure> {
    if args.log {
        return replay_log(config, args);
    }
    let memory_max = memory_max(config, args)?;
    // Before the outputs: a mistyped input must not cost what an earlier replay wrote.
    let mut reader = FileReader::open(
        FileSettings {
            line_bytes_max: config.limits.line_bytes,
            ..FileSettings::new(args.files.clone())
        },
        None,
    )?;
    let outputs = Outputs::open(args)?;
    let mode = match (args.as_live, outputs.wants_judging()) {
        (true, _) => Mode::AsLive,
        (false, true) => Mode::Batch,
        (false, false) => Mode::Counts,
    };
    let mut engine = Engine::new(config, mode, outputs)?;
    let mut intake = intake(config, &engine.settings, args.as_live);
    let mut refused = Refused::default();
    let failure = each_batch(&mut reader, |batch| {
        refused.of(batch.file());
        for line in batch.lines() {
            engine.lines += 1;
            refused.lines += 1;
            let outcome = match line.content {
                Content::Bytes(bytes) => intake.read(bytes, None),
                Content::TooLong { length, .. } => Err(Rejected::new(
                    RejectReason::Length,
                    format!("line of {length} bytes is longer than {}", config.limits.line_bytes),
                )),
            };
            match outcome {
                Ok(outcome) => engine.outcome(outcome, args.as_live)?,
                Err(rejected) => {
                    refused.reject(line.begins());
                    *engine.rejects.entry(rejected.reason).or_default() += 1;
                    engine.outputs.reject(&line.reject(FEED, &rejected))?;
                }
            }
            if engine.lines.is_multiple_of(LINES_A_LOOK) {
                look(&engine, memory_max, args.as_live)?;
            }
        }
        Ok(())
    })?;
    // What could be read is counted, then the error is reported.
    engine.finish()?;
    match (failure, refused.judged()) {
        (Some(error), _) => Err(error.into()),
        (None, Some(why)) => Err(anyhow::anyhow!(why).into()),
        (None, None) => Ok(()),
    }
}

/// The most memory that may be held.
fn memory_max(config: &Config, args: &cli::Replay) -> Result<u64, Failure> {
    let Some(text) = &args.memory_max else { return Ok(config.limits.memory_max) };
    config::parse_size(text).ok_or_else(|| {
        let message = format!("`--memory-max {text}` is not a size");
        Failure::usage(message, "write `512MiB` or `2GB`")
    })
}

/// How many lines of a file were refused, file by file: one of which none can be read is another
/// kind of file.
#[derive(Default)]
struct Refused {
    file: String,
    lines: u64,
    rejected: u64,
    looks: Option<&'static str>,
    why: Option<String>,
}

impl Refused {
    fn of(&mut self, file: &str) {
        if self.file != file {
            let why = self.judged();
            *self = Refused { file: file.to_owned(), why, ..Refused::default() };
        }
    }

    fn reject(&mut self, begins: &[u8]) {
        if self.rejected + 1 == self.lines && self.looks.is_none() {
            self.looks = looks::hint(begins);
        }
        self.rejected += 1;
    }

    /// The first file that is wrong.
    fn judged(&mut self) -> Option<String> {
        self.why.take().or_else(|| {
            // The last line of an array is an object like any other.
            let wrong = self.rejected == self.lines
                || (self.looks.is_some() && 2 * self.rejected > self.lines);
            let hint = self.looks.unwrap_or("`--rejects FILE` lists the reasons");
            let (file, rejected, lines) = (&self.file, self.rejected, self.lines);
            (lines > 0 && wrong).then(|| {
                format!("{rejected} of {lines} lines of `{file}` cannot be read\nhint: {hint}")
            })
        })
    }
}

/// Takes all lines, batch by batch, and shows how far it has come. Of a file that can't be read the
/// rest is passed over, and reading continues with the next; the first such error is returned and
/// reported at the end.
pub(super) fn each_batch(
    reader: &mut FileReader,
    mut take: impl FnMut(&Batch) -> Result<(), Failure>,
) -> Result<Option<FileError>, Failure> {
    let bar = bar();
    let mut failure = None;
    loop {
        match reader.next_batch(LINES_A_BATCH) {
            Ok(Some(batch)) => take(&batch)?,
            Ok(None) => break,
            Err(error) => {
                failure = failure.or(Some(error));
                continue;
            }
        }
        let (done, total) = reader.progress();
        bar.set_length(total);
        bar.set_position(done);
    }
    bar.finish_and_clear();
    Ok(failure)
}

/// The retained streams through fresh tallies and a fresh watch: posts are counted again, and what
/// was counted is judged in the order in which it was judged then, so that what it says now is what
/// it said then, as far as the streams reach back.
fn replay_log(config: &Config, args: &cli::Replay) -> Result<(), Failure> {
    let journal = stores::journal(config)?;
    let mut outputs = Outputs::open(args)?;
    let mut retained = Retained::open(&*journal, config, args.topics_anew)?;
    let (mut watch, mut records, mut taken) = (Watch::new(Mode::AsLive), Vec::new(), 0);
    let mut apply = |record: &Record| {
        watch.apply(taken, record, &mut records)?;
        taken += 1;
        records.drain(..).try_for_each(|record| outputs.take(record))
    };
    each_retained(&*journal, Stream::Tallies, 0, |record| match record {
        Record::Frame(then) => retained.frames_to(then.partition, Some(then.position), &mut apply),
        mut other => {
            retained.decide_anew(&mut other);
            apply(&other)
        }
    })?;
    // What has not been counted yet, and then the end: a log that goes on is cut off here, and what
    // is open is closed as it stands.
    for partition in 0..journal.partitions(Stream::Posts) {
        retained.frames_to(partition, None, &mut apply)?;
    }
    for frame in retained.end() {
        apply(&Record::Frame(frame))?;
    }
    outputs.finish()
}

/// The retained posts, counted again partition by partition, as far as requested.
struct Retained<'a> {
    journal: &'a dyn Journal,
    config: &'a Config,
    /// The settings of today, in place of those of the log.
    anew: Option<Settings>,
    partitions: Vec<RetainedPartition>,
}

struct RetainedPartition {
    tally: Tally,
    next: Position,
    posts: VecDeque<(Position, Vec<u8>)>,
    /// Counted and not yet taken.
    frames: VecDeque<Frame>,
    /// The position of the last frame taken.
    taken: Option<Position>,
}

impl<'a> Retained<'a> {
    fn open(
        journal: &'a dyn Journal,
        config: &'a Config,
        topics_anew: bool,
    ) -> Result<Retained<'a>, Failure> {
        let mut partitions = Vec::new();
        for partition in 0..journal.partitions(Stream::Posts) {
            let next = journal.extent(Stream::Posts, partition)?.start;
            let (posts, frames) = (VecDeque::new(), VecDeque::new());
            partitions.push(RetainedPartition {
                tally: Tally::new(partition),
                next,
                posts,
                frames,
                taken: None,
            });
        }
        Ok(Retained { journal, config, anew: topics_anew.then(|| config.settings()), partitions })
    }

    fn decide_anew(&self, record: &mut Record) {
        if let Some(settings) = &self.anew {
            decide_anew(self.config, settings, record);
        }
    }

    /// Takes a partition's frames up to the one at a position, or all of them. One that was taken
    /// before is not taken again.
    fn frames_to(
        &mut self,
        partition: u32,
        last: Option<Position>,
        apply: &mut impl FnMut(&Record) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let index = partition as usize;
        if index >= self.partitions.len() {
            return Err(anyhow::anyhow!(
                "a frame of partition {partition}, of which there are {}",
                self.partitions.len()
            )
            .into());
        }
        while last.is_none() || self.partitions[index].taken < last {
            while let Some(frame) = self.partitions[index].frames.pop_front() {
                self.partitions[index].taken = Some(frame.position);
                apply(&Record::Frame(frame))?;
            }
            if last.is_some() && self.partitions[index].taken >= last {
                break;
            }
            let of = &mut self.partitions[index];
            if of.posts.is_empty() {
                let (stream, wait) = (Stream::Posts, Duration::ZERO);
                let batch =
                    read_from(self.journal, stream, partition, of.next, READ_BYTES_MAX, wait)?;
                of.next = batch.next;
                of.posts.extend(batch.records);
            }
            let Some((position, bytes)) = of.posts.pop_front() else { break };
            let mut record = Record::decode(&bytes)?;
            self.decide_anew(&mut record);
            if matches!(record, Record::Settings(_)) {
                // Known already, unless retention has passed where they stand in `tallies`.
                apply(&record)?;
            }
            let (of, mut frames) = (&mut self.partitions[index], Vec::new());
            of.tally.apply(position, &record, &mut frames);
            of.frames.extend(frames);
        }
        Ok(())
    }

    fn end(self) -> Vec<Frame> {
        let mut frames = Vec::new();
        for mut of in self.partitions {
            of.tally.apply(of.next, &Record::End, &mut frames);
        }
        frames
    }
}

/// The record as it would be if the topic files had always been those of today, as far as tags
/// tell: the text is gone.
/// A topic without keys was found by phrases, or is sensitive and its tags are gone too; it stays.
fn decide_anew(config: &Config, settings: &Settings, record: &mut Record) {
    match record {
        Record::Settings(then) => {
            then.topics.clone_from(&settings.topics);
            then.lexicon.clone_from(&settings.lexicon);
        }
        Record::Post(post) if post.op == Op::Create => {
            let before = std::mem::take(&mut post.topics);
            let written: Vec<&str> = post.tags.iter().map(|tag| tag.written.as_str()).collect();
            let reading = config.topics.lexicon.read(None, &written, &[], config.topics.segment);
            for hit in reading
                .topics
                .into_iter()
                .filter(|hit| config.topics.lexicon.counts(hit.topic, post.event_time))
            {
                let voice = before
                    .iter()
                    .find(|known| known.id == hit.id)
                    .map_or(Voice::Other, |known| known.voice);
                post.topics.push(TopicMatch { id: hit.id.to_owned(), voice, keys: hit.keys });
            }
            for known in before.into_iter().filter(|known| known.keys.is_empty()) {
                let is_topic = settings.topics.iter().any(|topic| topic.id == known.id);
                if is_topic && post.topics.iter().all(|topic| topic.id != known.id) {
                    post.topics.push(known);
                }
            }
        }
        _ => {}
    }
}

fn bar() -> ProgressBar {
    if !super::stderr_is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

/// Plain mode holds every post: it must stop before the machine does.
fn look(engine: &Engine, memory_max: u64, as_live: bool) -> Result<(), Failure> {
    let Some(held) = monitor::resident_bytes() else { return Ok(()) };
    if held <= memory_max {
        return Ok(());
    }
    let mebibytes = |bytes: u64| bytes >> 20;
    let message = format!(
        "stopped after {} lines: {} MiB held, more than {} MiB",
        engine.lines,
        mebibytes(held),
        mebibytes(memory_max)
    );
    let hint = if as_live {
        "raise `--memory-max`"
    } else {
        "raise `--memory-max`, or take `--as-live`, which needs little memory but takes file order \
            as order of arrival"
    };
    Err(Failure::Other(anyhow::anyhow!("{message}\nhint: {hint}")))
}

pub(super) fn intake(config: &Config, settings: &Settings, as_live: bool) -> Intake {
    // Nothing leaves this process but counts: any key will do, and always the same one gives always
    // the same bytes.
    let key = Key::new([0; 32]);
    let mut intake = IntakeSettings::of(
        settings,
        0,
        key.derive("routing"),
        AuthorKeys::new(key.derive("authors")),
        Arc::clone(&config.topics.lexicon),
    );
    intake.segment = config.topics.segment;
    intake.limits = config.limits.of_lines();
    intake.langs_max = config.limits.langs_per_post;
    intake.placing = config.places.placing.clone();
    if as_live {
        intake.arrival = ArrivalRule::Greatest { ahead_max: AHEAD_MAX };
    }
    Intake::new(intake)
}

/// Tally and watch over one partition, without a journal between them.
struct Engine {
    settings: Settings,
    tally: Tally,
    watch: Watch,
    outputs: Outputs,
    position: Position,
    frames: Vec<Frame>,
    frames_taken: Position,
    records: Vec<Record>,
    /// Least and greatest arrival so far.
    span: Option<(Micros, Micros)>,
    ticked: Option<Micros>,
    /// In which arrivals lie, where ticks come after all of them.
    hours: BTreeSet<Micros>,
    lines: u64,
    ignored: u64,
    /// By the bounds of one post.
    dropped: [u64; 3],
    rejects: BTreeMap<RejectReason, u64>,
}

impl Engine {
    fn new(config: &Config, mode: Mode, outputs: Outputs) -> Result<Engine, Failure> {
        let feeds = vec![FeedSetting::new(FEED.to_owned(), true)];
        let settings =
            Settings { partitions: 1, feeds, number: 1, generation: 1, ..config.settings() };
        let mut engine = Engine {
            tally: Tally::new(0),
            watch: Watch::new(mode),
            outputs,
            position: 0,
            frames: Vec::new(),
            frames_taken: 0,
            records: Vec::new(),
            span: None,
            ticked: None,
            hours: BTreeSet::new(),
            lines: 0,
            ignored: 0,
            dropped: [0; 3],
            rejects: BTreeMap::new(),
            settings,
        };
        let settings = Record::Settings(engine.settings.clone());
        engine.watch.apply(0, &settings, &mut engine.records)?;
        engine.frames_taken = 1;
        engine.apply(&settings)?;
        Ok(engine)
    }

    fn apply(&mut self, record: &Record) -> Result<(), Failure> {
        self.tally.apply(self.position, record, &mut self.frames);
        self.position += 1;
        for frame in self.frames.drain(..) {
            self.watch.apply(self.frames_taken, &Record::Frame(frame), &mut self.records)?;
            self.frames_taken += 1;
        }
        for record in self.records.drain(..) {
            self.outputs.take(record)?;
        }
        Ok(())
    }

    fn outcome(&mut self, outcome: Outcome, as_live: bool) -> Result<(), Failure> {
        if let Some(arrival) = outcome.arrival() {
            let (least, greatest) = self.span.map_or((arrival, arrival), |(least, greatest)| {
                (least.min(arrival), greatest.max(arrival))
            });
            self.span = Some((least, greatest));
            // The tick comes before the first post at or after a multiple of ten seconds, so that
            // it depends on arrivals only.
            let border = greatest.div_euclid(TICK_EVERY) * TICK_EVERY;
            if !as_live {
                self.hours.insert(pane_start(arrival, HOUR));
            } else if self.ticked.unwrap_or(least) < border {
                self.tick(border, false)?;
            }
        }
        match outcome {
            Outcome::Post { post, dropped, .. } => {
                let [tags, languages, topics] = &mut self.dropped;
                *tags += u64::from(dropped.tags);
                *languages += u64::from(dropped.languages);
                *topics += u64::from(dropped.topics);
                self.apply(&Record::Post(post))?;
            }
            Outcome::Ignored { .. } => self.ignored += 1,
        }
        Ok(())
    }

    fn tick(&mut self, reached: Micros, ended: bool) -> Result<(), Failure> {
        let from =
            self.ticked.or(self.span.map(|(least, _)| least)).unwrap_or(reached).min(reached);
        self.ticked = Some(reached);
        let feed =
            FeedTick { feed: FEED.to_owned(), epoch: 1, from, reached, span: Span::Covered, ended };
        self.apply(&Record::Tick(Tick { settings: 1, at: reached, feeds: vec![feed] }))
    }

    fn finish(mut self) -> Result<(), Failure> {
        if let Some((least, greatest)) = self.span {
            let mut reached = pane_start(self.ticked.unwrap_or(least), HOUR) + HOUR;
            let skipped_from = self.settings.longest_window() + self.settings.horizon;
            while reached < greatest {
                self.tick(reached, false)?;
                reached += HOUR;
                // A file may have a gap of years.
                let next = self.hours.range(reached..).next().copied();
                reached = next.filter(|next| *next > reached + skipped_from).unwrap_or(reached);
            }
            self.tick(greatest, true)?;
        }
        self.apply(&Record::End)?;
        self.summary();
        self.outputs.finish()
    }

    /// Nothing is lost silently: one line says what became of all lines.
    fn summary(&self) {
        let Handled {
            posts,
            duplicates,
            resent,
            late,
            after_final,
            deletes,
            removals,
            edits,
            clamped,
            refused,
            lost: _,
            cells,
        } = self.tally.handled();
        let rejected: u64 = self.rejects.values().sum();
        let reasons = self
            .rejects
            .iter()
            .map(|(reason, count)| format!("{} {count}", reason.name()))
            .collect::<Vec<_>>()
            .join(", ");
        tracing::info!(
            lines = self.lines,
            posts,
            duplicates,
            resent,
            late,
            after_final,
            deletes,
            removals,
            edits,
            clamped,
            refused,
            cells_dropped = cells,
            ignored = self.ignored,
            tags_dropped = self.dropped[0],
            languages_dropped = self.dropped[1],
            topics_dropped = self.dropped[2],
            rejected,
            reasons,
            "replayed"
        );
    }
}
