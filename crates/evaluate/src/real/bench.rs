//! Series with known epidemics, and what alarms catch of them.

use super::python::{Random, mean, median};

/// Weeks without an alarm that an episode survives.
pub(super) const GAP: usize = 4;
/// An alarm that begins this many weeks before an onset is one for it.
pub(super) const BEFORE: usize = 4;
/// 365.25 days, in weeks.
pub(super) const WEEKS_A_YEAR: f64 = 52.18;

/// Weeks of an epidemic; `end` is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epidemic {
    pub(super) onset: usize,
    pub(super) peak: usize,
    pub(super) end: usize,
}

impl Epidemic {
    pub(super) fn meets(&self, (first, last): (usize, usize)) -> bool {
        first <= self.end && last + BEFORE >= self.onset
    }

    /// Weeks from the onset to the beginning of the first episode for it.
    pub(super) fn delay(&self, episodes: &[(usize, usize)]) -> Option<i64> {
        let hit = episodes
            .iter()
            .find(|(first, _)| self.onset <= first + BEFORE && *first <= self.peak)?;
        Some(hit.0 as i64 - self.onset as i64)
    }
}

/// First and last of the runs in a sorted list of steps in alarm, with gaps of at most `gap`.
pub(crate) fn episodes(at: &[usize], gap: usize) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for &step in at {
        match found.last_mut() {
            Some((_, last)) if step - *last <= gap => *last = step,
            _ => found.push((step, step)),
        }
    }
    found
}

/// What begins in an excused step is counted apart.
pub(super) struct Bench<'a> {
    pub(super) truth: Vec<&'a [Epidemic]>,
    pub(super) start: usize,
    pub(super) stop: usize,
    pub(super) excused: &'a [bool],
}

/// Of one series.
pub(super) struct Outcome {
    /// None for an epidemic that is missed.
    delays: Vec<Option<i64>>,
    false_episodes: usize,
    excused: usize,
}

pub(super) struct Total {
    pub(super) epidemics: usize,
    pub(super) caught: usize,
    pub(super) share: f64,
    pub(super) delay: f64,
    pub(super) false_episodes: usize,
    /// False episodes a series and year.
    pub(super) rate: f64,
    pub(super) excused: usize,
}

impl Bench<'_> {
    fn outcome(&self, series: usize, at: &[usize]) -> Outcome {
        let scored = self.start..self.stop;
        let at: Vec<usize> = at.iter().copied().filter(|step| scored.contains(step)).collect();
        let runs = episodes(&at, GAP);
        let truth = self.truth[series];
        let known = truth
            .iter()
            .filter(|epidemic| epidemic.onset >= self.start + BEFORE && epidemic.peak < self.stop);
        let (excused, false_episodes): (Vec<(usize, usize)>, Vec<_>) = runs
            .iter()
            .filter(|run| !truth.iter().any(|epidemic| epidemic.meets(**run)))
            .copied()
            .partition(|(first, _)| self.excused[*first]);
        Outcome {
            delays: known.map(|epidemic| epidemic.delay(&runs)).collect(),
            false_episodes: false_episodes.len(),
            excused: excused.len(),
        }
    }

    pub(super) fn each(&self, alarms: &[Vec<usize>]) -> Vec<Outcome> {
        alarms.iter().enumerate().map(|(series, at)| self.outcome(series, at)).collect()
    }

    pub(super) fn total(&self, each: &[Outcome]) -> Total {
        self.total_of(each, &Vec::from_iter(0..each.len()))
    }

    pub(super) fn total_of(&self, each: &[Outcome], chosen: &[usize]) -> Total {
        let outcomes = || chosen.iter().map(|series| &each[*series]);
        let epidemics = outcomes().map(|outcome| outcome.delays.len()).sum();
        let hits: Vec<f64> = outcomes()
            .flat_map(|outcome| outcome.delays.iter().flatten().map(|delay| *delay as f64))
            .collect();
        let false_episodes = outcomes().map(|outcome| outcome.false_episodes).sum();
        let years = (chosen.len() * (self.stop - self.start)) as f64 / WEEKS_A_YEAR;
        Total {
            epidemics,
            caught: hits.len(),
            share: hits.len() as f64 / epidemics as f64,
            delay: median(hits),
            false_episodes,
            rate: false_episodes as f64 / years,
            excused: outcomes().map(|outcome| outcome.excused).sum(),
        }
    }

    /// Of 95 %, by drawing series with replacement.
    pub(super) fn interval(&self, each: &[Outcome], of: impl Fn(&Total) -> f64) -> (f64, f64) {
        let drawn =
            Random::new(1).bootstrap(each.len(), 400, |chosen| of(&self.total_of(each, chosen)));
        let at = |share: f64| {
            drawn.get((share * drawn.len() as f64) as usize).copied().unwrap_or(f64::NAN)
        };
        (at(0.025), at(0.975))
    }

    /// The share that is caught where each series' alarms are moved in a ring by a random stretch.
    pub(super) fn chance(&self, alarms: &[Vec<usize>]) -> f64 {
        let mut random = Random::new(2);
        let (start, span) = (self.start, self.stop - self.start);
        let mut moved = |at: &Vec<usize>| {
            let by = random.between(26, span - 26);
            let scored = at.iter().filter(|step| (start..self.stop).contains(step));
            let mut moved: Vec<usize> =
                scored.map(|step| start + (step - start + by) % span).collect();
            moved.sort_unstable();
            moved
        };
        let mut share = || {
            let moved: Vec<Vec<usize>> = alarms.iter().map(&mut moved).collect();
            self.total(&self.each(&moved)).share
        };
        mean(&[(); 20].map(|()| share()))
    }

    /// Threshold and alarms with at most `rate` false episodes a series and year, and as many
    /// alarms as possible.
    pub(super) fn at_rate(
        &self,
        scores: &[&[Option<f64>]],
        rate: f64,
    ) -> Option<(f64, Vec<Vec<usize>>)> {
        let scored = |scores: &&[Option<f64>]| scores[self.start..self.stop].to_vec();
        let mut values: Vec<f64> = scores.iter().flat_map(scored).flatten().collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let quantile = |q: f64| {
            let at = q * last as f64;
            let low = at as usize;
            values[low] + (at - low as f64) * (values[(low + 1).min(last)] - values[low])
        };
        let steps = (0..160).map(|nth| f64::from(nth) / 159.0);
        let mut grid: Vec<f64> =
            steps.map(|step| quantile(1.0 - 2e-5 * (0.5f64 / 2e-5).powf(step))).collect();
        grid.sort_by(|a, b| b.total_cmp(a));
        grid.dedup();
        let mut best = None;
        for threshold in grid {
            let alarms: Vec<Vec<usize>> = scores
                .iter()
                .map(|scores| super::steps_where(scores, |score| score > threshold))
                .collect();
            let found = self.total(&self.each(&alarms)).rate;
            if found <= rate {
                best = Some((threshold, alarms));
            } else if found > 1.5 * rate {
                break;
            }
        }
        best
    }
}
