//! Pool: what a topic's regions know together, for the default detector.
//!
//! Weekday factors and the common trend from the topic's total; from the regions' own pasts the
//! spread of their levels and how
//! bursty they are. A region with little past of its own is judged by these; one with much is not
//! moved by them.

use super::predictive::{Forecast, HEAVY_LEAST, Past, Prior, SIZES, forecast};
use libm::lgamma;

/// How far weekdays are apart, and how far regions' growth a day is from their topic's, is learnt:
/// standard deviations of these times
/// one of [`SPREADS`].
const WEEKDAY_SD: f64 = 0.08;
const REGION_TREND_SD: f64 = 0.004;
const SPREADS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
/// Beforehand they are weighed so: wide ones are rare. Together they are as wide as 12 % between
/// weekdays, 4 % a week between regions.
const SPREADS_PRIOR: [f64; SPREADS.len()] = [0.25, 0.25, 0.25, 0.17, 0.08];
/// Where less than two weeks are known, weekdays are apart by this.
const WEEKDAY_SD_UNKNOWN: f64 = 0.15;
/// Before the topic's total is looked at, its growth a day is 0, give or take this: 10 % a week.
const TOPIC_TREND_SD: f64 = 0.014;
/// Of the law of a topic's levels, whose middle is put so many times above that of its regions: a
/// law that bends among them would
/// pull small levels down and large ones up, and with them how often they are in alarm. With the
/// shape of Jeffreys' law, ½, four weeks of
/// Poisson counts are in alarm up to 1.24 times too often at means near 0.1 a day, with 0.6 down to
/// 0.71 times at 0.05: in between both err alike.
const LEVEL_SHAPE: f64 = 0.52;
const LEVEL_ABOVE: f64 = 4.0;
/// However well weekdays and denominators are known, what they are to the topic is not: 1 %.
const EXPOSURE_VARIANCE_LEAST: f64 = 1e-4;
/// Neither that posts come in clumps nor that they don't is believed more than this much less than
/// wholly.
const CLUMPED_LEAST: f64 = 0.02;
/// Fewer regions tell nothing of the others.
const REGIONS_LEAST: usize = 5;
/// What all regions say of dispersion counts as much as this many, since each may have its own.
const BORROWED: f64 = 24.0;
/// Windows by which "no window is like the one before it" is held: correlations of 0.3 are nothing
/// unusual.
const CORRELATION_PRIOR: f64 = 10.0;
/// A region whose past adds less than this to what is known of its trend beforehand says nothing of
/// how regions' trends differ.
const TREND_TOLD_LEAST: f64 = 0.05;
/// Squared standard deviations by which one region's trend may be off at most, whatever it is.
const TREND_OFF_MOST: f64 = 9.0;
/// What one region may say against a size, in nats.
const EVIDENCE_EACH: f64 = 3.0;
/// Whatever the regions say, a size keeps this weight.
const WEIGHT_LEAST: f64 = 1e-4;
/// What is fitted to a past: a level, and a trend that isn't free.
const LEVEL_AND_TREND: f64 = 1.5;
/// Windows of a usual baseline.
const BASELINE_LENGTH: f64 = 28.0;

/// Weekday factors with what they leave open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Season {
    factors: [f64; 7],
    variance: f64,
    trend: f64,
    trend_variance: f64,
}

impl Season {
    /// Every day alike.
    pub const FLAT: Season =
        Season { factors: [1.0; 7], variance: 0.0, trend: 0.0, trend_variance: 0.0 };

