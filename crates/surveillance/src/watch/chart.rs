//! Charts: what the days of a series add up to, so that a rise is seen which no day shows by
//! itself.
//!
//! Folded over final days; when a day is judged that isn't final yet, the days since are added as
//! they are known. A day without
//! coverage, one that is excluded from baselines and one on which the installation is still
//! learning change nothing.

use record::time::DAY;
use record::{Micros, TopicSetting};
use serde::{Deserialize, Serialize};

use super::predict::{Known, View};
use super::{Pasts, Series, Side, Watch};
use crate::forecast::Forecast;
use crate::forecast::slow::Day;

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
    /// The days before the one that ends at `end` which aren't final, with what the topic's regions
    /// know of each; none where no day ends.
    pub(super) fn open_days(&self, topic: &TopicSetting, end: Micros) -> Option<Vec<Known>> {
        if end.rem_euclid(DAY) != 0 || topic.windows.first() != Some(&DAY) {
            return None;
        }
        let horizon = self.newest().map_or(0, |settings| settings.horizon);
        let days = (1..=horizon / DAY + 1).rev().map(|back| end - back * DAY);
        let open = days.filter(|day| !self.is_final(day - topic.pane, topic.pane));
        Some(open.map(|day| self.known(topic, day)).collect())
    }

    /// The chart before a day is added, from the days since the last final one.
    pub(super) fn chart_after(
        &self,
        key: &(String, String),
        series: &Series,
        days: &[Known],
        is_final: bool,
    ) -> Chart {
        let mut chart = series.chart;
        for Known { pasts, view } in days {
            let forecasted = self.day_forecast(key, series, pasts, view, (Side::Aligned, is_final));
            self.add_day(&mut chart, key, series, pasts, view, &forecasted.forecast);
        }
        chart
    }

    /// Adds a day as it was forecast, and says how the chart stands at it; nothing where the day
    /// changes nothing.
    pub(super) fn add_day(
        &self,
        chart: &mut Chart,
        key: &(String, String),
        series: &Series,
        pasts: &Pasts,
        view: &View,
        forecast: &Forecast,
    ) -> Option<Charted> {
        let end = pasts.end;
        if end <= chart.until {
            return None;
        }
        chart.until = end;
        let least = self.rules(end - 1).map_or(0.0, |rules| rules.settings.detect.coverage);
        if view.is_learning()
            || self.coverage(Side::Aligned, end - DAY, end) < least
            || self.is_excluded(key, end - DAY, end, end)
        {
            return None;
        }
        let observed = f64::from(series.authors(Side::Aligned, DAY, end));
        let day = Day { observed, mean: forecast.expected(), shape: forecast.shape() };
        let before = chart.value;
        if before == 0.0 {
            chart.since = end - DAY;
        }
        chart.value = day.after(before);
        let charted = Charted {
            before,
            value: chart.value,
            bound: day.bound(before, view.limit),
            since: chart.since,
        };
        if chart.value > view.limit {
            // It has said so, and begins anew.
            chart.value = 0.0;
        }
        Some(charted)
    }
}
