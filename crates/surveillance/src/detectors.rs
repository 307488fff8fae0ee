//! Detectors: is the last count of a series more than its past explains?
//!
//! Fed by `watch` with the windows of a series, and by the `detect` command with whole series;
//! gives a [`Judgement`] for each point. Pure functions of counts: they know nothing of topics,
//! regions, clocks or thresholds for alerting. Each method is the published one, to the digit
//! (checked against R), with its formula and source in its own module.
//!
//! Bad input never panics and never comes out as NaN or infinity: a point without an answer says
//! why, by a [`Reason`].

mod bayes;
mod calendar;
mod cusum;
mod ears;
mod eears;
mod essence;
mod farrington;
mod glr;
pub mod holidays;
mod least_squares;
mod outbreakp;
mod parameters;
pub mod predictive;
mod quasipoisson;
mod reference;
mod rki;
mod rogerson;
mod run_length;
pub mod space;
#[cfg(test)]
mod tests;
mod weeks;

pub use parameters::ParamError;

use bayes::Bayes;
use cusum::Cusum;
use ears::{Ears, Kind};
use eears::Eears;
use essence::Essence;
use farrington::Farrington;
use glr::Glr;
use outbreakp::OutbreakP;
use parameters::Parameters;
use predictive::Predictive;
use rki::Rki;
use rogerson::Rogerson;
use space::SpaceMethod;
use weeks::Weeks;

pub use record::Reason;
use record::policy::BASELINE_VALUES_LEAST as BASELINE_LEAST;

/// A detector with its parameters, as made by [`Method::parse`].
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// EARS C1, C2 or C3.
    Ears(Ears),
    /// The modified EARS of epitweetr.
    Eears(Eears),
    /// The Bayes predictive quantile.
    Bayes(Bayes),
    /// The Robert Koch Institute's mean and spread.
    Rki(Rki),
    /// Cumulative sums.
    Cusum(Cusum),
    /// The detectors of NSSP-ESSENCE.
    Essence(Essence),
    /// Farrington's regression, original or flexible.
    Farrington(Farrington),
    /// Likelihood-ratio CUSUMs.
    Glr(Glr),
    /// The onset of a rise.
    OutbreakP(OutbreakP),
    /// A Poisson CUSUM with a changing mean.
    Rogerson(Rogerson),
    /// The default: a negative-binomial predictive tail.
    Predictive(Box<Predictive>),
    /// A chart of weeks, for slow rises.
    Weeks(Weeks),
}

/// The method where none is named.
pub const DEFAULT: &str = "nb-predictive";

