//! Retention: deletes from the log what is old enough and what no stage needs any more.
//!
//! A stage needs what follows its last snapshot, landing what follows its progress in the
//! warehouse: a start after days off finds its backlog. Only a hard age ends that, and only after
//! an hour in which wall clock and monotonic clock agreed, so that no step of a clock deletes what
//! is unread. A role of the processes that land; deletes rows of the warehouse by age as well.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use journal::{Journal, Position, Stream};
use record::Micros;
use warehouse::Landing;
use web::Metrics;

use super::health::{Health, Severity, condition};
use super::stores;
use super::tally::TallyStage;
use super::watch::WatchStage;
use crate::config::Config;
use crate::runtime::snapshots::snapshot_position;
use crate::runtime::{Context, Progress, Role, Stage, retry};

const HOUR: u64 = 3600;
/// A stage that has not read records of this age is reported.
const BACKLOG_FROM: u64 = 48 * HOUR;
/// The hard age holds only after the clocks have agreed for so long.
const TRUSTED_AFTER: Duration = Duration::from_secs(3600);
/// How far wall clock and monotonic clock may part between two looks.
const STEP_MAX: u64 = 60;
/// How often the log is looked through.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How often rows of the warehouse are looked through.
const ROWS_EVERY: Duration = Duration::from_secs(6 * 3600);

pub(crate) struct Retention<'a> {
    journal: &'a dyn Journal,
    warehouse: &'a dyn Landing,
    ages: BTreeMap<Stream, Duration>,
    hard_age: Duration,
    cells: Option<Micros>,
    verdicts: Option<Micros>,
    clock: Agreement,
    rows_at: Option<Instant>,
    health: &'a Health,
    metrics: &'a Metrics,
}

impl Role for Retention<'_> {
    fn turn(&mut self, context: &Context) -> anyhow::Result<Progress> {
        if let Err(error) = self.look(super::journal_seconds(), context.now) {
            tracing::warn!(error = format!("{error:#}"), "retention failed, trying again later");
        }
        Ok(Progress::Idle(LOOK_EVERY))
    }
}

/// How one stream is deleted from.
struct Needs {
    stream: Stream,
    /// Who needs it, as messages say it; none where it goes by age alone.
    stage: Option<&'static str>,
    /// The first position of each partition that is needed.
    from: Vec<Position>,
}

