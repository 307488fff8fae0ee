//! Watermark: the instant before which no more arrivals are expected, from ticks only.
//!
//! Knows feeds, their spans and lateness; knows nothing of posts, panes or clocks.

use std::collections::BTreeMap;

use record::time::{DAY, EARLIEST, HOUR, pane_border};
use record::{Coverage, Micros, Settings, Span, Tick};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Clock {
    feeds: BTreeMap<String, Feed>,
    watermark: Option<Micros>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Feed {
    epoch: u64,
    /// The number of the settings by which it was last read.
    settings: u32,
    reached: Micros,
    ended: bool,
    covered: Spans,
    /// The panes whose coverage has changed since it was last reported.
    changed: Option<(Micros, Micros)>,
    /// Coverage of panes that begin before this has been reported.
    sent: Micros,
}

impl Clock {
    pub(crate) fn watermark(&self) -> Option<Micros> {
        self.watermark
    }

    /// The furthest arrival that any feed has reached.
    pub(crate) fn furthest(&self) -> Option<Micros> {
        self.feeds.values().map(|feed| feed.reached).max()
    }

    /// Takes a tick in; `settings` are those that the log holds, oldest first. The watermark never
    /// falls.
    pub(crate) fn tick(&mut self, tick: &Tick, settings: &[Settings]) {
        for claim in &tick.feeds {
            let from = claim.from.max(EARLIEST);
            let feed = self.feeds.entry(claim.feed.clone()).or_insert_with(|| Feed {
                epoch: claim.epoch,
                settings: tick.settings,
                reached: claim.reached,
                ended: false,
                covered: Spans::default(),
                changed: None,
                sent: Micros::MIN,
            });
            if claim.epoch < feed.epoch {
                continue;
            }
            let before = feed.reached;
            feed.epoch = claim.epoch;
            feed.settings = tick.settings;
            feed.reached = feed.reached.max(claim.reached);
            if claim.span == Span::Covered && from < claim.reached {
                feed.covered.add(from, claim.reached);
                feed.touch(from, claim.reached);
            }
            if feed.ended || claim.ended {
                // An ended feed covers on from where it ended; one that has come back, or resumes
                // ending, doesn't from there.
                feed.touch(before, feed.sent.max(feed.reached + 1));
                feed.ended = claim.ended;
            }
        }
        let Some(newest) = settings.last() else {
            return;
        };
        let feeds: Option<Vec<&Feed>> =
            newest.feeds.iter().map(|setting| self.feeds.get(&setting.name)).collect();
        let Some(feeds) = feeds else {
            // One of them has not ticked yet.
            return;
        };
        let running = || feeds.iter().filter(|feed| !feed.ended);
        let Some(leader) = running().map(|feed| feed.reached).max() else {
            return;
        };
        // What was read under older settings says nothing of the time for which newer ones hold.
        let until = |number: u32| {
            settings.iter().filter(|later| later.number > number).map(|later| later.from).min()
        };
        let reached = running()
            .filter(|feed| feed.reached >= leader - newest.lateness)
            .map(|feed| feed.reached.min(until(feed.settings).unwrap_or(Micros::MAX)))
            .min();
        self.watermark = self.watermark.max(reached);
    }

    /// Moves on without a tick, when the log has ended.
    pub(crate) fn finish(&mut self, watermark: Micros) {
        self.watermark = self.watermark.max(Some(watermark));
    }

    /// What has changed in the coverage of hourly panes that begin before `until`, and forgets what
    /// is older than `horizon_start`.
    pub(crate) fn coverage(
        &mut self,
        settings: &Settings,
        horizon_start: Option<Micros>,
        until: Micros,
        out: &mut Vec<Coverage>,
    ) {
        for setting in settings.feeds.iter().filter(|feed| feed.whole) {
            let Some(feed) = self.feeds.get_mut(&setting.name) else {
                continue;
            };
            if feed.ended && feed.sent < until {
                feed.touch(feed.sent.max(feed.reached), until);
            }
            let Some((from, to)) = feed.changed.take() else {
                continue;
            };
            let from = record::time::pane_start(from, HOUR);
            let start = from.max(horizon_start.unwrap_or(from));
            let end = to.min(until).max(start);
            out.extend(hours_told(start, end).map(|start| {
                let covered = feed.covered_in(start, start + HOUR);
                Coverage { feed: setting.name.clone(), pane_start: start, covered }
            }));
            let next = start + pane_border(end - start, HOUR);
            feed.sent = feed.sent.max(next.min(until));
            if to > until {
                feed.changed = Some((next, to));
            }
            if let Some(horizon_start) = horizon_start {
                feed.covered.forget(horizon_start);
            }
        }
    }
}

/// The coverage of that long a time is requested by any window: its own length, and the baselines
/// before it.
const COVERAGE_REACH: Micros = 80 * DAY;

/// The hours in `[from, to)` whose coverage is reported. Of a longer stretch than anything asks
/// for, a wrong clock's or a file's with a gap of years, these are the first and the last: windows
/// are judged near its ends only.
pub(crate) fn hours_told(from: Micros, to: Micros) -> impl Iterator<Item = Micros> {
    let hours = |from: Micros, to: Micros| {
        (0..).map(move |hour| from + hour * HOUR).take_while(move |start| *start < to)
    };
    let (first_to, last_from) = if to - from > 2 * COVERAGE_REACH {
        (from + COVERAGE_REACH, from + pane_border(to - COVERAGE_REACH - from, HOUR))
    } else {
        (to, to)
    };
    hours(from, first_to).chain(hours(last_from, to))
}

impl Feed {
    fn touch(&mut self, from: Micros, to: Micros) {
        self.changed = Some(match self.changed {
            Some((first, last)) => (first.min(from), last.max(to)),
            None => (from, to),
        });
    }

    fn covered_in(&self, from: Micros, to: Micros) -> Micros {
        let after_end = if self.ended { (to - self.reached.max(from)).max(0) } else { 0 };
        let before_end = if self.ended { self.reached.clamp(from, to) } else { to };
        self.covered.within(from, before_end) + after_end
    }
}

/// Disjoint half-open spans of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spans(BTreeMap<Micros, Micros>);

impl Spans {
    pub(crate) fn add(&mut self, mut from: Micros, mut to: Micros) {
        if let Some((&start, &end)) = self.0.range(..=from).next_back()
            && end >= from
        {
            from = start;
            to = to.max(end);
        }
        while let Some((&start, &end)) = self.0.range(from..=to).next() {
            to = to.max(end);
            self.0.remove(&start);
        }
        self.0.insert(from, to);
    }

    pub(crate) fn within(&self, from: Micros, to: Micros) -> Micros {
        let before = self.0.range(..from).next_back();
        before
            .into_iter()
            .chain(self.0.range(from..to.max(from)))
            .map(|(&start, &end)| (end.min(to) - start.max(from)).max(0))
            .sum()
    }

    pub(crate) fn forget(&mut self, before: Micros) {
        while let Some((&start, &end)) = self.0.first_key_value()
            && end <= before
        {
            self.0.remove(&start);
        }
    }
}
