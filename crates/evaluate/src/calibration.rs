//! Tables of calibration: whether p has its nominal frequency, on series and on first-seen cells.

use std::fmt::Write as _;

use simulation::Random;
use simulation::panels::{self, Generator, PanelSpec};
use surveillance::forecast::forecast;
use surveillance::forecast::pool::{Topic, Window};

use crate::panel::{Mean, Panel, Schedule, Share};
use crate::{
    DEFAULT, HOURS, PER_WEEK, SERIES, Size, WARM_UP, draw_panel, operating_p, progress_bar,
};

/// Regions with the mean of a line; as many others have random means.
const REGIONS: usize = 12;
/// Days between judged windows where the distribution is known: neighbouring ones are nearly equal.
const DAYS_APART: usize = 5;

const HEAD: &str = "| generator | mean a day | growth | series-years | 1 % | 0.1 % | operating \
    |\n|---|---|---|---|---|---|---|\n";

/// How often the default's randomised p is at or below a nominal one, as a multiple of that.
///
/// Where the distribution of a day's count is known, this probability is computed for each window's
/// forecast instead of drawn; the mean over panels is then precise after few of them.
/// Elsewhere every day's count is one trial. The spread between panels gives the intervals:
/// windows of one series share most of their baselines, and series of one panel share the topic.
pub(crate) fn table(size: &Size, seed: u64) -> String {
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
    let (modelled, others): (Vec<_>, Vec<_>) = Generator::ALL
        .into_iter()
        .filter(|(_, generator)| !generator.has_events())
        .partition(|(_, generator)| generator.is_modelled());
    let steps = progress_bar(((2 * modelled.len() + others.len()) * size.means.len()) as u64);
    let _ = write!(text, "What it models. Required: 0.8 to 1.2.\n\n{HEAD}");
    for (name, generator) in modelled {
        for growth in [0.0, 0.03] {
            for &mean in size.means {
                let years = series_years(size, size.calibration[0] as usize);
                let [one, tenth, operating] = multiples(
                    size, seed, generator, mean, growth, nominal,
                )
                .map(|Mean { value, give_or_take }| format!("{value:.2} ± {give_or_take:.2}"));
                let _ = writeln!(
                    text,
                    "| {name} | {mean} | {growth} | {years:.0} | {one} | {tenth} | {operating} |"
                );
                steps.inc(1);
            }
        }
    }
    let _ = write!(text, "\nWhat it doesn't model. Required: 2 at most.\n\n{HEAD}");
    let mut random = Random::stream(seed, 4_000);
    for (name, generator) in others {
        let mut all = Vec::new();
        for &mean in size.means {
            let line = shares(size, seed, generator, mean, nominal, &mut random);
            let _ = writeln!(
                text,
                "| {name} | {mean} | 0 | {:.0} | {} |",
                series_years(size, line.len()),
                trials(&line, nominal)
            );
            all.extend(line);
            steps.inc(1);
        }
        let _ = writeln!(
            text,
            "| {name} | all | 0 | {:.0} | {} |",
            series_years(size, all.len()),
            trials(&all, nominal)
        );
    }
    steps.finish_and_clear();
    text + "\n"
}

fn panel_spec(size: &Size, generator: Generator, mean: f64, growth: f64, seed: u64) -> PanelSpec {
    let mut means = vec![mean; REGIONS];
    means.extend(panels::spread_of_means(REGIONS, seed));
    PanelSpec {
        days: size.days + WARM_UP,
        generator,
        means,
        growth_per_week: growth,
        outbreak: None,
    }
}

fn schedule(panel: &Panel, days: usize) -> Schedule {
    Schedule { from: WARM_UP * HOURS, to: panel.hours(), every: days * HOURS }
}

fn series_years(size: &Size, panels: usize) -> f64 {
    (panels * REGIONS * size.days) as f64 / 365.25
}

/// Of each nominal p the computed multiple, over the panel-years of one line.
fn multiples(
    size: &Size,
    seed: u64,
    generator: Generator,
    mean: f64,
    growth: f64,
    nominal: [f64; 3],
) -> [Mean; 3] {
    let mut line = [vec![], vec![], vec![]];
    for year in 0..size.calibration[0] {
        let seed = seed + 10_000 + year;
        let spec = panel_spec(size, generator, mean, growth, seed);
        let panel = draw_panel(&spec, seed);
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
    line.map(|numbers| Mean::of(&numbers))
}

/// Of each panel-year of one line the shares of randomised p at or below each nominal one.
fn shares(
    size: &Size,
    seed: u64,
    generator: Generator,
    mean: f64,
    nominal: [f64; 3],
    random: &mut Random,
) -> Vec<[Share; 3]> {
    let of_year = |year: u64| {
        let seed = seed + 10_000 + year;
        let panel = draw_panel(&panel_spec(size, generator, mean, 0.0, seed), seed);
        let mut shares = [Share::default(); 3];
        for value in panel.randomised(schedule(&panel, 1), REGIONS, || random.unit()) {
            for (share, nominal) in shares.iter_mut().zip(nominal) {
                share.add(value <= nominal);
            }
        }
        shares
    };
    (0..size.calibration[1]).map(of_year).collect()
}

/// Shares of trials as multiples of the nominal share. The interval is Wilson's, for the number of
/// trials that explains the variance between panels.
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

/// Largest share of outbreak-free days on which first-seen cells may be in alarm.
const FALSE_MOST: f64 = 0.005;

/// Five accounts in a cell with a history of a few empty days.
pub(crate) fn first_seen(size: &Size, seed: u64) -> String {
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
            // The prior, beta prime, as a ratio of gammas; only cells with empty days count.
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
