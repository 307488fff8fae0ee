//! Reading the ledger: coverage, denominators, and the past that a window is compared with.
//!
//! Everything is read by the settings of its time. Changes nothing.

use record::Micros;
use record::policy::BASELINE_VALUES_LEAST;
use record::region::WORLD;
use record::time::{DAY, HOUR, WEEK, pane_border, pane_start};

use super::{Excluded, Ledger, PastEnds};
use crate::forecast::pool::DENOMINATOR_LEAST;
use crate::forecast::weeks;
use crate::tally::SHORT_PANE;
use crate::watch::denominators::Basis;
use crate::watch::fold::overlaid;
use crate::watch::series::{Series, SeriesKey, Side};
use crate::watch::{HISTORY, REACH};

/// Past windows that decide between 24 h and 7 d, and that are offered to a detector.
const PAST_WINDOWS: i64 = 28;
/// Windows with less than this share of the posts of usual ones are outages.
const OUTAGE: f64 = 0.2;

impl Ledger {
    /// The share of `[from, to)` that the least covered whole feed has covered, of what it was to
    /// cover by the settings of the time.
    pub(in crate::watch) fn coverage(&self, side: Side, from: Micros, to: Micros) -> f64 {
        let (aligned, open) = (&self.aligned.coverage, &self.open.coverage);
        let over = || {
            (side == Side::Open)
                .then(|| open.range(pane_start(from, HOUR)..to))
                .into_iter()
                .flatten()
        };
        let mut least = 1.0_f64;
        let mut names: Vec<&str> = self
            .settings
            .iter()
            .flat_map(|settings| &settings.feeds)
            .map(|feed| feed.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let (mut covered, mut due) = (0, 0);
            let mut hour = pane_start(from, HOUR);
            let mut of_hours = aligned.range(hour..to).peekable();
            let mut of_open = over().peekable();
            while hour < to {
                let feeds = of_hours.next_if(|(start, _)| **start == hour).map(|(_, feeds)| feeds);
                let feeds_open =
                    of_open.next_if(|(start, _)| **start == hour).map(|(_, feeds)| feeds);
                let is_due = self.settings.at(hour).is_some_and(|rules| {
                    rules.settings.feeds.iter().any(|feed| feed.whole && feed.name == name)
                });
                if is_due {
                    // Only hours are known: what is covered of one is taken to lie in the window's
                    // part of it.
                    let part = (hour + HOUR).min(to) - hour.max(from);
                    let parts = feeds_open
                        .and_then(|feeds| feeds.get(name))
                        .or_else(|| feeds.and_then(|feeds| feeds.get(name)));
                    let counted = parts.and_then(|parts| parts.values().min().copied());
                    covered += counted.unwrap_or(0).min(part);
                    due += part;
                }
                hour += HOUR;
            }
            if due > 0 {
                least = least.min(covered as f64 / due as f64);
            }
        }
        least
    }

    /// All posts of whole feeds in `[from, to)`: by the hour, and at the edges by the short panes
    /// that crisis topics bring along.
    pub(in crate::watch) fn population(
        &self,
        side: Side,
        region: &str,
        from: Micros,
        to: Micros,
    ) -> u64 {
        let (first, last) = (pane_border(from, HOUR), pane_start(to, HOUR));
        if first >= last {
            return self.total(side, region, SHORT_PANE, from, to);
        }
        let edges = self.total(side, region, SHORT_PANE, from, first)
            + self.total(side, region, SHORT_PANE, last, to);
        self.total(side, region, HOUR, first, last) + edges
    }

    pub(in crate::watch) fn total(
        &self,
        side: Side,
        region: &str,
        length: Micros,
        from: Micros,
        to: Micros,
    ) -> u64 {
        if from >= to {
            return 0;
        }
        let of_region = (region.to_owned(), length);
        let panes = self.aligned.totals.get(&of_region).map(|panes| panes.range(from..to));
        let open = (side == Side::Open)
            .then(|| self.open.totals.get(&of_region))
            .flatten()
            .map(|panes| panes.range(from..to));
        overlaid(panes.into_iter().flatten(), open.into_iter().flatten())
            .map(|(_, parts)| parts.total().posts)
            .sum()
    }

    /// The ends of past windows of one length that end at the same hour, oldest first, and whether
    /// each was observed.
    pub(in crate::watch) fn ends(
        &self,
        length: Micros,
        end: Micros,
        gap: Micros,
        reach: Micros,
    ) -> Vec<(Micros, bool)> {
        let (Some(rules), Some(first)) = (self.settings.at(end - 1), self.first_coverage) else {
            return Vec::new();
        };
        let newest = if gap > 0 { end - gap } else { end - length };
        let mut ends: Vec<(Micros, bool)> = (0..PAST_WINDOWS)
            .map(|back| newest - back * length)
            // At an hour's grain the beginning of coverage can't be distinguished from a gap, so its pane
            // counts as begun.
            .take_while(|window_end| {
                window_end - length >= first && window_end - length >= end - reach
            })
            .map(|window_end| {
                (
                    window_end,
                    self.coverage(Side::Aligned, window_end - length, window_end)
                        >= rules.settings.detect.coverage,
                )
            })
            .collect();
        ends.reverse();
        self.leave_out_outages(length, &mut ends);
        ends
    }

