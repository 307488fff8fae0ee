//! Charts: what the days of a series add up to, so that a rise is seen which no day shows by itself.
//!
//! Folded over final days; when a day is judged that isn't final yet, the days since are added as they are known. A day without
//! coverage, one that is excluded from baselines and one on which the installation is still learning change nothing.

use record::time::DAY;
use record::{Micros, Stage, TopicSetting};
use serde::{Deserialize, Serialize};

use super::predict::View;
use super::{Pasts, Series, Side, Watch};
use crate::detectors::slow::Day;

/// A series' chart after its last final day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Chart {
    value: f64,
    /// The end of the day after which it has been above zero.
    since: Micros,
    /// The end of the last day in it.
    until: Micros,
}

/// A chart at the day that is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Charted {
    pub(super) before: f64,
    pub(super) value: f64,
    /// The largest count that day with which it is not in alarm.
    pub(super) bound: f64,
    pub(super) since: Micros,
}

impl Watch {
    /// The days that end at or before `end` and aren't final, and what the topic's regions know of each; none where no day ends.
    pub(super) fn days_to_chart(&self, topic: &TopicSetting, end: Micros) -> Vec<(Pasts, View)> {
        if end.rem_euclid(DAY) != 0 || topic.windows.first() != Some(&DAY) {
            return Vec::new();
        }
        let horizon = self.newest().map_or(0, |settings| settings.horizon);
        let days = (0..=horizon / DAY + 1).rev().map(|back| end - back * DAY);
        let open = days.filter(|day| *day == end || !self.is_final(day - topic.pane, topic.pane));
        let known = open.map(|day| {
            let pasts = self.pasts(&topic.windows, day);
            let view = self.view(&topic.id, &pasts);
            (pasts, view)
        });
        known.collect()
    }

    /// The chart after these days, and how it stands at the last of them; none where that day changes nothing.
    pub(super) fn chart(&self, key: &(String, String), series: &Series, days: &[(Pasts, View)], stage: Stage) -> (Chart, Option<Charted>) {
        let mut chart = series.chart;
        let mut charted = None;
        for (pasts, view) in days.iter().filter(|(pasts, _)| pasts.end > series.chart.until) {
            let end = pasts.end;
            chart.until = end;
            let least = self.rules(end - 1).map_or(0.0, |rules| rules.settings.detect.coverage);
            let counts =
                !view.is_learning() && self.coverage(Side::Aligned, end - DAY, end) >= least && !self.is_excluded(key, end - DAY, end, end);
            charted = None;
            if !counts {
                continue;
            }
            let past = self.past(key, series, DAY, end, &pasts.baseline_shortest);
            let forecast =
                self.forecast(&key.1, DAY, (&pasts.baseline_shortest, &past), end, view, (Side::Aligned, stage == Stage::Final)).forecast;
            let observed = f64::from(Watch::window(series, Side::Aligned, DAY, end).authors);
            let day = Day { observed, mean: forecast.expected(), shape: forecast.shape() };
            let before = chart.value;
            if before == 0.0 {
                chart.since = end - DAY;
            }
            chart.value = day.after(before);
            charted = Some(Charted { before, value: chart.value, bound: day.bound(before, view.limit), since: chart.since });
            if chart.value > view.limit {
                // It has said so, and begins anew.
                chart.value = 0.0;
            }
        }
        (chart, charted)
    }
}
