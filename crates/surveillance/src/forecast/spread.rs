//! Spread: how bursty a topic's regions are, as weights of sizes and of clumping.
//!
//! Learnt by `pool` from the regions' own fits. Knows no levels, trends or weekdays.

use super::season::likeliest;
use super::{Prior, SIZES};

/// Neither that posts come in clumps nor that they don't is believed more than this much less than
/// wholly.
const CLUMPED_LEAST: f64 = 0.02;
/// The evidence of all regions on dispersion counts as much as this many, since each may have its own.
const BORROWED: f64 = 24.0;
/// The most evidence of one region against a size, in nats.
const EVIDENCE_EACH: f64 = 3.0;
/// The least weight of a size, whatever the evidence.
const WEIGHT_LEAST: f64 = 1e-4;

/// By what to multiply the numbers of a grid so that one of them is the likeliest; the evidence is
/// that of the shifted ones then. The evidence of many regions is sharper than the grid is fine, and
/// the nearest size would be wrong by a fifth of the variance. Evidence is nearest to a parabola
/// over the noise's standard deviation, which goes with this `power` of the grid.
fn shift_to_peak(evidence: &mut [f64], grid: &[f64], power: f64) -> f64 {
    let peak = likeliest(evidence);
    // What follows the grid, Poisson's law, is no size between others.
    if peak == 0 || peak + 1 >= grid.len() {
        return 1.0;
    }
    let at = |nth: usize| libm::copysign(libm::pow(grid[nth], power), power);
    let (below, above) = (at(peak) - at(peak - 1), at(peak + 1) - at(peak));
    let (fall, rise) = (
        (evidence[peak] - evidence[peak - 1]) / below,
        (evidence[peak + 1] - evidence[peak]) / above,
    );
    // A parabola through the three: its slope at the middle, and how it bends.
    let bend = (fall - rise) / (below + above);
    if bend <= 0.0 {
        return 1.0;
    }
    let slope = (fall * above + rise * below) / (below + above);
    let step = (slope / (2.0 * bend)).clamp(-0.5 * below, 0.5 * above);
    let shift = libm::log(libm::pow(libm::fabs(at(peak) + step), 1.0 / power) / grid[peak]);
    let before = evidence.to_vec();
    for nth in 0..grid.len() {
        let other = if shift < 0.0 { nth.saturating_sub(1) } else { (nth + 1).min(grid.len() - 1) };
        if other != nth {
            evidence[nth] +=
                (before[other] - before[nth]) * shift / libm::log(grid[other] / grid[nth]);
        }
    }
    evidence[peak] = before[peak] + step * slope - bend * step * step;
    libm::exp(shift)
}

/// How bursty a topic's regions are: either all have one size (posts follow common ups and downs:
/// variance μ + μ²/k), or all have one *clumping* c (posts come in clumps: variance μ (1 + c), a
/// size of μ/c); both are weighed by the evidence of the regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    sizes: [f64; SIZES.len()],
    shift: f64,
    /// Weights of [`CLUMPINGS`], and by what they are shifted.
    clumpings: [f64; CLUMPINGS.len()],
    clumping_shift: f64,
    /// The probability that clumping is what the regions have in common.
    pub(super) clumped: f64,
}

/// Variance over mean, less one; below the least it is a Poisson law.
const CLUMPINGS: [f64; 11] = [1e-4, 0.2, 0.4, 0.8, 1.5, 2.5, 4.0, 7.0, 14.0, 40.0, 120.0];

const CLUMPINGS_PRIOR: [f64; CLUMPINGS.len()] =
    [0.9, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01];

impl Spread {
    pub(super) fn unknown() -> Spread {
        Spread {
            sizes: Prior::default().sizes,
            shift: 1.0,
            clumpings: [0.0; CLUMPINGS.len()],
            clumping_shift: 1.0,
            clumped: 0.0,
        }
    }

