//! Tables of slow epidemics and of drifting levels, for any method of `detect`.
//!
//! A method judges the same series by the day and by the week. The series come from `world`, a
//! generator that no limit is drawn with. `pipeline` has the scenarios that need the whole engine.

mod pipeline;
mod world;

use std::fmt::Write as _;

pub(crate) use pipeline::table as pipeline_table;
use simulation::{Random, log_uniform};

use crate::Size;
use crate::panel::{Mean, Share};
use crate::real::{Detector, Scores, episodes, in_alarm, steps_where};
use world::{Drift, RISES, Rise, Series};

/// Days of a step.
const STEPS: [usize; 2] = [1, 7];
/// Days before the first judged step.
const WARM_UP: usize = 280;
/// Judged days of a series without an epidemic.
const YEAR: usize = 364;
/// Days without an alarm that an episode survives.
const GAP: usize = 28;
/// False episodes a series and year at which methods are compared.
const RATES: [f64; 2] = [0.05, 0.25];

/// What a method makes of one series, by the step.
struct Judged {
    step: usize,
    scores: Vec<Option<f64>>,
    own: Vec<usize>,
}

pub(crate) fn tables(size: &Size, seed: u64, detector: &Detector) -> String {
    let steady: [Vec<Judged>; 2] =
        STEPS.map(|step| nulls(size, seed + 100_000, Drift::None, detector, step));
    let limits = steady.each_ref().map(|series| RATES.map(|rate| limit(series, rate)));
    let epidemics = epidemics_table(size, seed, detector, &limits);
    epidemics + &drifts_table(size, seed, detector, &steady, &limits)
}

/// Series without an epidemic: a year of each after its warm-up.
fn nulls(size: &Size, seed: u64, drift: Drift, detector: &Detector, step: usize) -> Vec<Judged> {
    let draw = |nth| Series { mean: mean(seed + nth), drift, rise: None };
    (0..size.slow)
        .map(|nth| judge(&draw(nth).days(WARM_UP + YEAR, seed + nth), detector, step))
        .collect()
}

/// The mean count of a day of the series of a seed.
fn mean(seed: u64) -> f64 {
    log_uniform(&mut Random::stream(seed, 1), 0.2, 20.0)
}

fn judge(days: &[f64], detector: &Detector, step: usize) -> Judged {
    let observed: Vec<Option<f64>> =
        days.chunks_exact(step).map(|days| Some(days.iter().sum())).collect();
    let judgements = detector.judge(&observed);
    let own = in_alarm(&judgements);
    let scores = Scores::of(&[judgements]).of_series.swap_remove(0);
    Judged { step, scores, own }
}

impl Judged {
    /// The last days of steps with which episodes begin, after the warm-up.
    fn begins(&self, at: &[usize]) -> Vec<usize> {
        let ends = episodes(at, GAP / self.step).into_iter();
        ends.map(|(first, _)| (first + 1) * self.step).filter(|end| *end > WARM_UP).collect()
    }

    /// Steps in alarm at a limit of the score; without one, at the method's own threshold.
    fn alarms(&self, limit: Option<f64>) -> Vec<usize> {
        match limit {
            Some(limit) => steps_where(&self.scores, |score| score >= limit),
            None => self.own.clone(),
        }
    }

    fn false_episodes(&self, limit: Option<f64>) -> f64 {
        self.begins(&self.alarms(limit)).len() as f64
    }

    /// Days from the onset to the beginning of the first episode within so many days.
    fn delay(&self, limit: Option<f64>, onset: usize, within: usize) -> Option<usize> {
        let begins = self.begins(&self.alarms(limit));
        begins
            .into_iter()
            .find(|end| (onset + 1..=onset + within).contains(end))
            .map(|end| end - onset)
    }
}

/// The least score, of some, at which series give at most `rate` false episodes a year. Searched
/// from above: where everything is in alarm there is but one episode.
fn limit(series: &[Judged], rate: f64) -> f64 {
    let most = rate * series.len() as f64 * YEAR as f64 / 365.25;
    let mut scores: Vec<f64> = series
        .iter()
        .flat_map(|judged| judged.scores.iter().skip(WARM_UP / judged.step).copied().flatten())
        .collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    scores.dedup();
    let n = scores.len().max(1) as f64;
    let ranks = (0..300).map(|nth| n.powf(f64::from(nth) / 300.0) as usize - 1);
    let found =
        |score: f64| series.iter().map(|judged| judged.false_episodes(Some(score))).sum::<f64>();
    let tried = ranks.filter_map(|rank| scores.get(rank).copied());
    tried.take_while(|score| found(*score) <= most).last().unwrap_or(f64::INFINITY)
}

