//! A panel: one topic in several regions by the hour, and its judgements ("looks") by a detector.
//!
//! Used by every table. Looks of outbreak-free panels give false episodes and calibration; looks of
//! panels with an outbreak give the probability of detection and the delay. Each method is compared
//! at the threshold of its own score with the same number of false episodes a year.
//! Pure; doesn't simulate.

use simulation::panels;
use surveillance::detectors::{Method, judge_last};
use surveillance::forecast::pool::{Topic, Window};
use surveillance::forecast::{Forecast, forecast};
use surveillance::t_quantile_upper;

const DAY: usize = 24;
/// The last hour of an open window is taken to bring this many times the posts of the fullest one.
const EARLY_FORECAST: f64 = 1.5;
/// Hours from a window's end to its close.
const LATENESS: f64 = 2.0 / 60.0;
/// Baseline windows of a look, and between them and now.
const BASELINE_WINDOWS: usize = 28;
const GUARDBAND_DAYS: usize = 2;
/// An episode ends when no window that ended in this span was in alarm.
const QUIET: usize = DAY;
/// Windows of which less was covered are not judged.
const COVERAGE: f64 = 0.8;

/// One topic in several regions by the hour; the first hour is that of a Monday 00:00.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panel {
    pub(crate) regions: Vec<Track>,
    /// Of each hour the share covered when it had just passed; empty: all of it.
    pub(crate) covered: Vec<f64>,
    /// The hour by which each has been replayed.
    pub(crate) replayed: Vec<usize>,
}

/// One region: sums of hours up to each hour, so that windows are differences.
#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    counts: Vec<f64>,
    seen: Vec<f64>,
    totals: Vec<f64>,
    totals_seen: Vec<f64>,
}

impl Track {
    /// Counts of hours, in the end and as seen at once, and of all posts likewise; all of one
    /// length.
    pub(crate) fn new(counts: &[u32], seen: &[u32], totals: &[u32], totals_seen: &[u32]) -> Track {
        let sums = |counts: &[u32]| {
            let running = counts.iter().scan(0.0, |sum, count| {
                *sum += f64::from(*count);
                Some(*sum)
            });
            std::iter::once(0.0).chain(running).collect()
        };
        Track {
            counts: sums(counts),
            seen: sums(seen),
            totals: sums(totals),
            totals_seen: sums(totals_seen),
        }
    }

    pub(crate) fn hours(&self) -> usize {
        self.counts.len().saturating_sub(1)
    }
}

impl From<&panels::Panel> for Panel {
    fn from(drawn: &panels::Panel) -> Panel {
        let tracks = drawn.regions.iter();
        Panel {
            regions: tracks
                .map(|track| {
                    Track::new(&track.counts, &track.seen, &track.totals, &track.totals_seen)
                })
                .collect(),
            covered: drawn.covered.clone(),
            replayed: drawn.replayed.clone(),
        }
    }
}

/// One judgement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Look {
    /// The hour at which the window ends.
    pub(crate) end: usize,
    /// How surprising, in the method's own unit; none where there is no answer.
    pub(crate) score: Option<f64>,
}

/// A window that fired before it was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Early {
    /// In alarm at its close too.
    pub(crate) confirmed: bool,
    /// Its last hour brought no more posts than was forecast.
    pub(crate) held: bool,
}

/// The windows of a panel that are judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) every: usize,
}

impl Panel {
    pub(crate) fn hours(&self) -> usize {
        self.regions.first().map_or(0, Track::hours)
    }

    /// The share of a window that had been covered, or replayed, at its end; and whether anything
    /// is missing.
    fn coverage(&self, end: usize) -> f64 {
        if self.covered.is_empty() {
            return 1.0;
        }
        let hours = end - DAY..end;
        hours
            .map(|hour| if self.replayed[hour] <= end { 1.0 } else { self.covered[hour] })
            .sum::<f64>()
            / DAY as f64
    }

    fn is_behind(&self, end: usize) -> bool {
        !self.covered.is_empty()
            && (end - DAY..end).any(|hour| self.covered[hour] < 1.0 && self.replayed[hour] > end)
    }

    /// Accounts and all posts of the window that ends then, as known at its end.
    fn now(&self, region: usize, end: usize) -> (f64, f64) {
        let track = &self.regions[region];
        let behind = self.is_behind(end);
        let (counts, totals) =
            if behind { (&track.seen, &track.totals_seen) } else { (&track.counts, &track.totals) };
        (counts[end] - counts[end - DAY], totals[end] - totals[end - DAY])
    }

    fn window(&self, region: usize, end: usize, judged: usize) -> Window {
        let track = &self.regions[region];
        Window {
            observed: track.counts[end] - track.counts[end - DAY],
            population: Some(track.totals[end] - track.totals[end - DAY])
                .filter(|posts| *posts > 0.0),
            share: 1.0,
            day: (end / DAY) as i64,
            age: (judged - end) as f64 / DAY as f64,
        }
    }

