//! Pool: what a topic's regions know together, for the default detector.
//!
//! Weekday factors and the common trend from the topic's total; from the regions' own pasts the spread of their levels and how
//! bursty they are. A region with little past of its own is judged by these; one with much is not moved by them.

use super::predictive::{Forecast, Past, Prior, SIZES, forecast};

/// Weight of "no weekday is different", in counts for each weekday: a standard deviation of 15 %.
const WEEKDAY_COUNTS: f64 = 44.0;
/// Before the topic's total is looked at, its growth a day is 0, give or take this: 10 % a week.
const TOPIC_TREND_SD: f64 = 0.014;
/// Regions grow as their topic does, give or take this a day: 5 % a week.
const REGION_TREND_SD: f64 = 0.007;
/// Of the law of levels.
const SHAPE_LEAST: f64 = 0.4;
const SHAPE_MOST: f64 = 2.0;
/// Fewer regions tell nothing of the others.
const REGIONS_LEAST: usize = 5;
/// What all regions say of dispersion counts as much as this many, since each may have its own.
const BORROWED: f64 = 12.0;
/// Windows by which "no window is like the one before it" is held.
const DEPENDENCE_PRIOR: f64 = 56.0;
/// Windows of a usual baseline.
const BASELINE_LENGTH: f64 = 28.0;

/// Weekday factors with what they leave open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Season {
    factors: [f64; 7],
    variance: f64,
    trend: f64,
}

impl Season {
    /// Every day alike.
    pub const FLAT: Season = Season { factors: [1.0; 7], variance: 0.0, trend: 0.0 };

    /// From windows of a total and the numbers of their days. Less than two weeks tell nothing of weekdays.
    pub fn learn(windows: &[(Past, i64)]) -> Season {
        let days: Vec<i64> = windows.iter().map(|(_, day)| *day).collect();
        let span = days.iter().max().zip(days.iter().min()).map_or(0, |(newest, oldest)| newest - oldest + 1);
        if span < 14 {
            return Season { variance: 0.15 * 0.15, ..Season::FLAT };
        }
        let prior = Prior { trend_sd: TOPIC_TREND_SD, ..Prior::default() };
        let mut season = Season::FLAT;
        for _ in 0..2 {
            let past: Vec<Past> =
                windows.iter().map(|(past, day)| Past { exposure: past.exposure * season.factor(*day), ..*past }).collect();
            let fitted = forecast(&past, &prior);
            season.trend = fitted.trend();
            let mut seen = [WEEKDAY_COUNTS; 7];
            let mut due = [WEEKDAY_COUNTS; 7];
            let likeliest = likeliest_size(&fitted);
            for (past, day) in windows {
                let mean = fitted.expected() * past.exposure * libm::exp(-fitted.trend() * past.age);
                let weight = likeliest / (likeliest + mean);
                seen[day.rem_euclid(7) as usize] += past.observed * weight;
                due[day.rem_euclid(7) as usize] += mean * weight;
            }
            for weekday in 0..7 {
                season.factors[weekday] = seen[weekday] / due[weekday];
            }
            let mean = season.factors.iter().sum::<f64>() / 7.0;
            season.factors = season.factors.map(|factor| factor / mean);
            season.variance = due.iter().map(|due| 1.0 / due).sum::<f64>() / 7.0;
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

fn likeliest_size(fitted: &Forecast) -> f64 {
    let best = SIZES.iter().zip(fitted.evidence()).max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(1.0, |(size, _)| *size)
}

/// By what to multiply sizes so that one of them is the likeliest; the evidence is that of the shifted sizes then. What many regions
/// say together is sharper than the grid is fine, and its nearest size would be wrong by a fifth of the variance.
fn shift_to_peak(evidence: &mut [f64; SIZES.len()]) -> f64 {
    let last = SIZES.len() - 1;
    let Some((peak, _)) = evidence.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)) else { return 1.0 };
    // Poisson's is no size between others.
    if peak == 0 || peak + 1 >= last {
        return 1.0;
    }
    let at = |nth: usize| libm::log(SIZES[nth]);
    let (below, above) = (at(peak) - at(peak - 1), at(peak + 1) - at(peak));
    let (fall, rise) = ((evidence[peak] - evidence[peak - 1]) / below, (evidence[peak + 1] - evidence[peak]) / above);
    // A parabola through the three: its slope at the middle, and how it bends.
    let bend = (fall - rise) / (below + above);
    if bend <= 0.0 {
        return 1.0;
    }
    let slope = (fall * above + rise * below) / (below + above);
    let shift = (slope / (2.0 * bend)).clamp(-0.5 * below, 0.5 * above);
    let told = *evidence;
    for nth in 0..last {
        let other = if shift < 0.0 { nth.saturating_sub(1) } else { (nth + 1).min(last - 1) };
        if other != nth {
            evidence[nth] += (told[other] - told[nth]) * shift / (at(other) - at(nth));
        }
    }
    evidence[peak] = told[peak] + shift * slope - bend * shift * shift;
    libm::exp(shift)
}

/// Levels and dispersion of a topic's regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool {
    pub season: Season,
    /// Middle and shape of the regions' levels, per unit of exposure; none where there are too few regions.
    levels: Option<(f64, f64)>,
    sizes: [f64; SIZES.len()],
    shift: f64,
    dependence: f64,
}

