//! stcd: a space-time Shiryaev-Roberts procedure over single events.
//!
//! Assunção, Correa, Comput Stat Data Anal 2009;53:2817-30, and `stcd` of R's surveillance. Events
//! come in order of time. After the n-th, for each earlier event k, a cluster is supposed to have
//! begun there: the cylinder of `radius` around its place, from then on, holds `1 + epsilon` times
//! what it should. With N(k) the events in the cylinder, B(k) those within the radius at any time
//! so far, the expectation is B(k) (n − k + 1) / n (time and place independent), and
//!
//! Λ(k) = (1 + ε)^N(k) · exp(−ε B(k) (n − k + 1) / n).
//!
//! `statistic` is the sum of Λ(k) over k, or with `cusum` the largest; alarm where it is above
//! `threshold`, which for the sum is about the number of events between false alarms. There is no
//! restart after an alarm. R takes the area as well (`area-a`, and the part of it within each
//! circle) and uses neither; `area-a` is read and has no effect. With `cusum`, R's statistic never
//! falls, for it is the largest of all n so far: `compat=surveillance` does so too. Either crosses
//! the threshold at the same event.
//!
//! Defaults: `radius` none, it must be given, in the unit of the places (km where they are
//! degrees);
//! `epsilon` 0.5, `threshold` 100, `cusum` false, `distance` planar.
//!
//! `expected`, `upperbound` and `pvalue` are not given: the statistic counts events, not cases.
//!
//! No answer: `baseline-too-short` before the first event; `missing-value`, `negative-count`,
//! `not-finite`, `not-a-whole-number`, `time-not-increasing` for a row that is left out;
//! `too-many-cases` beyond 20,000 events.

use super::super::parameters::Parameters;
use super::super::{Judgement, ParamError, Reason};
use super::{Cell, Distance, Place, whole};
use libm::{exp, log1p};

/// Most events that are looked at: the work grows with their square.
const EVENTS_MAX: usize = 20_000;

/// The procedure with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Stcd {
    radius: f64,
    epsilon: f64,
    threshold: f64,
    largest: bool,
    never_falls: bool,
    distance: Distance,
}

/// What [`Stcd::judge`] says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StcdAnswer {
    /// One for each cell, in their order.
    pub judgements: Vec<Judgement>,
    /// Index of the cell that first raised an alarm, and of the one where its cluster begins.
    pub first: Option<(usize, usize)>,
}

/// An event seen, and what its cylinder holds.
struct Event {
    cell: usize,
    place: Place,
    since: f64,
    ever: f64,
}

impl Stcd {
    pub(super) fn read(parameters: &mut Parameters) -> Result<Stcd, ParamError> {
        let Some(radius) = parameters.number_if_given(&["radius"], 0.0..=1e12)? else {
            return Err(parameters.bad(
                "radius",
                "",
                "how far a cluster reaches, in the unit of the places: `--param radius=50`",
            ));
        };
        parameters.number_if_given(&["area-a"], 0.0..=f64::MAX)?;
        Ok(Stcd {
            radius,
            epsilon: parameters.number(&["epsilon"], 0.5, 1e-9..=1e6)?,
            threshold: parameters.number(&["threshold"], 100.0, 0.0..=1e15)?,
            largest: parameters.flag(&["cusum"], false)?,
            never_falls: parameters.compatible_with(&["surveillance"])?.is_some(),
            distance: Distance::read(parameters)?,
        })
    }

    /// Judges cells in order of time; those of one time in their own order. The times of one place
    /// must not decrease.
    pub fn judge(&self, places: &[Place], cells: &[Cell]) -> StcdAnswer {
        let mut answer =
            StcdAnswer { judgements: vec![Judgement::default(); cells.len()], first: None };
        let mut newest: Vec<f64> = vec![f64::NEG_INFINITY; places.len()];
        let mut order: Vec<usize> = Vec::with_capacity(cells.len());
        for (index, cell) in cells.iter().enumerate() {
            match newest.get_mut(cell.place) {
                Some(newest) if cell.time.is_finite() && cell.time >= *newest => {
                    *newest = cell.time;
                    order.push(index);
                }
                Some(_) => {
                    answer.judgements[index] = Judgement::no_answer(Reason::TimeNotIncreasing)
                }
                None => answer.judgements[index] = Judgement::no_answer(Reason::MissingValue),
            }
        }
        order.sort_by(|a, b| cells[*a].time.total_cmp(&cells[*b].time).then(a.cmp(b)));
        let mut events: Vec<Event> = Vec::new();
        let (mut statistic, mut highest) = (None, 0.0_f64);
        for index in order {
            let cell = &cells[index];
            let place = places[cell.place];
            let count = match whole(cell.observed) {
                Ok(_) if !(place.x.is_finite() && place.y.is_finite()) => Err(Reason::NotFinite),
                Ok(count) if count > (EVENTS_MAX - events.len()) as f64 => {
                    Err(Reason::TooManyCases)
                }
                other => other,
            };
            let count = match count {
                Ok(count) => count as usize,
                Err(reason) => {
                    answer.judgements[index] = Judgement::no_answer(reason);
                    continue;
                }
            };
            for _ in 0..count {
                self.see(&mut events, index, place);
                let (now, centre) = self.statistic(&events);
                highest = highest.max(now);
                let shown = if self.largest && self.never_falls { highest } else { now };
                statistic = Some(shown);
                if shown > self.threshold && answer.first.is_none() {
                    answer.first = Some((index, centre));
                }
            }
            answer.judgements[index] = match statistic {
                None => Judgement::no_answer(Reason::BaselineTooShort),
                Some(statistic) => Judgement {
                    alarm: Some(statistic > self.threshold),
                    statistic: Some(statistic),
                    ..Judgement::default()
                }
                .finite(),
            };
        }
        answer
    }

    fn see(&self, events: &mut Vec<Event>, cell: usize, place: Place) {
        let mut ever = 1.0;
        for event in events.iter_mut() {
            if self.distance.between(event.place, place) <= self.radius {
                event.since += 1.0;
                event.ever += 1.0;
                ever += 1.0;
            }
        }
        events.push(Event { cell, place, since: 1.0, ever });
    }

    /// The statistic, and the cell of the event with the largest Λ.
    fn statistic(&self, events: &[Event]) -> (f64, usize) {
        let growth = log1p(self.epsilon);
        let n = events.len() as f64;
        let (mut sum, mut largest, mut centre) = (0.0, 0.0, 0);
        for (k, event) in events.iter().enumerate() {
            let expected = event.ever * (n - k as f64) / n;
            let ratio = exp(event.since * growth - self.epsilon * expected);
            sum += ratio;
            if ratio > largest {
                (largest, centre) = (ratio, event.cell);
            }
        }
        (if self.largest { largest } else { sum }, centre)
    }
}