impl Method {
    /// Every name that [`Method::parse`] knows.
    pub const NAMES: &'static [&'static str] = &[
        "ears-c1",
        "ears-c2",
        "ears-c3",
        "eears",
        "bayes",
        "rki",
        "cusum",
        "essence-ewma",
        "essence-regression",
        "essence-switch",
        "farrington",
        "farrington-flexible",
        "glr-pois",
        "glr-nb",
        "outbreakp",
        "rogerson",
        "nb-predictive",
        "weeks",
    ];

    /// Reads a method by its name and its parameters as `(key, value)` pairs.
    ///
    /// Keys are R's in kebab-case (R's own spelling is understood too: `minSigma`, `c.ARL`).
    /// Every method takes `range=first:last`: only these points, counted from 1, are judged.
    pub fn parse(name: &str, params: &[(String, String)]) -> Result<Method, ParamError> {
        let Some(&name) = Method::NAMES.iter().find(|known| **known == name) else {
            return Err(unknown_method(name));
        };
        let mut parameters = Parameters::new(name, params)?;
        let method = match name {
            "ears-c1" => Method::Ears(Ears::read(Kind::C1, &mut parameters)?),
            "ears-c2" => Method::Ears(Ears::read(Kind::C2, &mut parameters)?),
            "ears-c3" => Method::Ears(Ears::read(Kind::C3, &mut parameters)?),
            "eears" => Method::Eears(Eears::read(&mut parameters)?),
            "bayes" => Method::Bayes(Bayes::read(&mut parameters)?),
            "rki" => Method::Rki(Rki::read(&mut parameters)?),
            "cusum" => Method::Cusum(Cusum::read(&mut parameters)?),
            "essence-ewma" => Method::Essence(Essence::read(essence::Kind::Ewma, &mut parameters)?),
            "essence-regression" => {
                Method::Essence(Essence::read(essence::Kind::Regression, &mut parameters)?)
            }
            "essence-switch" => {
                Method::Essence(Essence::read(essence::Kind::Switch, &mut parameters)?)
            }
            "farrington" => Method::Farrington(Farrington::read(false, &mut parameters)?),
            "farrington-flexible" => Method::Farrington(Farrington::read(true, &mut parameters)?),
            "glr-pois" => Method::Glr(Glr::read(false, &mut parameters)?),
            "glr-nb" => Method::Glr(Glr::read(true, &mut parameters)?),
            "outbreakp" => Method::OutbreakP(OutbreakP::read(&mut parameters)?),
            "rogerson" => Method::Rogerson(Rogerson::read(&mut parameters)?),
            "nb-predictive" => Method::Predictive(Box::new(Predictive::read(&mut parameters)?)),
            "weeks" => Method::Weeks(Weeks::read(&mut parameters)?),
            _ => return Err(unknown_method(name)),
        };
        parameters.finish()?;
        Ok(method)
    }

    /// The name by which [`Method::parse`] knows this method.
    pub fn name(&self) -> &'static str {
        match self {
            Method::Ears(ears) => ears.name(),
            Method::Eears(_) => "eears",
            Method::Bayes(_) => "bayes",
            Method::Rki(_) => "rki",
            Method::Cusum(_) => "cusum",
            Method::Essence(essence) => essence.name(),
            Method::Farrington(farrington) => farrington.name(),
            Method::Glr(glr) => glr.name(),
            Method::OutbreakP(_) => "outbreakp",
            Method::Rogerson(_) => "rogerson",
            Method::Predictive(_) => "nb-predictive",
            Method::Weeks(_) => "weeks",
        }
    }
}

/// The error for a name that neither a detector of series nor one of places has.
fn unknown_method(name: &str) -> ParamError {
    let known: Vec<&str> = Method::NAMES.iter().chain(SpaceMethod::NAMES).copied().collect();
    ParamError::UnknownMethod { name: name.to_owned(), hint: parameters::hint(name, &known) }
}

/// The judgement of one point by a detector.
///
/// Numbers are finite or absent. `alarm` is absent exactly where there is no answer, and then
/// `reason` says why; an answer may carry a reason too (no alarm because there are too few cases).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judgement {
    /// The baseline's estimate for this point, in counts.
    pub expected: Option<f64>,
    /// The count above which the method alarms.
    pub upperbound: Option<f64>,
    /// True for an alarm, false for none.
    pub alarm: Option<bool>,
    /// P(a count at least this large), by the method's own null.
    pub pvalue: Option<f64>,
    /// The method's test statistic, in its own unit.
    pub statistic: Option<f64>,
    /// Why there is no answer, or what the answer rests on.
    pub reason: Option<Reason>,
}

impl Judgement {
    /// No answer, for this reason.
    pub fn no_answer(reason: Reason) -> Judgement {
        Judgement { reason: Some(reason), ..Judgement::default() }
    }

    /// Without numbers that are not finite, and with a reason where there is no answer.
    fn finite(mut self) -> Judgement {
        let numbers =
            [&mut self.expected, &mut self.upperbound, &mut self.pvalue, &mut self.statistic];
        let mut finite = true;
        for number in numbers {
            if number.is_some_and(|value| !value.is_finite()) {
                *number = None;
                finite = false;
            }
        }
        if !finite && self.upperbound.is_none() && self.reason.is_none() {
            self.alarm = None;
        }
        if self.alarm.is_none() && self.reason.is_none() {
            self.reason = Some(Reason::NotFinite);
        }
        self
    }
}

/// A series as a detector sees it, oldest first, one entry a point.
#[derive(Clone, Copy, Debug, Default)]
pub struct Series<'a> {
    /// Counts; `None` where missing.
    pub observed: &'a [Option<f64>],
    /// Denominators, for the methods that take one.
    pub population: Option<&'a [Option<f64>]>,
    /// Days since 1970-01-01, where times are dates; in order.
    pub days: Option<&'a [i64]>,
    /// When each point was, in any unit: a point that is not after all before it has no answer, and
    /// is in no baseline.
    pub times: Option<&'a [f64]>,
}

