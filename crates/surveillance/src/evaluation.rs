//! Evaluation: how detectors do on series of which it is known what happened.
//!
//! A *panel* is one topic in several regions by the hour; a *look* is one judgement of a 24-hour window. Looks of calm panels give
//! false episodes and calibration, looks of panels with an outbreak the probability of detection and the delay. Every method is
//! compared at a threshold of its own score that gives the same number of false episodes a year.
//! Pure: panels come in, numbers go out; where panels come from is the caller's affair.

use crate::detectors::pool::{Topic, Window};
use crate::detectors::predictive::{Forecast, forecast};
use crate::detectors::{Method, judge_last};

const DAY: usize = 24;
/// Baseline windows of a look, and between them and now.
const BASELINE_WINDOWS: usize = 28;
const GUARDBAND_DAYS: usize = 2;
/// An episode ends when no window that ended in this span was in alarm.
const QUIET: usize = DAY;
/// Windows of which less was covered are not judged.
const COVERAGE: f64 = 0.8;

/// One topic in several regions by the hour; the first hour is that of a Monday 00:00.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    pub regions: Vec<Track>,
    /// Of each hour the share covered when it had just passed; empty: all of it.
    pub covered: Vec<f64>,
    /// The hour by which each has been replayed.
    pub replayed: Vec<usize>,
}

/// One region: sums of hours up to each hour, so that windows are differences.
#[derive(Clone, Debug, Default)]
pub struct Track {
    counts: Vec<f64>,
    seen: Vec<f64>,
    totals: Vec<f64>,
    totals_seen: Vec<f64>,
}

impl Track {
    /// Counts of hours, in the end and as seen at once, and of all posts likewise; all of one length.
    pub fn new(counts: &[u32], seen: &[u32], totals: &[u32], totals_seen: &[u32]) -> Track {
        let sums = |counts: &[u32]| {
            let running = counts.iter().scan(0.0, |sum, count| {
                *sum += f64::from(*count);
                Some(*sum)
            });
            std::iter::once(0.0).chain(running).collect()
        };
        Track { counts: sums(counts), seen: sums(seen), totals: sums(totals), totals_seen: sums(totals_seen) }
    }

    pub fn hours(&self) -> usize {
        self.counts.len().saturating_sub(1)
    }
}

/// One judgement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// The hour at which the window ends.
    pub end: usize,
    /// How surprising, in the method's own unit; none where there is no answer.
    pub score: Option<f64>,
}

/// The windows of a panel that are judged.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    pub from: usize,
    pub to: usize,
    pub every: usize,
}

impl Panel {
    pub fn hours(&self) -> usize {
        self.regions.first().map_or(0, Track::hours)
    }

    /// The share of a window that had been covered, or replayed, at its end; and whether anything is missing.
    fn coverage(&self, end: usize) -> f64 {
        if self.covered.is_empty() {
            return 1.0;
        }
        let hours = end - DAY..end;
        hours.map(|hour| if self.replayed[hour] <= end { 1.0 } else { self.covered[hour] }).sum::<f64>() / DAY as f64
    }

    fn is_behind(&self, end: usize) -> bool {
        !self.covered.is_empty() && (end - DAY..end).any(|hour| self.covered[hour] < 1.0 && self.replayed[hour] > end)
    }

    /// Accounts and all posts of the window that ends then, as known at its end.
    fn now(&self, region: usize, end: usize) -> (f64, f64) {
        let track = &self.regions[region];
        let behind = self.is_behind(end);
        let (counts, totals) = if behind { (&track.seen, &track.totals_seen) } else { (&track.counts, &track.totals) };
        (counts[end] - counts[end - DAY], totals[end] - totals[end - DAY])
    }

    fn window(&self, region: usize, end: usize, judged: usize) -> Window {
        let track = &self.regions[region];
        Window {
            observed: track.counts[end] - track.counts[end - DAY],
            population: Some(track.totals[end] - track.totals[end - DAY]).filter(|posts| *posts > 0.0),
            day: (end / DAY) as i64,
            age: (judged - end) as f64 / DAY as f64,
        }
    }

    /// Ends of baseline windows, newest first.
    fn ends(&self, end: usize, newest_days: usize) -> impl Iterator<Item = usize> {
        let ends = (newest_days..newest_days + BASELINE_WINDOWS).map_while(move |days| end.checked_sub(days * DAY));
        ends.take_while(|end| *end >= DAY)
    }