impl Pool {
    pub fn alone(season: Season) -> Pool {
        Pool { season, levels: None, sizes: Prior::default().sizes, shift: 1.0, dependence: 1.0 }
    }

    /// From the pasts of regions, with exposures that can be compared between them (windows, or posts).
    pub fn learn(season: Season, regions: &[Vec<Past>]) -> Pool {
        let mut pool = Pool::alone(season);
        let regions: Vec<&Vec<Past>> = regions.iter().filter(|past| past.len() >= 3).collect();
        if regions.len() < REGIONS_LEAST {
            return pool;
        }
        // Logarithms of levels, with half a count for those that have none.
        let logs: Vec<(f64, f64)> = regions
            .iter()
            .map(|past| past.iter().fold((0.5, 0.0), |(seen, due), past| (seen + past.observed, due + past.exposure)))
            .filter(|(_, due)| *due > 0.0)
            .map(|(seen, due)| (libm::log(seen / due), 1.0 / seen))
            .collect();
        let regions_told = (logs.len() as f64).max(1.0);
        let middle = logs.iter().map(|(log, _)| log).sum::<f64>() / regions_told;
        let between = logs.iter().map(|(log, counting)| (log - middle) * (log - middle) - counting.min(2.0)).sum::<f64>() / regions_told;
        // The logarithm of a beta prime law with both shapes a has the variance 2ψ'(a), about 2/a + 1/a².
        let between = between.max(0.2);
        let shape = (1.0 + libm::sqrt(1.0 + between)) / between;
        pool.levels = Some((libm::exp(middle), shape.clamp(SHAPE_LEAST, SHAPE_MOST)));
        let mut borrowed = [0.0; SIZES.len()];
        let (mut together, mut apart) = (0.0, DEPENDENCE_PRIOR);
        let told = regions.len() as f64;
        for past in regions {
            let own = forecast(past, &pool.prior(1.0, None));
            let largest = own.evidence().iter().copied().fold(f64::NEG_INFINITY, f64::max);
            for (sum, evidence) in borrowed.iter_mut().zip(own.evidence()) {
                // No single region may rule anything out.
                *sum += (evidence - largest).max(-3.0);
            }
            let size = likeliest_size(&own);
            // Pearson residuals of windows that follow each other.
            let mut before: Option<f64> = None;
            for window in past {
                let mean = own.expected() * window.exposure * libm::exp(-own.trend() * window.age);
                let residual = ((window.observed - mean) / libm::sqrt(mean + mean * mean / size).max(0.3)).clamp(-3.0, 3.0);
                together += before.map_or(0.0, |before| before * residual);
                apart += residual * residual;
                before = Some(residual);
            }
        }
        pool.shift = shift_to_peak(&mut borrowed);
        let largest = borrowed.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (size, borrowed) in pool.sizes.iter_mut().zip(borrowed) {
            *size *= libm::exp(BORROWED.min(told) / told * (borrowed - largest)).max(1e-4);
        }
        // A mean and a trend were taken off, which makes neighbours look a little less alike than they are.
        let correlation = (together / apart + 3.0 / BASELINE_LENGTH).clamp(0.0, 0.7);
        pool.dependence = (1.0 + correlation) / (1.0 - correlation);
        pool
    }

