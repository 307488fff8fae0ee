//! The watermark: how far arrivals have certainly come, from ticks only.
//!
//! Knows feeds, their spans and lateness; knows nothing of posts, panes or clocks.

use std::collections::BTreeMap;

use record::time::HOUR;
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
    reached: Micros,
    ended: bool,
    covered: Spans,
    /// The panes whose coverage has changed since it was last told.
    changed: Option<(Micros, Micros)>,
}

impl Clock {
    pub(crate) fn watermark(&self) -> Option<Micros> {
        self.watermark
    }

    /// The furthest arrival that any feed has reached.
    pub(crate) fn furthest(&self) -> Option<Micros> {
        self.feeds.values().map(|feed| feed.reached).max()
    }

    /// Takes a tick in; `newest` are the latest settings of the log. The watermark never falls.
    pub(crate) fn tick(&mut self, tick: &Tick, newest: &Settings) {
        for claim in &tick.feeds {
            let feed = self.feeds.entry(claim.feed.clone()).or_insert_with(|| Feed {
                epoch: claim.epoch,
                reached: claim.reached,
                ended: false,
                covered: Spans::default(),
                changed: None,
            });
            if claim.epoch < feed.epoch {
                continue;
            }
            feed.epoch = claim.epoch;
            feed.reached = feed.reached.max(claim.reached);
            if claim.span == Span::Covered && claim.from < claim.reached {
                feed.covered.add(claim.from, claim.reached);
                feed.touch(claim.from, claim.reached);
            }
            if claim.ended != feed.ended {
                feed.ended = claim.ended;
                // An ended feed covers on, to the end of the pane it ended in and beyond.
                feed.touch(feed.reached, feed.reached + 1);
            }
        }
        let all_have_ticked = newest.feeds.iter().all(|feed| self.feeds.contains_key(&feed.name));
        if !all_have_ticked {
            return;
        }
        let running =
            || newest.feeds.iter().filter_map(|setting| self.feeds.get(&setting.name)).filter(|feed| !feed.ended).map(|feed| feed.reached);
        let Some(leader) = running().max() else {
            return;
        };
        let Some(mut reached) = running().filter(|reached| *reached >= leader - newest.lateness).min() else {
            return;
        };
        if tick.settings < newest.number {
            reached = reached.min(newest.from);
        }
        self.watermark = self.watermark.max(Some(reached));
    }

    /// Moves on without a tick, when the log has ended.
    pub(crate) fn finish(&mut self, watermark: Micros) {
        self.watermark = self.watermark.max(Some(watermark));
    }

    /// What has changed in the coverage of hourly panes that begin before `until`, and forgets what is older than `horizon_start`.
    pub(crate) fn coverage(&mut self, settings: &Settings, horizon_start: Option<Micros>, until: Micros, out: &mut Vec<Coverage>) {
        for setting in settings.feeds.iter().filter(|feed| feed.whole) {
            let Some(feed) = self.feeds.get_mut(&setting.name) else {
                continue;
            };
            let Some((from, to)) = feed.changed.take() else {
                continue;
            };
            let from = record::time::pane_start(from, HOUR);
            // Only the last panes can matter: a claim that spans years is one of a replay without a beginning.
            let mut start = from.max(horizon_start.unwrap_or(from));
            while start < to.min(until) {
                let covered = feed.covered_in(start, start + HOUR);
                out.push(Coverage { feed: setting.name.clone(), pane_start: start, covered });
                start += HOUR;
            }
            if to > until {
                feed.changed = Some((start, to));
            }
            if let Some(horizon_start) = horizon_start {
                feed.covered.forget(horizon_start);
            }
        }
    }
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
        before.into_iter().chain(self.0.range(from..to.max(from))).map(|(&start, &end)| (end.min(to) - start.max(from)).max(0)).sum()
    }

    pub(crate) fn forget(&mut self, before: Micros) {
        while let Some((&start, &end)) = self.0.first_key_value()
            && end <= before
        {
            self.0.remove(&start);
        }
    }
}
