//! The default detector at work: what a topic's regions know together at one window end, and what
//! follows for each of them.
//!
//! Everything here rests on final windows only, since baselines end a guardband (at least the
//! horizon) before the window they
//! judge; so early, closed and final verdicts of one window have the same baseline, and differ by
//! counts and denominators alone.

use std::collections::{BTreeMap, VecDeque};

use record::region::{Level, UNLOCATED, WORLD};
use record::time::{DAY, HOUR};
use record::{Grounds, Micros, PastWindow, Stage, Suspect, TopicSetting};
use serde::{Deserialize, Serialize};

use super::chart::{Chart, Charted};
use super::{HISTORY, Pasts, Series, Side, Watch};
use crate::detectors::pool::{Prepared, Topic, Window};
use crate::detectors::predictive::{Forecast, Past, Prior, SIZES, forecast, judge_by};
use crate::detectors::{Judgement, Reason, holidays, operating, slow};

/// A new installation says nothing for this long, and nothing but provisional things until
/// [`PROVISIONAL`].
const LEARNING: Micros = 3 * DAY;
const PROVISIONAL: Micros = 14 * DAY;
/// A topic's regions are asked for what they know together; this many are enough.
const ASKED_MAX: usize = 32;
/// A cell in which only a larger rise would be seen has too few posts to tell.
const RISE_TO_TELL: f64 = 10.0;
/// The middle of a new series' level, in accounts a day and region, and its shape, where nothing
/// else is known: most pairs of
/// region and topic have less than one account a day, few have many.
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

/// A region's share of the posts of the one above it changes from window to window by about one
/// part in the root of this: 14 %.
const SHARE_POSTS: f64 = 50.0;
/// Fewer posts than this share of a usual window are taken for this many as long as more may come.
const BELIEVED_LEAST: f64 = 0.8;

/// Names of what a chart of slow rises stood at before the day, and of its limit, among an alert's
/// numbers.
const CHART_BEFORE: &str = "chart-before";
const CHART_LIMIT: &str = "chart-limit";

/// Final denominators by the hour, for as long as baselines reach.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Denominators {
    pub(super) regions: BTreeMap<String, Hours>,
}

/// Hours without a gap.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hours {
    first: Micros,
    /// All posts before the first hour and before the end of each: from any beginning, without what
    /// is above 32 bits, since only
    /// differences are asked for.
    before: u32,
    until: VecDeque<u32>,
    /// Posts of the fullest hour so far.
    fullest: u32,
}

impl Hours {
    /// All posts before an hour that is at hand, or just after the last.
    fn before(&self, hour: usize) -> u32 {
        hour.checked_sub(1).and_then(|hour| self.until.get(hour)).copied().unwrap_or(self.before)
    }

    /// All posts of `[from, to)`; none where hours are cut.
    fn sum(&self, from: Micros, to: Micros) -> Option<f64> {
        if from.rem_euclid(HOUR) != 0 || to.rem_euclid(HOUR) != 0 {
            return None;
        }
        let place = |instant: Micros| {
            usize::try_from((instant - self.first).max(0) / HOUR)
                .unwrap_or(usize::MAX)
                .min(self.until.len())
        };
        let (from, to) = (place(from), place(to));
        (to > from).then(|| f64::from(self.before(to).wrapping_sub(self.before(from))))
    }
}

