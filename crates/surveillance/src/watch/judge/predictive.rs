//! Default judge: forecasts each window from its own past and from the topic's other regions.
//!
//! Called by [`super::Judge`]; the mathematics is in [`crate::forecast`]. All rests on final windows
//! only, since baselines end a guardband (at least the horizon) before the window that they are
//! compared with; so early, closed and final verdicts of one window have the same baseline, and
//! differ by counts and denominators alone.

use std::sync::Arc;

use record::region::{Level, UNLOCATED, WORLD};
use record::time::{DAY, WEEK};
use record::{Grounds, Micros, PastWindow, Stage, Suspect};

use super::{Assessment, Baselines, SeriesAt};
use crate::detectors::predictive::judge_by;
use crate::detectors::{Judgement, Reason};
use crate::forecast::pool::{Baseline, Topic, Window};
use crate::forecast::{Forecast, Past, Prior, SIZES, forecast, operating, weeks};
use crate::watch::chart::Chart;
use crate::watch::denominators::{Basis, SHARE_POSTS};
use crate::watch::ledger::{Ledger, PastEnds};
use crate::watch::series::{Bound, Series, SeriesKey, Side};

/// Each look has this share of the false episodes.
const LOOK_SHARE: f64 = 0.5;

/// A new installation judges nothing for this long, and only provisionally until [`PROVISIONAL`].
const LEARNING: Micros = 3 * DAY;
const PROVISIONAL: Micros = 14 * DAY;
/// Of a topic's regions this many are enough to learn from.
const REGIONS_MAX: usize = 32;
/// A cell in which only a larger rise would be seen has too few posts to be judged.
const RISE_TO_TELL: f64 = 10.0;
/// The middle of a new series' level, in accounts a day and region, and its shape, where nothing
/// else is known: most pairs of region and topic have less than one account a day, few have many.
const SHIPPED_MIDDLE: f64 = 0.3;
const SHIPPED_SHAPE: f64 = 0.5;
/// The same per post of a window with a denominator: thirty in a million.
const SHIPPED_PER_POST: f64 = 30e-6;
/// All posts of a region are this many times what they were: the platform has grown, or its
/// language has.
const GROWTH: f64 = 2.0;
/// The last hour of a window that is still open may have this many times the posts of the fullest
/// hour at hand.
const HOUR_FORECAST: f64 = 1.5;

/// Fewer posts than this share of a usual window count as this many as long as more may come.
const BELIEVED_LEAST: f64 = 0.8;

/// Names of what the weekly chart was before the week, among an alert's numbers.
const CHART_BEFORE: &str = "chart-before";
const CHART_SEEN: &str = "chart-seen";
const CHART_SQUARES: &str = "chart-squares";

/// Which counts and denominators a window has: those of one fold, final or not.
type Counts = (Side, bool);

const OPEN: Counts = (Side::Open, false);

/// What a topic's regions have in common at one window end.
#[derive(Debug, Clone)]
pub(super) struct Pooled {
    ends: Arc<PastEnds>,
    countries: Topic,
    firsts: Topic,
    /// The p at or below which a window is in alarm.
    threshold: f64,
    /// The same for the weekly look.
    weekly: f64,
    /// Series that are judged, among which false episodes are shared.
    series: usize,
    /// How long the installation has been reading.
    age: Micros,
}

