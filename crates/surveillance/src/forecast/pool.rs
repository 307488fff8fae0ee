//! Pool: the prior of a region's forecast, learnt from all regions of its topic.
//!
//! Weekday factors and the common trend come from the topic's total; the spread of levels and the
//! burstiness from the regions' own pasts. A region with little past is judged by these; one with
//! much is not moved by them. Knows no names of topics or regions.

use super::season::{
    REGION_TREND_SD, SPREADS, SPREADS_PRIOR, Season, TOPIC_TREND_SD, likeliest, weigh_spreads,
};
use super::spread::Spread;
use super::{Forecast, HEAVY_LEAST, Past, Prior, SIZES, Wild, forecast};

/// Of the law of a topic's levels, whose middle is put so many times above that of its regions: a
/// law that bends among them would pull small levels down and large ones up, and with them how
/// often they are in alarm. With the shape of Jeffreys' law, ½, four weeks of Poisson counts are in
/// alarm up to 1.24 times too often at means near 0.1 a day, with 0.6 down to 0.71 times at 0.05:
/// in between both err alike.
const LEVEL_SHAPE: f64 = 0.52;
const LEVEL_ABOVE: f64 = 4.0;
/// However well weekdays and denominators are known, what they are to the topic is not: 1 %.
const EXPOSURE_VARIANCE_LEAST: f64 = 1e-4;
/// From fewer regions nothing is learnt of the others.
const REGIONS_LEAST: usize = 5;
/// Windows by which "no window is like the one before it" is held: correlations of 0.3 are nothing
/// unusual.
const CORRELATION_PRIOR: f64 = 10.0;
/// A region whose past adds less than this to what is known of its trend beforehand is no evidence of
/// how regions' trends differ.
const TREND_INFORMATION_LEAST: f64 = 0.05;
/// Squared standard deviations by which one region's trend may be off at most, whatever it is.
const TREND_OFF_MOST: f64 = 9.0;
/// What is fitted to a past: a level, and a trend that isn't free.
const LEVEL_AND_TREND: f64 = 1.5;
/// Windows of a usual baseline.
const BASELINE_LENGTH: f64 = 28.0;

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

/// The share of a window's variance that is not counting.
fn moved(mean: f64, size: f64) -> f64 {
    mean / (mean + size)
}

/// A region's past with exposures as multiples of its usual window, and its own forecast.
struct RegionFit {
    past: Vec<Past>,
    own: Forecast,
    mean: f64,
}

impl RegionFit {
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
        let regions_counted = (logs.len() as f64).max(1.0);
        let middle = logs.iter().sum::<f64>() / regions_counted;
        pool.level = Some(LEVEL_ABOVE * libm::exp(middle));
        // Beforehand, as long as nothing is known of how they differ.
        pool.trend_variance = SPREADS
            .iter()
            .zip(SPREADS_PRIOR)
            .map(|(spread, weight)| weight * spread * spread)
            .sum::<f64>()
            * REGION_TREND_SD
            * REGION_TREND_SD;
        let fits: Vec<RegionFit> = regions
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
                RegionFit { own, mean: sum(|window| window.observed) / past.len() as f64, past }
            })
            .collect();
        pool.spread = Spread::learn(
            &fits.iter().map(|fit| (fit.mean.max(1e-3), *fit.own.evidence())).collect::<Vec<_>>(),
        );
        pool.correlation = pool.correlation(&fits);
        pool.trend_variance = pool.trend_variance(&fits);
        pool
    }

    /// Of windows that follow each other.
    fn correlation(&self, fits: &[RegionFit]) -> f64 {
        let (mut together, mut apart) = (0.0, CORRELATION_PRIOR);
        for fit in fits {
            let size = self.likeliest_size(fit);
            let moved = moved(fit.mean, size);
            // Pearson residuals of windows that follow each other.
            let mut before: Option<f64> = None;
            for (observed, mean) in fit.means() {
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
    /// the topic's trend, which may be off for all of them alike (DerSimonian and Laird 1986, with
    /// all spreads weighed instead of one found).
    fn trend_variance(&self, fits: &[RegionFit]) -> f64 {
        let prior_variance = self.trend_variance + self.season.trend_variance;
        let trends: Vec<(f64, f64)> = fits
            .iter()
            .filter_map(|fit| {
                let precision = 1.0 / fit.own.trend_variance() - 1.0 / prior_variance;
                if precision * prior_variance < TREND_INFORMATION_LEAST {
                    return None;
                }
                // The past by itself: the prior's pull taken back.
                let off =
                    (fit.own.trend() - self.season.trend) / (fit.own.trend_variance() * precision);
                Some((off, self.dependence(fit.mean, self.likeliest_size(fit)) / precision))
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

    fn likeliest_size(&self, fit: &RegionFit) -> f64 {
        let (weights, shift) = self.spread.sizes(fit.mean.max(1e-3));
        let mut evidence = *fit.own.evidence();
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
    /// window's, in the units that [`Pool::learn`] was given; `shipped` is the middle and shape to
    /// go by where the topic has too few regions; `mean` is the count of a usual window.
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
            wild: Wild::OF_TOPIC,
            // What regions have in common stands for it: trend, and dependence of windows.
            drift: 0.0,
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
    /// one around it; none where they aren't measured.
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
pub struct Baseline {
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
    /// is known of topics in general, for the window's population if there is one.
    pub fn prepare(
        &self,
        windows: &[Window],
        now: &Window,
        shipped: impl Fn(Option<f64>) -> (f64, f64),
    ) -> Baseline {
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
        // Its share of all posts everywhere is closer to a region than what topics in general have;
        // what is shipped counts as much as its shape.
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
        Baseline { past, prior, has_denominator }
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