/// How much past a point must have before it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Baseline {
    /// As in R: the first judged point is the first with a full baseline.
    Full,
    /// As the pipeline needs it: what there is, from three values.
    AtLeastThree,
}

/// Judges every point of a series, each from the points before it.
///
/// A point that lacks a full baseline has no answer, as in R; a missing, negative or unreadable
/// value inside of a baseline is left out of it.
pub fn detect(
    method: &Method,
    observed: &[Option<f64>],
    population: Option<&[Option<f64>]>,
) -> Vec<Judgement> {
    detect_series(method, &Series { observed, population, ..Series::default() })
}

/// As [`detect`], for a series whose times may be dates.
pub fn detect_series(method: &Method, series: &Series) -> Vec<Judgement> {
    let observations = Observations::of(series);
    let judgements = judge_all(method, &observations);
    let judgements = judgements
        .into_iter()
        .zip(series.observed)
        .map(|(judgement, &observed)| answer(judgement, observed));
    let mut judgements: Vec<Judgement> = judgements.collect();
    for (judgement, late) in judgements.iter_mut().zip(not_after_those_before(series)) {
        if late {
            *judgement = Judgement::no_answer(Reason::TimeNotIncreasing);
        }
    }
    judgements
}

/// Which points come at a time that is not after those before them; empty without times.
fn not_after_those_before(series: &Series) -> Vec<bool> {
    let mut newest = f64::NEG_INFINITY;
    let late = |time: &f64| {
        let late = time.is_nan() || *time <= newest;
        newest = newest.max(*time);
        late
    };
    series.times.map(|times| times.iter().map(late).collect()).unwrap_or_default()
}

/// Judges the last of `observed` by those before it, oldest first; for the pipeline.
///
/// Unlike [`detect`] it makes do with a shorter past: from three usable baseline values there is an
/// answer, with the degrees of freedom which that leaves. A method that goes point by point through
/// the series (`cusum` and its like) goes through all of `observed`.
pub fn judge_last(method: &Method, observed: &[Option<f64>]) -> Judgement {
    let Some((t, &last)) = observed.iter().enumerate().next_back() else {
        return Judgement::no_answer(Reason::MissingValue);
    };
    let observations = Observations::of(&Series { observed, ..Series::default() });
    let baseline = Baseline::AtLeastThree;
    let judgement = match method {
        Method::Ears(ears) => ears.judge(&observations.counts, t, baseline),
        Method::Eears(eears) => eears.judge(&observations.counts, t, baseline),
        Method::Bayes(bayes) => bayes.judge(&observations, t, baseline),
        Method::Rki(rki) => rki.judge(&observations, t, baseline),
        Method::Farrington(farrington) => farrington.judge(&observations, t, baseline),
        Method::Predictive(predictive) => predictive.judge(&observations, t),
        Method::Essence(essence) => last_of(essence.judge_all(&observations, baseline)),
        Method::Cusum(_)
        | Method::Glr(_)
        | Method::OutbreakP(_)
        | Method::Rogerson(_)
        | Method::Weeks(_) => last_of(judge_all(method, &observations)),
    };
    answer(judgement, last)
}

fn last_of(judgements: Vec<Judgement>) -> Judgement {
    judgements.last().copied().unwrap_or(Judgement::no_answer(Reason::MissingValue))
}

fn judge_all(method: &Method, observations: &Observations) -> Vec<Judgement> {
    let points = 0..observations.counts.len();
    let baseline = Baseline::Full;
    match method {
        Method::Ears(ears) => {
            points.map(|t| ears.judge(&observations.counts, t, baseline)).collect()
        }
        Method::Eears(eears) => {
            points.map(|t| eears.judge(&observations.counts, t, baseline)).collect()
        }
        Method::Bayes(bayes) => points.map(|t| bayes.judge(observations, t, baseline)).collect(),
        Method::Rki(rki) => points.map(|t| rki.judge(observations, t, baseline)).collect(),
        Method::Cusum(cusum) => cusum.judge_all(observations),
        Method::Glr(glr) => glr.judge_all(observations),
        Method::OutbreakP(outbreakp) => outbreakp.judge_all(observations),
        Method::Rogerson(rogerson) => rogerson.judge_all(observations),
        Method::Essence(essence) => essence.judge_all(observations, baseline),
        Method::Weeks(weeks) => weeks.judge_all(observations),
        Method::Predictive(predictive) => {
            points.map(|t| predictive.judge(observations, t)).collect()
        }
        Method::Farrington(farrington) => {
            points.map(|t| farrington.judge(observations, t, baseline)).collect()
        }
    }
}