    /// What the default makes of a window of each region.
    pub fn forecasts(&self, end: usize) -> Vec<Forecast> {
        let pasts: Vec<Vec<Window>> = (0..self.regions.len())
            .map(|region| self.ends(end, GUARDBAND_DAYS).map(|past| self.window(region, past, end)).collect())
            .collect();
        let mut total: Vec<Window> = pasts.first().cloned().unwrap_or_default();
        for past in pasts.iter().skip(1) {
            for (sum, window) in total.iter_mut().zip(past) {
                sum.observed += window.observed;
                sum.population = sum.population.zip(window.population).map(|(sum, more)| sum + more);
            }
        }
        let topic = Topic::learn(&total, &pasts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let judged = |(region, past): (usize, &Vec<Window>)| {
            let now = Window { population: Some(self.now(region, end).1).filter(|posts| *posts > 0.0), ..self.window(region, end, end) };
            let prepared = topic.prepare(past, &now, |_| (0.3, 0.5));
            forecast(&prepared.past, &prepared.prior)
        };
        pasts.iter().enumerate().map(judged).collect()
    }

    /// Looks of the default, region by region: −ln p.
    pub fn looks(&self, schedule: Schedule) -> Vec<Vec<Look>> {
        let mut looks = vec![Vec::new(); self.regions.len()];
        for end in schedule.ends() {
            if self.coverage(end) < COVERAGE {
                for of_region in &mut looks {
                    of_region.push(Look { end, score: None });
                }
                continue;
            }
            for (region, (of_region, forecast)) in looks.iter_mut().zip(self.forecasts(end)).enumerate() {
                let p = forecast.upper(self.now(region, end).0);
                of_region.push(Look { end, score: Some(-libm::log(p.max(1e-300))) });
            }
        }
        looks
    }

    /// p of each region and window, made uniform by a number on [0, 1) for each.
    pub fn randomised(&self, schedule: Schedule, mut uniform: impl FnMut() -> f64) -> Vec<f64> {
        let mut values = Vec::new();
        for end in schedule.ends().filter(|end| self.coverage(*end) >= COVERAGE) {
            for (region, forecast) in self.forecasts(end).iter().enumerate() {
                values.push(forecast.randomised(self.now(region, end).0, uniform()));
            }
        }
        values
    }

    /// Looks of a classic: how far above its expectation, in units of the distance from there to its bound; or its statistic.
    pub fn looks_of(&self, method: &Method, schedule: Schedule) -> Vec<Vec<Look>> {
        let judged = |region: usize, end: usize| {
            if self.coverage(end) < COVERAGE {
                return Look { end, score: None };
            }
            let mut series: Vec<Option<f64>> = self.ends(end, 1).map(|past| Some(self.window(region, past, end).observed)).collect();
            series.reverse();
            let observed = self.now(region, end).0;
            series.push(Some(observed));
            let judgement = judge_last(method, &series);
            let score = match (judgement.alarm, judgement.expected, judgement.upperbound, judgement.statistic) {
                (None, ..) => None,
                (_, _, None, statistic) => statistic,
                (_, Some(expected), Some(bound), _) if bound > expected => Some((observed - expected) / (bound - expected)),
                (Some(alarm), ..) => Some(if alarm { 1e6 + observed } else { 0.0 }),
            };
            Look { end, score }
        };
        (0..self.regions.len()).map(|region| schedule.ends().map(|end| judged(region, end)).collect()).collect()
    }
}

impl Schedule {
    fn ends(&self) -> impl Iterator<Item = usize> + use<> {
        (self.from..self.to).step_by(self.every)
    }

    /// In years of a series.
    pub fn years(&self) -> f64 {
        (self.to - self.from) as f64 / (DAY as f64 * 365.25)
    }
}

/// Alarms at or above a score, joined while no more than a day lies between them.
pub fn episodes(looks: &[Look], threshold: f64) -> usize {
    let mut last: Option<usize> = None;
    let mut count = 0;
    for look in looks.iter().filter(|look| look.score.is_some_and(|score| score >= threshold)) {
        if last.is_none_or(|last| look.end - last > QUIET) {
            count += 1;
        }
        last = Some(look.end);
    }
    count
}

/// The least score at which calm series together give at most `most` false episodes.
pub fn threshold(calm: &[Vec<Look>], most: usize) -> f64 {
    let mut scores: Vec<f64> = calm.iter().flatten().filter_map(|look| look.score).filter(|score| score.is_finite()).collect();
    scores.sort_by(f64::total_cmp);
    scores.dedup();
    let false_at = |score: f64| calm.iter().map(|looks| episodes(looks, score)).sum::<usize>();
    let least = scores.partition_point(|score| false_at(*score) > most);
    scores.get(least).copied().unwrap_or(f64::INFINITY)
}

/// Hours from the onset to the first alarm, if it comes within `within` hours.
pub fn delay(looks: &[Look], threshold: f64, onset: usize, within: usize) -> Option<usize> {
    let caught = looks.iter().filter(|look| look.end > onset && look.end <= onset + within);
    caught.filter(|look| look.score.is_some_and(|score| score >= threshold)).map(|look| look.end - onset).next()
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub hits: u64,
    pub of: u64,
}

impl Share {
    pub fn value(self) -> f64 {
        self.hits as f64 / (self.of as f64).max(1.0)
    }

    /// Wilson's 95 % interval (1927).
    pub fn interval(self) -> (f64, f64) {
        let (n, p, z) = ((self.of as f64).max(1.0), self.value(), 1.959_963_984_540_054);
        let centre = p + z * z / (2.0 * n);
        let spread = z * libm::sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n));
        (((centre - spread) / (1.0 + z * z / n)).max(0.0), ((centre + spread) / (1.0 + z * z / n)).min(1.0))
    }

    pub fn add(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.of += 1;
    }
}
