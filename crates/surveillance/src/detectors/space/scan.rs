//! Scan statistics: which places, for how long up to now, have more cases than they should.
//!
//! A *zone* is a place with its nearest neighbours, 1 to `neighbours` of them in all, itself
//! included; a *cluster* a zone over the last 1 to `duration-max` steps of time. With c cases and e
//! expected in it, N in all, c > e (else the LLR is 0):
//!
//! - `space-time-permutation` (Kulldorff et al., PLoS Med 2005;2:e59): e from the margins, cases of
//!   the zone × cases of the steps / N. LLR = c ln(c/e) + (N − c) ln((N − c)/(N − e)).
//!   Replicates: the steps of single cases are permuted. Needs no denominator.
//! - `prospective-poisson` (Kulldorff, J R Stat Soc A 2001;164:61-72): e = N × the cluster's share
//!   of `population` summed over steps; the same LLR. Replicates: multinomial of N by these shares.
//!   `compat=scanstatistics` gives each step N/T cases instead, as that R package does.
//! - `expectation-based-poisson` (Neill et al., KDD 2005): e from the column `expected`; without
//!   it, from the steps before the scanned ones: with `population`, a Poisson regression of a
//!   common rate with a log-linear trend (`trend`); without, each place's own mean (cases + ½) /
//!   steps.
//!   LLR = c ln(c/e) + e − c. Replicates: Poisson(e), or with `dispersion` > 1 a negative binomial
//!   with variance dispersion × e.
//!
//! p = (1 + replicates whose largest LLR is at least this one) / (`replicates` + 1): it holds for
//! the first cluster and errs to the safe side for those after it. A recurrence interval is the
//! time between scans / p.
//!
//! Parameters: `range=first:last`, the steps that are scanned, counted from 1 (default: all, and
//! the last 7 for `expectation-based-poisson`); `duration-max` (default: half of these steps, all
//! for `expectation-based-poisson`); `neighbours` 15; `clusters` 10, the most to be given;
//! `overlap` true: clusters may share places; `alpha` 0.05; `replicates` 999; `seed` 1;
//! `distance` planar or great-circle.
//!
//! No cluster: `no-excess`, all is as expected. No answer: `baseline-too-short` (no step, no place,
//! no step before the scanned ones); `missing-value` (a place lacks a step; for the permutation,
//! where only cases are listed, that is no case); `negative-count`, `not-finite`,
//! `not-a-whole-number`, `missing-population`, `zero-expected` (cases where none can be expected),
//! `time-not-increasing` (a place has a time twice or out of order). `too-many-cases`: the LLR
//! stands, p does not.

use super::super::parameters::Parameters;
use super::super::{ParamError, Range, Reason, usable};
use super::random::Random;
use super::{Cell, Distance, Place, whole};
use libm::{exp, log};
use std::collections::{BTreeMap, BTreeSet};

/// Most cases whose steps are permuted, and most replicates × cases.
const PERMUTED_MAX: f64 = 1e6;
const PERMUTATIONS_MAX: f64 = 1e10;
/// Steps scanned by `expectation-based-poisson` unless told otherwise.
const RECENT: usize = 7;
/// LLRs that differ by less are equal: sums in another order.
const TIE: f64 = 1e-9;
/// Steps of Newton's method until a regression counts as not fitting.
const ITERATIONS_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Permutation,
    Poisson,
    Expectation,
}

/// A scan with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    kind: Kind,
    neighbours: usize,
    duration_max: Option<usize>,
    range: Option<Range>,
    clusters: usize,
    overlap: bool,
    alpha: f64,
    replicates: usize,
    seed: u64,
    distance: Distance,
    dispersion: f64,
    trend: bool,
    equal_steps: bool,
}

/// Places and steps of time that have more cases than expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Indices of its places, in order.
    pub places: Vec<usize>,
    /// Its first and last time; the last is that of the scan.
    pub span: (f64, f64),
    /// How many steps that is.
    pub duration: usize,
    /// Cases in it.
    pub observed: f64,
    /// Cases expected in it.
    pub expected: f64,
    /// The log-likelihood ratio.
    pub statistic: f64,
    /// By Monte Carlo; absent without replicates.
    pub pvalue: Option<f64>,
    /// Whether p is at most alpha.
    pub alarm: Option<bool>,
    /// Why there is no p.
    pub reason: Option<Reason>,
}

/// Cases and expectations of the scanned steps, `[place * steps + step]`, oldest step first.
struct Study {
    steps: usize,
    cases: Vec<f64>,
    expected: Vec<f64>,
}

