//! Table of the weekly look: its chart in simulated series where nothing is going on.
//!
//! Series of all means whose level walks, breathes by the year and talks in waves, with noise from
//! Poisson to bursty; each week is forecast and charted as the detector does it, so that what is
//! estimated from few weeks is in the table too.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use simulation::{Random, exponential, log_uniform, negative_binomial, normal, poisson};
use surveillance::forecast::weeks::{
    self, BASELINE, BASELINE_LEAST, Chart, EXPECTED, PROBABILITIES, SEEN,
};
use surveillance::forecast::{Past, forecast};

use crate::{Size, progress_bar};

const WEEKS: usize = 160;
/// Series of one unit of size, and one in how many of them is looked at on each day.
const SERIES: u64 = 1_000;
const DAILY: u64 = 10;
/// Means of weeks.
const MEANS: (f64, f64) = (0.015, 500.0);
/// Standard deviations of a level's walk by the week.
const WALKS: [f64; 4] = [0.0, 0.03, 0.06, 0.1];
const SIZES: [f64; 4] = [f64::INFINITY, 20.0, 8.0, 3.0];
const SEASON: f64 = 0.3;
const WAVES_A_YEAR: f64 = 6.0;
/// Alarms further apart are two episodes.
const QUIET_DAYS: usize = 7;
/// Weeks before false episodes are counted.
const WARM_UP: usize = 53;
/// The chart where a week is not above what is expected.
const NOT_ABOVE: f64 = f64::NEG_INFINITY;
/// Normal quantiles of the table's probabilities.
const NORMAL: [f64; PROBABILITIES.len()] = [0.524, 1.282, 1.881, 2.326, 2.748, 3.090, 3.432, 3.719];

/// The rows of `forecast/weeks/table.in`, and false episodes per series and year by p.
pub fn weeks_table(size: &Size, seed: u64) -> String {
    let mut values = vec![Vec::new(); SEEN.len() * EXPECTED.len()];
    let mut episodes = [0_usize; PROBABILITIES.len()];
    let series = size.topics * SERIES;
    let progress = progress_bar(series);
    for number in 0..series {
        let mut random = Random::stream(seed, number);
        let days = quiet_days(&mut random);
        let phases = if number % DAILY == 0 { 7 } else { 1 };
        let mut alarms = vec![1.0; days.len() + 1];
        for phase in 0..phases {
            for (end, seen, expected, value, p) in looks(&days, phase) {
                let seen = SEEN.partition_point(|least| *least <= seen) - 1;
                values[seen * EXPECTED.len() + nearest(expected)].push(value);
                alarms[end] = p;
            }
        }
        if phases == 7 {
            for (found, p) in episodes.iter_mut().zip(PROBABILITIES) {
                *found += episodes_at(&alarms, p);
            }
        }
        progress.inc(1);
    }
    let years = (series.div_ceil(DAILY) as f64) * (WEEKS - WARM_UP) as f64 * 7.0 / 365.25;
    let mut text = format!(
        "[\n    // {series} series, seed {seed}: `pumphandle evaluate --weekly > \
         crates/surveillance/src/forecast/weeks/table.in`\n    // p, false episodes per series and \
         year of daily looks:"
    );
    for (p, found) in PROBABILITIES.iter().zip(episodes) {
        let _ = write!(text, " {p} {:.4},", found as f64 / years);
    }
    text.push('\n');
    for class in values.chunks_mut(EXPECTED.len()) {
        text.push_str("    [\n");
        for values in class {
            let row = quantiles(values).map(|quantile| format!("{quantile:.2}"));
            let _ = writeln!(text, "        [{}],", row.join(", "));
        }
        text.push_str("    ],\n");
    }
    text + "]\n"
}

/// The counts of a series' days.
fn quiet_days(random: &mut Random) -> Vec<f64> {
    let mut level = libm::log(log_uniform(random, MEANS.0, MEANS.1) / 7.0);
    let walk = random.pick(&WALKS) / libm::sqrt(7.0);
    let size = random.pick(&SIZES) / 7.0;
    let season = if random.chance(0.5) { SEASON } else { 0.0 };
    let phase = TAU * random.unit();
    let mut waves = vec![1.0; 7 * WEEKS];
    if random.chance(0.5) {
        let mut day = 0.0;
        loop {
            day += exponential(random) * 365.25 / WAVES_A_YEAR;
            let Some(rest) = waves.get_mut(day as usize..) else { break };
            let height = 1.5 + 1.5 * random.unit();
            let length = random.between(3, 15) as usize;
            rest.iter_mut().take(length).for_each(|day| *day = height);
        }
    }
    let count = |(day, wave): (usize, &f64)| {
        level += walk * normal(random);
        let breath = 1.0 + season * libm::sin(TAU * day as f64 / 365.25 + phase);
        let mean = (libm::exp(level) * breath * wave).min(1e6);
        if size.is_finite() {
            negative_binomial(random, mean, size) as f64
        } else {
            poisson(random, mean) as f64
        }
    };
    waves.iter().enumerate().map(count).collect()
}

/// Of each week that ends on one day of the week: the day, how many the chart has seen, what is
/// expected, the chart and its p.
fn looks(days: &[f64], phase: usize) -> Vec<(usize, u32, f64, f64, f64)> {
    let counts: Vec<f64> = days[phase..].chunks_exact(7).map(|week| week.iter().sum()).collect();
    let mut chart = Chart::default();
    let mut looks = Vec::new();
    for (t, &observed) in counts.iter().enumerate() {
        let newest = t - weeks::guard(t);
        let past: Vec<Past> = (newest.saturating_sub(BASELINE)..newest)
            .map(|at| Past { observed: counts[at], exposure: 1.0, age: (t - at) as f64 })
            .collect();
        if past.len() < BASELINE_LEAST {
            continue;
        }
        let forecast = forecast(&past, &weeks::prior());
        let look = chart.add(&forecast, observed, PROBABILITIES[0]);
        let expected = forecast.expected();
        let value = if observed > expected { look.value } else { NOT_ABOVE };
        looks.push((phase + 7 * (t + 1), chart.seen, expected, value, look.pvalue));
    }
    looks
}

fn nearest(expected: f64) -> usize {
    let off = |class: &usize| libm::fabs(libm::log(expected / EXPECTED[*class]));
    (0..EXPECTED.len()).min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(0)
}

/// Quantiles, each above the last; where fewer weeks than that are above what is expected, as far
/// from the next as normal ones are.
fn quantiles(values: &mut [f64]) -> [f64; PROBABILITIES.len()] {
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    let mut quantiles = PROBABILITIES.map(|p| {
        let at = (p * values.len() as f64) as usize;
        values.get(at).copied().unwrap_or(NOT_ABOVE)
    });
    for nth in (0..PROBABILITIES.len() - 1).rev() {
        if quantiles[nth] < 0.0 {
            quantiles[nth] = quantiles[nth + 1] - (NORMAL[nth + 1] - NORMAL[nth]);
        }
    }
    for nth in 1..PROBABILITIES.len() {
        quantiles[nth] = quantiles[nth].max(quantiles[nth - 1] + 0.05);
    }
    quantiles
}

fn episodes_at(alarms: &[f64], p: f64) -> usize {
    let mut last: Option<usize> = None;
    let mut found = 0;
    for (day, _) in alarms.iter().enumerate().skip(7 * WARM_UP).filter(|(_, at)| **at <= p) {
        if last.replace(day).is_none_or(|last| day - last > QUIET_DAYS) {
            found += 1;
        }
    }
    found
}
