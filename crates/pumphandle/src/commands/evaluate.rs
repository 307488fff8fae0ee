//! `evaluate`: scores detectors on the frozen yardstick of `simulation::panels`, or on recorded counts.
//!
//! Tables as Markdown to standard output, a plot as SVG. What is drawn depends on the seed alone, so two runs of one build agree
//! to the last digit, and a short run is held against a committed one by a test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use anyhow::Context;
use indicatif::ProgressBar;
use record::time::{DAY, HOUR, SECOND};
use simulation::Random;
use simulation::panels::{self, Generator, PanelSpec, Rise};
use surveillance::detectors::{Method, operating};
use surveillance::evaluation::{Look, Panel, Schedule, Share, Track, delay, episodes, threshold};

use super::Failure;
use crate::cli::Evaluate;

const HOURS: usize = 24;
/// Days before the first judged window.
const WARM_UP: usize = 35;
/// Series that a usual installation judges, and the false episodes a week that it may give.
const SERIES: usize = 500;
const PER_WEEK: f64 = 5.0;
/// Mean counts of a day, for tables.
const MEANS: [f64; 6] = [0.05, 0.2, 1.0, 5.0, 20.0, 200.0];
const CLASSICS: [&str; 13] = [
    "ears-c1",
    "ears-c2",
    "ears-c3",
    "eears",
    "bayes",
    "rki",
    "essence-ewma",
    "essence-regression",
    "essence-switch",
    "cusum",
    "glr-pois",
    "glr-nb",
    "outbreakp",
];
/// Topics of 25 regions each and a year of each generator that the operating threshold is read from.
const OPERATING_TOPICS: u64 = 3;
const DEFAULT: &str = "nb-predictive";

/// How much is drawn.
struct Size {
    /// Years of a panel for each line of the calibration table.
    calibration: u64,
    means: &'static [f64],
    /// Topics of the null year, of 25 regions each.
    topics: u64,
    /// Outbreaks for each kind, generator and mean.
    outbreaks: u64,
    /// Years of calm panels, of ten regions each, for thresholds.
    calm: u64,
    /// Hours between looks.
    every: usize,
    /// Days of a calm panel that are judged.
    days: usize,
}

const FULL: Size = Size { calibration: 3, means: &MEANS, topics: 10, outbreaks: 6, calm: 2, every: 6, days: 365 };
const SHORT: Size = Size { calibration: 1, means: &[5.0], topics: 1, outbreaks: 1, calm: 1, every: 24, days: 42 };