impl Denominators {
    /// Hours come in order, each once.
    pub(super) fn put(&mut self, region: &str, hour: Micros, posts: u64) {
        let hours = match self.regions.get_mut(region) {
            Some(hours) => hours,
            None => self
                .regions
                .entry(region.to_owned())
                .or_insert_with(|| Hours { first: hour, ..Hours::default() }),
        };
        let at = (hour - hours.first).div_euclid(HOUR);
        let Some(at) = usize::try_from(at).ok().filter(|at| *at >= hours.until.len()) else {
            return;
        };
        let posts = u32::try_from(posts).unwrap_or(u32::MAX);
        let until = hours.before(hours.until.len());
        let reach = (HISTORY / HOUR) as usize;
        let at = if at - hours.until.len() > reach {
            // Of a jump only the hours that baselines reach are filled.
            (hours.first, hours.before) = (hour - HISTORY, until);
            hours.until.clear();
            reach
        } else {
            at
        };
        hours.until.resize(at, until);
        hours.until.push_back(until.wrapping_add(posts));
        hours.fullest = hours.fullest.max(posts);
        while hours.first < hour - HISTORY {
            hours.before = hours.until.pop_front().unwrap_or(hours.before);
            hours.first += HOUR;
        }
    }

    /// Forgets regions in which nothing was counted since `from`.
    pub(super) fn forget(&mut self, from: Micros) {
        self.regions.retain(|_, hours| hours.first + hours.until.len() as Micros * HOUR > from);
    }

    /// The fullest hour.
    fn fullest(&self, region: &str) -> Option<f64> {
        self.regions.get(region).map(|hours| f64::from(hours.fullest))
    }
}

/// By which posts a region's counts are set in proportion: see [`Watch::basis`].
struct Basis {
    country: String,
    /// From the widest region, whose posts are counted, to the one that is judged.
    levels: Vec<Share>,
    windows: Vec<Measured>,
}

/// Posts of a window.
#[derive(Clone, Copy)]
struct Measured {
    /// Of the widest region.
    all: Option<f64>,
    /// The part of them that is the judged region's.
    share: f64,
}

/// A region among the posts of the one above it.
struct Share {
    region: String,
    /// Over the whole baseline; 1 for the widest.
    usual: f64,
    /// Posts in a window of the baseline.
    mean: f64,
}

impl Share {
    /// Posts of a window from those that were counted and those of the region above. Few say
    /// little, and then the usual share of the
    /// region above says more: the mean of a Poisson rate about a gamma prior.
    fn estimate(&self, counted: f64, above: f64) -> f64 {
        let usual = self.usual * above;
        usual * (counted + SHARE_POSTS) / (usual + SHARE_POSTS)
    }
}

impl Basis {
    /// The day that a window is taken for: weeks have one day of each kind, whichever is a holiday.
    fn day(&self, length: Micros, end: Micros) -> i64 {
        if length == DAY { holidays::day(&self.country, end) } else { end.div_euclid(DAY) }
    }

    /// Past windows with their denominators, newest first.
    fn windows(
        &self,
        length: Micros,
        end: Micros,
        ends: &[(Micros, bool)],
        past: &[Option<f64>],
    ) -> Vec<Window> {
        let of_end =
            |(((window_end, _), observed), posts): ((&(Micros, bool), &Option<f64>), &Measured)| {
                let (observed, age) = ((*observed)?, (end - window_end) as f64 / DAY as f64);
                Some(Window {
                    observed,
                    population: posts.all,
                    share: posts.share,
                    day: self.day(length, *window_end),
                    age,
                })
            };
        ends.iter().zip(past).zip(&self.windows).rev().filter_map(of_end).collect()
    }
}

/// What holds for all regions of a topic at one window end.
#[derive(Debug, Clone)]
pub(super) struct View {
    countries: Topic,
    firsts: Topic,
    /// The p at or below which a window is in alarm.
    pub(super) threshold: f64,
    /// The height above which a chart of slow rises is.
    pub(super) limit: f64,
    /// Series that are judged, among which false episodes are shared.
    series: usize,
    /// How long the installation has been reading.
    age: Micros,
}

/// What is at hand of a topic when windows that end at one instant are judged.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) pasts: Pasts,
    pub(super) view: View,
}

/// What the default says of one window.
#[derive(Debug, Clone)]
pub(super) struct Opinion {
    pub(super) length: Micros,
    pub(super) judgement: Judgement,
    pub(super) grounds: Grounds,
    pub(super) recurrence: Option<f64>,
}