impl Scan {
    pub(super) fn read(kind: Kind, parameters: &mut Parameters) -> Result<Scan, ParamError> {
        let scan = Scan {
            kind,
            neighbours: parameters.count(&["neighbours", "k"], 15, 1..=10_000)?,
            duration_max: match parameters.count(&["duration-max"], 0, 1..=100_000)? {
                0 => None,
                steps => Some(steps),
            },
            range: parameters.range()?,
            clusters: parameters.count(&["clusters"], 10, 1..=100_000)?,
            overlap: parameters.flag(&["overlap"], true)?,
            alpha: parameters.probability(&["alpha"], 0.05)?,
            replicates: parameters.count(&["replicates"], 999, 0..=99_999)?,
            seed: parameters.count(&["seed"], 1, 0..=usize::MAX)? as u64,
            distance: Distance::read(parameters)?,
            dispersion: match kind {
                Kind::Expectation => parameters.number(&["dispersion"], 1.0, 1.0..=1e6)?,
                _ => 1.0,
            },
            trend: match kind {
                Kind::Expectation => parameters.flag(&["trend"], true)?,
                _ => false,
            },
            equal_steps: match kind {
                Kind::Poisson => parameters.compatible_with(&["scanstatistics"])?.is_some(),
                _ => false,
            },
        };
        Ok(scan)
    }

    /// The clusters with the largest LLR, largest first; at least one.
    pub fn clusters(&self, places: &[Place], cells: &[Cell]) -> Result<Vec<Cluster>, Reason> {
        if cells.is_empty() || places.is_empty() {
            return Err(Reason::BaselineTooShort);
        }
        if places.iter().any(|place| !(place.x.is_finite() && place.y.is_finite())) {
            return Err(Reason::NotFinite);
        }
        let mut times: Vec<f64> = cells.iter().map(|cell| cell.time).collect();
        if times.iter().any(|time| !time.is_finite()) {
            return Err(Reason::TimeNotIncreasing);
        }
        times.sort_by(f64::total_cmp);
        times.dedup();
        let table = Table::of(cells, places.len(), &times)?;
        let scanned = match (self.range, self.kind) {
            (Some(range), _) => range.first.min(times.len() + 1) - 1..range.last.min(times.len()),
            (None, Kind::Expectation) => {
                times.len().saturating_sub(self.duration_max.unwrap_or(RECENT))..times.len()
            }
            (None, _) => 0..times.len(),
        };
        if scanned.is_empty() {
            return Err(Reason::BaselineTooShort);
        }
        let study = self.study(&table, scanned.clone())?;
        let longest = match (self.duration_max, self.kind) {
            (Some(most), _) => most.min(study.steps),
            (None, Kind::Expectation) => study.steps,
            (None, _) => (study.steps / 2).max(1),
        };
        let nearest = self.nearest(places);
        let mut found = self.found(&study, &nearest, longest);
        if found.is_empty() {
            return Err(Reason::NoExcess);
        }
        let highest = self.highest_by_chance(&study, &nearest, longest);
        for cluster in &mut found {
            cluster.span = (times[scanned.end - cluster.duration], times[scanned.end - 1]);
            match &highest {
                Ok(highest) if highest.is_empty() => cluster.reason = Some(Reason::NotMonitored),
                Ok(highest) => {
                    let least = cluster.statistic - TIE * cluster.statistic.max(1.0);
                    let as_high = highest.iter().filter(|by_chance| **by_chance >= least).count();
                    let p = (1 + as_high) as f64 / (1 + highest.len()) as f64;
                    cluster.pvalue = Some(p);
                    cluster.alarm = Some(p <= self.alpha);
                }
                Err(reason) => cluster.reason = Some(*reason),
            }
        }
        Ok(found)
    }

    /// Each place's nearest ones, itself first, unless another one lies at the same point.
    fn nearest(&self, places: &[Place]) -> Vec<Vec<usize>> {
        let of = |place: &Place| {
            let mut all: Vec<(f64, usize)> = places
                .iter()
                .enumerate()
                .map(|(index, other)| (self.distance.between(*place, *other), index))
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            all.into_iter().take(self.neighbours).map(|(_, index)| index).collect()
        };
        places.iter().map(of).collect()
    }