    /// From windows of a total and the numbers of their days. Less than two weeks tell nothing of
    /// weekdays.
    pub fn learn(windows: &[(Past, i64)]) -> Season {
        let days: Vec<i64> = windows.iter().map(|(_, day)| *day).collect();
        let span = days
            .iter()
            .max()
            .zip(days.iter().min())
            .map_or(0, |(newest, oldest)| newest - oldest + 1);
        if span < 14 {
            let variance = WEEKDAY_SD_UNKNOWN * WEEKDAY_SD_UNKNOWN;
            return Season {
                variance,
                trend_variance: TOPIC_TREND_SD * TOPIC_TREND_SD,
                ..Season::FLAT
            };
        }
        let prior = Prior { trend_sd: TOPIC_TREND_SD, ..Prior::default() };
        let mut season = Season::FLAT;
        for _ in 0..2 {
            let past: Vec<Past> = windows
                .iter()
                .map(|(past, day)| Past { exposure: past.exposure * season.factor(*day), ..*past })
                .collect();
            let fitted = forecast(&past, &prior);
            season.trend = fitted.trend();
            season.trend_variance = fitted.trend_variance();
            // In counts as a Poisson law would have them: bursty ones say less.
            let (mut seen, mut due) = ([0.0; 7], [0.0; 7]);
            let size = SIZES[likeliest(fitted.evidence())];
            for (past, day) in windows {
                let mean =
                    fitted.expected() * past.exposure * libm::exp(-fitted.trend() * past.age);
                let weight = size / (size + mean);
                seen[day.rem_euclid(7) as usize] += past.observed * weight;
                due[day.rem_euclid(7) as usize] += mean * weight;
            }
            (season.factors, season.variance) = weekday_factors(&seen, &due);
            let mean = season.factors.iter().sum::<f64>() / 7.0;
            season.factors = season.factors.map(|factor| factor / mean);
        }
        season
    }

    pub fn factor(&self, day: i64) -> f64 {
        self.factors[day.rem_euclid(7) as usize]
    }

    /// What a day was to bring, as a multiple of another.
    pub fn relative(&self, day: i64, to: i64) -> f64 {
        self.factor(day) / self.factor(to)
    }

    /// Of the logarithm of a factor.
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// The total's relative growth a day.
    pub fn trend(&self) -> f64 {
        self.trend
    }
}

/// Factors with their mean variance, from what was seen and due on each weekday: gamma laws of mean
/// 1, as wide as the seven together
/// make likely.
fn weekday_factors(seen: &[f64; 7], due: &[f64; 7]) -> ([f64; 7], f64) {
    // A spread is so many counts in favour of "as every day".
    let counts = SPREADS.map(|spread| 1.0 / (spread * WEEKDAY_SD * spread * WEEKDAY_SD));
    let evidence = counts.map(|counts| {
        let of_day = |(seen, due): (&f64, &f64)| {
            let both = counts + due;
            lgamma(counts + seen) - lgamma(counts)
                + counts * libm::log(counts / both)
                + seen * libm::log(due.max(f64::MIN_POSITIVE) / both)
        };
        seen.iter().zip(due).map(of_day).sum()
    });
    let weights = weigh_spreads(&evidence);
    let (mut factors, mut variance) = ([0.0; 7], 0.0);
    for (factor, (seen, due)) in factors.iter_mut().zip(seen.iter().zip(due)) {
        let of_spread = |counts: f64| ((counts + seen) / (counts + due), 1.0 / (counts + due));
        let mut square = 0.0;
        for (counts, weight) in counts.iter().zip(weights) {
            let (mean, own) = of_spread(*counts);
            *factor += weight * mean;
            square += weight * (mean * mean + own);
        }
        variance += (square - *factor * *factor) / 7.0;
    }
    (factors, variance)
}

/// Weights of [`SPREADS`], from the logarithms of how likely each makes what was seen.
fn weigh_spreads(evidence: &[f64; SPREADS.len()]) -> [f64; SPREADS.len()] {
    let largest = evidence[likeliest(evidence)];
    let mut weights = SPREADS_PRIOR;
    for (weight, evidence) in weights.iter_mut().zip(evidence) {
        *weight *= libm::exp(evidence - largest);
    }
    let total: f64 = weights.iter().sum();
    weights.map(|weight| weight / total)
}

/// Where the largest of some numbers stands; the last of equal ones, the first place where there
/// are none.
fn likeliest(numbers: &[f64]) -> usize {
    (0..numbers.len()).max_by(|a, b| numbers[*a].total_cmp(&numbers[*b])).unwrap_or(0)
}