impl<'a> Retention<'a> {
    pub(crate) fn new(
        journal: &'a dyn Journal,
        warehouse: &'a dyn Landing,
        config: &Config,
        health: &'a Health,
        metrics: &'a Metrics,
    ) -> Retention<'a> {
        Retention {
            journal,
            warehouse,
            ages: stores::retention(config),
            hard_age: stores::duration(config.retention.hard_age),
            cells: config.retention.cells,
            verdicts: config.retention.verdicts,
            clock: Agreement::default(),
            rows_at: None,
            health,
            metrics,
        }
    }

    /// `wall`: unix seconds.
    fn look(&mut self, wall: u64, monotonic: Instant) -> anyhow::Result<()> {
        let Some(agreed) = self.clock.look(wall, monotonic) else {
            tracing::warn!("the wall clock was set: nothing is deleted until the next look");
            return Ok(());
        };
        let is_trusted = agreed >= TRUSTED_AFTER;
        for needs in self.needs()? {
            self.delete(&needs, wall, is_trusted)?;
        }
        retry(|| self.journal.tidy())?;
        if self.rows_at.is_none_or(|at| monotonic >= at) {
            self.rows_at = Some(monotonic + ROWS_EVERY);
            let before = |age: Option<Micros>| {
                age.map(|age| Micros::try_from(wall).unwrap_or(0) * 1_000_000 - age)
            };
            let rows = self.warehouse.delete_before(before(self.cells), before(self.verdicts))?;
            if rows > 0 {
                tracing::info!(rows, "retention deleted rows of the warehouse");
            }
        }
        Ok(())
    }

    fn needs(&self) -> anyhow::Result<Vec<Needs>> {
        let journal = self.journal;
        let posts = 0..journal.partitions(Stream::Posts);
        let tally: Vec<Position> = posts
            .map(|partition| snapshot_position::<TallyStage>(journal, partition))
            .collect::<anyhow::Result<_>>()?;
        let watch = snapshot_position::<WatchStage>(journal, 0)?;
        let landed = self.warehouse.progress()?;
        let landed = landed
            .iter()
            .find(|progress| progress.stream == Stream::Counts.name())
            .map_or(0, |progress| progress.next);
        Ok(vec![
            Needs { stream: Stream::Posts, stage: Some(TallyStage::NAME), from: tally },
            Needs { stream: Stream::Tallies, stage: Some(WatchStage::NAME), from: vec![watch] },
            Needs { stream: Stream::Counts, stage: Some("land"), from: vec![landed] },
            Needs { stream: Stream::Rejects, stage: None, from: Vec::new() },
        ])
    }

    fn delete(
        &self,
        Needs { stream, stage, from }: &Needs,
        now: u64,
        is_trusted: bool,
    ) -> anyhow::Result<()> {
        let Some(age) = self.ages.get(stream).copied() else { return Ok(()) };
        let older_than =
            |age: u64| retry(|| self.journal.positions_at(*stream, now.saturating_sub(age)));
        let mut until = older_than(age.as_secs())?;
        if let Some(stage) = stage {
            let hard = self.hard_age.max(age).as_secs();
            let given_up = if is_trusted { Some(older_than(hard)?) } else { None };
            for (partition, until) in until.iter_mut().enumerate() {
                let needed = from.get(partition).copied().unwrap_or(0);
                let given_up = given_up
                    .as_ref()
                    .and_then(|positions| positions.get(partition))
                    .copied()
                    .unwrap_or(0);
                if given_up > needed {
                    let lost = given_up - needed;
                    tracing::error!(
                        stage,
                        stream = stream.name(),
                        partition,
                        lost,
                        hours = hard / HOUR,
                        "unread records passed the hard age and are deleted"
                    );
                }
                *until = (*until).min(needed).max(given_up);
            }
            self.report_lag(*stream, stage, from, hard, &older_than)?;
        }
        let deleted = retry(|| self.journal.delete_before(*stream, &until))?;
        if deleted.records > 0 {
            tracing::info!(
                stream = stream.name(),
                records = deleted.records,
                files = deleted.files,
                bytes = deleted.bytes,
                "retention deleted"
            );
        }
        Ok(())
    }

    /// How old the oldest record is that a stage needs, in whole hours.
    fn report_lag(
        &self,
        stream: Stream,
        stage: &str,
        from: &[Position],
        hard: u64,
        older_than: &dyn Fn(u64) -> anyhow::Result<Vec<Position>>,
    ) -> anyhow::Result<()> {
        let is_behind = |hours: u64| {
            Ok::<_, anyhow::Error>(
                older_than(hours * HOUR)?.iter().zip(from).any(|(old, needed)| needed < old),
            )
        };
        // The greatest age at which something is unread; ages at which all has been read only
        // follow greater ones.
        let (mut behind, mut beyond) = (0, hard / HOUR + 2);
        while beyond - behind > 1 {
            let middle = behind + (beyond - behind) / 2;
            if is_behind(middle)? { behind = middle } else { beyond = middle }
        }
        self.metrics
            .gauge(
                "pumphandle_backlog_age_seconds",
                "Age of the oldest record that a stage still needs, in whole hours.",
                &[("stream", stream.name())],
            )
            .set((behind * HOUR) as f64);
        let detail = format!(
            "{stage} has not read records that are {behind} h old; they are deleted at {} h",
            hard / HOUR
        );
        self.health.set(
            Severity::Degraded,
            condition::BACKLOG,
            stage,
            (behind * HOUR >= BACKLOG_FROM).then_some(detail),
        );
        Ok(())
    }
}

/// For how long wall clock and monotonic clock have agreed.
#[derive(Default)]
struct Agreement {
    since: Option<(u64, Instant)>,
}

impl Agreement {
    /// None where they have parted since the look before; then it begins again.
    fn look(&mut self, wall: u64, monotonic: Instant) -> Option<Duration> {
        let (began, at) = *self.since.get_or_insert((wall, monotonic));
        let elapsed = monotonic.saturating_duration_since(at);
        if wall.abs_diff(began + elapsed.as_secs()) > STEP_MAX {
            self.since = Some((wall, monotonic));
            return None;
        }
        Some(elapsed)
    }
}

#[cfg(test)]
mod tests;
