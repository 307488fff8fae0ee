//! Denominators: all posts of a region by the hour, and a region's share of the posts above it.
//!
//! Filled by the ledger with final hours, read by the default judge. Knows no topics.

use std::collections::{BTreeMap, VecDeque};

use record::Micros;
use record::region::WORLD;
use record::time::{DAY, HOUR};
use serde::{Deserialize, Serialize};

use super::REACH;
use crate::detectors::holidays;
use crate::forecast::pool::Window;

/// A region's share of the posts of the one above it changes from window to window by about one
/// part in the root of this: 14 %.
pub(super) const SHARE_POSTS: f64 = 50.0;

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
    /// is above 32 bits, since only differences are read.
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
        let reach = (REACH / HOUR) as usize;
        let at = if at - hours.until.len() > reach {
            // Of a jump only the hours that baselines reach are filled.
            (hours.first, hours.before) = (hour - REACH, until);
            hours.until.clear();
            reach
        } else {
            at
        };
        hours.until.resize(at, until);
        hours.until.push_back(until.wrapping_add(posts));
        hours.fullest = hours.fullest.max(posts);
        while hours.first < hour - REACH {
            hours.before = hours.until.pop_front().unwrap_or(hours.before);
            hours.first += HOUR;
        }
    }

    /// Forgets regions in which nothing was counted since `from`.
    pub(super) fn forget(&mut self, from: Micros) {
        self.regions.retain(|_, hours| hours.first + hours.until.len() as Micros * HOUR > from);
    }

    /// All posts of a region in `[from, to)`; none where hours are cut or out of reach.
    pub(super) fn posts(&self, region: &str, from: Micros, to: Micros) -> Option<f64> {
        self.regions.get(region)?.sum(from, to)
    }

    /// The fullest hour.
    pub(super) fn fullest(&self, region: &str) -> Option<f64> {
        self.regions.get(region).map(|hours| f64::from(hours.fullest))
    }

    /// By which posts a region's counts are set in proportion: the world's, of them the share of
    /// its country, and of that its own. Shares are those of the window itself where posts are many,
    /// else rather the usual ones: a language that grows takes its regions along, however small
    /// they are.
    pub(super) fn basis(
        &self,
        country: String,
        region: &str,
        length: Micros,
        ends: &[(Micros, bool)],
    ) -> Basis {
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
            let hours = self.regions.get(level);
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
}

/// By which posts a region's counts are set in proportion: see [`Denominators::basis`].
pub(super) struct Basis {
    country: String,
    /// From the widest region, whose posts are counted, to the one that is judged.
    pub(super) levels: Vec<Share>,
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
pub(super) struct Share {
    pub(super) region: String,
    /// Over the whole baseline; 1 for the widest.
    usual: f64,
    /// Posts in a window of the baseline.
    pub(super) mean: f64,
}

impl Share {
    /// Posts of a window from those that were counted and those of the region above. The fewer were
    /// counted, the more the usual share of the region above weighs: the mean of a Poisson rate
    /// about a gamma prior.
    fn estimate(&self, counted: f64, above: f64) -> f64 {
        let usual = self.usual * above;
        usual * (counted + SHARE_POSTS) / (usual + SHARE_POSTS)
    }
}

impl Basis {
    /// The day that a window is taken for: weeks have one day of each kind, whichever is a holiday.
    pub(super) fn day(&self, length: Micros, end: Micros) -> i64 {
        if length == DAY { holidays::day(&self.country, end) } else { end.div_euclid(DAY) }
    }

    /// Past windows with their denominators, newest first.
    pub(super) fn windows(
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

    /// All posts of the widest region in the window that is judged, and the judged region's share
    /// of them; `count` returns the posts of a level.
    pub(super) fn posts_now(&self, count: impl Fn(&Share) -> f64) -> (f64, f64) {
        let (mut all, mut own) = (0.0, 0.0);
        for (nth, level) in self.levels.iter().enumerate() {
            let counted = count(level);
            if nth == 0 {
                (all, own) = (counted, counted);
            } else {
                own = level.estimate(counted, own);
            }
        }
        (all, if all > 0.0 { own / all } else { 1.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive::streams::Rng;

    #[test]
    fn a_holiday_is_a_sunday_and_a_week_never_is() {
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
    fn estimated_posts_lie_between_the_count_and_the_usual() {
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
                naive.retain(|start, _| *start >= hour - REACH);
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
