//! The land role: streams into the warehouse, each batch together with the position it was read up to.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use journal::{Journal, Stream};
use record::Record;
use warehouse::{AlertLine, Landing, Progress};

use crate::drive::{Flow, again};

/// A batch is written at least so often.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
const READ_BYTES_MAX: usize = 1 << 20;
const WAIT: Duration = Duration::from_millis(200);
/// Wait before a failed write is tried again; the warehouse being away delays its readers, and nobody else.
const RETRY: Duration = Duration::from_secs(2);
/// Once all others have ended it is tried so often before the program ends too: what hasn't landed stays in the log.
const LAST_TRIES: u32 = 5;
/// What retention has passed is deleted now and then.
const RETENTION_EVERY: Duration = Duration::from_secs(600);

pub(crate) fn run(
    journal: &dyn Journal,
    warehouse: &dyn Landing,
    flow: &Flow,
    enforce_retention: &dyn Fn(),
    print_alerts: bool,
) -> anyhow::Result<()> {
    let streams = [Stream::Counts, Stream::Alerts];
    let landed = warehouse.progress()?;
    let mut next =
        streams.map(|stream| landed.iter().find(|progress| progress.stream == stream.name()).map_or(0, |progress| progress.next));
    let mut retention_at = Instant::now();
    loop {
        let upstream_done = flow.upstream_done.load(Ordering::SeqCst);
        let mut rows = Vec::new();
        let mut progress = Vec::new();
        let began = Instant::now();
        for (index, stream) in streams.into_iter().enumerate() {
            let wait = if index == 0 && !upstream_done { WAIT } else { Duration::ZERO };
            let batch = again(|| journal.read(stream, 0, next[index], READ_BYTES_MAX, wait))?;
            for (position, bytes) in &batch.records {
                match Record::decode(bytes) {
                    Ok(record) => rows.push(record),
                    Err(error) => return Err(anyhow!(error).context(format!("record {position} of `{}`", stream.name()))),
                }
            }
            if batch.next != next[index] {
                next[index] = batch.next;
                progress.push(Progress { stream: stream.name().to_owned(), partition: 0, next: batch.next });
            }
        }
        if !rows.is_empty() {
            write(warehouse, &rows, &progress, flow)?;
            if print_alerts {
                print(&rows)?;
            }
        } else if upstream_done {
            flow.done.store(true, Ordering::SeqCst);
            return Ok(());
        }
        if Instant::now() >= retention_at {
            retention_at = Instant::now() + RETENTION_EVERY;
            enforce_retention();
        }
        // Small writes cost as much as large ones: let some gather, unless there is more to read than fits one batch.
        if !upstream_done && rows.len() < 1000 {
            std::thread::sleep(FLUSH_EVERY.saturating_sub(began.elapsed()).min(WAIT));
        }
    }
}

/// Alerts as lines of JSON, a line a revision; after a kill the last ones may be printed again, with the same id and revision.
fn print(rows: &[Record]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for row in rows {
        if let Record::Alert(alert) = row {
            serde_json::to_writer(&mut out, &AlertLine::from(alert))?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(())
}

fn write(warehouse: &dyn Landing, rows: &[Record], progress: &[Progress], flow: &Flow) -> anyhow::Result<()> {
    let mut tries_left = LAST_TRIES;
    loop {
        match warehouse.write(rows, progress) {
            Ok(()) => return Ok(()),
            Err(error) if error.try_again() && tries_left > 0 => {
                tracing::warn!(%error, "failed to write to the warehouse, trying again");
                if flow.upstream_done.load(Ordering::SeqCst) {
                    tries_left -= 1;
                }
                std::thread::sleep(RETRY);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The stream of counts begins anew with a generation, and so does landing it; alerts go on.
pub(crate) fn begin_anew(warehouse: &dyn Landing) -> anyhow::Result<()> {
    warehouse.write(&[], &[Progress { stream: Stream::Counts.name().to_owned(), partition: 0, next: 0 }])?;
    Ok(())
}
