//! Whether p means what it says: on series of any kind, and on cells that were never seen before.

use std::fmt::Write as _;

use simulation::Random;
use simulation::panels::{self, Generator, PanelSpec};
use surveillance::evaluation::{Mean, Panel, Schedule, Share};
use surveillance::forecast::forecast;
use surveillance::forecast::pool::{Topic, Window};

use super::{DEFAULT, HOURS, PER_WEEK, SERIES, Size, WARM_UP, bar, drawn, operating_p};

/// Regions that have the mean of a line; as many others have any.
const REGIONS: usize = 12;
/// Where the law is known, a window of each series is looked at so often: those between say nearly
/// the same.
const DAYS_APART: usize = 5;

/// How often the default's randomised p is at or below what it says, as a multiple of that.
///
/// Where the law of a day's count is known, this probability is computed for each window's forecast
/// instead of drawn; the mean over
/// panels is then sharp after few of them. Elsewhere every day's count is one trial. The spread
/// between panels gives the intervals:
/// windows of one series have most of their baselines in common, and series of one panel what they
/// are judged by together.
pub(super) fn table(size: &Size, seed: u64) -> String {
    let operating = operating_p();
    let nominal = [0.01, 0.001, operating];
    let mut text = format!(
        "## Calibration of `{DEFAULT}`\n\nRandomised p at or below a nominal one, as a multiple of \
            it, with 95 % intervals from what varies \
         between panels; floors off. The operating threshold for {SERIES} series and {PER_WEEK} \
         false episodes a week is \
         p = {operating:.2e}. Growth is that of a week; half of a panel's 24 regions have the mean \
         of the line, the others any from 0.05 \
         to 200.\n\n"
    );
    let mut random = Random::stream(seed, 4_000);
    let calm = || Generator::ALL.into_iter().filter(|(_, generator)| !generator.has_events());
    let modelled: Vec<_> = calm().filter(|(_, generator)| generator.is_modelled()).collect();
    let others: Vec<_> = calm().filter(|(_, generator)| !generator.is_modelled()).collect();
    let steps = bar(((2 * modelled.len() + others.len()) * size.means.len()) as u64);
    let spec_of = |generator: Generator, mean: f64, growth: f64, seed: u64| {
        let mut means = vec![mean; REGIONS];
        means.extend(panels::spread_of_means(REGIONS, seed));
        PanelSpec {
            days: size.days + WARM_UP,
            generator,
            means,
            growth_per_week: growth,
            outbreak: None,
        }
    };
    let schedule = |panel: &Panel, days: usize| Schedule {
        from: WARM_UP * HOURS,
        to: panel.hours(),
        every: days * HOURS,
    };
    let series_years = |panels: usize| (panels * REGIONS * size.days) as f64 / 365.25;
    let head = "| generator | mean a day | growth | series-years | 1 % | 0.1 % | operating \
        |\n|---|---|---|---|---|---|---|\n";
    let _ = write!(text, "What it models. Required: 0.8 to 1.2.\n\n{head}");
    for (name, generator) in modelled {
        for growth in [0.0, 0.03] {
            for &mean in size.means {
                let mut line = [vec![], vec![], vec![]];
                for year in 0..size.calibration[0] {
                    let seed = seed + 10_000 + year;
                    let spec = spec_of(generator, mean, growth, seed);
                    let panel = drawn(&spec, seed);
                    let (mut sums, mut windows) = ([0.0; 3], 0.0);
                    for end in schedule(&panel, DAYS_APART).ends() {
                        let Some((mean, size)) = panels::law(&spec, 0, end / HOURS - 1) else {
                            continue;
                        };
                        for forecast in panel.forecasts(end, REGIONS) {
                            for (sum, nominal) in sums.iter_mut().zip(nominal) {
                                *sum += forecast.exceeded(nominal, mean, size) / nominal;
                            }
                            windows += 1.0;
                        }
                    }
                    for (numbers, sum) in line.iter_mut().zip(sums) {
                        numbers.push(sum / windows);
                    }
                }
                let years = series_years(line[0].len());
                let [one, tenth, operating] = line.map(|numbers| {
                    let Mean { value, give_or_take } = Mean::of(&numbers);
                    format!("{value:.2} ± {give_or_take:.2}")
                });
                let _ = writeln!(
                    text,
                    "| {name} | {mean} | {growth} | {years:.0} | {one} | {tenth} | {operating} |"
                );
                steps.inc(1);
            }
        }
    }
    let _ = write!(text, "\nWhat it doesn't model. Required: 2 at most.\n\n{head}");
    for (name, generator) in others {
        let mut all = Vec::new();
        for &mean in size.means {
            let mut line = Vec::new();
            for year in 0..size.calibration[1] {
                let seed = seed + 10_000 + year;
                let panel = drawn(&spec_of(generator, mean, 0.0, seed), seed);
                let mut shares = [Share::default(); 3];
                for value in panel.randomised(schedule(&panel, 1), REGIONS, || random.unit()) {
                    for (share, nominal) in shares.iter_mut().zip(nominal) {
                        share.add(value <= nominal);
                    }
                }
                line.push(shares);
            }
            let _ = writeln!(
                text,
                "| {name} | {mean} | 0 | {:.0} | {} |",
                series_years(line.len()),
                trials(&line, nominal)
            );
            all.extend(line);
            steps.inc(1);
        }
        let _ = writeln!(
            text,
            "| {name} | all | 0 | {:.0} | {} |",
            series_years(all.len()),
            trials(&all, nominal)
        );
    }
    steps.finish_and_clear();
    text + "\n"
}

