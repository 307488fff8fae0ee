//! Whether p means what it says: on series of any kind, and on cells that were never seen before.

use std::fmt::Write as _;

use simulation::Random;
use simulation::panels::{self, Generator, PanelSpec};
use surveillance::detectors::pool::{Topic, Window};
use surveillance::detectors::predictive::forecast;
use surveillance::evaluation::{Mean, Panel, Schedule, Share};

use super::{DEFAULT, HOURS, PER_WEEK, SERIES, Size, WARM_UP, bar, drawn, operating_p, ratio};

/// Regions that have the mean of a line; as many others have any.
const REGIONS: usize = 12;
/// Where the law is known, a window of each series is looked at so often: those between say nearly the same.
const DAYS_APART: usize = 5;

/// How often the default's randomised p is at or below what it says, as a multiple of that.
///
/// Where the law of a day's count is known, this probability is computed for each window's forecast instead of drawn; the mean over
/// panels is then sharp after few of them, and their spread gives the interval. Elsewhere every day's count is one trial.
pub(super) fn table(size: &Size, seed: u64) -> String {
    let operating = operating_p();
    let nominal = [0.01, 0.001, operating];
    let mut text = format!(
        "## Calibration of `{DEFAULT}`\n\nRandomised p at or below a nominal one, as a multiple of it, with 95 % intervals; floors off. \
         The operating threshold for {SERIES} series and {PER_WEEK} false episodes a week is p = {operating:.2e}. Growth is that of a week; \
         half of a panel's 24 regions have the mean of the line, the others any from 0.05 to 200.\n\n"
    );
    let mut random = Random::stream(seed, 4_000);
    let calm = || Generator::ALL.into_iter().filter(|(_, generator)| !generator.has_events());
    let modelled: Vec<_> = calm().filter(|(_, generator)| generator.is_modelled()).collect();
    let others: Vec<_> = calm().filter(|(_, generator)| !generator.is_modelled()).collect();
    let steps = bar(((2 * modelled.len() + others.len()) * size.means.len()) as u64);
    let spec_of = |generator: Generator, mean: f64, growth: f64, seed: u64| {
        let mut means = vec![mean; REGIONS];
        means.extend(panels::spread_of_means(REGIONS, seed));
        PanelSpec { days: size.days + WARM_UP, generator, means, growth_per_week: growth, outbreak: None }
    };
    let schedule = |panel: &Panel, days: usize| Schedule { from: WARM_UP * HOURS, to: panel.hours(), every: days * HOURS };
    let head = "| generator | mean a day | growth | series-years | 1 % | 0.1 % | operating |\n|---|---|---|---|---|---|---|\n";
    let _ = write!(text, "What it models. Required: 0.8 to 1.2.\n\n{head}");
    for (name, generator) in modelled {
        for growth in [0.0, 0.03] {
            for &mean in size.means {
                let mut by_panel = [vec![], vec![], vec![]];
                let mut years = 0.0;
                for year in 0..size.calibration[0] {
                    let seed = seed + 10_000 + year;
                    let spec = spec_of(generator, mean, growth, seed);
                    let panel = drawn(&spec, seed);
                    let schedule = schedule(&panel, DAYS_APART);
                    let (mut sums, mut windows) = ([0.0; 3], 0.0);
                    for end in schedule.ends() {
                        let Some((mean, size)) = panels::law(&spec, 0, end / HOURS - 1) else { continue };
                        for forecast in panel.forecasts(end, REGIONS) {
                            for (sum, nominal) in sums.iter_mut().zip(nominal) {
                                *sum += forecast.exceeded(nominal, mean, size) / nominal;
                            }
                            windows += 1.0;
                        }
                    }
                    for (numbers, sum) in by_panel.iter_mut().zip(sums) {
                        numbers.push(sum / windows);
                    }
                    years += REGIONS as f64 * schedule.years();
                }
                let [one, tenth, operating] = by_panel.map(|numbers| {
                    let Mean { value, give_or_take } = Mean::of(&numbers);
                    format!("{value:.2} ± {give_or_take:.2}")
                });
                let _ = writeln!(text, "| {name} | {mean} | {growth} | {years:.0} | {one} | {tenth} | {operating} |");
                steps.inc(1);
            }
        }
    }
    let _ = write!(text, "\nWhat it doesn't model. Required: 2 at most.\n\n{head}");
    for (name, generator) in others {
        let mut all = ([Share::default(); 3], 0.0);
        for &mean in size.means {
            let mut shares = [Share::default(); 3];
            let mut years = 0.0;
            for year in 0..size.calibration[1] {
                let seed = seed + 10_000 + year;
                let panel = drawn(&spec_of(generator, mean, 0.0, seed), seed);
                let schedule = schedule(&panel, 1);
                for value in panel.randomised(schedule, REGIONS, || random.unit()) {
                    for ((share, all), nominal) in shares.iter_mut().zip(&mut all.0).zip(nominal) {
                        share.add(value <= nominal);
                        all.add(value <= nominal);
                    }
                }
                years += REGIONS as f64 * schedule.years();
            }
            let [one, tenth, operating] = [0, 1, 2].map(|nth| ratio(shares[nth], nominal[nth]));
            let _ = writeln!(text, "| {name} | {mean} | 0 | {years:.0} | {one} | {tenth} | {operating} |");
            all.1 += years;
            steps.inc(1);
        }
        let [one, tenth, operating] = [0, 1, 2].map(|nth| ratio(all.0[nth], nominal[nth]));
        let _ = writeln!(text, "| {name} | all | 0 | {:.0} | {one} | {tenth} | {operating} |", all.1);
    }
    steps.finish_and_clear();
    text + "\n"
}