pub(crate) fn run(args: &Evaluate) -> Result<(), Failure> {
    let size = if args.short { &SHORT } else { &FULL };
    let mut out = std::io::stdout().lock();
    if let Some(path) = &args.recorded {
        let text = recorded(path)?;
        out.write_all(text.as_bytes())?;
        return Ok(());
    }
    if args.operating {
        out.write_all(operating_table(size, args.seed).as_bytes())?;
        return Ok(());
    }
    out.write_all(calibration(size, args.seed).as_bytes())?;
    out.write_all(null_year(size, args.seed).as_bytes())?;
    out.write_all(first_seen(size, args.seed).as_bytes())?;
    let scores = detection(size, args.seed)?;
    out.write_all(scores.table().as_bytes())?;
    if let Some(path) = &args.plot {
        std::fs::write(path, scores.plot()).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    Ok(())
}

fn panel_of(drawn: &panels::Panel) -> Panel {
    let track = |track: &panels::Track| Track::new(&track.counts, &track.seen, &track.totals, &track.totals_seen);
    Panel { regions: drawn.regions.iter().map(track).collect(), covered: drawn.covered.clone(), replayed: drawn.replayed.clone() }
}

fn drawn(spec: &PanelSpec, seed: u64) -> Panel {
    panel_of(&panels::panel(spec, seed))
}

fn ratio(share: Share, nominal: f64) -> String {
    let (low, high) = share.interval();
    format!("{:.2} ({:.2}-{:.2})", share.value() / nominal, low / nominal, high / nominal)
}

/// How often the default's randomised p is at or below what it says, as a multiple of that.
fn calibration(size: &Size, seed: u64) -> String {
    let operating = operating::threshold(SERIES, PER_WEEK);
    let nominal = [0.01, 0.001, operating];
    let mut text = format!(
        "## Calibration of `{DEFAULT}`\n\nRandomised p at or below a nominal one, as a multiple of it, with 95 % intervals; floors off. \
         The operating threshold for {SERIES} series and {PER_WEEK} false episodes a week is p = {operating:.2e}.\n\n\
         | generator | modelled | mean a day | growth a week | series-years | 1 % | 0.1 % | operating |\n|---|---|---|---|---|---|---|---|\n"
    );
    let mut random = Random::stream(seed, 4_000);
    let generators = Generator::ALL.into_iter().filter(|(_, generator)| !generator.has_events());
    let cells: Vec<_> = generators
        .flat_map(|(name, generator)| {
            let growths: &[f64] = if generator.is_modelled() { &[0.0, 0.03] } else { &[0.0] };
            growths.iter().flat_map(move |growth| size.means.iter().map(move |mean| (name, generator, *growth, *mean)))
        })
        .collect();
    let steps = bar(cells.len() as u64);
    for (name, generator, growth, mean) in cells {
        let mut shares = [Share::default(); 3];
        let mut years = 0.0;
        for year in 0..size.calibration {
            let seed = seed + 10_000 + year;
            // Half of the regions have the mean of the line, the others any.
            let mut means = vec![mean; 12];
            means.extend(panels::spread_of_means(12, seed));
            let panel = drawn(&PanelSpec { days: size.days + WARM_UP, generator, means, growth_per_week: growth, outbreak: None }, seed);
            let schedule = Schedule { from: WARM_UP * HOURS, to: panel.hours(), every: HOURS };
            let values = panel.randomised(schedule, || random.unit());
            for value in values.chunks(24).flat_map(|regions| &regions[..12]) {
                for (share, nominal) in shares.iter_mut().zip(nominal) {
                    share.add(*value <= nominal);
                }
            }
            years += 12.0 * schedule.years();
        }
        let [one, tenth, operating] = [0, 1, 2].map(|nth| ratio(shares[nth], nominal[nth]));
        let modelled = if generator.is_modelled() { "yes" } else { "no" };
        let _ = writeln!(text, "| {name} | {modelled} | {mean} | {growth} | {years:.0} | {one} | {tenth} | {operating} |");
        steps.inc(1);
    }
    steps.finish_and_clear();
    text + "\n"
}

/// A year in which nothing happens: false episodes of 25 regions × 20 topics, judged hourly, before any budget and floor.
fn null_year(size: &Size, seed: u64) -> String {
    let p = operating::threshold(SERIES, PER_WEEK);
    let least = -p.ln();
    let mut text = format!(
        "## A year in which nothing happens\n\n25 regions × 20 topics, judged hourly at p ≤ {p:.2e}, alarms joined until a day after the \
         last; floors and budget off. Simulated: {} topic(s) of each generator, told for 20.\n\n\
         | generator | false episodes a week |\n|---|---|\n",
        size.topics.div_ceil(5)
    );
    let generators = Generator::ALL.into_iter().filter(|(_, generator)| !matches!(generator, Generator::News { .. } | Generator::Bots));
    let steps = bar(Generator::ALL.len() as u64);
    for (name, generator) in generators {
        let topics = size.topics.div_ceil(5);
        let mut count = 0;
        for topic in 0..topics {
            let seed = seed + 20_000 + topic;
            let means = panels::spread_of_means(25, seed);
            let days = size.days + WARM_UP;
            let panel = drawn(&PanelSpec { days, generator, means, growth_per_week: 0.0, outbreak: None }, seed);
            let schedule = Schedule { from: WARM_UP * HOURS, to: panel.hours(), every: if size.topics > 1 { 1 } else { 6 } };
            let found: usize = panel.looks(schedule).iter().map(|looks| episodes(looks, least)).sum();
            count += (found as f64 / (schedule.years() * 365.25 / 7.0) * 1e6) as u64;
        }
        let _ = writeln!(text, "| {name} | {:.2} |", count as f64 / 1e6 / topics as f64 * 20.0);
        steps.inc(1);
    }
    steps.finish_and_clear();
    text + "\n"
}

/// Five accounts over nothing, in a cell of which nothing but a few days is known.
fn first_seen(size: &Size, seed: u64) -> String {
    use surveillance::detectors::pool::{Topic, Window};
    use surveillance::detectors::predictive::forecast;
    let operating = operating::threshold(SERIES, PER_WEEK);
    let mut text = String::from(
        "## A cell seen for the first time\n\nTrue means drawn from the prior; after so many days without anything five accounts come on \
         top. Caught at p ≤ 0.5 % a day and at the operating threshold, and how often a day without them is in alarm.\n\n\
         | zero days | caught at 0.5 % | false | caught at operating | false |\n|---|---|---|---|---|\n",
    );
    let mut random = Random::stream(seed, 5_000);
    for days in [1usize, 3, 7] {
        let past: Vec<Window> =
            (0..days).map(|day| Window { observed: 0.0, population: None, day: day as i64, age: 2.0 + day as f64 }).collect();
        let now = Window { observed: 0.0, population: None, day: 9, age: 0.0 };
        let prepared = Topic::unknown().prepare(&past, &now, |_| (0.3, 0.5));
        let forecast = forecast(&prepared.past, &prepared.prior);
        let mut shares = [Share::default(); 4];
        let wanted = if size.topics > 1 { 20_000 } else { 500 };
        while shares[0].of < wanted {
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

/// Rows of `detectors/operating/table.in`.
fn operating_table(size: &Size, seed: u64) -> String {
    let levels: Vec<f64> = (0..13).map(|nth| 10f64.powf(-2.0 - 0.25 * f64::from(nth))).collect();
    let mut found = vec![0usize; levels.len()];
    let mut years = 0.0;
    let generators = [Generator::Poisson, Generator::NegativeBinomial { size: 10.0 }, Generator::NegativeBinomial { size: 2.0 }];
    let steps = bar(generators.len() as u64 * OPERATING_TOPICS);
    for generator in generators {
        for topic in 0..OPERATING_TOPICS.min(size.topics) {
            let seed = seed + 30_000 + topic;
            let means = panels::spread_of_means(25, seed);
            let panel = drawn(&PanelSpec { days: 365 + WARM_UP, generator, means, growth_per_week: 0.0, outbreak: None }, seed);
            let schedule = Schedule { from: WARM_UP * HOURS, to: panel.hours(), every: 1 };
            for looks in panel.looks(schedule) {
                for (found, level) in found.iter_mut().zip(&levels) {
                    *found += episodes(&looks, -level.ln());
                }
                years += schedule.years();
            }
            steps.inc(1);
        }
    }
    steps.finish_and_clear();
    let mut rows: Vec<(f64, f64)> =
        levels.iter().zip(&found).filter(|(_, found)| **found >= 20).map(|(level, found)| (*level, *found as f64 / years)).collect();
    rows.reverse();
    if let Some(&(level, rate)) = rows.first() {
        // Beyond what was seen often enough the rate goes on falling with p as it does among the rows: least squares on logarithms.
        let points: Vec<(f64, f64)> = rows.iter().map(|(level, rate)| (level.ln(), rate.ln())).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let products: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let squares: f64 = points.iter().map(|point| (point.0 - x) * (point.0 - x)).sum();
        rows.insert(0, (1e-8, rate * (1e-8 / level).powf(products / squares)));
    }
    let mut text = String::from("[\n");
    let _ = writeln!(
        text,
        "    // {years:.0} series-years, seed {seed}: `pumphandle evaluate --operating`; the first row goes on as the others fall"
    );
    for (level, rate) in rows {
        let _ = writeln!(text, "    ({level:.4e}, {rate:.4e}),");
    }
    text + "]\n"
}

struct Scores {
    false_a_year: f64,
    methods: Vec<Score>,
}

/// A method, its threshold, and for each cell what was caught and the sum of delays in hours.
type Score = (&'static str, f64, BTreeMap<Cell, (Share, f64)>);
/// Hour → accounts on the topic and all posts.
type Hours = BTreeMap<i64, (u32, u32)>;

/// Kind of outbreak, generator, and a hundred times the mean of a day.
type Cell = (&'static str, &'static str, u64);

fn detection(size: &Size, seed: u64) -> Result<Scores, Failure> {
    let methods: Vec<(&'static str, Option<Method>)> = CLASSICS
        .iter()
        .map(|name| Ok((*name, Some(Method::parse(name, &[]).map_err(|why| Failure::usage(why.to_string(), String::new()))?))))
        .chain([Ok((DEFAULT, None))])
        .collect::<Result<_, Failure>>()?;
    let looks = |panel: &Panel, method: &Option<Method>, schedule: Schedule| match method {
        Some(method) => panel.looks_of(method, schedule),
        None => panel.looks(schedule),
    };
    let background: Vec<(&'static str, Generator)> =
        Generator::ALL.into_iter().filter(|(name, generator)| !generator.has_events() && *name != "dead-feed").collect();
    let rises: u64 = background.len() as u64 * size.means.len() as u64 * Rise::ALL.len() as u64;
    let steps = bar(background.len() as u64 * size.calm + rises);
    // One threshold for each method, over all calm panels together.
    let mut calm: Vec<Vec<Vec<Look>>> = vec![Vec::new(); methods.len()];
    let mut years = 0.0;
    for (_, generator) in &background {
        for year in 0..size.calm {
            let seed = seed + 40_000 + year;
            let means = panels::spread_of_means(10, seed);
            let panel =
                drawn(&PanelSpec { days: size.days + WARM_UP, generator: *generator, means, growth_per_week: 0.0, outbreak: None }, seed);
            let schedule = Schedule { from: WARM_UP * HOURS, to: panel.hours(), every: size.every };
            for (of_method, (_, method)) in calm.iter_mut().zip(&methods) {
                of_method.extend(looks(&panel, method, schedule));
            }
            years += 10.0 * schedule.years();
            steps.inc(1);
        }
    }
    let false_a_year = PER_WEEK * 365.25 / 7.0 / SERIES as f64;
    let most = (false_a_year * years).round().max(1.0) as usize;
    let mut scores: Vec<Score> =
        methods.iter().zip(&calm).map(|((name, _), calm)| (*name, threshold(calm, most), BTreeMap::new())).collect();
    for (generator_name, generator) in &background {
        for mean in size.means {
            for (rise_name, rise) in Rise::ALL {
                let cell: Cell = (rise_name, generator_name, (mean * 100.0) as u64);
                for nth in 0..size.outbreaks {
                    let seed = seed + 50_000 + nth;
                    let onset = (WARM_UP + 7 + nth as usize % 7) * HOURS + (nth as usize * 5) % HOURS;
                    let mut means = vec![*mean; 3];
                    means.extend(panels::spread_of_means(7, seed));
                    let days = WARM_UP + 35;
                    let spec = PanelSpec { days, generator: *generator, means, growth_per_week: 0.0, outbreak: Some((rise, onset)) };
                    let panel = drawn(&spec, seed);
                    let within = 48.max(rise.length());
                    let schedule = Schedule { from: onset + size.every, to: onset + within + 1, every: size.every };
                    for ((_, method), (_, threshold, cells)) in methods.iter().zip(&mut scores) {
                        // Of neighbours any of the three will do.
                        let regions = if rise == Rise::Neighbours { 3 } else { 1 };
                        let all = looks(&panel, method, schedule);
                        let caught = all[..regions].iter().filter_map(|looks| delay(looks, *threshold, onset, within)).min();
                        let (share, delays) = cells.entry(cell).or_insert((Share::default(), 0.0));
                        share.add(caught.is_some_and(|hours| hours <= 48));
                        *delays += caught.unwrap_or(within) as f64;
                    }
                }
                steps.inc(1);
            }
        }
    }
    steps.finish_and_clear();
    Ok(Scores { false_a_year, methods: scores })
}

impl Scores {
    /// Mean over cells of the probability of detection, with a 95 % interval from the cells' own spread.
    fn mean(cells: &BTreeMap<Cell, (Share, f64)>, of: impl Fn(&Cell) -> bool) -> (f64, f64, f64) {
        let shares: Vec<Share> = cells.iter().filter(|(cell, _)| of(cell)).map(|(_, (share, _))| *share).collect();
        let n = shares.len().max(1) as f64;
        let mean = shares.iter().map(|share| share.value()).sum::<f64>() / n;
        let variance: f64 =
            shares.iter().map(|share| share.value() * (1.0 - share.value()) / (share.of as f64).max(1.0)).sum::<f64>() / (n * n);
        let half = 1.96 * variance.sqrt();
        (mean, (mean - half).max(0.0), (mean + half).min(1.0))
    }

    fn table(&self) -> String {
        let mut text = format!(
            "## Outbreaks\n\nProbability of detection within 48 h, each method at the threshold that gives {:.2} false episodes a series and \
             year on the same calm panels. Means over generators and means of 0.05 to 200 a day, with 95 % intervals; delay in hours, what is \
             never caught counted at its length.\n\n| method | all |",
            self.false_a_year
        );
        for (name, _) in Rise::ALL {
            let _ = write!(text, " {name} |");
        }
        text.push_str(" delay |\n|---|---|");
        text.push_str(&"---|".repeat(Rise::ALL.len() + 1));
        text.push('\n');
        for (method, _, cells) in &self.methods {
            let (mean, low, high) = Scores::mean(cells, |_| true);
            let _ = write!(text, "| {method} | {mean:.3} ({low:.3}-{high:.3}) |");
            for (name, _) in Rise::ALL {
                let _ = write!(text, " {:.2} |", Scores::mean(cells, |cell| cell.0 == name).0);
            }
            let (delays, of) = cells.values().fold((0.0, 0), |(sum, of), (share, delays)| (sum + delays, of + share.of));
            let _ = writeln!(text, " {:.0} |", delays / (of as f64).max(1.0));
        }
        text.push_str("\nWhere a classic catches more than the default:\n\n");
        let Some((_, _, own)) = self.methods.last() else { return text };
        let mut lost = 0;
        for (method, _, cells) in &self.methods {
            let better: Vec<String> = cells
                .iter()
                .filter(|(cell, (share, _))| own.get(*cell).is_some_and(|(own, _)| share.value() > own.value() + 0.1))
                .map(|(cell, (share, _))| {
                    format!("{} {} at {} ({:.2} to {:.2})", cell.0, cell.1, cell.2 as f64 / 100.0, share.value(), own[cell].0.value())
                })
                .collect();
            if !better.is_empty() {
                lost += better.len();
                let _ = writeln!(text, "- {method}: {}", better.join("; "));
            }
        }
        if lost == 0 {
            text.push_str("- nowhere by more than 0.1\n");
        }
        text
    }

    fn plot(&self) -> String {
        let (left, right, row) = (160.0, 640.0, 26.0);
        let height = row * self.methods.len() as f64 + 60.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <title>Probability of detection within 48 h at equal false episodes</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        let x = |value: f64| left + (right - left) * value;
        for tenth in (0..=10).step_by(2) {
            let at = x(f64::from(tenth) / 10.0);
            let _ = writeln!(svg, "<line x1=\"{at}\" x2=\"{at}\" y1=\"10\" y2=\"{}\" stroke=\"#ddd\"/>", height - 40.0);
            let _ = writeln!(svg, "<text x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{}</text>", height - 22.0, f64::from(tenth) / 10.0);
        }
        for (nth, (method, _, cells)) in self.methods.iter().enumerate() {
            let (mean, low, high) = Scores::mean(cells, |_| true);
            let y = 24.0 + row * nth as f64;
            let colour = if *method == DEFAULT { "#b00020" } else { "#345" };
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{method}</text>", left - 8.0, y + 4.0);
            let _ = writeln!(
                svg,
                "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                x(low),
                x(high)
            );
            let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/>", x(mean));
        }
        let label = "probability of detection within 48 h";
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n</svg>", x(0.5), height - 5.0);
        svg
    }
}

/// Recorded counts, as `replay --counts` writes them: how often what is recorded of placebo tags would be in alarm.
fn recorded(path: &std::path::Path) -> Result<String, Failure> {
    let mut input = csv::Reader::from_path(path).with_context(|| format!("failed to open `{}`", path.display()))?;
    let header = input.headers().with_context(|| format!("failed to read the header of `{}`", path.display()))?.clone();
    let column = |name: &str| {
        let found = header.iter().position(|column| column == name);
        found.ok_or_else(|| {
            Failure::usage(format!("`{}` has no column `{name}`", path.display()), "write it by `pumphandle replay --counts`")
        })
    };
    let [topic, region, start, authors, total] = ["topic", "region", "pane_start", "authors", "total_posts"].map(column);
    let (topic, region, start, authors, total) = (topic?, region?, start?, authors?, total?);
    let mut cells: BTreeMap<String, BTreeMap<String, Hours>> = BTreeMap::new();
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for (row, line) in input.records().zip(2u64..) {
        let row = row.with_context(|| format!("failed to read line {line} of `{}`", path.display()))?;
        let number = |at: usize| -> Result<i64, Failure> {
            let text = row.get(at).unwrap_or_default();
            text.parse().map_err(|_| Failure::usage(format!("`{}`, line {line}: `{text}` is no number", path.display()), ""))
        };
        let hour = number(start)?.div_euclid(HOUR / SECOND);
        let (authors, total) = (number(authors)?.max(0) as u32, number(total)?.clamp(0, i64::from(u32::MAX)) as u32);
        (first, last) = (first.min(hour), last.max(hour));
        let of_topic = cells.entry(row.get(topic).unwrap_or_default().to_owned()).or_default();
        of_topic.entry(row.get(region).unwrap_or_default().to_owned()).or_default().insert(hour, (authors, total));
    }
    // Days begin at midnight, weeks on Mondays.
    let week = DAY / HOUR * 7;
    // 1970-01-05 was a Monday.
    let begin = first - (first - 4 * DAY / HOUR).rem_euclid(week);
    let hours = usize::try_from(last + 1 - begin).unwrap_or(0);
    if hours < (WARM_UP + 7) * HOURS {
        return Err(Failure::usage(format!("`{}` spans {} days", path.display(), hours / HOURS), "six weeks at least are needed"));
    }
    let mut text = String::from(
        "## Recorded counts\n\nAccounts of an hour stand for their sum over a day. Windows at or below a nominal p, as a multiple of it; \
         false episodes are those of the operating threshold if nothing was going on.\n\n\
         | topic | regions | weeks | p ≤ 1 % | p ≤ 0.1 % | episodes a week |\n|---|---|---|---|---|---|\n",
    );
    let mut random = Random::new(1);
    for (topic, regions) in &cells {
        let track = |of_region: &Hours| {
            let of_hour = |hour: usize| of_region.get(&(begin + hour as i64)).copied().unwrap_or_default();
            let counts: Vec<u32> = (0..hours).map(|hour| of_hour(hour).0).collect();
            // Hours without a post have no row, and so no denominator: what the hours before and after had stands for it.
            let mut known = 0;
            let totals: Vec<u32> = (0..hours)
                .map(|hour| {
                    let total = of_hour(hour).1;
                    known = if total > 0 { total } else { known };
                    known
                })
                .collect();
            Track::new(&counts, &counts, &totals, &totals)
        };
        let panel = Panel { regions: regions.values().map(track).collect(), covered: Vec::new(), replayed: Vec::new() };
        let from = WARM_UP * HOURS;
        let daily = Schedule { from, to: hours, every: HOURS };
        let mut shares = [Share::default(); 2];
        for value in panel.randomised(daily, || random.unit()) {
            shares[0].add(value <= 0.01);
            shares[1].add(value <= 0.001);
        }
        let least = -operating::threshold(SERIES, PER_WEEK).ln();
        let hourly = Schedule { every: 1, ..daily };
        let found: usize = panel.looks(hourly).iter().map(|looks| episodes(looks, least)).sum();
        let weeks = hourly.years() * 365.25 / 7.0;
        let _ = writeln!(
            text,
            "| {topic} | {} | {weeks:.1} | {} | {} | {:.2} |",
            regions.len(),
            ratio(shares[0], 0.01),
            ratio(shares[1], 0.001),
            found as f64 / weeks
        );
    }
    Ok(text)
}

fn bar(steps: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    ProgressBar::new(steps)
}