    /// From the mean count of each region's windows and the evidence of its sizes.
    pub(super) fn learn(regions: &[(f64, [f64; SIZES.len()])]) -> Spread {
        let mut spread = Spread::unknown();
        let mut by_size = [0.0; SIZES.len()];
        let mut by_clumping = [0.0; CLUMPINGS.len()];
        for (mean, evidence) in regions {
            let largest = evidence.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // No single region may rule anything out.
            let evidence = evidence.map(|evidence| (evidence - largest).max(-EVIDENCE_EACH));
            for (sum, evidence) in by_size.iter_mut().zip(evidence) {
                *sum += evidence;
            }
            for (sum, clumping) in by_clumping.iter_mut().zip(CLUMPINGS) {
                *sum += between_sizes(&evidence, mean / clumping);
            }
        }
        spread.shift = shift_to_peak(&mut by_size, &SIZES[..SIZES.len() - 1], -0.25);
        spread.clumping_shift = shift_to_peak(&mut by_clumping[1..], &CLUMPINGS[1..], 0.25);
        let count = regions.len().max(1) as f64;
        let tempered = BORROWED.min(count) / count;
        let largest = by_size.iter().chain(&by_clumping).copied().fold(f64::NEG_INFINITY, f64::max);
        let weigh = |evidence: f64| libm::exp(tempered * (evidence - largest));
        let (mut of_size, mut of_clumping) = (0.0, 0.0);
        for (size, evidence) in spread.sizes.iter_mut().zip(by_size) {
            *size *= weigh(evidence);
            of_size += *size;
        }
        for ((clumping, evidence), prior) in
            spread.clumpings.iter_mut().zip(by_clumping).zip(CLUMPINGS_PRIOR)
        {
            *clumping = weigh(evidence) * prior;
            of_clumping += *clumping;
        }
        spread.sizes = spread.sizes.map(|weight| (weight / of_size).max(WEIGHT_LEAST));
        spread.clumpings = spread.clumpings.map(|weight| (weight / of_clumping).max(WEIGHT_LEAST));
        spread.clumped =
            (of_clumping / (of_size + of_clumping)).clamp(CLUMPED_LEAST, 1.0 - CLUMPED_LEAST);
        spread
    }

    /// Weights of [`SIZES`] times a shift, for a window with this mean count.
    pub(super) fn sizes(&self, mean: f64) -> ([f64; SIZES.len()], f64) {
        if self.clumped < 1e-3 {
            return (self.sizes, self.shift);
        }
        // The sizes of the likeliest clumpings lie on the grid if clumping is what counts.
        let shift = if self.clumped > 0.5 {
            let size = mean / (CLUMPINGS[likeliest(&self.clumpings)] * self.clumping_shift);
            let nearest = SIZES[(libm::round(position(size)) as usize).min(SIZES.len() - 2)];
            (size / nearest).clamp(0.6, 1.7)
        } else {
            self.shift
        };
        let mut weights = self.sizes.map(|weight| weight * (1.0 - self.clumped));
        for (clumping, weight) in CLUMPINGS.iter().zip(self.clumpings) {
            let at = position(mean / (clumping * self.clumping_shift) / shift);
            let below = (at as usize).min(SIZES.len() - 2);
            let share = at - below as f64;
            weights[below] += self.clumped * weight * (1.0 - share);
            weights[below + 1] += self.clumped * weight * share;
        }
        (weights, shift)
    }
}

/// The place of a size among [`SIZES`], on logarithms; between the last two, halfway to Poisson.
fn position(size: f64) -> f64 {
    let last = SIZES.len() - 1;
    let above = SIZES[..last].partition_point(|known| *known < size);
    if above == 0 {
        return 0.0;
    }
    if above == last {
        return (last - 1) as f64 + (libm::log(size / SIZES[last - 1]) / 3.0).min(1.0);
    }
    let (low, high) = (SIZES[above - 1], SIZES[above]);
    (above - 1) as f64 + libm::log(size / low) / libm::log(high / low)
}

fn between_sizes(evidence: &[f64; SIZES.len()], size: f64) -> f64 {
    let at = position(size);
    let below = (at as usize).min(SIZES.len() - 2);
    evidence[below] + (evidence[below + 1] - evidence[below]) * (at - below as f64)
}