/// By what to multiply the numbers of a grid so that one of them is the likeliest; the evidence is
/// that of the shifted ones then. What
/// many regions say together is sharper than the grid is fine, and its nearest size would be wrong
/// by a fifth of the variance.
/// Evidence is nearest to a parabola over the noise's standard deviation, which goes with this
/// `power` of the grid.
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
    let told = evidence.to_vec();
    for nth in 0..grid.len() {
        let other = if shift < 0.0 { nth.saturating_sub(1) } else { (nth + 1).min(grid.len() - 1) };
        if other != nth {
            evidence[nth] += (told[other] - told[nth]) * shift / libm::log(grid[other] / grid[nth]);
        }
    }
    evidence[peak] = told[peak] + step * slope - bend * step * step;
    libm::exp(shift)
}

/// Levels and dispersion of a topic's regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool {
    pub season: Season,
    /// Of the regions' levels, per unit of exposure; none where there are too few regions.
    level: Option<f64>,
    spread: Spread,
    /// How alike a window's excess is to that of the window before it, beyond what counting makes
    /// of both.
    correlation: f64,
    /// Variance of the regions' growth a day about the topic's.
    trend_variance: f64,
}

/// How bursty a topic's regions are: either all have one size (posts follow common ups and downs:
/// variance μ + μ²/k), or all have
/// one *clumping* c (posts come in clumps: variance μ (1 + c), a size of μ/c); both are weighed by
/// what the regions say.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    sizes: [f64; SIZES.len()],
    shift: f64,
    /// Weights of [`CLUMPINGS`], and by what they are shifted.
    clumpings: [f64; CLUMPINGS.len()],
    clumping_shift: f64,
    /// How likely it is clumping that the regions have in common.
    clumped: f64,
}

/// Variance over mean, less one; below the least it is a Poisson law.
const CLUMPINGS: [f64; 11] = [1e-4, 0.2, 0.4, 0.8, 1.5, 2.5, 4.0, 7.0, 14.0, 40.0, 120.0];

const CLUMPINGS_PRIOR: [f64; CLUMPINGS.len()] =
    [0.9, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01];

impl Spread {
    fn unknown() -> Spread {
        Spread {
            sizes: Prior::default().sizes,
            shift: 1.0,
            clumpings: [0.0; CLUMPINGS.len()],
            clumping_shift: 1.0,
            clumped: 0.0,
        }
    }

