//! Synthetic count series for `evaluate`: a baseline with realistic disturbances, and an outbreak.
//!
//! Baseline and outbreak come from streams of their own, so one seed gives the same baseline with
//! and without an outbreak. Knows nothing of posts, places or detectors.

use crate::random::Random;
use crate::samplers;

pub use crate::event::Shape;

/// What a series is to look like. `SeriesSpec::daily` and `hourly` give calm ones to change.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSpec {
    pub step: Step,
    /// How many steps.
    pub length: usize,
    /// The mean count of a step, before growth, pattern and outbreak.
    pub mean: f64,
    pub noise: Noise,
    /// Slow waves of the intensity that no calendar explains.
    pub drift: Option<Drift>,
    /// Relative growth a week: 0.05 is five per cent.
    pub growth_per_week: f64,
    /// Factors Monday to Sunday; the first step is a Monday.
    pub weekdays: [f64; 7],
    /// Factors by hour, for hourly series only.
    pub hours: [f64; 24],
    pub outbreak: Option<Outbreak>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Day,
    Hour,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    Poisson,
    /// Variance mean + mean² / size.
    NegativeBinomial {
        size: f64,
    },
}

/// The logarithm of the intensity follows an AR(1); its mean is corrected to keep the mean count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Correlation from one step to the next, in [0, 1).
    pub correlation: f64,
    /// Standard deviation of the logarithm.
    pub sd: f64,
}

/// Cases on top of the baseline, spread over time by their shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outbreak {
    /// The first step of it.
    pub start: usize,
    /// Its length in steps.
    pub length: usize,
    pub shape: Shape,
    /// Expected cases in a step at the peak.
    pub peak: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    pub baseline: Vec<u32>,
    /// What the outbreak adds; zeros where there is none.
    pub outbreak: Vec<u32>,
}

impl Series {
    /// What a detector sees.
    pub fn observed(&self) -> Vec<u32> {
        let pairs = self.baseline.iter().zip(&self.outbreak);
        pairs.map(|(baseline, cases)| baseline.saturating_add(*cases)).collect()
    }
}

impl SeriesSpec {
    pub fn daily(length: usize, mean: f64) -> SeriesSpec {
        SeriesSpec {
            step: Step::Day,
            length,
            mean,
            noise: Noise::Poisson,
            drift: None,
            growth_per_week: 0.0,
            weekdays: [1.0; 7],
            hours: [1.0; 24],
            outbreak: None,
        }
    }

    pub fn hourly(length: usize, mean: f64) -> SeriesSpec {
        SeriesSpec { step: Step::Hour, ..SeriesSpec::daily(length, mean) }
    }

    /// The expected baseline of a step, without drift.
    pub fn expected(&self, step: usize) -> f64 {
        let (day, hour_factor) = match self.step {
            Step::Day => (step, 1.0),
            Step::Hour => (step / 24, self.hours[step % 24]),
        };
        let weeks = match self.step {
            Step::Day => step as f64 / 7.0,
            Step::Hour => step as f64 / 168.0,
        };
        let growth = libm::exp(libm::log1p(self.growth_per_week.max(-0.99)) * weeks);
        self.mean * growth * self.weekdays[day % 7] * hour_factor
    }
}

/// The series of a specification under a seed.
pub fn series(spec: &SeriesSpec, seed: u64) -> Series {
    Series { baseline: baseline(spec, seed), outbreak: outbreak(spec, seed) }
}

fn baseline(spec: &SeriesSpec, seed: u64) -> Vec<u32> {
    let mut random = Random::stream(seed, 1);
    let mut waves = Random::stream(seed, 2);
    let Drift { correlation, sd } = spec.drift.unwrap_or(Drift { correlation: 0.0, sd: 0.0 });
    let innovation_sd = sd * (1.0 - correlation * correlation).max(0.0).sqrt();
    let mut wave = sd * samplers::normal(&mut waves);
    let mut counts = Vec::with_capacity(spec.length);
    for step in 0..spec.length {
        let mean = spec.expected(step) * libm::exp(wave - 0.5 * sd * sd);
        let count = match spec.noise {
            Noise::Poisson => samplers::poisson(&mut random, mean),
            Noise::NegativeBinomial { size } => {
                samplers::negative_binomial(&mut random, mean, size)
            }
        };
        counts.push(u32::try_from(count).unwrap_or(u32::MAX));
        wave = correlation * wave + innovation_sd * samplers::normal(&mut waves);
    }
    counts
}

fn outbreak(spec: &SeriesSpec, seed: u64) -> Vec<u32> {
    let mut counts = vec![0; spec.length];
    let Some(outbreak) = spec.outbreak else {
        return counts;
    };
    let mut random = Random::stream(seed, 3);
    for step in 0..outbreak.length {
        // The middle of the step represents all of it.
        let mean = outbreak.peak * outbreak.shape.at((step as f64 + 0.5) / outbreak.length as f64);
        let cases = samplers::poisson(&mut random, mean);
        if let Some(count) = counts.get_mut(outbreak.start.saturating_add(step)) {
            *count = u32::try_from(cases).unwrap_or(u32::MAX);
        }
    }
    counts
}