    fn study(&self, table: &Table, scanned: std::ops::Range<usize>) -> Result<Study, Reason> {
        let steps = scanned.len();
        let places = table.places;
        let cell = |place: usize, step: usize| table.at(place, scanned.start + step);
        let mut cases = vec![0.0; places * steps];
        for place in 0..places {
            for step in 0..steps {
                cases[place * steps + step] = match (self.kind, cell(place, step)) {
                    (Kind::Permutation, None) => 0.0,
                    (Kind::Permutation, Some(cell)) => whole(cell.observed)?,
                    (_, cell) => usable(cell.and_then(|cell| cell.observed))?,
                };
            }
        }
        let total: f64 = cases.iter().sum();
        if !total.is_finite() {
            return Err(Reason::NotFinite);
        }
        let expected = match self.kind {
            Kind::Permutation => by_margins(&cases, steps, total),
            Kind::Poisson => {
                let mut shares = vec![0.0; places * steps];
                for place in 0..places {
                    for step in 0..steps {
                        shares[place * steps + step] = population(cell(place, step))?;
                    }
                }
                if self.equal_steps {
                    for step in 0..steps {
                        let whole: f64 =
                            (0..places).map(|place| shares[place * steps + step]).sum();
                        (0..places)
                            .for_each(|place| shares[place * steps + step] /= whole * steps as f64);
                    }
                } else {
                    let whole: f64 = shares.iter().sum();
                    shares.iter_mut().for_each(|share| *share /= whole);
                }
                shares.iter().map(|share| share * total).collect()
            }
            Kind::Expectation => table.expectations(scanned, self.trend)?,
        };
        if expected.iter().any(|e| !e.is_finite()) {
            return Err(Reason::NotFinite);
        }
        if cases.iter().zip(&expected).any(|(c, e)| *c > 0.0 && *e <= 0.0) {
            return Err(Reason::ZeroExpected);
        }
        Ok(Study { steps, cases, expected })
    }

    fn ratio(&self, c: f64, e: f64, total: f64) -> f64 {
        if c <= e || e <= 0.0 {
            return 0.0;
        }
        if self.kind == Kind::Expectation {
            return c * log(c / e) + e - c;
        }
        c * log(c / e) + if total > c { (total - c) * log((total - c) / (total - e)) } else { 0.0 }
    }

    /// Goes through every zone and duration: `see(centre, size of the zone, duration, c, e)`.
    fn sweep(
        &self,
        study: &Study,
        cases: &[f64],
        nearest: &[Vec<usize>],
        longest: usize,
        mut see: impl FnMut([usize; 3], f64, f64),
    ) {
        let steps = study.steps;
        // Sums over the last 1, 2, … steps of each place.
        let backwards = |values: &[f64]| {
            let mut sums = vec![0.0; values.len() / steps * longest];
            for (place, row) in values.chunks_exact(steps).enumerate() {
                let mut sum = 0.0;
                for duration in 0..longest {
                    sum += row[steps - 1 - duration];
                    sums[place * longest + duration] = sum;
                }
            }
            sums
        };
        let (of_cases, of_expected) = (backwards(cases), backwards(&study.expected));
        let (mut c, mut e) = (vec![0.0; longest], vec![0.0; longest]);
        for (centre, zone) in nearest.iter().enumerate() {
            c.fill(0.0);
            e.fill(0.0);
            for (size, place) in zone.iter().enumerate() {
                let at = place * longest..(place + 1) * longest;
                for (duration, (more, expected)) in
                    of_cases[at.clone()].iter().zip(&of_expected[at]).enumerate()
                {
                    c[duration] += more;
                    e[duration] += expected;
                    see([centre, size + 1, duration + 1], c[duration], e[duration]);
                }
            }
        }
    }

    fn found(&self, study: &Study, nearest: &[Vec<usize>], longest: usize) -> Vec<Cluster> {
        let total: f64 = study.cases.iter().sum();
        let mut seen: Vec<(f64, f64, f64, [usize; 3])> = Vec::new();
        self.sweep(study, &study.cases, nearest, longest, |place, c, e| {
            let ratio = self.ratio(c, e, total);
            if ratio > TIE && ratio.is_finite() {
                seen.push((ratio, c, e, place));
            }
        });
        // The sort is stable: of equal ones the first zone, then the shortest.
        seen.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut known: BTreeSet<(Vec<usize>, usize)> = BTreeSet::new();
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        let mut clusters = Vec::new();
        for (statistic, observed, expected, [centre, size, duration]) in seen {
            if clusters.len() == self.clusters {
                break;
            }
            let mut places = nearest[centre][..size].to_vec();
            places.sort_unstable();
            let overlaps = !self.overlap && places.iter().any(|place| taken.contains(place));
            if overlaps || !known.insert((places.clone(), duration)) {
                continue;
            }
            taken.extend(&places);
            let (span, pvalue, alarm, reason) = ((0.0, 0.0), None, None, None);
            clusters.push(Cluster {
                places,
                span,
                duration,
                observed,
                expected,
                statistic,
                pvalue,
                alarm,
                reason,
            });
        }
        clusters
    }