/// Five accounts over nothing, in a cell of which nothing but a few days is known.
pub(super) fn first_seen(size: &Size, seed: u64) -> String {
    let operating = operating_p();
    let mut text = String::from(
        "## A cell seen for the first time\n\nTrue means drawn from the prior; after so many days without anything five accounts come on \
         top. Caught at p ≤ 0.5 % a day and at the operating threshold, and how often a day without them is in alarm.\n\n\
         | zero days | caught at 0.5 % | false | caught at operating | false |\n|---|---|---|---|---|\n",
    );
    let mut random = Random::stream(seed, 5_000);
    for days in [1usize, 3, 7] {
        let past: Vec<Window> =
            (0..days).map(|day| Window { observed: 0.0, population: None, share: 1.0, day: day as i64, age: 2.0 + day as f64 }).collect();
        let now = Window { observed: 0.0, population: None, share: 1.0, day: 9, age: 0.0 };
        let prepared = Topic::unknown().prepare(&past, &now, |_| (0.3, 0.5));
        let forecast = forecast(&prepared.past, &prepared.prior);
        let mut shares = [Share::default(); 4];
        while shares[0].of < size.first_seen {
            // The prior's beta prime law as a ratio of gammas; only cells whose days were empty are such cells.
            let mean = 0.3 * simulation::gamma(&mut random, 0.5) / simulation::gamma(&mut random, 0.5).max(1e-12);
            if random.unit() > (-mean * days as f64).exp() {
                continue;
            }
            let calm = simulation::poisson(&mut random, mean) as f64;
            for (nth, p) in [(0, 0.005), (2, operating)] {
                let bound = forecast.bound(p);
                shares[nth].add(calm + 5.0 > bound);
                shares[nth + 1].add(calm > bound);
            }
        }
        let percent = |share: Share| format!("{:.2} %", 100.0 * share.value());
        let [caught, wrong, caught_operating, wrong_operating] = shares.map(percent);
        let _ = writeln!(text, "| {days} | {caught} | {wrong} | {caught_operating} | {wrong_operating} |");
    }
    text + "\n"
}