impl Pooled {
    pub(super) fn learn(ledger: &Ledger, topic: &str, ends: Arc<PastEnds>) -> Pooled {
        let end = ends.end;
        // A series that began later may not be known yet at every stage of this window.
        let guardband = ledger.guardband(end);
        let counts =
            |series: &Series| series.began_for_good.is_some_and(|began| began < end - guardband);
        let series = ledger.series.values().filter(|series| counts(series)).count();
        let detect = ledger.settings.at(end - 1).map(|rules| &rules.settings.detect);
        let per_week = detect.map_or(5.0, |detect| detect.false_episodes_per_week);
        // An operator's own `alpha` comes before the table.
        let params = detect.map(|detect| detect.params.as_slice()).unwrap_or_default();
        let given = params
            .iter()
            .find(|(name, _)| name == "alpha")
            .and_then(|(_, value)| value.parse().ok());
        let days = |(key, series): (&SeriesKey, &Series)| {
            let past = ledger.past(key, series, ends.shortest, end, &ends.baseline_shortest);
            let basis = ledger.basis(&key.1, ends.shortest, &ends.baseline_shortest);
            basis.windows(ends.shortest, end, &ends.baseline_shortest, &past)
        };
        let counted = || ledger.of_topic(topic).filter(|(_, series)| counts(series));
        let world = counted().find(|(key, _)| key.1 == WORLD);
        let total = world.map(days).unwrap_or_default();
        let learn = |level: Level| {
            let of_level: Vec<(&SeriesKey, &Series)> = counted()
                .filter(|(key, _)| {
                    ledger.settings.table.level(&key.1) == level && key.1 != UNLOCATED
                })
                .collect();
            let every = of_level.len().div_ceil(REGIONS_MAX).max(1);
            let chosen: Vec<Vec<Window>> = of_level.into_iter().step_by(every).map(days).collect();
            Topic::learn(&total, &chosen.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        Pooled {
            countries: learn(Level::Country),
            firsts: learn(Level::First),
            threshold: given.unwrap_or_else(|| operating::threshold(series, LOOK_SHARE * per_week)),
            weekly: weeks::threshold(series, LOOK_SHARE * per_week),
            series,
            age: ledger.first_coverage.map_or(0, |first| end - first),
            ends,
        }
    }

    fn is_learning(&self) -> bool {
        self.age < LEARNING
    }
}

/// Judges a window by rule: 7 d where fewer than one a day is expected and there are such windows,
/// unless the last 24 h alone are in alarm. Where a day ends and neither is, the weekly look is.
pub(super) fn judge(at: &SeriesAt, stage: Stage, baselines: &mut Baselines) -> Assessment {
    let pooled = baselines.pooled(at, at.end);
    let counts = (Side::Aligned, stage == Stage::Final);
    let mut chart = at.series.chart;
    let rising = look(&mut chart, at, &pooled, counts);
    let tail = judge_tail(at, &pooled, &baselines.own_ends(at), counts);
    let assessment = rising.filter(|_| tail.judgement.alarm != Some(true)).unwrap_or(tail);
    Assessment { chart, ..assessment }
}

fn judge_tail(at: &SeriesAt, pooled: &Pooled, ends: &PastEnds, counts: Counts) -> Assessment {
    let length = at.ledger.window_length(at.key, at.series, ends);
    let day = || forecast_day(at, pooled, ends, counts).assess(pooled, at.observed(ends.shortest));
    if length == ends.shortest {
        return day();
    }
    let week = forecast_window(at, length, (&ends.baseline_longest, ends.held), pooled, counts)
        .assess(pooled, at.observed(length));
    if week.judgement.alarm == Some(true) {
        return week;
    }
    let of_day = day();
    if of_day.judgement.alarm == Some(true) { of_day } else { week }
}

/// The bound of an open window as its last pane begins.
pub(super) fn bound(
    at: &SeriesAt,
    length: Micros,
    watermark: Micros,
    baselines: &mut Baselines,
) -> Option<Bound> {
    if at.end - at.topic.pane > watermark || at.topic.windows.first() != Some(&length) {
        return None;
    }
    let pooled = baselines.pooled(at, at.end);
    let WindowForecast { forecast, length, .. } =
        forecast_day(at, &pooled, &baselines.own_ends(at), OPEN);
    Some(Bound {
        length,
        expected: forecast.expected(),
        upperbound: (!pooled.is_learning()).then(|| forecast.bound(pooled.threshold)),
        fired: false,
    })
}

/// More posts may have come than the bound was fixed for, as when an outage is caught up with.
pub(super) fn raise_bound(bound: Bound, at: &SeriesAt, baselines: &mut Baselines) -> Bound {
    let pooled = baselines.pooled(at, at.end);
    let WindowForecast { forecast, .. } = forecast_day(at, &pooled, &baselines.own_ends(at), OPEN);
    Bound {
        upperbound: bound.upperbound.map(|fixed| fixed.max(forecast.bound(pooled.threshold))),
        expected: bound.expected.max(forecast.expected()),
        ..bound
    }
}

pub(super) fn ground(
    at: &SeriesAt,
    observed: u32,
    baselines: &mut Baselines,
) -> (Grounds, Option<f64>) {
    let pooled = baselines.pooled(at, at.end);
    let assessment =
        forecast_day(at, &pooled, &baselines.own_ends(at), OPEN).assess(&pooled, observed);
    (assessment.grounds, assessment.recurrence)
}

/// What the last window that was judged expected.
pub(super) fn expected(series: &Series, past: &[Option<f64>]) -> f64 {
    let mean = || {
        let known: Vec<f64> = past.iter().flatten().copied().collect();
        known.iter().sum::<f64>() / (known.len() as f64).max(1.0)
    };
    series.reported.values().next_back().map_or_else(mean, |reported| reported.expected)
}

/// Adds the week that ends here to the series' chart, and judges it; none where it is not in alarm.
/// A week without coverage, one that is excluded from baselines and one at which the installation
/// is still learning change nothing.
fn look(chart: &mut Chart, at: &SeriesAt, pooled: &Pooled, counts: Counts) -> Option<Assessment> {
    let (ledger, end, ends) = (at.ledger, at.end, &pooled.ends.weeks);
    let least = ledger.settings.at(end - 1).map_or(0.0, |rules| rules.settings.detect.coverage);
    if ends.len() < weeks::BASELINE_LEAST
        || pooled.is_learning()
        || ledger.coverage(Side::Aligned, end - WEEK, end) < least
        || ledger.is_excluded(at.key, end - WEEK, end, end)
    {
        return None;
    }
    let chart = chart.at(end)?;
    let WindowPast { mut baseline, windows, has_grown } =
        read_past(at, WEEK, (ends, 0), pooled, counts);
    if baseline.past.len() < weeks::BASELINE_LEAST {
        return None;
    }
    let prior = weeks::prior();
    baseline.prior =
        Prior { trend: 0.0, trend_sd: prior.trend_sd / 7.0, dependence: 1.0, ..baseline.prior };
    let forecast = forecast(&baseline.past, &baseline.prior);
    let window =
        WindowForecast { forecast, baseline, windows, has_grown, length: WEEK, held: 0, end };
    window.look(chart, at, pooled)
}

/// A window's forecast, and what it comes from.
struct WindowForecast {
    forecast: Forecast,
    baseline: Baseline,
    windows: Vec<Window>,
    /// Whether posts about other things than the watched topics are many more than usual.
    has_grown: bool,
    length: Micros,
    /// The level is that of so long before the window.
    held: Micros,
    end: Micros,
}

/// The forecast of the topic's shortest window, a day.
fn forecast_day(at: &SeriesAt, pooled: &Pooled, ends: &PastEnds, counts: Counts) -> WindowForecast {
    forecast_window(at, ends.shortest, (&ends.baseline_shortest, ends.held), pooled, counts)
}

/// The windows of a baseline, and how much further back they are for a series in alarm.
type PastOf<'a> = (&'a [(Micros, bool)], Micros);

fn forecast_window(
    at: &SeriesAt,
    length: Micros,
    ends: PastOf,
    pooled: &Pooled,
    counts: Counts,
) -> WindowForecast {
    let WindowPast { baseline, windows, has_grown } = read_past(at, length, ends, pooled, counts);
    let forecast = forecast(&baseline.past, &baseline.prior);
    WindowForecast { forecast, baseline, windows, has_grown, length, held: ends.1, end: at.end }
}

/// What a window is forecast from.
struct WindowPast {
    baseline: Baseline,
    windows: Vec<Window>,
    has_grown: bool,
}

fn read_past(
    at: &SeriesAt,
    length: Micros,
    ends: PastOf,
    pooled: &Pooled,
    counts: Counts,
) -> WindowPast {
    let (ledger, region, end) = (at.ledger, &at.key.1, at.end);
    let (ends, held) = ends;
    let basis = ledger.basis(region, length, ends);
    let windows = basis.windows(length, end - held, ends, &at.past(length, ends));
    let (population, share) = posts_now(ledger, &basis, length, end, counts);
    let now = Window {
        observed: 0.0,
        population: Some(population),
        share,
        day: basis.day(length, end),
        age: 0.0,
    };
    let is_first = ledger.settings.table.level(region) == Level::First;
    let topic = if is_first { &pooled.firsts } else { &pooled.countries };
    let shipped = |population: Option<f64>| {
        (population.map_or(SHIPPED_MIDDLE, |posts| SHIPPED_PER_POST * posts), SHIPPED_SHAPE)
    };
    let mut baseline = topic.prepare(&windows, &now, shipped);
    let posts = population * share;
    if !baseline.has_denominator {
        // What regions have in common is by the day.
        baseline.prior.middle *= length as f64 / DAY as f64;
    } else if basis.levels.len() > 1 {
        baseline.prior.exposure_variance += 1.0 / (posts + SHARE_POSTS);
    }
    let exposure = baseline.past.iter().map(|past| past.exposure).sum::<f64>();
    let usual = exposure / baseline.past.len().max(1) as f64;
    let has_grown = baseline.has_denominator
        && !baseline.past.is_empty()
        && has_grown(posts, 0.0, usual)
        && has_grown(posts, watched_posts(at, length, counts.0), usual);
    WindowPast { baseline, windows, has_grown }
}

/// Posts of a region in a window about watched topics; one about two of them is counted twice.
fn watched_posts(at: &SeriesAt, length: Micros, side: Side) -> f64 {
    let of_region = at.ledger.series.iter().filter(|((_, region), _)| *region == at.key.1);
    of_region.map(|(_, series)| f64::from(series.posts(side, at.end - length, at.end, None))).sum()
}

/// All posts of the widest region in the window that is judged, and the judged region's share of
/// them.
fn posts_now(
    ledger: &Ledger,
    basis: &Basis,
    length: Micros,
    end: Micros,
    (side, is_final): Counts,
) -> (f64, f64) {
    basis.posts_now(|level| {
        let counted = ledger.population(side, &level.region, end - length, end) as f64;
        match side {
            Side::Aligned if is_final => counted,
            // Posts that are read late come in any order: an outage is not believed before it is
            // final.
            Side::Aligned => counted.max(BELIEVED_LEAST * level.mean),
            // What is still to come of the last pane is taken at its most, so that no close can
            // lower the bound by much; and what is missing may be read yet, as after an outage.
            Side::Open => {
                let fullest = ledger.denominators.fullest(&level.region).unwrap_or(0.0);
                (counted + HOUR_FORECAST * fullest).max(level.mean)
            }
        }
    })
}

impl WindowForecast {
    /// Judges the window by itself.
    fn assess(&self, pooled: &Pooled, observed: u32) -> Assessment {
        let count = f64::from(observed);
        let bound = self.forecast.bound(pooled.threshold);
        let rise = self.forecast.detectable_rise(bound);
        let p = self.forecast.upper(count);
        let mut judgement = Judgement {
            expected: Some(self.forecast.expected()),
            upperbound: Some(bound),
            alarm: Some(count > bound),
            pvalue: Some(p),
            statistic: None,
            reason: (!self.baseline.has_denominator).then_some(Reason::NoDenominator),
        };
        if pooled.is_learning() {
            judgement = Judgement { alarm: None, reason: Some(Reason::Learning), ..judgement };
        } else if count <= bound && rise > RISE_TO_TELL {
            judgement = Judgement { alarm: None, reason: Some(Reason::TooFewPosts), ..judgement };
        }
        let mut grounds = Grounds { detectable_rise: Some(rise), ..self.ground(pooled) };
        let recurrence = operating::recurrence_days(p, pooled.series).map(of_all_looks);
        // Only what is raised is ever computed again.
        if judgement.alarm == Some(true) {
            grounds.baseline = self.past_windows();
            grounds.model = prior_numbers(&self.baseline.prior);
            if self.held > 0 {
                grounds.model.push((Grounds::HELD_DAYS.to_owned(), (self.held / DAY) as f64));
            }
        }
        self.assessment(judgement, grounds, recurrence)
    }

