//! Judge: compares the windows of a series with their past.
//!
//! Reads the ledger, and is called where windows close and where open ones may pass their bound.
//! Emits nothing and changes nothing.

mod classic;
mod predictive;

use std::collections::BTreeMap;
use std::sync::Arc;

use record::{Grounds, Micros, Stage, TopicSetting};

use super::chart::Chart;
use super::ledger::{Ledger, PastEnds};
use super::series::{Bound, Series, SeriesKey, Side};
use crate::detectors::{Judgement, Method};
use predictive::Pooled;
pub(crate) use predictive::recompute;

/// The method that judges windows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Judge<'a> {
    /// A detector that looks at one series.
    Classic(&'a Method),
    /// The default, which looks at all of a topic's regions together.
    Predictive,
}

/// A series at the end of the windows that are judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeriesAt<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) topic: &'a TopicSetting,
    pub(super) key: &'a SeriesKey,
    pub(super) series: &'a Series,
    pub(super) end: Micros,
}

/// The judgement of one window, and what it rests on.
#[derive(Debug, Clone)]
pub(super) struct Assessment {
    pub(super) length: Micros,
    pub(super) judgement: Judgement,
    pub(super) grounds: Grounds,
    pub(super) recurrence: Option<f64>,
    /// The series' chart after the window.
    pub(super) chart: Chart,
}

/// What windows are compared with, computed once for those that end together.
#[derive(Debug, Clone, Default)]
pub(super) struct Baselines {
    /// By the topic's windows, which many topics have in common, their end, and how much further
    /// back baselines are.
    ends: BTreeMap<(Vec<Micros>, Micros, Micros), Arc<PastEnds>>,
    /// By topic and end.
    pooled: BTreeMap<(String, Micros), Arc<Pooled>>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(method: &'a Method) -> Judge<'a> {
        match method {
            Method::Predictive(_) => Judge::Predictive,
            method => Judge::Classic(method),
        }
    }

    /// Judges a window that has closed. Of several lengths it chooses one.
    pub(super) fn judge(
        &self,
        at: &SeriesAt,
        stage: Stage,
        baselines: &mut Baselines,
    ) -> Assessment {
        match self {
            Judge::Classic(method) => classic::judge(method, at, baselines),
            Judge::Predictive => predictive::judge(at, stage, baselines),
        }
    }

    /// The bound of an open window; none as long as it is not fixed.
    pub(super) fn bound(
        &self,
        at: &SeriesAt,
        length: Micros,
        watermark: Micros,
        baselines: &mut Baselines,
    ) -> Option<Bound> {
        match self {
            Judge::Classic(method) => Some(classic::bound(method, at, baselines)),
            Judge::Predictive => predictive::bound(at, length, watermark, baselines),
        }
    }

    /// The bound of an open window with all posts that have come since it was fixed.
    pub(super) fn raise_bound(
        &self,
        bound: Bound,
        at: &SeriesAt,
        baselines: &mut Baselines,
    ) -> Bound {
        match self {
            Judge::Classic(_) => bound,
            Judge::Predictive => predictive::raise_bound(bound, at, baselines),
        }
    }

    /// What an alarm of an open window rests on, and how seldom it is false.
    pub(super) fn ground(
        &self,
        at: &SeriesAt,
        observed: u32,
        baselines: &mut Baselines,
    ) -> (Grounds, Option<f64>) {
        match self {
            Judge::Classic(_) => (classic::ground(at, &Judgement::default(), baselines), None),
            Judge::Predictive => predictive::ground(at, observed, baselines),
        }
    }

    /// About what is expected of an open window, to compare countries by.
    pub(super) fn expected(&self, series: &Series, past: Vec<Option<f64>>) -> f64 {
        match self {
            Judge::Classic(method) => classic::expected(method, past),
            Judge::Predictive => predictive::expected(series, &past),
        }
    }
}

impl SeriesAt<'_> {
    /// Accounts of a closed window.
    pub(super) fn observed(&self, length: Micros) -> u32 {
        self.series.authors(Side::Aligned, length, self.end)
    }

    fn past(&self, length: Micros, ends: &[(Micros, bool)]) -> Vec<Option<f64>> {
        self.ledger.past(self.key, self.series, length, self.end, ends)
    }
}

impl Baselines {
    fn ends(&mut self, at: &SeriesAt, held: Micros) -> Arc<PastEnds> {
        let new = || Arc::new(at.ledger.past_ends(&at.topic.windows, at.end, held));
        let name = (at.topic.windows.clone(), at.end, held);
        Arc::clone(self.ends.entry(name).or_insert_with(new))
    }

    /// Those of a series, which end before it was in alarm.
    fn own_ends(&mut self, at: &SeriesAt) -> Arc<PastEnds> {
        let known = at.end - at.ledger.guardband(at.end);
        self.ends(at, at.series.ruler.held(at.end, known))
    }

    fn pooled(&mut self, at: &SeriesAt, end: Micros) -> Arc<Pooled> {
        let name = (at.topic.id.clone(), end);
        if let Some(known) = self.pooled.get(&name) {
            return Arc::clone(known);
        }
        let ends = self.ends(&SeriesAt { end, ..*at }, 0);
        let pooled = Arc::new(Pooled::learn(at.ledger, &at.topic.id, ends));
        self.pooled.insert(name, Arc::clone(&pooled));
        pooled
    }

    /// Drops all but what rests on final windows alone, for a frame with this watermark.
    pub(super) fn retain_final(&mut self, ledger: &Ledger, watermark: Micros) {
        self.ends.clear();
        self.pooled.retain(|(topic, end), _| {
            *end > watermark - record::time::DAY && rests_on_final(ledger, topic, *end)
        });
    }

    pub(super) fn clear(&mut self) {
        *self = Baselines::default();
    }
}

/// Whether the baseline of an open window is final, whenever it is looked at.
fn rests_on_final(ledger: &Ledger, topic: &str, end: Micros) -> bool {
    let topic = ledger.settings.topic(topic);
    topic.zip(ledger.settings.at(end - 1)).is_some_and(|(topic, rules)| {
        rules.settings.detect.guardband >= rules.settings.horizon + 2 * topic.pane
    })
}
