//! outbreakp: has the series begun to rise, whatever its level? Semiparametric.
//!
//! Frisén, Andersson, Schiöler, Stat Med 2009;28:3640-55 (eq. 5); `algo.outbreakP` of R's
//! surveillance. With ŷ the non-decreasing (isotonic) regression of y(1) … y(t) and ȳ their mean:
//! OutbreakP(t) = Π (ŷ(i) / ȳ)^y(i), the likelihood ratio of "rising from some point on" against
//! "constant"; alarm where it exceeds `k`. No baseline, no parameters but k: for the onset of a
//! season.
//!
//! Default: `k` 100. `statistic` is OutbreakP(t) (cut at 1.8e308), `expected` is ȳ, `upperbound`
//! the greatest whole count that would not alarm, absent where none up to `max-upperbound-cases`
//! (100,000) would. There is no `pvalue`. `ret` is accepted for R's sake.
//! The series is taken from its first point, whatever `range` says; missing points are left out.
//!
//! No answer: only for the point itself.

use super::parameters::Parameters;
use super::{Judgement, Observations, ParamError, Range, Reason};
use libm::{exp, floor, log};

/// The OutbreakP method with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct OutbreakP {
    k: f64,
    cases_max: f64,
    range: Option<Range>,
}

/// Points that the isotonic regression joins at one level.
#[derive(Clone, Copy)]
struct Plateau {
    points: f64,
    sum: f64,
    /// Σ sum · ln(level) of this and all plateaus before.
    log_likelihood: f64,
}

impl Plateau {
    fn level(&self) -> f64 {
        self.sum / self.points
    }
}

/// x ln y, 0 where x is.
fn times_log(x: f64, y: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x * log(y) }
}

/// The regression so far.
#[derive(Default)]
struct Isotonic {
    plateaus: Vec<Plateau>,
    points: f64,
    sum: f64,
}

impl Isotonic {
    /// The last plateau if `y` came next, and how many plateaus stay before it.
    fn with(&self, y: f64) -> (Plateau, usize) {
        let mut last = Plateau { points: 1.0, sum: y, log_likelihood: 0.0 };
        let mut stay = self.plateaus.len();
        while stay > 0 && last.level() <= self.plateaus[stay - 1].level() {
            stay -= 1;
            last.points += self.plateaus[stay].points;
            last.sum += self.plateaus[stay].sum;
        }
        let before = if stay > 0 { self.plateaus[stay - 1].log_likelihood } else { 0.0 };
        last.log_likelihood = before + times_log(last.sum, last.level());
        (last, stay)
    }

    /// ln OutbreakP if `y` came next.
    fn log_statistic(&self, y: f64) -> f64 {
        let (last, _) = self.with(y);
        let sum = self.sum + y;
        last.log_likelihood - times_log(sum, sum / (self.points + 1.0))
    }

    fn push(&mut self, y: f64) {
        let (last, stay) = self.with(y);
        self.plateaus.truncate(stay);
        self.plateaus.push(last);
        self.points += 1.0;
        self.sum += y;
    }
}

impl OutbreakP {
    pub(super) fn read(parameters: &mut Parameters) -> Result<OutbreakP, ParamError> {
        parameters.word(&["ret"], &["value", "cases"])?;
        let outbreakp = OutbreakP {
            k: parameters.number(&["k"], 100.0, f64::MIN_POSITIVE..=1e300)?,
            cases_max: parameters.number(&["max-upperbound-cases"], 1e5, 1.0..=1e15)?,
            range: parameters.range()?,
        };
        parameters.compatible_with(&["surveillance"])?;
        Ok(outbreakp)
    }

    pub(super) fn judge_all(&self, observations: &Observations) -> Vec<Judgement> {
        let mut isotonic = Isotonic::default();
        let mut judgements = Vec::with_capacity(observations.counts.len());
        for (t, &observed) in observations.counts.iter().enumerate() {
            judgements.push(match observed {
                _ if !Range::holds(self.range, t) => Judgement::no_answer(Reason::NotMonitored),
                None => Judgement::no_answer(Reason::MissingValue),
                Some(y) => self.judge(&isotonic, y),
            });
            if let Some(y) = observed {
                isotonic.push(y);
            }
        }
        judgements
    }

    fn judge(&self, isotonic: &Isotonic, y: f64) -> Judgement {
        let log_statistic = isotonic.log_statistic(y);
        let limit = log(self.k);
        Judgement {
            expected: Some((isotonic.sum + y) / (isotonic.points + 1.0)),
            upperbound: greatest_without_alarm(self.cases_max, |y| {
                isotonic.log_statistic(y) > limit
            }),
            alarm: Some(log_statistic > limit),
            pvalue: None,
            statistic: Some(exp(log_statistic).min(f64::MAX)),
            reason: None,
        }
    }
}

/// The greatest whole count up to `most` that does not alarm, where greater ones do; by halving.
pub(super) fn greatest_without_alarm(most: f64, alarms: impl Fn(f64) -> bool) -> Option<f64> {
    if !alarms(most) || alarms(0.0) {
        return None;
    }
    let (mut calm, mut alarming) = (0.0, most);
    while alarming - calm > 1.0 {
        let middle = floor(0.5 * (calm + alarming));
        if middle <= calm || middle >= alarming {
            break;
        }
        if alarms(middle) {
            alarming = middle;
        } else {
            calm = middle;
        }
    }
    Some(calm)
}