fn epidemics_table(size: &Size, seed: u64, detector: &Detector, limits: &[[f64; 2]; 2]) -> String {
    let mut text = format!(
        "## Slow epidemics, `{}`\n\n{} series each, of 0.2 to 20 a day, over {WARM_UP} days of \
         past; an epidemic multiplies the level. Share of epidemics with an episode that begins \
         within 28 days of the onset (rises of a week: 56 days), with Wilson's 95 % interval, at \
         the method's own threshold and at equal false episodes a series and year; median days of \
         those caught at {}.\n\n| epidemic | by the day: own | at {} | at {} | days | by the \
         week: own | at {} | at {} | days |\n|---|---|---|---|---|---|---|---|---|\n",
        detector.title(" "),
        size.slow,
        RATES[0],
        RATES[0],
        RATES[1],
        RATES[0],
        RATES[1]
    );
    for (name, rise, within) in RISES {
        let _ = write!(text, "| {name} |");
        for (step, limits) in STEPS.into_iter().zip(limits) {
            let thresholds = [None, Some(limits[0]), Some(limits[1])];
            let [own, strict, loose] =
                delays(size, seed, detector, (rise, within, step), thresholds);
            let caught = |delays: &Vec<Option<usize>>| {
                let hits = delays.iter().flatten().count() as u64;
                percent(Share { hits, of: delays.len() as u64 })
            };
            let mut days: Vec<usize> = strict.iter().copied().flatten().collect();
            days.sort_unstable();
            let median = days.get(days.len() / 2).map_or("-".to_owned(), ToString::to_string);
            let [own, strict, loose] = [&own, &strict, &loose].map(caught);
            let _ = write!(text, " {own} | {strict} | {loose} | {median} |");
        }
        text.push('\n');
    }
    text + "\n"
}

/// Of each epidemic of a kind the days until it is caught, at each of the limits.
fn delays(
    size: &Size,
    seed: u64,
    detector: &Detector,
    (rise, within, step): (Rise, usize, usize),
    limits: [Option<f64>; 3],
) -> [Vec<Option<usize>>; 3] {
    let mut delays = limits.map(|_| Vec::new());
    for seed in seed + 200_000..seed + 200_000 + size.slow {
        let onset = WARM_UP + (seed % 28) as usize;
        let series = Series { mean: mean(seed), drift: Drift::None, rise: Some((rise, onset)) };
        let judged = judge(&series.days(onset + within, seed), detector, step);
        for (delays, limit) in delays.iter_mut().zip(limits) {
            delays.push(judged.delay(limit, onset, within));
        }
    }
    delays
}

fn drifts_table(
    size: &Size,
    seed: u64,
    detector: &Detector,
    steady: &[Vec<Judged>; 2],
    limits: &[[f64; 2]; 2],
) -> String {
    let mut text = format!(
        "## Levels that drift without an epidemic, `{}`\n\nFalse episodes a series and year of {} \
         series each, with 95 % intervals, at the method's own threshold and at the limit that \
         gives {} on steady series. Required: 1.3 times what steady series give.\n\n| level | by \
         the day: own | at {} | by the week: own | at {} |\n|---|---|---|---|---|\n",
        detector.title(" "),
        size.slow,
        RATES[0],
        RATES[0],
        RATES[0]
    );
    for (nth, (name, drift)) in (0..).zip(Drift::ALL) {
        let _ = write!(text, "| {name} |");
        for ((step, limits), steady) in STEPS.into_iter().zip(limits).zip(steady) {
            let drawn;
            let series = match drift {
                Drift::None => steady,
                _ => {
                    drawn = nulls(size, seed + 300_000 + 10_000 * nth, drift, detector, step);
                    &drawn
                }
            };
            for limit in [None, Some(limits[0])] {
                let episodes: Vec<f64> =
                    series.iter().map(|judged| judged.false_episodes(limit)).collect();
                let Mean { value, give_or_take } = Mean::of(&episodes);
                let a_year = 365.25 / YEAR as f64;
                let _ = write!(text, " {:.3} ± {:.3} |", value * a_year, give_or_take * a_year);
            }
        }
        text.push('\n');
    }
    text + "\n"
}

/// A share with Wilson's interval.
fn percent(share: Share) -> String {
    let (low, high) = share.interval();
    format!("{:.2} ({low:.2}-{high:.2})", share.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_gives_at_most_its_rate_and_catches_what_is_clear() {
        let detector = Detector::parse(crate::DEFAULT, &[]).unwrap();
        let size = Size { slow: 40, ..crate::SHORT };
        let series = nulls(&size, 1, Drift::None, &detector, 7);
        let limits = [0.25, 1.0].map(|rate| limit(&series, rate));
        assert!(limits[0] > limits[1]);
        for (rate, limit) in [0.25, 1.0].into_iter().zip(limits) {
            let found: f64 = series.iter().map(|judged| judged.false_episodes(Some(limit))).sum();
            assert!((1.0..=rate * 40.0).contains(&found), "{rate}: {found}");
        }
        let [own, strict, loose] = delays(
            &size,
            1,
            &detector,
            (Rise::Growth(0.1), 28, 7),
            [None, Some(limits[0]), Some(limits[1])],
        )
        .map(|delays| delays.iter().flatten().count());
        // A looser limit may be in alarm before the onset, so it need not catch more.
        assert!(own > 30 && strict > 30 && loose > 30, "{own} {strict} {loose}");
    }
}