/// A series with what is not usable made missing.
struct Observations<'a> {
    counts: Vec<Option<f64>>,
    /// As long as `counts`; empty where none is given.
    population: Vec<Option<f64>>,
    /// As long as `counts`, or none.
    days: Option<&'a [i64]>,
}

impl<'a> Observations<'a> {
    fn of(series: &Series<'a>) -> Observations<'a> {
        let length = series.observed.len();
        let clean =
            |values: &[Option<f64>]| values.iter().map(|&value| usable(value).ok()).collect();
        let mut population: Vec<Option<f64>> = series.population.map(clean).unwrap_or_default();
        if !population.is_empty() {
            population.resize(length, None);
        }
        let mut counts: Vec<Option<f64>> = clean(series.observed);
        for (count, late) in counts.iter_mut().zip(not_after_those_before(series)) {
            if late {
                *count = None;
            }
        }
        Observations {
            counts,
            population,
            days: series.days.filter(|days| {
                days.len() == length
                    && days.iter().all(|day| day.unsigned_abs() <= calendar::DAYS_MAX)
            }),
        }
    }
}

/// A count that can be computed with, or why it cannot.
fn usable(observed: Option<f64>) -> Result<f64, Reason> {
    match observed {
        None => Err(Reason::MissingValue),
        Some(value) if !value.is_finite() => Err(Reason::NotFinite),
        Some(value) if value < 0.0 => Err(Reason::NegativeCount),
        Some(value) => Ok(value),
    }
}

/// A point that is not usable keeps its expectation and limit but has no answer; a point that was
/// not to be judged stays so.
fn answer(judgement: Judgement, observed: Option<f64>) -> Judgement {
    let judgement = match usable(observed) {
        Err(reason) if judgement.reason != Some(Reason::NotMonitored) => Judgement {
            alarm: None,
            pvalue: None,
            statistic: None,
            reason: Some(reason),
            ..judgement
        },
        _ => judgement,
    };
    judgement.finite()
}

/// Points to be judged, counted from 1, both ends included (R's `range`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: usize,
    last: usize,
}

impl Range {
    fn holds(range: Option<Range>, t: usize) -> bool {
        range.is_none_or(|range| range.first <= t + 1 && t < range.last)
    }

    /// The monitored points, counted from 0; without a range, all after the first `training`.
    fn or_after(range: Option<Range>, training: usize, length: usize) -> std::ops::Range<usize> {
        let (first, last) = range.map_or((training, length), |range| (range.first - 1, range.last));
        first.min(length)..last.clamp(first.min(length), length)
    }

    /// Why a point before the monitored ones has no answer.
    fn reason_before(range: Option<Range>) -> Reason {
        match range {
            None => Reason::BaselineTooShort,
            Some(_) => Reason::NotMonitored,
        }
    }
}

/// The usable ones of the values at `t - lag`, for the lags `guard + step`, `guard + 2 step`, …,
/// `length` of them; oldest first.
fn baseline_values(
    counts: &[Option<f64>],
    t: usize,
    guard: usize,
    step: usize,
    length: usize,
    baseline: Baseline,
) -> Result<Vec<f64>, Reason> {
    let reaches_back = t >= guard + step * length;
    if baseline == Baseline::Full && !reaches_back {
        return Err(Reason::BaselineTooShort);
    }
    let mut values: Vec<f64> = (1..=length)
        .map_while(|lag| t.checked_sub(guard + lag * step))
        .filter_map(|index| counts[index])
        .collect();
    values.reverse();
    if values.len() < BASELINE_LEAST {
        return Err(Reason::BaselineTooShort);
    }
    Ok(values)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation with n − 1; exactly 0 where all values are equal.
fn standard_deviation(values: &[f64]) -> f64 {
    if is_constant(values) {
        return 0.0;
    }
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre) * (value - centre)).sum();
    libm::sqrt(squares / (values.len() as f64 - 1.0))
}

fn is_constant(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}
