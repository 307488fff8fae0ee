//! Tables of outbreaks: detection by each method at equal false episodes, and delivery under a
//! subscriber's budget.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use indicatif::ProgressBar;
use notify::plan::Budget;
use record::time::HOUR;
use simulation::Random;
use simulation::panels::{self, Generator, PanelSpec, Rise};
use surveillance::detectors::Method;
use surveillance::forecast::operating;

use crate::no_outbreak::NullYear;
use crate::panel::{Look, Mean, Panel, Schedule, caught, threshold};
use crate::{
    DEFAULT, HOURS, PER_WEEK, SERIES, Size, WARM_UP, draw_panel, operating_p, progress_bar,
};

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
/// Hours from the onset within which an alarm catches the outbreak.
const IN_TIME: usize = 48;
/// Hours between looks, of all methods alike.
const EVERY: usize = 12;
/// Outbreaks of each cell whose delivery under the budget is followed.
const BUDGETED: u64 = 4;
/// The digest leaves at this hour.
const DIGEST_AT: usize = 8;
/// A classic that catches this much more wins the cell.
const CLEARLY: f64 = 0.1;

/// Kind of outbreak, generator, and a hundred times the mean of a day.
type Cell = (&'static str, &'static str, u64);
type Cells = BTreeMap<Cell, Vec<Trial>>;

/// One outbreak, by one method.
#[derive(Clone, Copy)]
struct Trial {
    in_time: bool,
    /// Hours; the outbreak's length where it was not caught.
    delay: f64,
}

struct Score {
    method: &'static str,
    cells: Cells,
}

pub(crate) struct Scores {
    false_a_year: f64,
    calm_years: f64,
    /// The default last.
    methods: Vec<Score>,
    /// By kind of outbreak: the onset, and the default's first alarm at the operating threshold,
    /// judged hourly.
    alarms: BTreeMap<&'static str, Vec<(usize, Option<Look>)>>,
}

/// Delivery of an alert of the default at the operating threshold.
#[derive(Clone, Copy)]
struct Delivery {
    /// Hours from the onset to the alarm.
    alarm: Option<f64>,
    /// Hours from the onset to its being sent, and whether at once.
    sent: Option<(f64, bool)>,
}