/// Shares of trials, panel by panel, as multiples of what is nominal. The interval is Wilson's for
/// as many trials as would make panels
/// differ as much as they do.
fn trials(panels: &[[Share; 3]], nominal: [f64; 3]) -> String {
    let of_level = |(nth, nominal): (usize, f64)| {
        let sum = |of: fn(&Share) -> u64| panels.iter().map(|shares| of(&shares[nth])).sum::<u64>();
        let all = Share { hits: sum(|share| share.hits), of: sum(|share| share.of) };
        let (p, each) = (all.value(), all.of as f64 / panels.len() as f64);
        let squares: f64 = panels.iter().map(|shares| (shares[nth].value() - p).powi(2)).sum();
        let variance = squares / (panels.len() as f64 - 1.0).max(1.0);
        let alike = (variance * each / (p * (1.0 - p)).max(f64::MIN_POSITIVE)).max(1.0);
        let fewer = |count: u64| (count as f64 / alike).round() as u64;
        let (low, high) = Share { hits: fewer(all.hits), of: fewer(all.of) }.interval();
        format!("{:.2} ({:.2}-{:.2})", p / nominal, low / nominal, high / nominal)
    };
    nominal.into_iter().enumerate().map(of_level).collect::<Vec<_>>().join(" | ")
}

/// Of how many days without their outbreak first-seen cells may be in alarm.
const FALSE_MOST: f64 = 0.005;

/// Five accounts over nothing, in a cell of which nothing but a few days is known.
pub(super) fn first_seen(size: &Size, seed: u64) -> String {
    let mut text = format!(
        "## A cell seen for the first time\n\nTrue means drawn from the prior; after so many days \
            without anything five accounts come on \
         top of the day's own. First at the largest p at which days without them are in alarm \
         {:.1} % of the time at most (the upper end \
         of the 95 % interval), then at the operating threshold. {} cells each. Required: 95 % \
         caught at the first.\n\n\
         | zero days | p | false | caught | operating: p | false | caught \
         |\n|---|---|---|---|---|---|---|\n",
        100.0 * FALSE_MOST,
        size.first_seen
    );
    let mut random = Random::stream(seed, 5_000);
    for days in [1usize, 3, 7] {
        let past: Vec<Window> = (0..days)
            .map(|day| Window {
                observed: 0.0,
                population: None,
                share: 1.0,
                day: day as i64,
                age: 2.0 + day as f64,
            })
            .collect();
        let now = Window { observed: 0.0, population: None, share: 1.0, day: 9, age: 0.0 };
        let prepared = Topic::unknown().prepare(&past, &now, |_| (0.3, 0.5));
        let forecast = forecast(&prepared.past, &prepared.prior);
        let mut calm: Vec<f64> = Vec::new();
        while (calm.len() as u64) < size.first_seen {
            // The prior's beta prime law as a ratio of gammas; only cells whose days were empty are
            // such cells.
            let mean = 0.3 * simulation::gamma(&mut random, 0.5)
                / simulation::gamma(&mut random, 0.5).max(1e-12);
            if random.unit() <= (-mean * days as f64).exp() {
                calm.push(simulation::poisson(&mut random, mean) as f64);
            }
        }
        let above = |bound: f64, more: f64| {
            let mut share = Share::default();
            calm.iter().for_each(|count| share.add(count + more > bound));
            share
        };
        let bearable = (0..1_000)
            .map(f64::from)
            .find(|bound| above(*bound, 0.0).interval().1 <= FALSE_MOST)
            .unwrap_or(f64::INFINITY);
        let _ = write!(text, "| {days} |");
        for bound in [bearable, forecast.bound(operating_p())] {
            let (wrong, caught) = (percent(above(bound, 0.0)), percent(above(bound, 5.0)));
            let _ = write!(text, " {:.1e} | {wrong} | {caught} |", forecast.upper(bound + 1.0));
        }
        text.push('\n');
    }
    text + "\n"
}

fn percent(share: Share) -> String {
    let [value, low, high] =
        [share.value(), share.interval().0, share.interval().1].map(|share| 100.0 * share);
    format!("{value:.2} % ({low:.2}-{high:.2})")
}