    /// Windows in which all feeds together brought far less than usual are no baseline, whatever
    /// the feeds say that they covered.
    fn leave_out_outages(&self, length: Micros, ends: &mut [(Micros, bool)]) {
        let posts = |end: Micros| self.denominators.posts(WORLD, end - length, end);
        let counted: Vec<f64> =
            ends.iter().filter_map(|(end, _)| posts(*end)).filter(|posts| *posts > 0.0).collect();
        let usual = counted.iter().sum::<f64>() / counted.len().max(1) as f64;
        if usual >= DENOMINATOR_LEAST {
            for (end, observed) in ends {
                *observed &= posts(*end).is_none_or(|posts| posts >= OUTAGE * usual);
            }
        }
    }

    /// The values of past windows, `None` where they can't serve as baseline.
    pub(in crate::watch) fn past(
        &self,
        key: &SeriesKey,
        series: &Series,
        length: Micros,
        end: Micros,
        ends: &[(Micros, bool)],
    ) -> Vec<Option<f64>> {
        ends.iter()
            .map(|(window_end, observed)| {
                let serves =
                    *observed && !self.is_excluded(key, window_end - length, *window_end, end);
                serves.then(|| f64::from(series.authors(Side::Aligned, length, *window_end)))
            })
            .collect()
    }

    /// Whether people have taken a part of `[from, to)` out of the baselines of windows that end at
    /// `judged`.
    pub(in crate::watch) fn is_excluded(
        &self,
        key: &SeriesKey,
        from: Micros,
        to: Micros,
        judged: Micros,
    ) -> bool {
        self.exclusions.iter().any(|Excluded { what: exclusion, lifted_from }| {
            exclusion.topic == key.0
                && judged >= exclusion.valid_from
                && lifted_from.is_none_or(|lifted| judged < lifted)
                && from < exclusion.to
                && to > exclusion.from
                && self.settings.table.within(&key.1, &exclusion.region)
        })
    }

    /// Which past windows are read when windows that end at `end` are judged; the same for all
    /// series.
    pub(in crate::watch) fn past_ends(
        &self,
        windows: &[Micros],
        end: Micros,
        held: Micros,
    ) -> PastEnds {
        let (Some(shortest), Some(longest)) = (windows.first().copied(), windows.last().copied())
        else {
            return PastEnds::default();
        };
        let guardband = self.guardband(end);
        let ends = |length: Micros, gap: Micros| self.ends(length, end, held + gap, HISTORY);
        PastEnds {
            end,
            held,
            shortest,
            longest,
            before_guardband: ends(shortest, guardband),
            of_shortest: ends(shortest, 0),
            of_longest: ends(longest, 0),
            baseline_shortest: ends(shortest, guardband.max(shortest)),
            baseline_longest: ends(longest, guardband.max(longest)),
            weeks: if longest == WEEK { self.ends_of_weeks(end) } else { Vec::new() },
        }
    }

    /// Past windows of the weekly look; none where no day ends.
    fn ends_of_weeks(&self, end: Micros) -> Vec<(Micros, bool)> {
        if end != pane_start(end, DAY) {
            return Vec::new();
        }
        let past = self.first_coverage.map_or(0, |first| ((end - first) / WEEK - 1).max(0));
        let guard = weeks::guard(past as usize) as Micros;
        self.ends(WEEK, end, (1 + guard) * WEEK, REACH)
    }

    /// Which window is judged: 7 d where fewer than one a day is expected and there is a baseline
    /// of such windows, else 24 h.
    pub(in crate::watch) fn window_length(
        &self,
        key: &SeriesKey,
        series: &Series,
        ends: &PastEnds,
    ) -> Micros {
        let days = self.past(key, series, ends.shortest, ends.end, &ends.before_guardband);
        let days: Vec<f64> = days.into_iter().flatten().collect();
        let sparse = !days.is_empty() && days.iter().sum::<f64>() / (days.len() as f64) < 1.0;
        if sparse && ends.longest > ends.shortest {
            let weeks = self.past(key, series, ends.longest, ends.end, &ends.of_longest);
            if weeks.iter().flatten().count() >= BASELINE_VALUES_LEAST {
                return ends.longest;
            }
        }
        ends.shortest
    }

    /// The least distance between a window and its baseline.
    pub(in crate::watch) fn guardband(&self, end: Micros) -> Micros {
        self.settings.at(end - 1).map_or(0, |rules| rules.settings.detect.guardband)
    }

    /// By which posts a region's counts are set in proportion.
    pub(in crate::watch) fn basis(
        &self,
        region: &str,
        length: Micros,
        ends: &[(Micros, bool)],
    ) -> Basis {
        let country = self.settings.table.country(region).unwrap_or_default();
        self.denominators.basis(country, region, length, ends)
    }

    /// Of the topic's posts everywhere in `[from, to)`, the share that a region of the tree may yet
    /// be given.
    pub(in crate::watch) fn pending_share(&self, key: &SeriesKey, from: Micros, to: Micros) -> f64 {
        if key.1 == WORLD || key.1.contains(':') {
            return 0.0;
        }
        let world = self.series.get(&(key.0.clone(), WORLD.to_owned()));
        world.map_or(0.0, |world| world.aligned.pending_share(from, to))
    }
}