    /// What is known of a window before its series' own past is looked at. `exposure` is the judged window's, in the units that
    /// [`Pool::learn`] was given; `shipped` is the middle and shape to go by where the topic has too few regions.
    pub fn prior(&self, exposure: f64, shipped: Option<(f64, f64)>) -> Prior {
        let defaults = Prior::default();
        let (middle, shape) = match (self.levels, shipped) {
            (Some((middle, shape)), _) => (middle * exposure, shape),
            (None, Some(shipped)) => shipped,
            (None, None) => (defaults.middle, defaults.shape),
        };
        Prior {
            middle: middle.clamp(1e-6, 1e9),
            shape,
            trend: self.season.trend,
            trend_sd: if self.levels.is_some() { REGION_TREND_SD } else { TOPIC_TREND_SD },
            sizes: self.sizes,
            shift: self.shift,
            exposure_variance: self.season.variance,
            dependence: self.dependence,
        }
    }
}

/// Fewer sampled posts are no denominator.
pub const DENOMINATOR_LEAST: f64 = 500.0;

/// A window of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub observed: f64,
    /// All posts of whole feeds; none where they aren't measured.
    pub population: Option<f64>,
    /// The number of the day that it ends in, and days before the judged window.
    pub day: i64,
    pub age: f64,
}

/// A topic at one instant: what its regions are judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Topic {
    per_post: Pool,
    per_window: Pool,
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
            total.iter().filter_map(|window| Some((past(window, by_posts, newest, 1.0)?, window.day))).collect()
        };
        let has_posts = !total.is_empty() && total.iter().all(|window| enough(window.population));
        let season = Season::learn(&of_total(has_posts));
        let pool = |by_posts: bool| {
            let compared: Vec<Vec<Past>> = regions
                .iter()
                .map(|windows| windows.iter().filter_map(|window| past(window, by_posts, 1.0, season.factor(window.day))).collect())
                .collect();
            Pool::learn(season, &compared)
        };
        Topic { per_post: if has_posts { pool(true) } else { Pool::alone(season) }, per_window: pool(false) }
    }

    /// Of a topic of which nothing is known.
    pub fn unknown() -> Topic {
        Topic { per_post: Pool::alone(Season::FLAT), per_window: Pool::alone(Season::FLAT) }
    }

    /// What a window of a series is to be forecast from. `shipped` gives middle and shape of what is known of topics in general, for
    /// the window's population if there is one.
    pub fn prepare(&self, windows: &[Window], now: &Window, shipped: impl Fn(Option<f64>) -> (f64, f64)) -> Prepared {
        // With denominators if most of the past has them too.
        let denominated = windows.iter().filter(|window| enough(window.population)).count();
        let population = now.population.filter(|posts| *posts >= DENOMINATOR_LEAST && 2 * denominated >= windows.len());
        let pool = if population.is_some() { &self.per_post } else { &self.per_window };
        let own = population.unwrap_or(1.0);
        let past: Vec<Past> = windows
            .iter()
            .filter_map(|window| past(window, population.is_some(), own, pool.season.relative(window.day, now.day)))
            .collect();
        let mut prior = pool.prior(own * pool.season.factor(now.day), Some(shipped(population)));
        prior.exposure_variance += population.map_or(0.0, |posts| 1.0 / posts);
        Prepared { past, prior, has_denominator: population.is_some() }
    }
}

fn enough(population: Option<f64>) -> bool {
    population.is_some_and(|posts| posts >= DENOMINATOR_LEAST)
}

/// A window's past in units of `own` posts, or of windows.
fn past(window: &Window, by_posts: bool, own: f64, factor: f64) -> Option<Past> {
    let exposure = if by_posts { window.population.filter(|posts| *posts >= DENOMINATOR_LEAST)? / own } else { 1.0 };
    Some(Past { observed: window.observed, exposure: exposure * factor, age: window.age })
}
