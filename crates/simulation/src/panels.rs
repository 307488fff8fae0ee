//! The yardstick of `evaluate`: panels of hourly counts, one topic in several regions, with or
//! without an outbreak.
//!
//! Frozen: what is drawn here, and from which seeds, was fixed before any detector was tuned on it,
//! and changes only with a reason in the changelog. Some generators are what a negative-binomial
//! model assumes; most are what it does not: waves, news that feed on themselves, days without
//! anything, platforms that grow, feeds that die, holidays, bots.
//! What may be seen when (`seen`, `covered`) is drawn with the counts, so that an outage and its
//! replay can be judged as they come.

use crate::event::Shape;
use crate::random::Random;
use crate::samplers::{exponential, log_uniform, negative_binomial, normal, poisson};

pub const HOURS_A_DAY: usize = 24;

/// What the counts of a panel are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Generator {
    /// Poisson hours.
    Poisson,
    /// Each day's intensity is gamma: over a day the variance is mean + mean² / size.
    NegativeBinomial { size: f64 },
    /// The logarithm of the intensity is an AR(1) by the hour: `sd` of the logarithm, `days` until
    /// a correlation of 1/e.
    LognormalWaves { sd: f64, days: f64 },
    /// Each post brings on average `follow` others within hours.
    Cascades { follow: f64 },
    /// The same, and once a month a story brings many at once, in all regions.
    News { follow: f64 },
    /// A share of the days has nothing at all.
    ZeroInflated { share: f64 },
    /// The first region's language grows tenfold in three days and stays: all its posts, the
    /// topic's with them.
    LanguageTenfold,
    /// Two feeds of equal size: one is dead for 20 h every fortnight, and then replayed.
    DeadFeed,
    /// All posts double in a week and stay doubled.
    PlatformDoubling,
    /// On fixed days people write 0.6 times as much, on the topic 1.5 times as much.
    Holidays,
    /// On some days twenty accounts of a net write about the topic within three hours, each once.
    Bots,
}

impl Generator {
    /// All of them, as they are drawn for the tables.
    pub const ALL: [(&'static str, Generator); 12] = [
        ("poisson", Generator::Poisson),
        ("nb-10", Generator::NegativeBinomial { size: 10.0 }),
        ("nb-2", Generator::NegativeBinomial { size: 2.0 }),
        ("lognormal-waves", Generator::LognormalWaves { sd: 0.4, days: 2.0 }),
        ("cascades", Generator::Cascades { follow: 0.5 }),
        ("news", Generator::News { follow: 0.4 }),
        ("zero-inflated", Generator::ZeroInflated { share: 0.2 }),
        ("language-tenfold", Generator::LanguageTenfold),
        ("dead-feed", Generator::DeadFeed),
        ("platform-doubling", Generator::PlatformDoubling),
        ("holidays", Generator::Holidays),
        ("bots", Generator::Bots),
    ];

    /// Whether a negative-binomial model with weekdays, trend and denominators describes it.
    pub fn is_modelled(self) -> bool {
        matches!(self, Generator::Poisson | Generator::NegativeBinomial { .. })
    }

    /// Whether something happens in it that people would not call an outbreak, and that an alert
    /// might be raised for.
    pub fn has_events(self) -> bool {
        matches!(
            self,
            Generator::News { .. }
                | Generator::LanguageTenfold
                | Generator::Holidays
                | Generator::Bots
        )
    }
}

/// What comes on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rise {
    /// A day at the peak, at once.
    Spike,
    /// Three days up to the peak, then two at it.
    ThreeDays,
    /// A fortnight up to the peak.
    Slow,
    /// A spike at 0.6 of the peak in three regions at once.
    Neighbours,
}