    /// Judges a week by the chart of its day of the week; none where it is not in alarm.
    fn look(&self, chart: &mut weeks::Chart, at: &SeriesAt, pooled: &Pooled) -> Option<Assessment> {
        let before = *chart;
        let count = f64::from(at.observed(WEEK));
        let look = chart.add(&self.forecast, count, pooled.weekly);
        let bound = look.upperbound.filter(|bound| count > *bound)?;
        let judgement = Judgement {
            expected: Some(self.forecast.expected()),
            upperbound: Some(bound),
            alarm: Some(true),
            pvalue: Some(look.pvalue),
            statistic: None,
            reason: Some(Reason::SlowRise),
        };
        let mut model = prior_numbers(&self.baseline.prior);
        let numbers = [
            (CHART_BEFORE, before.average),
            (CHART_SEEN, f64::from(before.seen)),
            (CHART_SQUARES, before.squares),
            (Grounds::RISING_DAYS, 7.0 * f64::from(chart.rising)),
        ];
        model.extend(numbers.map(|(name, number)| (name.to_owned(), number)));
        let grounds = Grounds {
            threshold: Some(pooled.weekly),
            detectable_rise: Some(self.forecast.detectable_rise(bound)),
            baseline: self.past_windows(),
            model,
            ..self.ground(pooled)
        };
        let recurrence = of_all_looks(weeks::recurrence_days(look.pvalue, pooled.series));
        Some(self.assessment(judgement, grounds, Some(recurrence)))
    }

