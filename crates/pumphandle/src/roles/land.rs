//! The land role: streams into the warehouse, each batch together with the position it was read up
//! to.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use journal::{Change, Group, Journal, Membership, Stream};
use record::{Position, Record};
use warehouse::{Landing, Progress, WarehouseError};

use super::health::{Health, condition};
use super::log;
use crate::drive::{Ends, Gaps, Kept, again, kept};
use crate::logging::Outage;
use crate::monitor::Landed;

/// What lands.
const STREAMS: [Stream; 2] = [Stream::Counts, Stream::Alerts];

/// A batch is written at least so often.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
const READ_BYTES_MAX: usize = 1 << 20;
const WAIT: Duration = Duration::from_millis(200);
/// First wait before a failed write is tried again, doubled up to the last; the warehouse being
/// away delays its readers, and nobody
/// else. Unit tests don't wait.
const RETRY_FIRST: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(500) };
const RETRY_LAST: Duration = Duration::from_secs(8);
/// Once all others have ended it is tried so often before the program ends too: what hasn't landed
/// stays in the log.
const LAST_TRIES: u32 = 5;
/// What retention has passed is deleted now and then.
const RETENTION_EVERY: Duration = Duration::from_secs(600);

#[expect(clippy::too_many_arguments, reason = "what landing works with, from two callers")]
pub(crate) fn run(
    journal: &dyn Journal,
    warehouse: &dyn Landing,
    ends: &Ends<'_>,
    gaps: Gaps,
    health: &Health,
    enforce_retention: &mut dyn FnMut(),
    show: &mut dyn FnMut(&[Record]) -> anyhow::Result<()>,
    landed: &Landed,
) -> anyhow::Result<()> {
    let mut membership = again(|| journal.join(Group::Land))?;
    let mut lander = Lander { health: Some(health), ..Lander::new(gaps) };
    let mut retention_at = Instant::now();
    let mut next_look = Instant::now();
    loop {
        let upstream_done = ends.upstream_done();
        let began = Instant::now();
        let wait = if upstream_done { Duration::ZERO } else { WAIT };
        let rows = lander.turn(journal, warehouse, &mut *membership, ends, &mut next_look, wait)?;
        show(&rows)?;
        match lander.place {
            Some(_) => {
                landed.begun();
                landed.landed(rows.len(), began);
            }
            None => landed.lost(),
        }
        if (rows.is_empty() && upstream_done) || ends.told(&mut next_look)? {
            return Ok(());
        }
        if Instant::now() >= retention_at {
            retention_at = Instant::now() + RETENTION_EVERY;
            enforce_retention();
        }
        // Small writes cost as much as large ones: let some gather, unless there is more to read
        // than fits one batch.
        if !upstream_done && rows.len() < 1000 {
            std::thread::sleep(FLUSH_EVERY.saturating_sub(began.elapsed()).min(WAIT));
        }
    }
}

/// One member of the group: where landing goes on if it is the active one.
#[derive(Debug)]
pub(crate) struct Lander<'a> {
    place: Option<[Position; 2]>,
    gaps: Gaps,
    health: Option<&'a Health>,
}

impl<'a> Lander<'a> {
    pub(crate) fn new(gaps: Gaps) -> Lander<'a> {
        Lander { place: None, gaps, health: None }
    }

    /// Looks at the membership once, then lands what can be read; returns it.
    pub(crate) fn turn(
        &mut self,
        journal: &dyn Journal,
        warehouse: &dyn Landing,
        membership: &mut dyn Membership,
        ends: &Ends<'_>,
        next_look: &mut Instant,
        wait: Duration,
    ) -> anyhow::Result<Vec<Record>> {
        for change in
            again(|| membership.changes(if self.place.is_none() { WAIT } else { Duration::ZERO }))?
        {
            match change {
                Change::Given(_) => {
                    let place = landed(warehouse, self.health, ends, next_look)?;
                    tracing::info!(
                        stage = "land",
                        counts = place[0],
                        alerts = place[1],
                        "landing taken over"
                    );
                    self.place = Some(place);
                }
                Change::Taken(_) => {
                    tracing::info!(stage = "land", "landing lost to another process");
                    self.place = None;
                }
            }
        }
        let Some(next) = &mut self.place else { return Ok(Vec::new()) };
        let (rows, progress) = read(journal, next, self.gaps, wait)?;
        if !rows.is_empty() {
            patiently(self.health, ends, next_look, || warehouse.write(&rows, &progress))?;
        }
        membership.show(0, next[0]);
        if rows.is_empty() && matches!(ends, Ends::Told(_)) {
            log::drain(journal, *next)?;
        }
        Ok(rows)
    }
}