    /// Ends of baseline windows, newest first.
    fn ends(&self, end: usize, newest_days: usize) -> impl Iterator<Item = usize> {
        let ends = (newest_days..newest_days + BASELINE_WINDOWS)
            .map_while(move |days| end.checked_sub(days * DAY));
        ends.take_while(|end| *end >= DAY)
    }

    /// Baseline windows of each region, and what they say of the topic.
    fn topic(&self, end: usize) -> (Vec<Vec<Window>>, Topic) {
        let pasts: Vec<Vec<Window>> = (0..self.regions.len())
            .map(|region| {
                self.ends(end, GUARDBAND_DAYS).map(|past| self.window(region, past, end)).collect()
            })
            .collect();
        let mut total: Vec<Window> = pasts.first().cloned().unwrap_or_default();
        for past in pasts.iter().skip(1) {
            for (sum, window) in total.iter_mut().zip(past) {
                sum.observed += window.observed;
                sum.population =
                    sum.population.zip(window.population).map(|(sum, more)| sum + more);
            }
        }
        let topic = Topic::learn(&total, &pasts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        (pasts, topic)
    }

    /// What the default makes of a window of each of the first `regions`, knowing what all of them
    /// know together.
    pub(crate) fn forecasts(&self, end: usize, regions: usize) -> Vec<Forecast> {
        let (pasts, topic) = self.topic(end);
        let judged = |(region, past): (usize, &Vec<Window>)| {
            self.forecast(&topic, past, region, end, self.now(region, end).1)
        };
        pasts.iter().take(regions).enumerate().map(judged).collect()
    }

    fn forecast(
        &self,
        topic: &Topic,
        past: &[Window],
        region: usize,
        end: usize,
        population: f64,
    ) -> Forecast {
        let now = Window {
            population: Some(population).filter(|posts| *posts > 0.0),
            ..self.window(region, end, end)
        };
        let prepared = topic.prepare(past, &now, |_| (0.3, 0.5));
        forecast(&prepared.past, &prepared.prior)
    }

    /// Follows a window through its last hour, post by post, as `watch` does: it fires early where
    /// the accounts so far pass the bound of the posts so far and as many again as 1.5 times the
    /// fullest hour brought. None where it doesn't fire.
    ///
    /// `posts` are the accounts on the topic: hours since the window's beginning at which each
    /// comes, and is deleted (infinite: never).
    pub(crate) fn early(
        &self,
        region: usize,
        end: usize,
        p: f64,
        posts: &[(f64, f64)],
    ) -> Option<Early> {
        let (pasts, topic) = self.topic(end);
        let totals = &self.regions[region].totals;
        let hour = |hour: usize| totals[hour + 1] - totals[hour];
        let fullest =
            (end.saturating_sub(BASELINE_WINDOWS * DAY)..end - 1).map(hour).fold(0.0, f64::max);
        let (before, last, most) =
            (totals[end - 1] - totals[end - DAY], hour(end - 1), EARLY_FORECAST * fullest);
        let bound = |population: f64| {
            self.forecast(&topic, &pasts[region], region, end, population).bound(p)
        };
        let count =
            |at: f64| posts.iter().filter(|(came, gone)| *came <= at && *gone > at).count() as f64;
        let length = DAY as f64;
        let opened = length - 1.0;
        let least = bound(before + most);
        let mut instants: Vec<f64> = posts
            .iter()
            .map(|(came, _)| *came)
            .filter(|came| *came > opened && *came < length)
            .collect();
        instants.push(opened);
        instants.sort_by(f64::total_cmp);
        let fires = |at: &f64| {
            let count = count(*at);
            count > least && count > bound(before + last * (at - opened) + most)
        };
        instants.iter().find(|at| fires(at))?;
        Some(Early {
            confirmed: count(length + LATENESS) > bound(before + last),
            held: last <= most,
        })
    }

    /// Looks of the default, for each of the first `regions`: −ln p.
    pub(crate) fn looks(&self, schedule: Schedule, regions: usize) -> Vec<Vec<Look>> {
        let mut looks = vec![Vec::new(); regions.min(self.regions.len())];
        for end in schedule.ends() {
            if self.coverage(end) < COVERAGE {
                for of_region in &mut looks {
                    of_region.push(Look { end, score: None });
                }
                continue;
            }
            for (region, (of_region, forecast)) in
                looks.iter_mut().zip(self.forecasts(end, regions)).enumerate()
            {
                let p = forecast.upper(self.now(region, end).0);
                of_region.push(Look { end, score: Some(-libm::log(p.max(1e-300))) });
            }
        }
        looks
    }

    /// p of each of the first `regions` and each window, made uniform by a number on [0, 1) for
    /// each.
    pub(crate) fn randomised(
        &self,
        schedule: Schedule,
        regions: usize,
        mut uniform: impl FnMut() -> f64,
    ) -> Vec<f64> {
        let mut values = Vec::new();
        for end in schedule.ends().filter(|end| self.coverage(*end) >= COVERAGE) {
            for (region, forecast) in self.forecasts(end, regions).iter().enumerate() {
                values.push(forecast.randomised(self.now(region, end).0, uniform()));
            }
        }
        values
    }

    /// Looks of a classic: how far above its expectation, in units of the distance from there to
    /// its bound; or its statistic.
    pub(crate) fn looks_of(
        &self,
        method: &Method,
        schedule: Schedule,
        regions: usize,
    ) -> Vec<Vec<Look>> {
        let judged = |region: usize, end: usize| {
            if self.coverage(end) < COVERAGE {
                return Look { end, score: None };
            }
            let mut series: Vec<Option<f64>> = self
                .ends(end, 1)
                .map(|past| Some(self.window(region, past, end).observed))
                .collect();
            series.reverse();
            let observed = self.now(region, end).0;
            series.push(Some(observed));
            let judgement = judge_last(method, &series);
            let score = match (
                judgement.alarm,
                judgement.expected,
                judgement.upperbound,
                judgement.statistic,
            ) {
                (None, ..) => None,
                (_, _, None, statistic) => statistic,
                (_, Some(expected), Some(bound), _) if bound > expected => {
                    Some((observed - expected) / (bound - expected))
                }
                (Some(alarm), ..) => Some(if alarm { 1e6 + observed } else { 0.0 }),
            };
            Look { end, score }
        };
        (0..regions.min(self.regions.len()))
            .map(|region| schedule.ends().map(|end| judged(region, end)).collect())
            .collect()
    }
}

impl Schedule {
    /// Ends of the windows.
    pub(crate) fn ends(&self) -> impl Iterator<Item = usize> + use<> {
        (self.from..self.to).step_by(self.every)
    }

