//! The land role: streams into the warehouse, each batch together with the position it was read up
//! to.
//!
//! Downstream of watch, upstream of every reader of the warehouse. Knows no retention.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use journal::{Change, Group, Journal, Membership, Stream};
use record::{Position, Record};
use warehouse::{Landing, WarehouseError};

use super::health::{Health, condition};
use crate::logging::Outage;
use crate::monitor::Landed;
use crate::printer::Printer;
use crate::runtime::reader::{Retained, read_retained};
use crate::runtime::{Context, Gaps, Progress, Role, log, retry};

/// What lands.
const STREAMS: [Stream; 2] = [Stream::Counts, Stream::Alerts];

/// A batch is written at least this often, and rows gather for at most `GATHER_MAX`.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
const GATHER_MAX: Duration = Duration::from_millis(200);
/// With this many rows there is more to read than fits one batch: the next follows at once.
const ROWS_MANY: usize = 1000;
const READ_BYTES_MAX: usize = 1 << 20;
/// First wait before a failed call of the warehouse is repeated, doubled up to the last; its being
/// away delays its readers only. Unit tests don't wait.
const RETRY_FIRST: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(500) };
const RETRY_LAST: Duration = Duration::from_secs(8);
/// Attempts once all others have ended, before the program ends too: what hasn't landed stays in the
/// log.
const LAST_ATTEMPTS: u32 = 5;

/// One member of the group.
pub(crate) struct Lander {
    journal: Arc<dyn Journal>,
    warehouse: Arc<dyn Landing>,
    membership: Box<dyn Membership>,
    gaps: Gaps,
    health: Arc<Health>,
    landed: Arc<Landed>,
    printer: Printer,
    /// Whether this member is the active one, and where it continues once the warehouse has
    /// answered that.
    is_active: bool,
    place: Option<[Position; 2]>,
    /// What was read and has not been written.
    pending: Option<Batch>,
    failures: Failures,
}

/// Rows, and how far they go.
struct Batch {
    rows: Vec<Record>,
    progress: Vec<warehouse::Progress>,
}

/// Calls of the warehouse that have failed in a row.
struct Failures {
    last: Option<WarehouseError>,
    wait: Duration,
    attempts_left: u32,
    outage: Outage,
}

impl Failures {
    fn none() -> Failures {
        let outage = Outage::new("the warehouse");
        Failures { last: None, wait: RETRY_FIRST, attempts_left: LAST_ATTEMPTS, outage }
    }
}

impl Lander {
    pub(crate) fn join(
        journal: &Arc<dyn Journal>,
        warehouse: Arc<dyn Landing>,
        gaps: Gaps,
        health: &Arc<Health>,
        landed: Arc<Landed>,
        printer: Printer,
    ) -> anyhow::Result<Lander> {
        let membership = retry(|| journal.join(Group::Land))?;
        let (health, printer) = (Arc::clone(health), printer);
        let journal = Arc::clone(journal);
        Ok(Lander { health, landed, printer, ..Lander::new(journal, warehouse, membership, gaps) })
    }

    /// Without a report of what it does.
    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        warehouse: Arc<dyn Landing>,
        membership: Box<dyn Membership>,
        gaps: Gaps,
    ) -> Lander {
        Lander {
            journal,
            warehouse,
            membership,
            gaps,
            health: Arc::default(),
            landed: Landed::new(&Arc::default()),
            printer: Printer::Nothing,
            is_active: false,
            place: None,
            pending: None,
            failures: Failures::none(),
        }
    }

    fn follow_group(&mut self, context: &Context) -> anyhow::Result<()> {
        let wait = if self.is_active { Duration::ZERO } else { context.wait };
        for change in retry(|| self.membership.changes(wait))? {
            self.is_active = matches!(change, Change::Given(_));
            (self.place, self.pending) = (None, None);
            if !self.is_active {
                tracing::info!(stage = "land", "landing lost to another process");
                self.landed.lost();
            }
        }
        Ok(())
    }

    /// Where landing continues, by the warehouse itself.
    fn find_place(&mut self) -> Result<(), WarehouseError> {
        if self.place.is_some() {
            return Ok(());
        }
        let landed = self.warehouse.progress()?;
        let place = STREAMS.map(|stream| {
            landed
                .iter()
                .find(|progress| progress.stream == stream.name())
                .map_or(0, |progress| progress.next)
        });
        tracing::info!(stage = "land", counts = place[0], alerts = place[1], "landing taken over");
        self.landed.begun();
        self.place = Some(place);
        Ok(())
    }

    fn write(&self) -> Result<(), WarehouseError> {
        match &self.pending {
            Some(Batch { rows, progress }) if !rows.is_empty() => {
                self.warehouse.write(rows, progress)
            }
            _ => Ok(()),
        }
    }

    /// A call of the warehouse has failed: it is repeated while that may help.
    fn fail(&mut self, error: WarehouseError, context: &Context) -> anyhow::Result<Progress> {
        let failures = &mut self.failures;
        if !error.try_again() || failures.attempts_left == 0 {
            return Err(error.into());
        }
        failures.outage.failed(&error);
        let why = match error {
            WarehouseError::DiskFull { .. } => "no room is left for the warehouse",
            _ => "the warehouse can't be reached",
        };
        self.health.degraded(condition::LANDING, "", why);
        if context.is_input_complete() {
            failures.attempts_left -= 1;
        }
        let wait = failures.wait;
        failures.wait = (wait * 2).min(RETRY_LAST);
        failures.last = Some(error);
        Ok(Progress::Idle(wait))
    }
}

