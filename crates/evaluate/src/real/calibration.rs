//! How often p is at most a nominal one in steps in which nothing is known to go on.

use std::fmt::Write as _;

use surveillance::detectors::Judgement;

use super::python::{Random, fixed, general};
use super::{BANDS, Detector};
use crate::DEFAULT;

/// Steps on which it is checked that p depends on no more of the past.
const CHECKED: usize = 300;

/// A series, its judgements, and the steps in which nothing is known to go on.
pub(super) struct Calm<'a> {
    pub(super) observed: &'a [Option<f64>],
    pub(super) judged: &'a [Judgement],
    pub(super) steps: Vec<usize>,
}

/// Of one series.
#[derive(Clone, Copy)]
struct Counts {
    answered: usize,
    /// Of all its calm steps with a count.
    steps: usize,
    /// Randomised p at or below .01 and .001, and plain p likewise.
    randomised: [usize; 2],
    plain: [usize; 2],
}

/// A line for each class of means.
pub(super) fn lines(detector: &Detector, calm: &[Calm]) -> String {
    let (more, mut text) = match next_counts(detector, calm) {
        Ok(more) => (more, String::new()),
        Err(warning) => (None, warning),
    };
    let mut random = Random::new(4);
    let mut bands: Vec<Vec<Counts>> = vec![Vec::new(); BANDS.len()];
    for (nth, series) in calm.iter().enumerate() {
        let more = more.as_ref().map(|more| &more[nth][..]);
        if let Some((band, counts)) = counts(series, more, &mut random) {
            bands[band].push(counts);
        }
    }
    for ((low, high), rows) in BANDS.into_iter().zip(&bands).filter(|(_, rows)| !rows.is_empty()) {
        let band = format!("{}-{}", general(low, 6), general(high, 6));
        let name = if more.is_some() { "randomised " } else { "" };
        text.push_str(&line(&band, name, rows, &mut random));
    }
    if bands.iter().all(Vec::is_empty) {
        text.push_str("  the method gives no p\n");
    }
    text
}

impl Calm<'_> {
    fn counted(&self) -> Vec<usize> {
        self.steps.iter().copied().filter(|step| self.observed[*step].is_some()).collect()
    }

    /// Calm steps with their p.
    fn answered(&self) -> Vec<(usize, f64)> {
        let p = |step: &usize| Some((*step, self.judged[*step].pvalue?));
        self.steps.iter().filter_map(p).collect()
    }
}

/// Of each calm step that has an answer, p of one post more after the same past; only for the
/// default, whose p leaves the probability of the count itself to be found so. The past is cut to
/// what p depends on; a sample of steps is judged again to check that.
fn next_counts(detector: &Detector, calm: &[Calm]) -> Result<Option<Vec<Vec<f64>>>, String> {
    if detector.name != DEFAULT {
        return Ok(None);
    }
    let param = |names: &[&str], default: usize| {
        let known = detector.params.iter().find(|(key, _)| names.contains(&key.as_str()));
        known.and_then(|(_, value)| value.parse().ok()).unwrap_or(default)
    };
    let memory = param(&["b", "baseline"], 28) + param(&["guardband"], 1) + 1;
    let last = detector.of_step(memory).map_err(|error| format!("  {error}\n"))?;
    let again = |series: &Calm, step: usize, more: f64| {
        let missing = memory.saturating_sub(step);
        let mut past = vec![None; missing];
        past.extend_from_slice(&series.observed[step + missing - memory..step]);
        past.push(series.observed[step].map(|count| count + more));
        last.judge(&past)[memory].pvalue.unwrap_or(f64::NAN)
    };
    let all: Vec<(&Calm, usize, f64)> = calm
        .iter()
        .flat_map(|series| series.answered().into_iter().map(move |(step, p)| (series, step, p)))
        .collect();
    if all.is_empty() {
        return Ok(None);
    }
    let off = all
        .iter()
        .step_by((all.len() / CHECKED).max(1))
        .map(|(series, step, p)| (again(series, *step, 0.0) - p).abs())
        .fold(0.0, f64::max);
    if off > 1e-9 {
        return Err(format!(
            "  p depends on more than {memory} steps of the past (by {}): only plain p is shown; \
             --memory says how many are needed\n",
            general(off, 2)
        ));
    }
    let of_series = |series: &Calm| {
        series.answered().into_iter().map(|(step, _)| again(series, step, 1.0)).collect()
    };
    Ok(Some(calm.iter().map(of_series).collect()))
}

/// The class of means of a series, and its counts; none without answers.
fn counts(series: &Calm, more: Option<&[f64]>, random: &mut Random) -> Option<(usize, Counts)> {
    let steps = series.counted();
    let sum: f64 = steps.iter().filter_map(|step| series.observed[*step]).sum();
    let mean = sum / steps.len() as f64;
    let band = BANDS.iter().position(|(low, high)| (*low..*high).contains(&mean))?;
    let plain: Vec<f64> = series.answered().into_iter().map(|(_, p)| p).collect();
    if plain.is_empty() {
        return None;
    }
    let randomised: Vec<f64> = match more {
        Some(more) => {
            plain.iter().zip(more).map(|(p, more)| p - random.unit() * (p - more)).collect()
        }
        None => plain.clone(),
    };
    let at_most = |p: &[f64]| [0.01, 0.001].map(|least| p.iter().filter(|p| **p <= least).count());
    let counts = Counts {
        answered: plain.len(),
        steps: steps.len(),
        randomised: at_most(&randomised),
        plain: at_most(&plain),
    };
    Some((band, counts))
}

fn line(band: &str, name: &str, rows: &[Counts], random: &mut Random) -> String {
    let sum = |of: &dyn Fn(&Counts) -> usize| rows.iter().map(of).sum::<usize>() as f64;
    let n = sum(&|row| row.answered);
    let mut times = |which: usize, nominal: f64| {
        let drawn = random.bootstrap(rows.len(), 400, |chosen| {
            let sum = |of: &dyn Fn(&Counts) -> usize| {
                chosen.iter().map(|at| of(&rows[*at])).sum::<usize>() as f64
            };
            sum(&|row| row.randomised[which]) / sum(&|row| row.answered).max(1.0) / nominal
        });
        let value = sum(&|row| row.randomised[which]) / n / nominal;
        format!("x{} ({}-{})", fixed(value, 2), fixed(drawn[10], 2), fixed(drawn[389], 2))
    };
    let mut text = String::new();
    let (hundredth, thousandth) = (times(0, 0.01), times(1, 0.001));
    let _ = writeln!(
        text,
        "  mean {band}: {} series, {n} weeks: {name}p <= .01 {hundredth}, <= .001 {thousandth}; \
         plain p <= .01 {} %, <= .001 {:.3} %; no answer {}",
        rows.len(),
        fixed(100.0 * sum(&|row| row.plain[0]) / n, 2),
        100.0 * sum(&|row| row.plain[1]) / n,
        fixed(1.0 - n / sum(&|row| row.steps), 2)
    );
    text
}