    /// From the mean count of each region's windows and the evidence of its sizes.
    fn learn(told: &[(f64, [f64; SIZES.len()])]) -> Spread {
        let mut spread = Spread::unknown();
        let mut by_size = [0.0; SIZES.len()];
        let mut by_clumping = [0.0; CLUMPINGS.len()];
        for (mean, evidence) in told {
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
        let regions = told.len().max(1) as f64;
        let tempered = BORROWED.min(regions) / regions;
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
    fn sizes(&self, mean: f64) -> ([f64; SIZES.len()], f64) {
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

/// The share of a window's variance that is not counting.
fn moved(mean: f64, size: f64) -> f64 {
    mean / (mean + size)
}

/// Where a size stands among [`SIZES`], on logarithms; between the last two, halfway to Poisson.
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

/// A region's past as its topic looks at it.
struct Told {
    /// Exposures are multiples of the region's usual window.
    past: Vec<Past>,
    own: Forecast,
    mean: f64,
}

impl Told {
    fn means(&self) -> impl Iterator<Item = (f64, f64)> {
        let of_window = |window: &Past| {
            (
                window.observed,
                self.own.expected() * window.exposure * libm::exp(-self.own.trend() * window.age),
            )
        };
        self.past.iter().map(of_window)
    }
}

impl Pool {
    pub fn alone(season: Season) -> Pool {
        Pool {
            season,
            level: None,
            spread: Spread::unknown(),
            correlation: 0.0,
            trend_variance: 0.0,
        }
    }

    /// From the pasts of regions, with exposures that can be compared between them (windows, or
    /// posts).
    pub fn learn(season: Season, regions: &[Vec<Past>]) -> Pool {
        let mut pool = Pool::alone(season);
        let regions: Vec<&Vec<Past>> = regions.iter().filter(|past| past.len() >= 3).collect();
        if regions.len() < REGIONS_LEAST {
            return pool;
        }
        // Logarithms of levels, with half a count for those that have none.
        let logs: Vec<f64> = regions
            .iter()
            .map(|past| {
                past.iter().fold((0.5, 0.0), |(seen, due), past| {
                    (seen + past.observed, due + past.exposure)
                })
            })
            .filter(|(_, due)| *due > 0.0)
            .map(|(seen, due)| libm::log(seen / due))
            .collect();
        let regions_told = (logs.len() as f64).max(1.0);
        let middle = logs.iter().sum::<f64>() / regions_told;
        pool.level = Some(LEVEL_ABOVE * libm::exp(middle));
        // Beforehand, as long as nothing is known of how they differ.
        pool.trend_variance = SPREADS
            .iter()
            .zip(SPREADS_PRIOR)
            .map(|(spread, weight)| weight * spread * spread)
            .sum::<f64>()
            * REGION_TREND_SD
            * REGION_TREND_SD;
        let told: Vec<Told> = regions
            .iter()
            .map(|past| {
                let sum = |of: fn(&Past) -> f64| past.iter().map(of).sum::<f64>();
                let usual =
                    (sum(|window| window.exposure) / past.len() as f64).max(f64::MIN_POSITIVE);
                let past: Vec<Past> = past
                    .iter()
                    .map(|window| Past { exposure: window.exposure / usual, ..*window })
                    .collect();
                let own = forecast(&past, &pool.prior(usual, None, 1.0));
                Told { own, mean: sum(|window| window.observed) / past.len() as f64, past }
            })
            .collect();
        pool.spread = Spread::learn(
            &told
                .iter()
                .map(|told| (told.mean.max(1e-3), *told.own.evidence()))
                .collect::<Vec<_>>(),
        );
        pool.correlation = pool.correlation(&told);
        pool.trend_variance = pool.trend_variance(&told);
        pool
    }

    /// Of windows that follow each other.
    fn correlation(&self, told: &[Told]) -> f64 {
        let (mut together, mut apart) = (0.0, CORRELATION_PRIOR);
        for told in told {
            let size = self.likeliest_size(told);
            let moved = moved(told.mean, size);
            // Pearson residuals of windows that follow each other.
            let mut before: Option<f64> = None;
            for (observed, mean) in told.means() {
                let residual = ((observed - mean) / libm::sqrt(mean + mean * mean / size).max(0.3))
                    .clamp(-3.0, 3.0);
                together += moved * before.map_or(0.0, |before| before * residual);
                apart += moved * moved * residual * residual;
                before = Some(residual);
            }
        }
        let correlation = together / apart;
        // A mean and a trend were taken off, which makes neighbours look less alike than they are
        // (Marriott and Pope 1954).
        let taken_off = (LEVEL_AND_TREND + 4.0 * correlation) / BASELINE_LENGTH;
        (correlation + taken_off * (apart - CORRELATION_PRIOR) / apart).clamp(0.0, 0.8)
    }

    /// How far regions' trends are apart, beyond what their own pasts leave open: normal laws about
    /// the topic's trend, which may be off
    /// for all of them alike (DerSimonian and Laird 1986, with all spreads weighed instead of one
    /// found).
    fn trend_variance(&self, told: &[Told]) -> f64 {
        let prior_variance = self.trend_variance + self.season.trend_variance;
        let trends: Vec<(f64, f64)> = told
            .iter()
            .filter_map(|told| {
                let precision = 1.0 / told.own.trend_variance() - 1.0 / prior_variance;
                if precision * prior_variance < TREND_TOLD_LEAST {
                    return None;
                }
                // What the past says by itself: the prior's pull taken back.
                let off = (told.own.trend() - self.season.trend)
                    / (told.own.trend_variance() * precision);
                Some((off, self.dependence(told.mean, self.likeliest_size(told)) / precision))
            })
            .collect();
        let variances = SPREADS.map(|spread| spread * REGION_TREND_SD * spread * REGION_TREND_SD);
        let evidence = variances.map(|variance| {
            let precisions = trends.iter().map(|(_, own)| 1.0 / (own + variance));
            let total: f64 = precisions.clone().sum();
            let middle = trends
                .iter()
                .zip(precisions.clone())
                .map(|((off, _), precision)| off * precision)
                .sum::<f64>()
                / total.max(1e-9);
            let common = 1.0 + self.season.trend_variance * total;
            let of_all = -0.5 * (libm::log(common) + middle * middle * total / common);
            let of_each = |((off, _), precision): (&(f64, f64), f64)| {
                0.5 * (libm::log(precision)
                    - ((off - middle) * (off - middle) * precision).min(TREND_OFF_MOST))
            };
            of_all + trends.iter().zip(precisions).map(of_each).sum::<f64>()
        });
        weigh_spreads(&evidence)
            .iter()
            .zip(variances)
            .map(|(weight, variance)| weight * variance)
            .sum()
    }

    /// By how much the variance of a mean of windows is larger than if they were independent of
    /// each other.
    fn dependence(&self, mean: f64, size: f64) -> f64 {
        1.0 + moved(mean, size) * self.waves()
    }

    /// The same of what isn't counting, less one.
    fn waves(&self) -> f64 {
        2.0 * self.correlation / (1.0 - self.correlation)
    }

    fn likeliest_size(&self, told: &Told) -> f64 {
        let (weights, shift) = self.spread.sizes(told.mean.max(1e-3));
        let mut evidence = *told.own.evidence();
        for (evidence, weight) in evidence.iter_mut().zip(weights) {
            *evidence += libm::log(weight.max(1e-12));
        }
        let best = likeliest(&evidence);
        SIZES[best] * if best + 1 < SIZES.len() { shift } else { 1.0 }
    }

    /// Middle and shape of the law of a window's level.
    fn levels(&self, exposure: f64, shipped: Option<(f64, f64)>) -> (f64, f64) {
        let defaults = Prior::default();
        let (middle, shape) = match (self.level, shipped) {
            (Some(level), _) => (level * exposure, LEVEL_SHAPE),
            (None, Some(shipped)) => shipped,
            (None, None) => (defaults.middle, defaults.shape),
        };
        (middle.clamp(1e-6, 1e9), shape)
    }

    /// What is known of a window before its series' own past is looked at. `exposure` is the judged
    /// window's, in the units that
    /// [`Pool::learn`] was given; `shipped` is the middle and shape to go by where the topic has
    /// too few regions; `mean` is the
    /// count of a usual window.
    pub fn prior(&self, exposure: f64, shipped: Option<(f64, f64)>, mean: f64) -> Prior {
        let (middle, shape) = self.levels(exposure, shipped);
        let (sizes, shift) = self.spread.sizes(mean.max(1e-3));
        let dependence = self.dependence(mean, SIZES[likeliest(&sizes)] * shift);
        // Windows that are alike spread less about their own mean than about the true one; what
        // counting adds does not.
        let narrowed = 1.0 - LEVEL_AND_TREND * self.waves() / (BASELINE_LENGTH - LEVEL_AND_TREND);
        let trend_variance = match self.level {
            // What the topic's total leaves open, and that regions differ.
            Some(_) => self.trend_variance + self.season.trend_variance,
            None => TOPIC_TREND_SD * TOPIC_TREND_SD,
        };
        Prior {
            middle,
            shape,
            trend: self.season.trend,
            trend_sd: libm::sqrt(trend_variance),
            sizes,
            shift: shift * narrowed.max(0.5),
            exposure_variance: self.season.variance + EXPOSURE_VARIANCE_LEAST,
            dependence,
            // What goes up and down by waves has a logarithm that is near normal.
            heavy: HEAVY_LEAST + (1.0 - HEAVY_LEAST) * self.correlation * self.correlation,
        }
    }
}

/// Fewer sampled posts are no denominator.
pub const DENOMINATOR_LEAST: f64 = 500.0;

/// A window of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub observed: f64,
    /// All posts of whole feeds where there are enough of them to be measured: of the region, or of
    /// one around it; none where they
    /// aren't measured.
    pub population: Option<f64>,
    /// The region's share of these.
    pub share: f64,
    /// The number of the day that it ends in, and days before the judged window.
    pub day: i64,
    pub age: f64,
}

/// A topic at one instant: what its regions are judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Topic {
    per_post: Pool,
    per_window: Pool,
    /// Counts and posts of the whole, where it has denominators.
    total: (f64, f64),
}

/// A window ready to be forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    pub past: Vec<Past>,
    pub prior: Prior,
    /// Whether counts were set against all posts.
    pub has_denominator: bool,
}

impl Topic {
    /// From the topic's total and the pasts of its regions.
    pub fn learn(total: &[Window], regions: &[&[Window]]) -> Topic {
        let of_total = |by_posts: bool| -> Vec<(Past, i64)> {
            let newest = total.iter().filter_map(|window| window.population).next().unwrap_or(1.0);
            total
                .iter()
                .filter_map(|window| Some((past(window, by_posts, newest, 1.0)?, window.day)))
                .collect()
        };
        let has_posts = !total.is_empty() && total.iter().all(|window| enough(window.population));
        let season = Season::learn(&of_total(has_posts));
        let pool = |by_posts: bool| {
            let compared: Vec<Vec<Past>> = regions
                .iter()
                .map(|windows| {
                    windows
                        .iter()
                        .filter_map(|window| past(window, by_posts, 1.0, season.factor(window.day)))
                        .collect()
                })
                .collect();
            Pool::learn(season, &compared)
        };
        // Without denominators only where some are missing.
        let all_denominated = has_posts
            && regions.iter().all(|windows| windows.iter().all(|window| enough(window.population)));
        let unlearnt = Pool::alone(season);
        let of_all =
            |of: fn(&Window) -> f64| if has_posts { total.iter().map(of).sum() } else { 0.0 };
        Topic {
            per_post: if has_posts { pool(true) } else { unlearnt },
            per_window: if all_denominated { unlearnt } else { pool(false) },
            total: (
                of_all(|window| window.observed),
                of_all(|window| window.population.unwrap_or(0.0)),
            ),
        }
    }