impl Rise {
    pub const ALL: [(&'static str, Rise); 4] = [
        ("spike", Rise::Spike),
        ("three-days", Rise::ThreeDays),
        ("slow", Rise::Slow),
        ("neighbours", Rise::Neighbours),
    ];

    fn shape(self) -> Shape {
        match self {
            Rise::Spike | Rise::Neighbours => Shape::Spike,
            Rise::ThreeDays => Shape::ThreeDayRise,
            Rise::Slow => Shape::SlowRise,
        }
    }

    /// In hours.
    pub fn length(self) -> usize {
        HOURS_A_DAY
            * match self {
                Rise::Spike | Rise::Neighbours => 1,
                Rise::ThreeDays => 5,
                Rise::Slow => 14,
            }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PanelSpec {
    pub days: usize,
    pub generator: Generator,
    /// The mean count of a day in each region.
    pub means: Vec<f64>,
    /// Relative growth of the topic a week.
    pub growth_per_week: f64,
    /// In the first region (with its neighbours: the first three), from this hour on.
    pub outbreak: Option<(Rise, usize)>,
}

/// A topic in several regions, by the hour; the first hour is that of a Monday 00:00.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    pub regions: Vec<Track>,
    /// Of each hour the share that had been covered when it had just passed.
    pub covered: Vec<f64>,
    /// Of an hour that was not covered, the hour after which it has been replayed.
    pub replayed: Vec<usize>,
}

/// One region. Accounts write once each, so that counts of hours add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// On the topic, in the end.
    pub counts: Vec<u32>,
    /// On the topic, as known when the hour had just passed.
    pub seen: Vec<u32>,
    /// Of all posts, in the end.
    pub totals: Vec<u32>,
    pub totals_seen: Vec<u32>,
}

/// People's days: few at night, most in the evening; the mean is 1.
pub fn hour_factor(hour: usize) -> f64 {
    1.0 - 0.6
        * libm::cos((hour % HOURS_A_DAY) as f64 / HOURS_A_DAY as f64 * std::f64::consts::TAU - 1.0)
}

/// Monday to Sunday; the mean is 1.
pub const WEEKDAYS: [f64; 7] = [1.08, 1.06, 1.04, 1.03, 1.0, 0.87, 0.92];

/// Days of a year, from the first Monday, that are holidays.
const HOLIDAYS: [usize; 8] = [3, 45, 98, 120, 158, 226, 299, 357];

/// Mean all-topic posts of a day in a region, a thousand times the topic's and at least this.
const TOTAL_LEAST: f64 = 2_000.0;

/// A panel with a spread of means, log-uniform between 0.05 and 200 a day.
pub fn spread_of_means(regions: usize, seed: u64) -> Vec<f64> {
    let mut random = Random::stream(seed, 77);
    (0..regions).map(|_| log_uniform(&mut random, 0.05, 200.0)).collect()
}

/// How much an outbreak brings in a day at its peak: what is out, but not by much.
pub fn peak(mean: f64) -> f64 {
    4.0 + 4.0 * (mean + 0.05 * mean * mean).sqrt()
}

/// The panel of a specification under a seed. The baseline is the same with and without an
/// outbreak.
pub fn panel(spec: &PanelSpec, seed: u64) -> Panel {
    let hours = spec.days * HOURS_A_DAY;
    let stories = stories(spec, seed);
    let (covered, replayed) = coverage(spec, hours, seed);
    let tracks = spec.means.iter().enumerate().map(|(region, &mean)| {
        let counts = baseline(spec, region, mean, &stories, seed);
        let totals = totals(spec, region, mean, seed);
        track(spec, region, counts, totals, &covered, seed)
    });
    Panel { regions: tracks.collect(), covered, replayed }
}

fn track(
    spec: &PanelSpec,
    region: usize,
    mut counts: Vec<u32>,
    totals: Vec<u32>,
    covered: &[f64],
    seed: u64,
) -> Track {
    for (hour, cases) in cases(spec, region, seed) {
        if let Some(count) = counts.get_mut(hour) {
            *count += cases;
        }
    }
    let mut random = Random::stream(seed, 900 + region as u64);
    let mut part = |all: &[u32]| -> Vec<u32> {
        let of_hour = |(count, covered): (&u32, &f64)| {
            if *covered >= 1.0 {
                *count
            } else {
                (0..*count).filter(|_| random.chance(*covered)).count() as u32
            }
        };
        all.iter().zip(covered).map(of_hour).collect()
    };
    let (seen, totals_seen) = (part(&counts), part(&totals));
    Track { counts, seen, totals, totals_seen }
}

/// Growth of all posts of a region at an hour, by what the generator does to the platform.
fn platform(spec: &PanelSpec, region: usize, hour: usize) -> f64 {
    let middle = spec.days * HOURS_A_DAY / 2;
    let since = hour.saturating_sub(middle) as f64;
    match spec.generator {
        Generator::LanguageTenfold if region == 0 => libm::pow(10.0, (since / 72.0).min(1.0)),
        Generator::PlatformDoubling => 1.0 + (since / 168.0).min(1.0),
        Generator::Holidays if is_holiday(hour) => 0.6,
        _ => 1.0,
    }
}

fn is_holiday(hour: usize) -> bool {
    HOLIDAYS.contains(&(hour / HOURS_A_DAY % 365))
}

/// The expected count of an hour, but for what its generator draws.
fn expected(spec: &PanelSpec, region: usize, mean: f64, hour: usize) -> f64 {
    let weeks = hour as f64 / 168.0;
    let growth = libm::exp(libm::log1p(spec.growth_per_week) * weeks);
    let pattern = hour_factor(hour) * WEEKDAYS[hour / HOURS_A_DAY % 7];
    let talked =
        if matches!(spec.generator, Generator::Holidays) && is_holiday(hour) { 1.5 } else { 1.0 };
    mean / HOURS_A_DAY as f64 * growth * pattern * platform(spec, region, hour) * talked
}

/// The law that a day's count of a region is drawn from, where it has a name: negative-binomial
/// with this mean and size, infinite for Poisson's. An outbreak comes on top.
pub fn law(spec: &PanelSpec, region: usize, day: usize) -> Option<(f64, f64)> {
    let size = match spec.generator {
        Generator::Poisson => f64::INFINITY,
        Generator::NegativeBinomial { size } => size,
        _ => return None,
    };
    let hours = day * HOURS_A_DAY..(day + 1) * HOURS_A_DAY;
    Some((hours.map(|hour| expected(spec, region, spec.means[region], hour)).sum(), size))
}

fn baseline(spec: &PanelSpec, region: usize, mean: f64, stories: &[f64], seed: u64) -> Vec<u32> {
    let mut random = Random::stream(seed, 10 * region as u64 + 1);
    let mut waves = Random::stream(seed, 10 * region as u64 + 2);
    let mut counts: Vec<u32> = Vec::with_capacity(spec.days * HOURS_A_DAY);
    let (mut wave, mut day_factor, mut following) = (normal(&mut waves), 1.0, 0.0);
    for (hour, story) in stories.iter().enumerate() {
        let mut intensity = expected(spec, region, mean, hour);
        let day_begins = hour % HOURS_A_DAY == 0;
        match spec.generator {
            Generator::NegativeBinomial { size } => {
                if day_begins {
                    day_factor = crate::samplers::gamma(&mut waves, size) / size;
                }
                intensity *= day_factor;
            }
            Generator::LognormalWaves { sd, days } => {
                let correlation = libm::exp(-1.0 / (days * HOURS_A_DAY as f64));
                wave = correlation * wave
                    + (1.0 - correlation * correlation).sqrt() * normal(&mut waves);
                intensity *= libm::exp(sd * wave - 0.5 * sd * sd);
            }
            Generator::Cascades { follow } | Generator::News { follow } => {
                // Half a day's memory: what was written brings on average `follow` others.
                let story = story * mean / HOURS_A_DAY as f64;
                let own = intensity * (1.0 - follow);
                intensity = own + following + story;
                following *= libm::exp(-1.0 / 6.0);
            }
            Generator::ZeroInflated { share } => {
                if day_begins {
                    day_factor = if waves.chance(share) { 0.0 } else { 1.0 / (1.0 - share) };
                }
                intensity *= day_factor;
            }
            Generator::Bots => {
                if day_begins {
                    day_factor =
                        if waves.chance(1.0 / 60.0) { waves.below(20) as f64 } else { 99.0 };
                }
                let since = (hour % HOURS_A_DAY) as f64 - day_factor;
                intensity += if (0.0..3.0).contains(&since) { 20.0 / 3.0 } else { 0.0 };
            }
            _ => {}
        }
        let count = poisson(&mut random, intensity);
        if let Generator::Cascades { follow } | Generator::News { follow } = spec.generator {
            following += follow * (1.0 - libm::exp(-1.0 / 6.0)) * count as f64;
        }
        counts.push(u32::try_from(count).unwrap_or(u32::MAX));
    }
    counts
}

/// Of each hour how many times its usual intensity a story brings: one a month, of sizes without a
/// usual one.
fn stories(spec: &PanelSpec, seed: u64) -> Vec<f64> {
    let hours = spec.days * HOURS_A_DAY;
    let mut stories = vec![0.0; hours];
    if !matches!(spec.generator, Generator::News { .. }) {
        return stories;
    }
    let mut random = Random::stream(seed, 5);
    let mut at = exponential(&mut random) * 30.0 * HOURS_A_DAY as f64;
    while (at as usize) < hours {
        let size = libm::pow(random.open_unit(), -1.0 / 1.5).min(50.0);
        for (since, factor) in stories[at as usize..].iter_mut().take(48).enumerate() {
            *factor += size * libm::exp(-(since as f64) / 10.0);
        }
        at += exponential(&mut random) * 30.0 * HOURS_A_DAY as f64;
    }
    stories
}

/// All posts of the region: negative-binomial hours around their own pattern.
fn totals(spec: &PanelSpec, region: usize, mean: f64, seed: u64) -> Vec<u32> {
    let mut random = Random::stream(seed, 10 * region as u64 + 3);
    let a_day = (1_000.0 * mean).max(TOTAL_LEAST);
    let hours = 0..spec.days * HOURS_A_DAY;
    let of_hour = |hour: usize| {
        let pattern = hour_factor(hour) * WEEKDAYS[hour / HOURS_A_DAY % 7];
        a_day / HOURS_A_DAY as f64 * pattern * platform(spec, region, hour)
    };
    hours
        .map(|hour| {
            u32::try_from(negative_binomial(&mut random, of_hour(hour), 400.0)).unwrap_or(u32::MAX)
        })
        .collect()
}

fn coverage(spec: &PanelSpec, hours: usize, seed: u64) -> (Vec<f64>, Vec<usize>) {
    let mut covered = vec![1.0; hours];
    let mut replayed: Vec<usize> = (0..hours).collect();
    if spec.generator == Generator::DeadFeed {
        let mut random = Random::stream(seed, 6);
        for fortnight in 0..hours / (14 * HOURS_A_DAY) {
            let from = fortnight * 14 * HOURS_A_DAY + random.below(300) as usize;
            let to = (from + 20).min(hours);
            for hour in from.min(hours)..to {
                covered[hour] = 0.5;
                replayed[hour] = to;
            }
        }
    }
    (covered, replayed)
}

/// What the outbreak brings: (hour, accounts).
fn cases(spec: &PanelSpec, region: usize, seed: u64) -> Vec<(usize, u32)> {
    let Some((rise, start)) = spec.outbreak else { return Vec::new() };
    let (regions, share) = if rise == Rise::Neighbours { (3, 0.6) } else { (1, 1.0) };
    if region >= regions {
        return Vec::new();
    }
    let mut random = Random::stream(seed, 500 + region as u64);
    let a_day = peak(spec.means[region]) * share;
    let length = rise.length();
    let of_hour = |since: usize| {
        let shape = rise.shape().at((since as f64 + 0.5) / length as f64);
        a_day / HOURS_A_DAY as f64 * hour_factor(start + since) * shape
    };
    (0..length)
        .map(|since| (start + since, poisson(&mut random, of_hour(since)) as u32))
        .filter(|(_, cases)| *cases > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(generator: Generator) -> PanelSpec {
        PanelSpec {
            days: 70,
            generator,
            means: vec![40.0, 3.0, 0.2],
            growth_per_week: 0.0,
            outbreak: None,
        }
    }

    #[test]
    fn an_outbreak_comes_on_top_of_the_same_baseline() {
        for (_, generator) in Generator::ALL {
            for (_, rise) in Rise::ALL {
                let calm = panel(&spec(generator), 4);
                let ill = panel(&PanelSpec { outbreak: Some((rise, 1_200)), ..spec(generator) }, 4);
                let touched = if rise == Rise::Neighbours { 3 } else { 1 };
                for (region, (calm, ill)) in calm.regions.iter().zip(&ill.regions).enumerate() {
                    let more =
                        calm.counts.iter().zip(&ill.counts).position(|(calm, ill)| calm != ill);
                    assert!(calm.counts.iter().zip(&ill.counts).all(|(calm, ill)| calm <= ill));
                    assert_eq!(
                        more.is_some_and(|hour| (1_200..1_200 + rise.length()).contains(&hour)),
                        region < touched,
                        "{rise:?}"
                    );
                    assert_eq!(calm.totals, ill.totals);
                }
            }
        }
    }

    #[test]
    fn what_is_modelled_keeps_its_mean() {
        for (name, generator) in
            Generator::ALL.into_iter().filter(|(_, generator)| !generator.has_events())
        {
            if generator == Generator::PlatformDoubling {
                continue;
            }
            let mut sum = 0.0;
            for seed in 0..20 {
                sum += panel(&spec(generator), seed).regions[0]
                    .counts
                    .iter()
                    .map(|count| f64::from(*count))
                    .sum::<f64>();
            }
            let mean = sum / 20.0 / 70.0;
            assert!((mean - 40.0).abs() < 3.0, "{name}: {mean}");
        }
    }

    #[test]
    fn days_have_the_mean_and_the_variance_of_their_law() {
        for (name, generator) in
            Generator::ALL.into_iter().filter(|(_, generator)| generator.is_modelled())
        {
            let spec = PanelSpec { growth_per_week: 0.03, ..spec(generator) };
            let (mut error, mut squares, mut due) = (0.0, 0.0, 0.0);
            for seed in 0..40 {
                let panel = panel(&spec, seed);
                for day in 0..70 {
                    let (mean, size) = law(&spec, 0, day).unwrap();
                    let hours = &panel.regions[0].counts[day * 24..(day + 1) * 24];
                    let count: f64 = hours.iter().map(|count| f64::from(*count)).sum();
                    error += (count - mean) / mean.sqrt();
                    squares += (count - mean) * (count - mean) / mean;
                    due += 1.0 + mean / size;
                }
            }
            assert!(
                (error / due.sqrt()).abs() < 4.0 && (squares / due - 1.0).abs() < 0.1,
                "{name}: {error} {squares} {due}"
            );
        }
        assert_eq!(law(&spec(Generator::Holidays), 0, 3), None);
    }

    #[test]
    fn a_dead_feed_is_seen_by_half_and_replayed() {
        let panel = panel(&spec(Generator::DeadFeed), 1);
        let dead: Vec<usize> =
            (0..panel.covered.len()).filter(|hour| panel.covered[*hour] < 1.0).collect();
        assert_eq!(dead.len(), 5 * 20);
        let of = |counts: &[u32]| dead.iter().map(|hour| f64::from(counts[*hour])).sum::<f64>();
        let share = of(&panel.regions[0].totals_seen) / of(&panel.regions[0].totals);
        assert!((share - 0.5).abs() < 0.05, "{share}");
        assert!(
            dead.iter()
                .all(|hour| panel.replayed[*hour] > *hour && panel.replayed[*hour] <= hour + 20)
        );
    }
}