    fn assessment(
        &self,
        judgement: Judgement,
        grounds: Grounds,
        recurrence: Option<f64>,
    ) -> Assessment {
        let (pvalue, reason) = (judgement.pvalue, judgement.reason);
        let grounds = Grounds { pvalue, reason, ..grounds };
        let length = self.length;
        Assessment { length, judgement, grounds, recurrence, chart: Chart::default() }
    }

    /// What a verdict on a count shows of the forecast, in alarm or not.
    fn ground(&self, pooled: &Pooled) -> Grounds {
        let (low, high) = self.forecast.interval();
        let ends = || self.windows.iter().map(|window| self.end_of(window));
        Grounds {
            threshold: Some(pooled.threshold),
            expected_low: Some(low),
            expected_high: Some(high),
            baseline_from: ends().min().map(|oldest| oldest - self.length),
            baseline_to: ends().max(),
            provisional: pooled.age < PROVISIONAL,
            suspect: if self.has_grown { vec![Suspect::PlatformGrowth] } else { Vec::new() },
            ..Grounds::default()
        }
    }

    fn end_of(&self, window: &Window) -> Micros {
        self.end - self.held - (window.age * DAY as f64) as Micros
    }

    /// The windows of the baseline, oldest first.
    fn past_windows(&self) -> Vec<PastWindow> {
        let past_window = |(window, past): (&Window, &Past)| PastWindow {
            end: self.end_of(window),
            observed: window.observed as u32,
            exposure: past.exposure,
        };
        self.windows.iter().zip(&self.baseline.past).map(past_window).rev().collect()
    }
}

/// Mean time between false episodes of any look that are as rare as one's own with this.
fn of_all_looks(recurrence: f64) -> f64 {
    LOOK_SHARE * recurrence
}

/// Whether a region's posts are many more than usual, a multiple of its posts now, and not because
/// so many were about the topics that are watched: an outbreak in a small country is most of its
/// posts, and its symptoms are several topics.
fn has_grown(posts: f64, watched: f64, usual: f64) -> bool {
    GROWTH * usual * posts < posts - watched
}

/// A prior's numbers by name; [`recompute`] reads them.
fn prior_numbers(prior: &Prior) -> Vec<(String, f64)> {
    let numbers = [
        ("prior-middle", prior.middle),
        ("prior-shape", prior.shape),
        ("trend", prior.trend),
        ("trend-sd", prior.trend_sd),
        ("exposure-variance", prior.exposure_variance),
        ("dependence", prior.dependence),
        ("size-shift", prior.shift),
        ("heavy", prior.heavy),
    ];
    let sizes = SIZES
        .iter()
        .zip(prior.sizes)
        .map(|(size, weight)| (format!("weight-of-size-{size}"), weight));
    numbers.into_iter().map(|(name, number)| (name.to_owned(), number)).chain(sizes).collect()
}

fn number_of(grounds: &Grounds, name: &str) -> Option<f64> {
    grounds.model.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
}

/// Reads the numbers of [`prior_numbers`]; none where they are incomplete.
fn prior_of(grounds: &Grounds) -> Option<Prior> {
    let number = |name: &str| number_of(grounds, name);
    let mut sizes = [0.0; SIZES.len()];
    for (weight, size) in sizes.iter_mut().zip(SIZES) {
        *weight = number(&format!("weight-of-size-{size}"))?;
    }
    Some(Prior {
        middle: number("prior-middle")?,
        shape: number("prior-shape")?,
        trend: number("trend")?,
        trend_sd: number("trend-sd")?,
        sizes,
        exposure_variance: number("exposure-variance")?,
        dependence: number("dependence")?,
        shift: number("size-shift")?,
        heavy: number("heavy")?,
        ..Prior::default()
    })
}

/// Computes an alert's p, expectation and bound again from the grounds that are stored with it;
/// none where they are incomplete.
pub(crate) fn recompute(grounds: &Grounds, window_end: Micros, observed: u32) -> Option<Judgement> {
    let prior = prior_of(grounds)?;
    let level_end =
        window_end - number_of(grounds, Grounds::HELD_DAYS).unwrap_or(0.0) as Micros * DAY;
    let past: Vec<Past> = grounds
        .baseline
        .iter()
        .rev()
        .map(|window| Past {
            observed: f64::from(window.observed),
            exposure: window.exposure,
            age: (level_end - window.end) as f64 / DAY as f64,
        })
        .collect();
    let forecast = forecast(&past, &prior);
    let (count, alpha) = (f64::from(observed), grounds.threshold?);
    let chart = number_of(grounds, CHART_BEFORE)
        .zip(number_of(grounds, CHART_SEEN))
        .zip(number_of(grounds, CHART_SQUARES));
    let Some(((average, seen), squares)) = chart else {
        return Some(judge_by(&forecast, Some(count), alpha));
    };
    let mut chart = weeks::Chart { average, squares, seen: seen as u32, rising: 0 };
    let look = chart.add(&forecast, count, alpha);
    let alarm = look.upperbound.is_some_and(|bound| count > bound);
    Some(Judgement {
        expected: Some(forecast.expected()),
        upperbound: look.upperbound,
        alarm: Some(alarm),
        pvalue: Some(look.pvalue),
        statistic: None,
        reason: alarm.then_some(Reason::SlowRise),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_has_grown_where_other_posts_have() {
        // Usually 70 posts; now 210, and 140 of them about the topic, or few.
        assert!(!has_grown(210.0, 120.0, 70.0 / 210.0));
        assert!(has_grown(210.0, 8.0, 70.0 / 210.0));
        assert!(!has_grown(100.0, 8.0, 70.0 / 100.0));
    }
}