    /// The largest LLR of each replicate.
    fn highest_by_chance(
        &self,
        study: &Study,
        nearest: &[Vec<usize>],
        longest: usize,
    ) -> Result<Vec<f64>, Reason> {
        let total: f64 = study.cases.iter().sum();
        if self.kind == Kind::Permutation
            && (total > PERMUTED_MAX || total * self.replicates as f64 > PERMUTATIONS_MAX)
        {
            return Err(Reason::TooManyCases);
        }
        if total > 2_f64.powi(53) || study.expected.iter().sum::<f64>() > 2_f64.powi(53) {
            return Err(Reason::TooManyCases);
        }
        let mut draw = Draw::new(self, study, total);
        let mut cases = vec![0.0; study.cases.len()];
        let replicate = |_| {
            draw.fill(&mut cases);
            let mut highest = 0.0_f64;
            let drawn: f64 = cases.iter().sum();
            self.sweep(study, &cases, nearest, longest, |_, c, e| {
                if c > e {
                    highest = highest.max(self.ratio(c, e, drawn));
                }
            });
            highest
        };
        Ok((0..self.replicates).map(replicate).collect())
    }
}

/// Draws replicates of a study under no cluster.
struct Draw<'a> {
    scan: &'a Scan,
    study: &'a Study,
    total: f64,
    random: Random,
    /// Place and step of every case; of permutations only.
    single: Vec<(usize, usize)>,
}

impl<'a> Draw<'a> {
    fn new(scan: &'a Scan, study: &'a Study, total: f64) -> Draw<'a> {
        let mut single = Vec::new();
        if scan.kind == Kind::Permutation {
            for (index, count) in study.cases.iter().enumerate() {
                let at = (index / study.steps, index % study.steps);
                single.extend(std::iter::repeat_n(at, *count as usize));
            }
        }
        Draw { scan, study, total, random: Random::new(scan.seed), single }
    }

    /// Draws the cases of one replicate.
    fn fill(&mut self, cases: &mut [f64]) {
        let Draw { scan, study, total, random, single } = self;
        match scan.kind {
            Kind::Permutation => {
                cases.fill(0.0);
                for last in (0..single.len()).rev() {
                    let other = random.below(last + 1);
                    let step = single[other].1;
                    single[other].1 = single[last].1;
                    single[last].1 = step;
                    cases[single[last].0 * study.steps + step] += 1.0;
                }
            }
            Kind::Poisson => {
                let (mut left, mut share) = (*total, 1.0);
                for (drawn, expected) in cases.iter_mut().zip(&study.expected) {
                    let part = expected / *total;
                    *drawn = if share <= 0.0 {
                        0.0
                    } else {
                        random.binomial(left, (part / share).min(1.0))
                    };
                    left -= *drawn;
                    share -= part;
                }
            }
            Kind::Expectation => {
                for (drawn, expected) in cases.iter_mut().zip(&study.expected) {
                    *drawn = random.negative_binomial(*expected, scan.dispersion);
                }
            }
        }
    }
}

/// Cells by place and step.
struct Table<'a> {
    cells: BTreeMap<(usize, usize), &'a Cell>,
    places: usize,
    steps: usize,
}

impl<'a> Table<'a> {
    fn of(cells: &'a [Cell], places: usize, times: &[f64]) -> Result<Table<'a>, Reason> {
        let mut table = Table { cells: BTreeMap::new(), places, steps: times.len() };
        let mut newest: Vec<f64> = vec![f64::NEG_INFINITY; places];
        for cell in cells {
            let newest = newest.get_mut(cell.place).ok_or(Reason::MissingValue)?;
            if cell.time <= *newest {
                return Err(Reason::TimeNotIncreasing);
            }
            *newest = cell.time;
            let step = times.partition_point(|time| *time < cell.time);
            table.cells.insert((cell.place, step), cell);
        }
        Ok(table)
    }

    fn at(&self, place: usize, step: usize) -> Option<&'a Cell> {
        self.cells.get(&(place, step)).copied()
    }

