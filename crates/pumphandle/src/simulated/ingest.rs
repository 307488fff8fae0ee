//! Ingest as the others see it: posts, then the tick that speaks for them in every partition, then
//! the cursor.
//!
//! One that was thought dead says under its lower epoch what it likes: that it has ended, or that
//! it has come a day further.

use std::collections::BTreeMap;
use std::sync::Arc;

use feeds::Now;
use feeds::progress::Progress;
use journal::{Change, Entry, Journal, Membership, Stream};
use record::time::{DAY, HOUR};
use record::{Micros, Record, Tick};

use super::{Member, Simulation};
use crate::runtime::{Context, Progress as Turned, Role, retry};

/// No feed is read further ahead of another: what is later than the horizon counts for nothing,
/// whoever brings it.
const AHEAD_MAX: Micros = 2 * HOUR;

pub(super) struct Worker {
    simulation: Arc<Simulation>,
    member: Box<Member>,
    feeds: BTreeMap<u32, Reading>,
}

impl Worker {
    pub(super) fn new(simulation: Arc<Simulation>, member: Box<Member>) -> Worker {
        Worker { simulation, member, feeds: BTreeMap::new() }
    }
}

struct Reading {
    epoch: u64,
    next: usize,
    progress: Progress,
}

impl Role for Worker {
    fn turn(&mut self, _context: &Context) -> anyhow::Result<Turned> {
        for change in self.member.changes(std::time::Duration::ZERO)? {
            match change {
                Change::Given(feed) => {
                    let reading = claim(&self.simulation, feed)?;
                    self.feeds.insert(feed, reading);
                }
                Change::Taken(feed) => {
                    self.feeds.remove(&feed);
                }
            }
        }
        for (feed, reading) in &mut self.feeds {
            read(&self.simulation, *feed, reading)?;
        }
        Ok(Turned::BUSY)
    }
}

fn claim(simulation: &Simulation, feed: u32) -> anyhow::Result<Reading> {
    let name = &simulation.story.feeds[feed as usize].name;
    let claim = (format!("claim/{name}"), Some(Vec::new()));
    let epoch = retry(|| simulation.put(Stream::Feeds, std::slice::from_ref(&claim)))?[0];
    let (next, reached) =
        match retry(|| simulation.keys(Stream::Feeds, &format!("cursor/{name}/")))?.pop() {
            Some(key) => {
                serde_json::from_slice(&retry(|| simulation.get(Stream::Feeds, &key))?.unwrap())?
            }
            None => (0, None),
        };
    put_place(simulation, name, epoch, next, reached)?;
    let mut progress = Progress::of_file(name, epoch);
    if let Some(reached) = reached {
        progress.on_connected(Now::default(), Some(reached));
    }
    Ok(Reading { epoch, next, progress })
}

fn read(simulation: &Simulation, feed: u32, reading: &mut Reading) -> anyhow::Result<()> {
    let story = &simulation.story;
    let lines = &story.feeds[feed as usize].lines;
    let (until, turn_lines, ticks, stale) = {
        let mut state = simulation.state();
        let slowest = (0..).zip(&state.said).filter(|(_, said)| !said.ended);
        let slowest = slowest
            .map(|(feed, said): (usize, _)| {
                said.reached.unwrap_or(story.feeds[feed].lines[0].arrival)
            })
            .min();
        let until = slowest.unwrap_or(Micros::MAX - AHEAD_MAX) + AHEAD_MAX;
        let (turn_lines, ticks) = (state.rng.below(6) as usize, state.rng.chance(40));
        (until, turn_lines, ticks, state.said[feed as usize].epoch > reading.epoch)
    };
    let mut entries = Vec::new();
    for line in
        lines[reading.next..].iter().take(turn_lines).take_while(|line| line.arrival <= until)
    {
        reading.next += 1;
        reading.progress.on_arrival(line.arrival, Now::default());
        let to = |partition: &u32| {
            line.author
                .is_none_or(|author| author % u64::from(story.partitions) == u64::from(*partition))
        };
        let bytes = Record::Post(line.post.clone()).encode();
        entries.extend(
            (0..story.partitions)
                .filter(to)
                .map(|partition| Entry { partition, bytes: bytes.clone() }),
        );
    }
    if reading.next == lines.len() {
        reading.progress.on_end();
    }
    if !entries.is_empty() {
        retry(|| simulation.append(Stream::Posts, &entries))?;
    }
    if !ticks {
        return Ok(());
    }
    // Nothing is left that arrived before this.
    let waits = lines[reading.next..]
        .iter()
        .map(|line| line.arrival)
        .min()
        .is_some_and(|next| next > until);
    let claim = if waits {
        reading.progress.tick_before(until, Now::default())
    } else {
        reading.progress.tick(Now::default())
    };
    let Some(mut claim) = claim else { return Ok(()) };
    let honest = claim.clone();
    if stale {
        let mut state = simulation.state();
        state.happened.late_ticks += 1;
        if state.rng.chance(50) {
            claim.reached += DAY;
        }
        claim.ended = state.rng.chance(50);
    }
    let tick = Record::Tick(Tick { settings: 1, at: honest.reached, feeds: vec![claim] }).encode();
    let entries: Vec<Entry> =
        (0..story.partitions).map(|partition| Entry { partition, bytes: tick.clone() }).collect();
    retry(|| simulation.append(Stream::Posts, &entries))?;
    {
        let mut state = simulation.state();
        let said = &mut state.said[feed as usize];
        if said.epoch <= reading.epoch {
            said.epoch = reading.epoch;
            said.reached = said.reached.max(Some(honest.reached));
            said.ended = honest.ended;
        }
    }
    put_place(simulation, &honest.feed, reading.epoch, reading.next, reading.progress.reached())
}

fn put_place(
    simulation: &Simulation,
    feed: &str,
    epoch: u64,
    next: usize,
    reached: Option<Micros>,
) -> anyhow::Result<()> {
    let pair = (format!("cursor/{feed}/{epoch:020}"), Some(serde_json::to_vec(&(next, reached))?));
    retry(|| simulation.put(Stream::Feeds, std::slice::from_ref(&pair)))?;
    Ok(())
}