impl View {
    pub(super) fn is_learning(&self) -> bool {
        self.age < LEARNING
    }
}

impl Watch {
    pub(super) fn known(&self, topic: &TopicSetting, end: Micros) -> Known {
        let pasts = self.pasts(&topic.windows, end);
        let view = self.view(&topic.id, &pasts);
        Known { pasts, view }
    }

    /// What a topic's regions know together when windows that end at `end` are judged.
    pub(super) fn view(&self, topic: &str, pasts: &Pasts) -> View {
        let end = pasts.end;
        let age = self.head.first_coverage.map_or(0, |first| end - first);
        // What began later may not be known yet by all who judge this window, at whatever stage.
        let guardband = self.rules(end - 1).map_or(0, |rules| rules.settings.detect.guardband);
        let counts =
            |series: &Series| series.began_for_good.is_some_and(|began| began < end - guardband);
        let series = self.series.values().filter(|series| counts(series)).count();
        let per_week =
            self.rules(end - 1).map_or(5.0, |rules| rules.settings.detect.false_episodes_per_week);
        // An operator's own `alpha` stands above the table.
        let params = self
            .rules(end - 1)
            .map(|rules| rules.settings.detect.params.as_slice())
            .unwrap_or_default();
        let given = params
            .iter()
            .find(|(name, _)| name == "alpha")
            .and_then(|(_, value)| value.parse().ok());
        let days = |key: &(String, String)| {
            let series = self.series.get(key).filter(|series| counts(series))?;
            let past = self.past(key, series, pasts.shortest, end, &pasts.baseline_shortest);
            let basis = self.basis(&key.1, pasts.shortest, &pasts.baseline_shortest);
            Some(basis.windows(pasts.shortest, end, &pasts.baseline_shortest, &past))
        };
        let keys = self.keys(topic);
        let total = days(&(topic.to_owned(), WORLD.to_owned())).unwrap_or_default();
        let learn = |level: Level| {
            let is_asked = |key: &&(String, String)| {
                self.table.level(&key.1) == level
                    && key.1 != UNLOCATED
                    && self.series.get(*key).is_some_and(counts)
            };
            let of_level: Vec<&(String, String)> = keys.iter().filter(is_asked).collect();
            let every = of_level.len().div_ceil(ASKED_MAX).max(1);
            let asked: Vec<Vec<Window>> =
                of_level.into_iter().step_by(every).filter_map(days).collect();
            Topic::learn(&total, &asked.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        View {
            countries: learn(Level::Country),
            firsts: learn(Level::First),
            threshold: given.unwrap_or_else(|| operating::threshold(series, per_week)),
            limit: slow::limit(series, per_week),
            series,
            age,
        }
    }

    /// By which posts a region's counts are set in proportion: the world's, of them the share of
    /// its country, and of that its own. Shares
    /// are those of the window itself where posts are many, else rather the usual ones: a language
    /// that grows takes its regions along,
    /// however small they are.
    fn basis(&self, region: &str, length: Micros, ends: &[(Micros, bool)]) -> Basis {
        let country = self.table.country(region).unwrap_or_default();
        let mut levels: Vec<Share> = Vec::new();
        let mut windows = vec![Measured { all: None, share: 1.0 }; ends.len()];
        let has_past = ends.iter().any(|(_, observed)| *observed);
        for level in [WORLD, country.as_str(), region].into_iter().filter(|level| !level.is_empty())
        {
            if levels.last().is_some_and(|above| above.region == level)
                || (!has_past && level != region)
            {
                continue;
            }
            let hours = self.head.denominators.regions.get(level);
            let counted: Vec<Option<f64>> = ends
                .iter()
                .map(|(end, _)| hours.and_then(|hours| hours.sum(end - length, *end)))
                .collect();
            let observed = || {
                ends.iter().zip(&counted).zip(&windows).filter(|(((_, observed), _), _)| *observed)
            };
            let posts: f64 = observed().filter_map(|((_, counted), _)| *counted).sum();
            let above: f64 =
                observed().map(|(_, above)| above.all.unwrap_or(0.0) * above.share).sum();
            let usual =
                if levels.is_empty() { 1.0 } else { ((posts + 1.0) / (above + 1.0)).min(1.0) };
            let share = Share {
                region: level.to_owned(),
                usual,
                mean: posts / observed().count().max(1) as f64,
            };
            for (window, counted) in windows.iter_mut().zip(counted) {
                if levels.is_empty() {
                    window.all = counted;
                } else if let Some(all) = window.all.filter(|all| *all > 0.0) {
                    window.share = share.estimate(counted.unwrap_or(0.0), all * window.share) / all;
                }
            }
            levels.push(share);
        }
        Basis { country, levels, windows }
    }

    /// All posts of the widest region in the window that is judged, and the judged region's share
    /// of them.
    fn posts_now(
        &self,
        basis: &Basis,
        length: Micros,
        end: Micros,
        (side, is_final): (Side, bool),
    ) -> (f64, f64) {
        let mut all = 0.0;
        let mut own = 0.0;
        for (nth, level) in basis.levels.iter().enumerate() {
            let counted = self.population(side, &level.region, end - length, end) as f64;
            let counted = match side {
                Side::Aligned if is_final => counted,
                // What is read late comes with its posts in any order: what would be an outage is
                // not believed before it is final.
                Side::Aligned => counted.max(BELIEVED_LEAST * level.mean),
                // What is still to come of the last pane is taken at its most, so that no close can
                // lower the bound by much; and what
                // is missing may be read yet, as after an outage.
                Side::Open => (counted
                    + HOUR_FORECAST * self.head.denominators.fullest(&level.region).unwrap_or(0.0))
                .max(level.mean),
            };
            if nth == 0 {
                (all, own) = (counted, counted);
            } else {
                own = level.estimate(counted, own);
            }
        }
        (all, if all > 0.0 { own / all } else { 1.0 })
    }

    /// Judges a series' window by rule: 7 d where fewer than one a day is expected and there are
    /// such windows, unless the last 24 h
    /// alone are in alarm; `observed` gives the count of a window by its length. With it the chart
    /// of slow rises, where a day ends
    /// before which `open_days` aren't final.
    pub(super) fn opinion(
        &self,
        key: &(String, String),
        series: &Series,
        pasts: &Pasts,
        view: &View,
        (stage, open_days): (Stage, Option<&[Known]>),
        observed: impl Fn(Micros) -> u32,
    ) -> (Opinion, Chart) {
        let is_final = stage == Stage::Final;
        let (length, _) = self.window_length(key, series, pasts);
        let forecasted = self.day_forecast(key, series, pasts, view, (Side::Aligned, is_final));
        let mut chart =
            open_days.map_or(series.chart, |days| self.chart_after(key, series, days, is_final));
        let charted = open_days
            .and_then(|_| self.add_day(&mut chart, key, series, pasts, view, &forecasted.forecast));
        let of_day = || forecasted.opinion(view, observed(pasts.shortest), charted.as_ref());
        if length == pasts.shortest {
            return (of_day(), chart);
        }
        let weeks = self.past(key, series, length, pasts.end, &pasts.baseline_longest);
        let of_week = self
            .forecast(
                &key.1,
                length,
                (&pasts.baseline_longest, &weeks),
                pasts.end,
                view,
                (Side::Aligned, is_final),
            )
            .opinion(view, observed(length), None);
        if of_week.judgement.alarm != Some(true) {
            let of_day = of_day();
            if of_day.judgement.alarm == Some(true) {
                return (of_day, chart);
            }
        }
        (of_week, chart)
    }

    /// What a series' shortest window, a day, is to be compared with.
    pub(super) fn day_forecast(
        &self,
        key: &(String, String),
        series: &Series,
        pasts: &Pasts,
        view: &View,
        from: (Side, bool),
    ) -> Forecasted {
        let days = self.past(key, series, pasts.shortest, pasts.end, &pasts.baseline_shortest);
        self.forecast(
            &key.1,
            pasts.shortest,
            (&pasts.baseline_shortest, &days),
            pasts.end,
            view,
            from,
        )
    }

    /// Of a region's window, from past ones: their ends and values.
    fn forecast(
        &self,
        region: &str,
        length: Micros,
        (ends, past): (&[(Micros, bool)], &[Option<f64>]),
        end: Micros,
        view: &View,
        (side, is_final): (Side, bool),
    ) -> Forecasted {
        let basis = self.basis(region, length, ends);
        let windows = basis.windows(length, end, ends, past);
        let (population, share) = self.posts_now(&basis, length, end, (side, is_final));
        let now = Window {
            observed: 0.0,
            population: Some(population),
            share,
            day: basis.day(length, end),
            age: 0.0,
        };
        let topic =
            if self.table.level(region) == Level::First { &view.firsts } else { &view.countries };
        let shipped = |population: Option<f64>| {
            (population.map_or(SHIPPED_MIDDLE, |posts| SHIPPED_PER_POST * posts), SHIPPED_SHAPE)
        };
        let mut prepared = topic.prepare(&windows, &now, shipped);
        if !prepared.has_denominator {
            // What regions know together is by the day.
            prepared.prior.middle *= length as f64 / DAY as f64;
        } else if basis.levels.len() > 1 {
            prepared.prior.exposure_variance += 1.0 / (population * share + SHARE_POSTS);
        }
        let posts = population * share;
        Forecasted {
            forecast: forecast(&prepared.past, &prepared.prior),
            prepared,
            windows,
            posts,
            length,
            end,
        }
    }
}

/// A window's forecast, and what it comes from.
pub(super) struct Forecasted {
    pub(super) forecast: Forecast,
    prepared: Prepared,
    windows: Vec<Window>,
    /// The region's posts in the window.
    posts: f64,
    length: Micros,
    end: Micros,
}

impl Forecasted {
    /// What the default says of a window by itself; a day may be in alarm by its chart too.
    pub(super) fn opinion(&self, view: &View, observed: u32, charted: Option<&Charted>) -> Opinion {
        let Forecasted { forecast, prepared, windows, posts, length, end } = self;
        let (length, end, observed) = (*length, *end, f64::from(observed));
        let bound = forecast.bound(view.threshold);
        let p = forecast.upper(observed);
        let rise = forecast.detectable_rise(bound);
        let mut judgement = Judgement {
            expected: Some(forecast.expected()),
            upperbound: Some(charted.map_or(bound, |charted| charted.bound.min(bound))),
            alarm: Some(observed > bound),
            pvalue: Some(p),
            statistic: None,
            reason: (!prepared.has_denominator).then_some(Reason::NoDenominator),
        };
        let rising = charted.filter(|charted| observed <= bound && observed > charted.bound);
        if view.is_learning() {
            judgement = Judgement { alarm: None, reason: Some(Reason::Learning), ..judgement };
        } else if rising.is_some() {
            judgement =
                Judgement { alarm: Some(true), reason: Some(Reason::SlowRise), ..judgement };
        } else if observed <= bound && rise > RISE_TO_TELL {
            judgement = Judgement { alarm: None, reason: Some(Reason::TooFewPosts), ..judgement };
        }
        let (low, high) = forecast.interval();
        let baseline = || windows.iter().map(|window| end - (window.age * DAY as f64) as Micros);
        let past_window = |(window, past): (&Window, &Past)| PastWindow {
            end: end - (window.age * DAY as f64) as Micros,
            observed: window.observed as u32,
            exposure: past.exposure,
        };
        let in_alarm = judgement.alarm == Some(true);
        let exposure = prepared.past.iter().map(|past| past.exposure).sum::<f64>();
        let usual = exposure / prepared.past.len().max(1) as f64;
        let has_grown = prepared.has_denominator
            && !prepared.past.is_empty()
            && has_grown(*posts, observed, usual);
        // Only what is raised is ever computed again.
        let mut model = if in_alarm { named(&prepared.prior) } else { Vec::new() };
        if let Some(charted) = rising.filter(|_| in_alarm) {
            let days = (end - charted.since) as f64 / DAY as f64;
            let numbers = [
                (CHART_BEFORE, charted.before),
                (CHART_LIMIT, view.limit),
                (Grounds::RISING_DAYS, days),
            ];
            model.extend(numbers.map(|(name, number)| (name.to_owned(), number)));
        }
        let grounds = Grounds {
            pvalue: Some(p),
            threshold: Some(view.threshold),
            expected_low: Some(low),
            expected_high: Some(high),
            detectable_rise: Some(rise),
            baseline_from: baseline().min().map(|oldest| oldest - length),
            baseline_to: baseline().max(),
            provisional: view.age < PROVISIONAL,
            reason: judgement.reason,
            baseline: if in_alarm {
                windows.iter().zip(&prepared.past).map(past_window).rev().collect()
            } else {
                Vec::new()
            },
            model,
            suspect: if has_grown { vec![Suspect::PlatformGrowth] } else { Vec::new() },
            ..Grounds::default()
        };
        let recurrence = match rising {
            Some(charted) => Some(slow::recurrence_days(charted.value, view.series)),
            None => operating::recurrence_days(p, view.series),
        };
        Opinion { length, judgement, grounds, recurrence }
    }
}

/// Whether a region's posts are many more than usual, a multiple of its posts now, and not because
/// so many accounts took up the topic: an
/// outbreak in a small country is most of what is said there.
fn has_grown(posts: f64, observed: f64, usual: f64) -> bool {
    GROWTH * usual * posts < posts - observed
}

/// A prior's numbers by name; [`predicted_again`] reads them.
fn named(prior: &Prior) -> Vec<(String, f64)> {
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

/// Computes an alert's p, expectation and bound again from the grounds that are stored with it;
/// none where they are incomplete.
pub(crate) fn predicted_again(
    grounds: &Grounds,
    window_end: Micros,
    observed: u32,
) -> Option<Judgement> {
    let number = |name: &str| {
        grounds.model.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
    };
    let mut sizes = [0.0; SIZES.len()];
    for (weight, size) in sizes.iter_mut().zip(SIZES) {
        *weight = number(&format!("weight-of-size-{size}"))?;
    }
    let prior = Prior {
        middle: number("prior-middle")?,
        shape: number("prior-shape")?,
        trend: number("trend")?,
        trend_sd: number("trend-sd")?,
        sizes,
        exposure_variance: number("exposure-variance")?,
        dependence: number("dependence")?,
        shift: number("size-shift")?,
        heavy: number("heavy")?,
    };
    let past: Vec<Past> = grounds
        .baseline
        .iter()
        .rev()
        .map(|window| Past {
            observed: f64::from(window.observed),
            exposure: window.exposure,
            age: (window_end - window.end) as f64 / DAY as f64,
        })
        .collect();
    let forecast = forecast(&past, &prior);
    let judgement = judge_by(&forecast, Some(f64::from(observed)), grounds.threshold?);
    let Some((before, limit)) = number(CHART_BEFORE).zip(number(CHART_LIMIT)) else {
        return Some(judgement);
    };
    let day = slow::Day {
        observed: f64::from(observed),
        mean: forecast.expected(),
        shape: forecast.shape(),
    };
    let upperbound = day.bound(before, limit);
    let alarm = f64::from(observed) > upperbound;
    Some(Judgement {
        upperbound: Some(upperbound),
        alarm: Some(alarm),
        reason: alarm.then_some(Reason::SlowRise),
        ..judgement
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive::streams::Rng;

    #[test]
    fn days_of_a_country_are_taken_for_sundays_on_its_holidays_and_weeks_never_are() {
        let basis = Basis { country: "FR".to_owned(), levels: Vec::new(), windows: Vec::new() };
        // Tuesday 2026-07-14 ends; the Sunday after it ends on Monday.
        let end = 20_649 * DAY;
        assert_eq!(record::time::date(20_648), (2026, 7, 14));
        assert_eq!(
            (basis.day(DAY, end), basis.day(7 * DAY, end), basis.day(DAY, end + DAY)),
            (20_654, 20_649, 20_650)
        );
    }

    #[test]
    fn posts_of_a_window_lie_between_what_was_counted_and_what_is_usual_and_nearer_to_the_count_the_more_there_are()
     {
        for seed in 0..2_000 {
            let mut rng = Rng::new(seed);
            let usual = rng.between(1, 1_000) as f64 / 1_000.0;
            let share = Share { region: "JP".to_owned(), usual, mean: 0.0 };
            let (above, counted) = (rng.between(0, 20_000) as f64, rng.between(0, 20_000) as f64);
            let usual = usual * above;
            let posts = share.estimate(counted, above);
            assert!(
                posts >= usual.min(counted) - 1e-6 && posts <= usual.max(counted) + 1e-6,
                "{usual} {counted}: {posts}"
            );
            let missed = |times: f64| {
                let share = Share {
                    region: "JP".to_owned(),
                    usual: times * usual / above.max(1.0),
                    mean: 0.0,
                };
                (share.estimate(times * counted, above) - times * counted).abs() / times
            };
            assert!(above == 0.0 || missed(10.0) <= missed(1.0) + 1e-6, "{usual} {counted}");
            // Neither an outage nor a growth, early or late, turns what is more into what is less.
            assert!(
                share.estimate(counted + 1.0, above) >= posts
                    && share.estimate(counted, above + 1.0) >= posts
            );
        }
    }

    #[test]
    fn a_platform_has_grown_where_other_posts_have() {
        // Usually 70 posts; now 210, and 140 of them about the topic, or few.
        assert!(!has_grown(210.0, 120.0, 70.0 / 210.0));
        assert!(has_grown(210.0, 8.0, 70.0 / 210.0));
        assert!(!has_grown(100.0, 8.0, 70.0 / 100.0));
    }

    #[test]
    fn sums_of_denominators_are_those_of_their_hours() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut denominators = Denominators::default();
            let mut naive: BTreeMap<Micros, u64> = BTreeMap::new();
            let mut hour = rng.between(0, 100) * HOUR;
            for _ in 0..rng.between(1, 2_000) {
                let posts = if rng.chance(1) { 4_000_000_000 } else { rng.below(1_000) };
                denominators.put("DE", hour, posts);
                naive.insert(hour, posts);
                naive.retain(|start, _| *start >= hour - HISTORY);
                let jump = if rng.chance(1) { 100 * DAY } else { HOUR };
                hour += rng.pick(&[HOUR, HOUR, HOUR, 5 * HOUR, jump]);
            }
            let first = naive.keys().next().copied().unwrap_or(0);
            let sum = |from, to| denominators.regions["DE"].sum(from, to);
            for _ in 0..20 {
                let from = first + rng.between(0, 1_500) * HOUR;
                let to = from + rng.between(1, 200) * HOUR;
                let due: u64 = naive.range(from..to).map(|(_, posts)| posts).sum();
                if due <= u64::from(u32::MAX) {
                    assert_eq!(sum(from, to).unwrap_or(0.0), due as f64, "{seed}");
                }
            }
            assert_eq!(sum(first, first + HOUR / 2), None);
        }
    }
}