    /// Of the scanned steps: the column, or what the steps before them say.
    fn expectations(
        &self,
        scanned: std::ops::Range<usize>,
        trend: bool,
    ) -> Result<Vec<f64>, Reason> {
        let all =
            || (0..self.places).flat_map(|place| scanned.clone().map(move |step| (place, step)));
        if all()
            .any(|(place, step)| self.at(place, step).is_some_and(|cell| cell.expected.is_some()))
        {
            return all()
                .map(|(place, step)| usable(self.at(place, step).and_then(|cell| cell.expected)))
                .collect();
        }
        if scanned.start == 0 || self.steps == 0 {
            return Err(Reason::BaselineTooShort);
        }
        let has_population = self.cells.values().any(|cell| cell.population.is_some());
        if !has_population {
            let mean = |place: usize| -> Result<f64, Reason> {
                let past: Vec<f64> = (0..scanned.start)
                    .filter_map(|step| self.at(place, step))
                    .filter_map(|cell| usable(cell.observed).ok())
                    .collect();
                if past.is_empty() {
                    Err(Reason::BaselineTooShort)
                } else {
                    Ok((past.iter().sum::<f64>() + 0.5) / past.len() as f64)
                }
            };
            let means = (0..self.places).map(mean).collect::<Result<Vec<_>, _>>()?;
            return Ok(all().map(|(place, _)| means[place]).collect());
        }
        // Steps are counted from the first scanned one, so that numbers stay small.
        let since = |step: usize| step as f64 - scanned.start as f64;
        let mut past = Vec::new();
        for ((_, step), cell) in self.cells.range(..).filter(|((_, step), _)| *step < scanned.start)
        {
            if let Ok(observed) = usable(cell.observed) {
                past.push((since(*step), observed, population(Some(cell))?));
            }
        }
        let (level, slope) = log_linear_rate(&past, trend)?;
        all()
            .map(|(place, step)| {
                Ok(population(self.at(place, step))? * exp(level + slope * since(step)))
            })
            .collect()
    }
}

fn population(cell: Option<&Cell>) -> Result<f64, Reason> {
    match usable(cell.and_then(|cell| cell.population)) {
        Ok(population) if population > 0.0 => Ok(population),
        _ => Err(Reason::MissingPopulation),
    }
}

/// Row total × column total / N.
fn by_margins(cases: &[f64], steps: usize, total: f64) -> Vec<f64> {
    let mut of_steps = vec![0.0; steps];
    for row in cases.chunks_exact(steps) {
        row.iter().zip(&mut of_steps).for_each(|(count, sum)| *sum += count);
    }
    let share = |row: &[f64]| if total > 0.0 { row.iter().sum::<f64>() / total } else { 0.0 };
    cases
        .chunks_exact(steps)
        .flat_map(|row| of_steps.iter().map(move |of_step| of_step * share(row)))
        .collect()
}

/// Level and slope of log(rate) over steps, by Poisson likelihood: rows of step, count, population.
fn log_linear_rate(rows: &[(f64, f64, f64)], trend: bool) -> Result<(f64, f64), Reason> {
    let (cases, people) =
        rows.iter().fold((0.0, 0.0), |(cases, people), row| (cases + row.1, people + row.2));
    if rows.is_empty() {
        return Err(Reason::BaselineTooShort);
    }
    if cases <= 0.0 {
        return Err(Reason::ZeroExpected);
    }
    let varies = rows.iter().any(|row| row.0 != rows[0].0);
    let mut at = (log(cases / people), 0.0);
    if !(trend && varies) {
        return Ok(at);
    }
    for _ in 0..ITERATIONS_MAX {
        let [mut gap, mut gap_time, mut sum, mut sum_time, mut sum_square] = [0.0; 5];
        for (step, count, population) in rows {
            let mean = population * exp(at.0 + at.1 * step);
            gap += count - mean;
            gap_time += step * (count - mean);
            sum += mean;
            sum_time += step * mean;
            sum_square += step * step * mean;
        }
        let determinant = sum * sum_square - sum_time * sum_time;
        let change = (
            (gap * sum_square - gap_time * sum_time) / determinant,
            (gap_time * sum - gap * sum_time) / determinant,
        );
        at = (at.0 + change.0, at.1 + change.1);
        if !(at.0.is_finite() && at.1.is_finite()) {
            return Err(Reason::NoFit);
        }
        if change.0.abs() + change.1.abs() < 1e-13 * (1.0 + at.0.abs() + at.1.abs()) {
            return Ok(at);
        }
    }
    Err(Reason::NoFit)
}
