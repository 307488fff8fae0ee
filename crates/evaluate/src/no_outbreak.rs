//! Outbreak-free panels: false episodes of a year, and the tables of detector thresholds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use simulation::panels::{self, Generator, PanelSpec};

use crate::panel::{Panel, Schedule, episodes, first_alarms};
use crate::{HOURS, PER_WEEK, SERIES, Size, WARM_UP, draw_panel, operating_p, progress_bar};

const REGIONS: usize = 25;
/// Generators of the tables of thresholds.
const IN_CONTROL: [Generator; 3] = [
    Generator::Poisson,
    Generator::NegativeBinomial { size: 10.0 },
    Generator::NegativeBinomial { size: 2.0 },
];

/// False episodes of an installation without outbreaks.
pub(crate) struct NullYear {
    /// The hour since the first judged one, and p, of the first alarm of each, in order.
    pub(crate) episodes: Vec<(usize, f64)>,
    /// Hours judged.
    pub(crate) hours: usize,
    topics: u64,
    /// Of each generator its topics and their episodes.
    generators: BTreeMap<&'static str, (u64, usize)>,
}

/// Generators in turn, a topic of each, judged hourly.
pub(crate) fn null_year(size: &Size, seed: u64) -> NullYear {
    let p = operating_p();
    let generators: Vec<_> =
        Generator::ALL.into_iter().filter(|(_, generator)| !generator.has_events()).collect();
    let mut year = NullYear {
        episodes: Vec::new(),
        hours: size.days * HOURS,
        topics: size.topics,
        generators: BTreeMap::new(),
    };
    let steps = progress_bar(size.topics);
    for (topic, &(name, generator)) in (0..size.topics).zip(generators.iter().cycle()) {
        let seed = seed + 20_000 + topic;
        let means = panels::spread_of_means(REGIONS, seed);
        let panel = draw_panel(
            &PanelSpec {
                days: size.days + WARM_UP,
                generator,
                means,
                growth_per_week: 0.0,
                outbreak: None,
            },
            seed,
        );
        let schedule = Schedule { from: WARM_UP * HOURS, to: panel.hours(), every: 1 };
        let of_topic = year.generators.entry(name).or_default();
        of_topic.0 += 1;
        for looks in panel.looks(schedule, REGIONS) {
            for first in first_alarms(&looks, -p.ln()) {
                of_topic.1 += 1;
                year.episodes
                    .push((first.end - schedule.from, (-first.score.unwrap_or(0.0)).exp()));
            }
        }
        steps.inc(1);
    }
    steps.finish_and_clear();
    year.episodes.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    year
}

impl NullYear {
    fn weeks(&self) -> f64 {
        self.hours as f64 / (7 * HOURS) as f64
    }

    pub(crate) fn table(&self) -> String {
        let series = self.topics * REGIONS as u64;
        let scale = SERIES as f64 / series as f64;
        let a_week = self.episodes.len() as f64 / self.weeks() * scale;
        // Episodes are close to independent: Poisson's interval.
        let spread = 1.96 * (self.episodes.len() as f64).sqrt() / self.weeks() * scale;
        let mut text = format!(
            "## A year in which nothing happens\n\n{REGIONS} regions × {} topics, means of 0.05 to \
                200 a day, judged hourly at p ≤ {:.2e} for \
             {:.1} weeks, alarms joined until a day after the last; floors and budget off; other \
             seeds than those of the operating table. \
             Required: at most {PER_WEEK} false episodes a week.\n\n**{a_week:.2} (± {spread:.2}) \
             false episodes a week** before any budget \
             for {SERIES} series.\n\n| generator | topics | false episodes a week, were all \
             {SERIES} series like these |\n|---|---|---|\n",
            self.topics,
            operating_p(),
            self.weeks()
        );
        for (name, (topics, episodes)) in &self.generators {
            let like_these =
                *episodes as f64 / self.weeks() * SERIES as f64 / (topics * REGIONS as u64) as f64;
            let _ = writeln!(text, "| {name} | {topics} | {like_these:.2} |");
        }
        text + "\n"
    }
}

/// Rows of `forecast/operating/table.in`.
pub fn operating_table(size: &Size, seed: u64) -> String {
    let levels: Vec<f64> = (0..13).map(|nth| 10f64.powf(-2.0 - 0.25 * f64::from(nth))).collect();
    let mut found = vec![0usize; levels.len()];
    let mut years = 0.0;
    for_each_in_control(size, size.operating, seed + 30_000, |panel| {
        let schedule = Schedule { from: WARM_UP * HOURS, to: panel.hours(), every: 1 };
        for looks in panel.looks(schedule, usize::MAX) {
            for (found, level) in found.iter_mut().zip(&levels) {
                *found += episodes(&looks, -level.ln());
            }
            years += schedule.years();
        }
    });
    let mut rows: Vec<(f64, f64)> = levels
        .iter()
        .zip(&found)
        .filter(|(_, found)| **found >= 20)
        .map(|(level, found)| (*level, *found as f64 / years))
        .collect();
    rows.reverse();
    if let Some(&(level, rate)) = rows.first() {
        // Beyond what was seen often enough the rate goes on falling with p as it does among the
        // rows: least squares on logarithms.
        let points: Vec<(f64, f64)> =
            rows.iter().map(|(level, rate)| (level.ln(), rate.ln())).collect();
        let mean =
            |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let products: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let squares: f64 = points.iter().map(|point| (point.0 - x) * (point.0 - x)).sum();
        rows.insert(0, (1e-8, rate * (1e-8 / level).powf(products / squares)));
    }
    let mut text = String::from("[\n");
    let _ = writeln!(
        text,
        "    // {years:.0} series-years, seed {seed}: `pumphandle evaluate --operating > \
            crates/surveillance/src/forecast/operating/table.in`; the first row goes on as the \
            others fall"
    );
    for (level, rate) in rows {
        let _ = writeln!(text, "    ({level:.4e}, {rate:.4e}),");
    }
    text + "]\n"
}

/// Draws the panels of the tables of thresholds: `topics` of each generator.
fn for_each_in_control(size: &Size, topics: u64, first_seed: u64, mut look: impl FnMut(&Panel)) {
    let steps = progress_bar(IN_CONTROL.len() as u64 * topics);
    for generator in IN_CONTROL {
        for seed in first_seed..first_seed + topics {
            let means = panels::spread_of_means(REGIONS, seed);
            let days = size.days + WARM_UP;
            look(&draw_panel(
                &PanelSpec { days, generator, means, growth_per_week: 0.0, outbreak: None },
                seed,
            ));
            steps.inc(1);
        }
    }
    steps.finish_and_clear();
}