impl Role for Lander {
    fn turn(&mut self, context: &Context) -> anyhow::Result<Progress> {
        let is_input_complete = context.is_input_complete();
        self.follow_group(context)?;
        if !self.is_active {
            return Ok(Progress::Idle(Duration::ZERO));
        }
        if let Err(error) = self.find_place() {
            return self.fail(error, context);
        }
        if let (None, Some(place)) = (&self.pending, &mut self.place) {
            let wait = if is_input_complete { Duration::ZERO } else { context.wait };
            self.pending = Some(read(&*self.journal, place, self.gaps, wait)?);
        }
        if let Err(error) = self.write() {
            return self.fail(error, context);
        }
        if self.failures.last.is_some() {
            self.failures.outage.ended();
            self.failures = Failures::none();
            self.health.clear(condition::LANDING, "");
        }
        let rows = self.pending.take().map_or_else(Vec::new, |batch| batch.rows);
        if let Some(place) = self.place {
            self.membership.show(0, place[0]);
            if rows.is_empty() && !context.has_upstream() {
                log::drain(&*self.journal, place)?;
            }
        }
        self.printer.print(&rows)?;
        self.landed.landed(rows.len(), context.now);
        // Small writes cost as much as large ones.
        let gathers = !is_input_complete && rows.len() < ROWS_MANY;
        let wait = match gathers {
            true => FLUSH_EVERY.saturating_sub(Instant::now() - context.now).min(GATHER_MAX),
            false => Duration::ZERO,
        };
        Ok(match rows.is_empty() {
            true if is_input_complete => Progress::Ended,
            true => Progress::Idle(wait),
            false => Progress::Worked(wait),
        })
    }

    fn stop(&mut self, _context: &Context) -> anyhow::Result<()> {
        self.failures.last.take().map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Reads on from a place, and moves it.
fn read(
    journal: &dyn Journal,
    next: &mut [Position; 2],
    gaps: Gaps,
    mut wait: Duration,
) -> anyhow::Result<Batch> {
    let (mut rows, mut progress) = (Vec::new(), Vec::new());
    for (index, stream) in STREAMS.into_iter().enumerate() {
        let wait = std::mem::take(&mut wait);
        let batch = match read_retained(journal, stream, 0, next[index], READ_BYTES_MAX, wait)? {
            Retained::Batch(batch) => batch,
            Retained::From(low) => {
                gaps.pass(stream, 0, next[index], low)?;
                next[index] = low;
                continue;
            }
        };
        for (position, bytes) in &batch.records {
            let record = Record::decode(bytes).map_err(|error| {
                anyhow!(error).context(format!("record {position} of `{}`", stream.name()))
            })?;
            rows.push(record);
        }
        if batch.next != next[index] {
            next[index] = batch.next;
            progress.push(place_of(stream, batch.next));
        }
    }
    Ok(Batch { rows, progress })
}

fn place_of(stream: Stream, next: Position) -> warehouse::Progress {
    warehouse::Progress { stream: stream.name().to_owned(), partition: 0, next }
}

/// The stream of counts begins again with a generation, and so does landing it; alerts continue.
pub(crate) fn begin_generation(warehouse: &dyn Landing) -> anyhow::Result<()> {
    Ok(warehouse.write(&[], &[place_of(Stream::Counts, 0)])?)
}
