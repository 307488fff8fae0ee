//! What has been counted: windows of either fold or of history, denominators, coverage, and the
//! past that a window is judged by.

use record::Micros;
use record::policy::BASELINE_VALUES_LEAST;
use record::time::{HOUR, pane_border, pane_start};

use super::fold::overlaid;
use super::{Excluded, HISTORY, Pasts, Series, Side, Watch};
use crate::tally::SHORT_PANE;

/// Past windows that decide between 24 h and 7 d, and that are offered to a detector.
const PAST_WINDOWS: i64 = 28;

impl Watch {
    /// The share of `[from, to)` that the least covered whole feed has covered, of what it was to
    /// cover by the settings of the time.
    pub(super) fn coverage(&self, side: Side, from: Micros, to: Micros) -> f64 {
        let (aligned, open) = (&self.head.aligned.coverage, &self.head.open.coverage);
        let over = || {
            (side == Side::Open)
                .then(|| open.range(pane_start(from, HOUR)..to))
                .into_iter()
                .flatten()
        };
        let mut least = 1.0_f64;
        let mut names: Vec<&str> = self
            .rules
            .iter()
            .flat_map(|rules| &rules.settings.feeds)
            .map(|feed| feed.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let (mut covered, mut due) = (0, 0);
            let mut hour = pane_start(from, HOUR);
            let mut told = aligned.range(hour..to).peekable();
            let mut told_open = over().peekable();
            while hour < to {
                let feeds = told.next_if(|(start, _)| **start == hour).map(|(_, feeds)| feeds);
                let feeds_open =
                    told_open.next_if(|(start, _)| **start == hour).map(|(_, feeds)| feeds);
                let is_due = self.rules(hour).is_some_and(|rules| {
                    rules.settings.feeds.iter().any(|feed| feed.whole && feed.name == name)
                });
                if is_due {
                    // Only hours are known: what is covered of one is taken to lie in the window's
                    // part of it.
                    let part = (hour + HOUR).min(to) - hour.max(from);
                    let parts = feeds_open
                        .and_then(|feeds| feeds.get(name))
                        .or_else(|| feeds.and_then(|feeds| feeds.get(name)));
                    let told = parts.and_then(|parts| parts.values().min().copied());
                    covered += told.unwrap_or(0).min(part);
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
    pub(super) fn population(&self, side: Side, region: &str, from: Micros, to: Micros) -> u64 {
        let (first, last) = (pane_border(from, HOUR), pane_start(to, HOUR));
        if first >= last {
            return self.total(side, region, SHORT_PANE, from, to);
        }
        let edges = self.total(side, region, SHORT_PANE, from, first)
            + self.total(side, region, SHORT_PANE, last, to);
        self.total(side, region, HOUR, first, last) + edges
    }

    pub(super) fn total(
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
        let panes = self.head.aligned.totals.get(&of_region).map(|panes| panes.range(from..to));
        let open = (side == Side::Open)
            .then(|| self.head.open.totals.get(&of_region))
            .flatten()
            .map(|panes| panes.range(from..to));
        overlaid(panes.into_iter().flatten(), open.into_iter().flatten())
            .map(|(_, parts)| parts.total().posts)
            .sum()
    }

    /// The ends of past windows of one length that end at the same hour, oldest first, and whether
    /// each was observed.
    pub(super) fn past_ends(
        &self,
        length: Micros,
        end: Micros,
        gap: Micros,
    ) -> Vec<(Micros, bool)> {
        let (Some(rules), Some(first)) = (self.rules(end - 1), self.head.first_coverage) else {
            return Vec::new();
        };
        let newest = if gap > 0 { end - gap } else { end - length };
        let mut ends: Vec<(Micros, bool)> = (0..PAST_WINDOWS)
            .map(|back| newest - back * length)
            // At an hour's grain the beginning of coverage can't be told from a gap, so its pane
            // counts as begun.
            .take_while(|window_end| {
                window_end - length >= first && window_end - length >= end - HISTORY
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
        ends
    }

    /// The values of past windows, `None` where they can't serve as baseline.
    pub(super) fn past(
        &self,
        key: &(String, String),
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
    pub(super) fn is_excluded(
        &self,
        key: &(String, String),
        from: Micros,
        to: Micros,
        judged: Micros,
    ) -> bool {
        self.head.exclusions.iter().any(|Excluded { what: exclusion, lifted_from }| {
            exclusion.topic == key.0
                && judged >= exclusion.valid_from
                && lifted_from.is_none_or(|lifted| judged < lifted)
                && from < exclusion.to
                && to > exclusion.from
                && self.table.within(&key.1, &exclusion.region)
        })
    }

    /// Which past windows are asked for when windows that end at `end` are judged; the same for all
    /// series.
    pub(super) fn pasts(&self, windows: &[Micros], end: Micros) -> Pasts {
        let (Some(shortest), Some(longest)) = (windows.first().copied(), windows.last().copied())
        else {
            return Pasts::default();
        };
        let guardband = self.rules(end - 1).map_or(0, |rules| rules.settings.detect.guardband);
        Pasts {
            end,
            shortest,
            longest,
            before_guardband: self.past_ends(shortest, end, guardband),
            of_shortest: self.past_ends(shortest, end, 0),
            of_longest: self.past_ends(longest, end, 0),
            baseline_shortest: self.past_ends(shortest, end, guardband.max(shortest)),
            baseline_longest: self.past_ends(longest, end, guardband.max(longest)),
        }
    }

    /// Which window is judged: 7 d where fewer than one a day is expected and there is a baseline
    /// of such windows, else 24 h;
    /// and the past windows of that length.
    pub(super) fn window_length(
        &self,
        key: &(String, String),
        series: &Series,
        pasts: &Pasts,
    ) -> (Micros, Vec<Option<f64>>) {
        let days = self.past(key, series, pasts.shortest, pasts.end, &pasts.before_guardband);
        let days: Vec<f64> = days.into_iter().flatten().collect();
        let sparse = !days.is_empty() && days.iter().sum::<f64>() / (days.len() as f64) < 1.0;
        if sparse && pasts.longest > pasts.shortest {
            let weeks = self.past(key, series, pasts.longest, pasts.end, &pasts.of_longest);
            if weeks.iter().flatten().count() >= BASELINE_VALUES_LEAST {
                return (pasts.longest, weeks);
            }
        }
        (pasts.shortest, self.past(key, series, pasts.shortest, pasts.end, &pasts.of_shortest))
    }
}