type NamedMethod = (&'static str, Option<Method>);

/// Looks of a method; none is the default.
fn looks(
    panel: &Panel,
    method: &Option<Method>,
    schedule: Schedule,
    regions: usize,
) -> Vec<Vec<Look>> {
    match method {
        Some(method) => panel.looks_of(method, schedule, regions),
        None => panel.looks(schedule, regions),
    }
}

pub(crate) fn scores(size: &Size, seed: u64) -> Scores {
    let classics = CLASSICS.iter().map(|name| {
        (
            *name,
            Some(Method::parse(name, &[]).expect("the classics are methods without parameters")),
        )
    });
    let methods: Vec<NamedMethod> = classics.chain([(DEFAULT, None)]).collect();
    let background: Vec<(&'static str, Generator)> = Generator::ALL
        .into_iter()
        .filter(|(name, generator)| !generator.has_events() && *name != "dead-feed")
        .collect();
    let rises: u64 = background.len() as u64 * size.means.len() as u64 * Rise::ALL.len() as u64;
    let steps = progress_bar(background.len() as u64 * size.calm + rises);
    let calm_years =
        (background.len() as u64 * size.calm) as f64 * 10.0 * calm_schedule(size).years();
    let false_a_year = f64::from(PER_WEEK) * 365.25 / 7.0 / SERIES as f64;
    let most = (false_a_year * calm_years).round().max(1.0) as usize;
    let thresholds = thresholds(size, seed, &background, &methods, most, &steps);
    let mut scores = Scores {
        false_a_year,
        calm_years,
        methods: methods.iter().map(|(method, _)| Score { method, cells: Cells::new() }).collect(),
        alarms: BTreeMap::new(),
    };
    for (generator_name, generator) in &background {
        for mean in size.means {
            for (rise_name, rise) in Rise::ALL {
                let cell: Cell = (rise_name, generator_name, (mean * 100.0) as u64);
                for nth in 0..size.outbreaks {
                    let outbreak = draw_outbreak(*generator, *mean, rise, nth, seed + 50_000 + nth);
                    for (((_, method), threshold), score) in
                        methods.iter().zip(&thresholds).zip(&mut scores.methods)
                    {
                        let trial = outbreak.trial(method, *threshold);
                        score.cells.entry(cell).or_default().push(trial);
                    }
                    if nth < BUDGETED {
                        let alarms = scores.alarms.entry(rise_name).or_default();
                        alarms.push((outbreak.onset, outbreak.operating_alarm()));
                    }
                }
                steps.inc(1);
            }
        }
    }
    steps.finish_and_clear();
    scores
}

/// One threshold for each method, over all outbreak-free panels together.
fn thresholds(
    size: &Size,
    seed: u64,
    background: &[(&'static str, Generator)],
    methods: &[NamedMethod],
    most: usize,
    steps: &ProgressBar,
) -> Vec<f64> {
    let mut calm: Vec<Vec<Vec<Look>>> = vec![Vec::new(); methods.len()];
    for (_, generator) in background {
        for nth in 0..size.calm {
            let seed = seed + 40_000 + nth;
            let spec = PanelSpec {
                days: size.days + WARM_UP,
                generator: *generator,
                means: panels::spread_of_means(10, seed),
                growth_per_week: 0.0,
                outbreak: None,
            };
            let panel = draw_panel(&spec, seed);
            for (of_method, (_, method)) in calm.iter_mut().zip(methods) {
                of_method.extend(looks(&panel, method, calm_schedule(size), usize::MAX));
            }
            steps.inc(1);
        }
    }
    calm.iter().map(|calm| threshold(calm, most)).collect()
}

fn calm_schedule(size: &Size) -> Schedule {
    Schedule { from: WARM_UP * HOURS, to: (size.days + WARM_UP) * HOURS, every: EVERY }
}

/// A panel with an outbreak.
struct Outbreak {
    panel: Panel,
    onset: usize,
    /// Hours in which an alarm counts as its own.
    within: usize,
    /// Affected regions.
    regions: usize,
}

fn draw_outbreak(generator: Generator, mean: f64, rise: Rise, nth: u64, seed: u64) -> Outbreak {
    let onset = (WARM_UP + 7 + nth as usize % 7) * HOURS + (nth as usize * 5) % HOURS;
    let mut means = vec![mean; 3];
    means.extend(panels::spread_of_means(7, seed));
    let spec = PanelSpec {
        days: WARM_UP + 17 + rise.length() / HOURS,
        generator,
        means,
        growth_per_week: 0.0,
        outbreak: Some((rise, onset)),
    };
    Outbreak {
        panel: draw_panel(&spec, seed),
        onset,
        within: IN_TIME.max(rise.length()),
        regions: if rise == Rise::Neighbours { 3 } else { 1 },
    }
}

impl Outbreak {
    fn trial(&self, method: &Option<Method>, threshold: f64) -> Trial {
        let (onset, within) = (self.onset, self.within);
        let schedule = Schedule { from: onset + EVERY, to: onset + within + 1, every: EVERY };
        let first = looks(&self.panel, method, schedule, self.regions)
            .iter()
            .filter_map(|looks| caught(looks, threshold, onset, within))
            .map(|look| look.end)
            .min();
        let delay = first.map_or(within, |end| end - onset);
        Trial { in_time: first.is_some() && delay <= IN_TIME, delay: delay as f64 }
    }

    /// The default's first alarm at the operating threshold, judged hourly.
    fn operating_alarm(&self) -> Option<Look> {
        let hourly = Schedule { from: self.onset + 1, to: self.onset + IN_TIME + 1, every: 1 };
        let least = -operating_p().ln();
        self.panel
            .looks(hourly, self.regions)
            .iter()
            .filter_map(|looks| caught(looks, least, self.onset, IN_TIME))
            .min_by_key(|look| look.end)
    }
}

/// Rarer than a year: exempt from the budget.
fn is_rare(p: f64) -> bool {
    operating::recurrence_days(p, SERIES).is_some_and(|days| days > 365.25)
}

fn micros(hour: usize) -> i64 {
    hour as i64 * HOUR
}

/// Delivers the outbreak's alarm among the false ones of a null year; it begins at this hour.
fn deliver(first: Option<Look>, onset: usize, year: &NullYear, begins: usize) -> Delivery {
    let Some(first) = first else { return Delivery { alarm: None, sent: None } };
    let delay = first.end - onset;
    let now = begins + delay;
    let mut budget = Budget::new(PER_WEEK, 0);
    for (hour, _) in year.episodes.iter().filter(|(hour, p)| *hour < now && !is_rare(*p)) {
        budget.take(PER_WEEK, micros(*hour));
    }
    let p = (-first.score.unwrap_or(0.0)).exp();
    let at_once = is_rare(p) || budget.take(PER_WEEK, micros(now));
    let digest = (DIGEST_AT + HOURS - now % HOURS) % HOURS;
    let sent = if at_once { delay } else { delay + digest };
    Delivery { alarm: Some(delay as f64), sent: Some((sent as f64, at_once)) }
}

fn delivery_row(name: &str, deliveries: &[Delivery]) -> String {
    let share = |of: &dyn Fn(&Delivery) -> bool| {
        let count = deliveries.iter().filter(|delivery| of(delivery)).count();
        count as f64 / (deliveries.len() as f64).max(1.0)
    };
    let mean = |of: &dyn Fn(&Delivery) -> Option<f64>| {
        let hours: Vec<f64> = deliveries.iter().filter_map(of).collect();
        match hours.is_empty() {
            true => "-".to_owned(),
            false => format!("{:.1}", Mean::of(&hours).value),
        }
    };
    let in_time = |(hours, _): (f64, bool)| hours <= IN_TIME as f64;
    format!(
        "| {name} | {:.2} | {:.2} | {:.2} | {} | {} |\n",
        share(&|delivery| delivery.alarm.is_some()),
        share(&|delivery| delivery.sent.is_some_and(|sent| sent.1 && in_time(sent))),
        share(&|delivery| delivery.sent.is_some_and(in_time)),
        mean(&|delivery| delivery.alarm),
        mean(&|delivery| delivery.sent.map(|(hours, _)| hours))
    )
}

/// False alerts that leave at once in a null year, a week.
fn at_once_a_week(year: &NullYear) -> f64 {
    let mut budget = Budget::new(PER_WEEK, 0);
    let at_once = year
        .episodes
        .iter()
        .filter(|(hour, p)| is_rare(*p) || budget.take(PER_WEEK, micros(*hour)))
        .count();
    at_once as f64 / (year.hours as f64 / (7 * HOURS) as f64)
}

/// Mean of the cells' means, with an interval from what varies within cells.
fn stratified(cells: &Cells, of: impl Fn(&Cell) -> bool, number: impl Fn(&Trial) -> f64) -> Mean {
    let means: Vec<(f64, f64)> = cells
        .iter()
        .filter(|(cell, _)| of(cell))
        .map(|(_, trials)| within(trials.iter().map(&number)))
        .collect();
    let n = means.len().max(1) as f64;
    let value = means.iter().map(|(mean, _)| mean).sum::<f64>() / n;
    let variance = means.iter().map(|(_, variance)| variance).sum::<f64>() / (n * n);
    Mean { value, give_or_take: 1.96 * variance.sqrt() }
}

/// Mean of numbers and its variance; that of a lone number is taken at its most.
fn within(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let numbers: Vec<f64> = numbers.collect();
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = numbers.iter().map(|number| (number - mean) * (number - mean)).sum();
    (mean, if numbers.len() > 1 { squares / (n - 1.0) / n } else { 0.25 })
}

fn in_time(trial: &Trial) -> f64 {
    f64::from(u8::from(trial.in_time))
}

const PLOT_LEFT: f64 = 160.0;
const PLOT_RIGHT: f64 = 640.0;

fn plot_x(value: f64) -> f64 {
    PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * value
}

impl Score {
    fn row(&self, own: &Cells) -> String {
        let Score { method, cells } = self;
        let Mean { value, give_or_take } = stratified(cells, |_| true, in_time);
        let mut row = format!("| {method} | {value:.3} ± {give_or_take:.3} |");
        let differences: Vec<(f64, f64)> = cells
            .iter()
            .filter_map(|(cell, trials)| Some(own.get(cell)?.iter().zip(trials)))
            .map(|pairs| within(pairs.map(|(own, other)| in_time(own) - in_time(other))))
            .collect();
        let n = differences.len().max(1) as f64;
        let less = differences.iter().map(|(mean, _)| mean).sum::<f64>() / n;
        let variance = differences.iter().map(|(_, variance)| variance).sum::<f64>();
        match *method == DEFAULT {
            true => row.push_str(" |"),
            false => drop(write!(row, " {less:.3} ± {:.3} |", 1.96 * variance.sqrt() / n)),
        }
        for (name, _) in Rise::ALL {
            let of_rise = stratified(cells, |cell| cell.0 == name, in_time).value;
            let _ = write!(row, " {of_rise:.2} |");
        }
        let delay = stratified(cells, |_| true, |trial| trial.delay).value;
        let _ = writeln!(row, " {delay:.0} |");
        row
    }

    /// Its name, interval and mean in the plot.
    fn bar(&self, y: f64) -> String {
        let Score { method, cells } = self;
        let mut svg = String::new();
        let Mean { value: mean, give_or_take } = stratified(cells, |_| true, in_time);
        let (low, high) = ((mean - give_or_take).max(0.0), (mean + give_or_take).min(1.0));
        let colour = if *method == DEFAULT { "#b00020" } else { "#345" };
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{method}</text>",
            PLOT_LEFT - 8.0,
            y + 4.0
        );
        let _ = writeln!(
            svg,
            "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" \
                    stroke-width=\"2\"/>",
            plot_x(low),
            plot_x(high)
        );
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/>",
            plot_x(mean)
        );
        svg
    }
}

impl Scores {
    fn own(&self) -> Option<&Cells> {
        self.methods.last().map(|score| &score.cells)
    }

    fn best_first(&self) -> Vec<&Score> {
        let mut methods: Vec<&Score> = self.methods.iter().collect();
        let mean = |score: &Score| stratified(&score.cells, |_| true, in_time).value;
        methods.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
        methods
    }

    pub(crate) fn table(&self) -> String {
        let Some(own) = self.own() else { return String::new() };
        let cells = own.len();
        let each = own.values().next().map_or(0, Vec::len);
        let mut text = format!(
            "## Outbreaks caught, at equal false episodes\n\nProbability of detection within \
                {IN_TIME} h, each method at the threshold of \
             its own score that gives {:.2} false episodes a series and year on the same calm \
             panels ({:.0} series-years), all looking \
             every {EVERY} h. {cells} cells (kinds of outbreak × generators × means of 0.05 to 200 \
             a day) of {each} outbreaks, with 95 % \
             intervals; *less* is how much less than the default, outbreak by outbreak. Delay in \
             hours: what is never caught counts as \
             caught at the outbreak's end.\n\n| method | all | less than `{DEFAULT}` |",
            self.false_a_year, self.calm_years
        );
        for (name, _) in Rise::ALL {
            let _ = write!(text, " {name} |");
        }
        text.push_str(" delay |\n|---|---|---|");
        text.push_str(&"---|".repeat(Rise::ALL.len() + 1));
        text.push('\n');
        for score in self.best_first() {
            text.push_str(&score.row(own));
        }
        text + &self.lost(own)
    }

    /// Cells in which a classic clearly catches more.
    fn lost(&self, own: &Cells) -> String {
        let mut text = format!(
            "\nCells where a classic catches more by {CLEARLY} or more (method: its share, the \
                default's):\n\n"
        );
        let mean = |trials: &[Trial]| {
            trials.iter().map(in_time).sum::<f64>() / (trials.len() as f64).max(1.0)
        };
        let mut lost = 0;
        for (cell, trials) in own {
            let ours = mean(trials);
            let better: Vec<String> = self
                .methods
                .iter()
                .filter_map(|score| Some((score.method, mean(score.cells.get(cell)?))))
                .filter(|(_, theirs)| *theirs >= ours + CLEARLY - 1e-9)
                .map(|(method, theirs)| format!("{method} {theirs:.2}"))
                .collect();
            if !better.is_empty() {
                lost += 1;
                let _ = writeln!(
                    text,
                    "- {} in {} at {} a day: {}; {DEFAULT} {ours:.2}",
                    cell.0,
                    cell.1,
                    cell.2 as f64 / 100.0,
                    better.join(", ")
                );
            }
        }
        if lost == 0 {
            text.push_str("- none\n");
        }
        text + "\n"
    }

    /// Delivery of outbreaks that begin at any hour of a year's false episodes.
    pub(crate) fn after_budget(&self, year: &NullYear, seed: u64) -> String {
        let mut random = Random::stream(seed, 6_000);
        let mut by_kind: BTreeMap<&'static str, Vec<Delivery>> = BTreeMap::new();
        for (kind, alarms) in &self.alarms {
            let of_kind = by_kind.entry(kind).or_default();
            for (onset, first) in alarms {
                of_kind.push(deliver(
                    *first,
                    *onset,
                    year,
                    random.below(year.hours as u64) as usize,
                ));
            }
        }
        let mut text = format!(
            "## What people hear of them\n\nThe default at the operating threshold, judged hourly, \
                in an installation of {SERIES} series in \
             which the null year's false episodes ask for tokens too: {PER_WEEK} a week, at most \
             {} at a time; what is rarer than a year \
             needs none; without a token an alert waits for the daily digest. Of the false ones \
             {:.2} a week leave at once. Shares within \
             {IN_TIME} h of the onset, mean hours of those that are caught.\n\n\
             | outbreak | caught | told at once | told at all | hours to the alarm | hours until \
             told |\n|---|---|---|---|---|---|\n",
            notify::plan::BURST,
            at_once_a_week(year)
        );
        for (kind, deliveries) in &by_kind {
            text.push_str(&delivery_row(kind, deliveries));
        }
        let all: Vec<Delivery> = by_kind.into_values().flatten().collect();
        text + &delivery_row("all", &all)
    }

    pub(crate) fn plot(&self) -> String {
        let row = 26.0;
        let height = row * self.methods.len() as f64 + 60.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"{height}\" \
                font-family=\"sans-serif\" font-size=\"13\">\n\
             <title>Probability of detection within 48 h at equal false episodes</title>\n<rect \
             width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        for tenth in (0..=10).step_by(2) {
            let at = plot_x(f64::from(tenth) / 10.0);
            let _ = writeln!(
                svg,
                "<line x1=\"{at}\" x2=\"{at}\" y1=\"10\" y2=\"{}\" stroke=\"#ddd\"/>",
                height - 40.0
            );
            let _ = writeln!(
                svg,
                "<text x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                height - 22.0,
                f64::from(tenth) / 10.0
            );
        }
        for (nth, score) in self.best_first().into_iter().enumerate() {
            svg.push_str(&score.bar(24.0 + row * nth as f64));
        }
        let label = "probability of detection within 48 h";
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n</svg>",
            plot_x(0.5),
            height - 5.0
        );
        svg
    }
}