/// Where landing goes on, by the warehouse itself.
fn landed(
    warehouse: &dyn Landing,
    health: Option<&Health>,
    ends: &Ends<'_>,
    next_look: &mut Instant,
) -> anyhow::Result<[Position; 2]> {
    let landed = patiently(health, ends, next_look, || warehouse.progress())?;
    Ok(STREAMS.map(|stream| {
        landed
            .iter()
            .find(|progress| progress.stream == stream.name())
            .map_or(0, |progress| progress.next)
    }))
}

/// Reads on; what there is to land, and how far it goes.
fn read(
    journal: &dyn Journal,
    next: &mut [Position; 2],
    gaps: Gaps,
    mut wait: Duration,
) -> anyhow::Result<(Vec<Record>, Vec<Progress>)> {
    let mut rows = Vec::new();
    let mut progress = Vec::new();
    for (index, stream) in STREAMS.into_iter().enumerate() {
        let batch =
            match kept(journal, stream, 0, next[index], READ_BYTES_MAX, std::mem::take(&mut wait))?
            {
                Kept::Batch(batch) => batch,
                Kept::From(low) => {
                    gaps.pass(stream, 0, next[index], low)?;
                    next[index] = low;
                    continue;
                }
            };
        for (position, bytes) in &batch.records {
            match Record::decode(bytes) {
                Ok(record) => rows.push(record),
                Err(error) => {
                    return Err(
                        anyhow!(error).context(format!("record {position} of `{}`", stream.name()))
                    );
                }
            }
        }
        if batch.next != next[index] {
            next[index] = batch.next;
            progress.push(Progress {
                stream: stream.name().to_owned(),
                partition: 0,
                next: batch.next,
            });
        }
    }
    Ok((rows, progress))
}

/// Calls again for as long as that may help: what hasn't landed stays in the log.
fn patiently<T>(
    health: Option<&Health>,
    ends: &Ends<'_>,
    next_look: &mut Instant,
    call: impl Fn() -> Result<T, WarehouseError>,
) -> anyhow::Result<T> {
    let mut tries_left = LAST_TRIES;
    let mut wait = RETRY_FIRST;
    let mut outage = Outage::new("the warehouse");
    loop {
        match call() {
            Ok(value) => {
                outage.ended();
                if let Some(health) = health {
                    health.clear(condition::LANDING, "");
                }
                return Ok(value);
            }
            Err(error) if error.try_again() && tries_left > 0 && !ends.told(next_look)? => {
                outage.failed(&error);
                if let Some(health) = health {
                    let why = match error {
                        WarehouseError::DiskFull { .. } => "no room is left for the warehouse",
                        _ => "the warehouse can't be reached",
                    };
                    health.degraded(condition::LANDING, "", why);
                }
                if ends.upstream_done() {
                    tries_left -= 1;
                }
                std::thread::sleep(wait);
                wait = (wait * 2).min(RETRY_LAST);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The stream of counts begins anew with a generation, and so does landing it; alerts go on.
pub(crate) fn begin_anew(warehouse: &dyn Landing) -> anyhow::Result<()> {
    warehouse.write(
        &[],
        &[Progress { stream: Stream::Counts.name().to_owned(), partition: 0, next: 0 }],
    )?;
    Ok(())
}