    /// In years of a series.
    pub(crate) fn years(&self) -> f64 {
        (self.to - self.from) as f64 / (DAY as f64 * 365.25)
    }
}

/// How many episodes there are at a score.
pub(crate) fn episodes(looks: &[Look], threshold: f64) -> usize {
    first_alarms(looks, threshold).count()
}

/// The first alarm of each episode: alarms at or above a score, joined while no more than a day
/// lies between them.
pub(crate) fn first_alarms(looks: &[Look], threshold: f64) -> impl Iterator<Item = &Look> {
    let mut last: Option<usize> = None;
    looks.iter().filter(move |look| {
        if look.score.is_none_or(|score| score < threshold) {
            return false;
        }
        let begins = last.is_none_or(|last| look.end - last > QUIET);
        last = Some(look.end);
        begins
    })
}

/// The least score at which calm series together give at most `most` false episodes.
pub(crate) fn threshold(calm: &[Vec<Look>], most: usize) -> f64 {
    let mut scores: Vec<f64> = calm
        .iter()
        .flatten()
        .filter_map(|look| look.score)
        .filter(|score| score.is_finite())
        .collect();
    scores.sort_by(f64::total_cmp);
    scores.dedup();
    let false_at = |score: f64| calm.iter().map(|looks| episodes(looks, score)).sum::<usize>();
    let least = scores.partition_point(|score| false_at(*score) > most);
    scores.get(least).copied().unwrap_or(f64::INFINITY)
}

/// The first alarm within so many hours of an onset.
pub(crate) fn caught(looks: &[Look], threshold: f64, onset: usize, within: usize) -> Option<Look> {
    let after = |look: &&Look| look.end > onset && look.end <= onset + within;
    looks
        .iter()
        .filter(after)
        .find(|look| look.score.is_some_and(|score| score >= threshold))
        .copied()
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) hits: u64,
    pub(crate) of: u64,
}

impl Share {
    pub(crate) fn value(self) -> f64 {
        self.hits as f64 / (self.of as f64).max(1.0)
    }

    /// Wilson's 95 % interval (1927).
    pub(crate) fn interval(self) -> (f64, f64) {
        let (n, p, z) = ((self.of as f64).max(1.0), self.value(), 1.959_963_984_540_054);
        let centre = p + z * z / (2.0 * n);
        let spread = z * libm::sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n));
        (
            ((centre - spread) / (1.0 + z * z / n)).max(0.0),
            ((centre + spread) / (1.0 + z * z / n)).min(1.0),
        )
    }

    pub(crate) fn add(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.of += 1;
    }
}

/// A mean with its 95 % interval, from numbers that are independent of each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mean {
    pub(crate) value: f64,
    /// Half of the interval's width; 0 where there is but one number.
    pub(crate) give_or_take: f64,
}

impl Mean {
    pub(crate) fn of(numbers: &[f64]) -> Mean {
        let n = numbers.len() as f64;
        let value = numbers.iter().sum::<f64>() / n.max(1.0);
        let squares: f64 = numbers.iter().map(|number| (number - value) * (number - value)).sum();
        let deviation = if numbers.len() > 1 { libm::sqrt(squares / (n - 1.0) / n) } else { 0.0 };
        Mean { value, give_or_take: student(numbers.len()) * deviation }
    }
}

/// Student's two-sided 95 % quantile for the mean of so many numbers.
fn student(numbers: usize) -> f64 {
    t_quantile_upper(0.025, numbers.saturating_sub(1).max(1) as f64)
}

#[cfg(test)]
mod tests;
