//! Drift: how far a level walks from window to window, learnt from one-step residuals.
//!
//! Called by [`super::forecast`] for a size whose level and trend are fitted. The logarithm of the
//! level is a random walk about that fit, its variance a day one of [`STEPS`] or none; for each a
//! Kalman filter over the working residuals (y − μ)/μ gives the level now, its variance and, from
//! the one-step errors, the evidence (Harvey 1989, ch. 3; West and Harrison 1997, ch. 2). Knows no
//! exposures' uncertainty and no tails.

use libm::{exp, log, log1p, sqrt};

use super::Past;
use super::fit::Fit;

/// Standard deviations of a day's change of the level, of equal weight beforehand.
const STEPS: [f64; 4] = [0.03, 0.06, 0.12, 0.24];
/// Variance of the level's logarithm before the first window: nothing is known of it.
const START: f64 = 1.0;
/// A window counts as this many times above the fit at most, and as so many standard deviations of
/// its noise more.
const DEVIATION_MOST: f64 = 2.0;
const DEVIATIONS_MOST: f64 = 4.0;

/// The end of a walk: level against the fit's, its variance, and the evidence.
#[derive(Clone, Copy, Default)]
struct Walk {
    shift: f64,
    variance: f64,
    evidence: f64,
}

/// Moves a fit to the level that a drift makes likely now; `drifting` is its prior probability.
/// With it goes the evidence for the size: what drifts isn't noise.
pub(super) fn follow(fit: &mut Fit, past: &[Past], size: f64, drifting: f64) {
    let residuals = residuals(fit, past, size);
    let still = walk(&residuals, 0.0);
    let (mut total, mut shift, mut square) = (0.0, 0.0, 0.0);
    let mut add = |weight: f64, walk: Walk| {
        let weight = weight * exp((walk.evidence - still.evidence).min(500.0));
        total += weight;
        shift += weight * walk.shift;
        square += weight * (walk.variance + walk.shift * walk.shift);
    };
    add(1.0 - drifting, still);
    for step in STEPS {
        add(drifting / STEPS.len() as f64, walk(&residuals, step * step));
    }
    shift /= total;
    let moved = shift - still.shift;
    // Upwards a relative deviation is more than its logarithm.
    fit.level += if moved > 0.0 { log1p(moved) } else { moved };
    fit.drifted = (square / total - shift * shift - still.variance).max(0.0);
    fit.evidence += log(total);
}

/// A window's relative deviation from a fit.
struct Residual {
    age: f64,
    value: f64,
    variance: f64,
}

/// Oldest first.
fn residuals(fit: &Fit, past: &[Past], size: f64) -> Vec<Residual> {
    let of_window = |window: &Past| {
        let mean = (exp(fit.level - fit.trend * window.age) * window.exposure).max(1e-12);
        let variance = 1.0 / mean + 1.0 / size;
        // A single huge window is no level.
        let most = DEVIATION_MOST + DEVIATIONS_MOST * sqrt(variance);
        let value = ((window.observed - mean) / mean).min(most);
        Residual { age: window.age, value, variance }
    };
    let mut residuals: Vec<Residual> = past.iter().map(of_window).collect();
    residuals.sort_by(|a, b| b.age.total_cmp(&a.age));
    residuals
}

fn walk(residuals: &[Residual], step: f64) -> Walk {
    let mut walk = Walk { variance: START, ..Walk::default() };
    let mut product = 1.0;
    let mut before = residuals.first().map_or(0.0, |oldest| oldest.age);
    for Residual { age, value, variance: noise } in residuals {
        walk.variance += step * (before - age);
        before = *age;
        let error = value - walk.shift;
        let total = walk.variance + noise;
        product *= total;
        if !(1e-100..1e100).contains(&product) {
            walk.evidence -= 0.5 * log(product);
            product = 1.0;
        }
        walk.evidence -= 0.5 * error * error / total;
        let gain = walk.variance / total;
        walk.shift += gain * error;
        walk.variance *= 1.0 - gain;
    }
    walk.evidence -= 0.5 * log(product);
    walk.variance += step * before;
    walk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Prior, forecast};

    fn past(counts: impl Iterator<Item = f64>) -> Vec<Past> {
        let window = |(nth, observed)| Past { observed, exposure: 1.0, age: 2.0 + nth as f64 };
        counts.enumerate().map(window).collect()
    }

    /// Counts about `level` of the window, newest first.
    fn about(level: impl Fn(f64) -> f64) -> Vec<Past> {
        past(
            (0..28)
                .map(|nth| level(f64::from(nth)) + [1.0, -6.0, 4.0, 9.0, -8.0][nth as usize % 5]),
        )
    }

    #[test]
    fn a_level_that_stays_is_forecast_as_without_drift() {
        let past = about(|_| 100.0);
        let prior = Prior { drift: 0.0, ..Prior::default() };
        let still = forecast(&past, &prior);
        let drifting = forecast(&past, &Prior { drift: 0.3, ..prior });
        assert!((drifting.expected() / still.expected() - 1.0).abs() < 0.02);
        assert!((drifting.bound(1e-3) / still.bound(1e-3) - 1.0).abs() < 0.05);
    }

    #[test]
    fn a_level_that_walked_is_forecast_from_where_it_is() {
        let past = about(|nth| if nth < 10.0 { 200.0 } else { 100.0 });
        let prior = Prior { trend_sd: 0.0, ..Prior::default() };
        let still = forecast(&past, &prior).expected();
        let drifting = forecast(&past, &Prior { drift: 0.3, ..prior }).expected();
        assert!(still < 150.0 && (185.0..215.0).contains(&drifting), "{still} {drifting}");
    }

    #[test]
    fn single_huge_and_empty_windows_leave_finite_forecasts() {
        let prior = Prior { drift: 0.3, ..Prior::default() };
        for counts in [vec![1e12], vec![0.0; 40], vec![0.0, 1e12, 0.0, 5.0], vec![3.0, 1e9, 2.0]] {
            let forecast = forecast(&past(counts.iter().copied()), &prior);
            let numbers = [forecast.expected(), forecast.bound(1e-3), forecast.upper(7.0)];
            assert!(numbers.iter().all(|number| number.is_finite()), "{counts:?}: {numbers:?}");
        }
    }
}