    /// Of a topic of which nothing is known.
    pub fn unknown() -> Topic {
        Topic {
            per_post: Pool::alone(Season::FLAT),
            per_window: Pool::alone(Season::FLAT),
            total: (0.0, 0.0),
        }
    }

    /// What a window of a series is to be forecast from. `shipped` gives middle and shape of what
    /// is known of topics in general, for
    /// the window's population if there is one.
    pub fn prepare(
        &self,
        windows: &[Window],
        now: &Window,
        shipped: impl Fn(Option<f64>) -> (f64, f64),
    ) -> Prepared {
        // With denominators if most of the past has them too.
        let denominated = windows.iter().filter(|window| enough(window.population)).count();
        let measured = now
            .population
            .filter(|posts| *posts >= DENOMINATOR_LEAST && 2 * denominated >= windows.len());
        let has_denominator = measured.is_some();
        let pool = if has_denominator { &self.per_post } else { &self.per_window };
        let own = measured.map_or(1.0, |posts| posts * now.share);
        let past: Vec<Past> = windows
            .iter()
            .filter_map(|window| {
                past(window, has_denominator, own, pool.season.relative(window.day, now.day))
            })
            .collect();
        let (middle, shape) = shipped(measured.map(|_| own));
        // Its share of all posts everywhere says more of a region than what topics in general have;
        // what is shipped counts as much as
        // its shape.
        let (counted, posts) = if has_denominator { self.total } else { (0.0, 0.0) };
        let shipped = Some(((counted + shape) / (posts / own + shape / middle), shape));
        let exposure = own * pool.season.factor(now.day);
        let (counted, exposed) = past.iter().fold((0.0, 0.0), |(counted, exposed), past| {
            (counted + past.observed, exposed + past.exposure)
        });
        let (middle, shape) = pool.levels(exposure, shipped);
        let mut prior =
            pool.prior(exposure, shipped, (counted + shape) / (exposed + shape / middle));
        prior.exposure_variance += measured.map_or(0.0, |posts| 1.0 / posts);
        Prepared { past, prior, has_denominator }
    }
}

fn enough(population: Option<f64>) -> bool {
    population.is_some_and(|posts| posts >= DENOMINATOR_LEAST)
}

/// A window's past in units of `own` posts, or of windows.
fn past(window: &Window, by_posts: bool, own: f64, factor: f64) -> Option<Past> {
    let exposure = if by_posts {
        window.population.filter(|posts| *posts >= DENOMINATOR_LEAST)? * window.share / own
    } else {
        1.0
    };
    Some(Past { observed: window.observed, exposure: exposure * factor, age: window.age })
}

#[cfg(test)]
mod tests;
