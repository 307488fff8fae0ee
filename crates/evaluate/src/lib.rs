//! Evaluation of detectors on the frozen panels of `simulation::panels` or on recorded counts.
//!
//! Sits above the engine: the command `evaluate` prints the tables (Markdown) and the plot (SVG).
//! Nothing here runs in production. Output depends on the seed alone, to the last digit; a test
//! compares a short run with a committed one.

mod calibration;
mod early;
mod no_outbreak;
mod outbreaks;
mod panel;
mod real;
mod recorded;
mod slow;
mod weeks;

use std::io::IsTerminal as _;

use indicatif::ProgressBar;
use simulation::panels::{self, PanelSpec};
use surveillance::WatchError;
use surveillance::forecast::operating;

pub use no_outbreak::operating_table;
use panel::Panel;
pub use real::{Detector, Question, REAL, RealError, real_tables};
pub use recorded::{RecordedError, recorded_table};
pub use weeks::weeks_table;

const HOURS: usize = 24;
/// Days before the first judged window.
const WARM_UP: usize = 35;
/// Series of a usual installation, and its limit of false episodes a week.
const SERIES: usize = 500;
const PER_WEEK: u32 = 5;
/// Mean counts of a day, for tables.
const MEANS: [f64; 6] = [0.05, 0.2, 1.0, 5.0, 20.0, 200.0];
const DEFAULT: &str = "nb-predictive";

/// Sample sizes of a run.
pub struct Size {
    /// Panel-years for each line of the calibration table: generators with a known distribution,
    /// other generators.
    calibration: [u64; 2],
    means: &'static [f64],
    /// Cells for each line of the table of first-seen cells.
    first_seen: u64,
    /// Topics of the null year, of 25 regions each.
    topics: u64,
    /// Topics for each generator of the operating table.
    operating: u64,
    /// Outbreaks for each kind, generator and mean.
    outbreaks: u64,
    /// Outbreaks whose early alerts are followed, for each generator and mean.
    early: u64,
    /// Outbreak-free panel-years, of ten regions each, for thresholds.
    calm: u64,
    /// Judged days of an outbreak-free panel.
    days: usize,
    /// Series for each drift, and epidemics for each kind of slow rise.
    slow: u64,
    /// Runs of each scenario of the whole pipeline. Where it is one, only `--only` prints them,
    /// since they take longer than all other parts of a short report.
    scenarios: u64,
}

pub const FULL: Size = Size {
    calibration: [24, 12],
    means: &MEANS,
    first_seen: 100_000,
    topics: 20,
    operating: 4,
    outbreaks: 10,
    early: 40,
    calm: 2,
    days: 365,
    slow: 800,
    scenarios: 10,
};
pub const SHORT: Size = Size {
    calibration: [3, 2],
    means: &[0.2, 5.0],
    first_seen: 5_000,
    topics: 3,
    operating: 1,
    outbreaks: 1,
    early: 2,
    calm: 1,
    days: 42,
    slow: 24,
    scenarios: 1,
};

/// Tables as Markdown, and the plot of detected outbreaks as SVG.
pub struct Report {
    pub text: String,
    pub plot: Option<String>,
}

pub const PARTS: [&str; 6] = ["calibration", "null-year", "outbreaks", "early", "slow", "pipeline"];

/// All of [`PARTS`], or the named one; `slow` and `pipeline` are about this detector.
///
/// # Errors
/// Watch doesn't know the detector.
pub fn report(
    size: &Size,
    seed: u64,
    only: Option<&str>,
    detector: &Detector,
) -> Result<Report, WatchError> {
    let wanted = |part: &str| only.is_none_or(|only| only == part);
    let mut report = Report { text: String::new(), plot: None };
    if only.is_none() {
        report.text.push_str(HEAD);
    }
    if wanted("calibration") {
        report.text.push_str(&calibration::table(size, seed));
        report.text.push_str(&calibration::first_seen(size, seed));
    }
    let year = wanted("null-year").then(|| no_outbreak::null_year(size, seed));
    if let Some(year) = &year {
        report.text.push_str(&year.table());
    }
    if wanted("outbreaks") {
        let scores = outbreaks::scores(size, seed);
        report.text.push_str(&scores.table());
        report.plot = Some(scores.plot());
        if let Some(year) = &year {
            report.text.push_str(&scores.after_budget(year, seed));
        }
    }
    if wanted("early") {
        report.text.push_str(&early::table(size, seed));
    }
    if wanted("slow") {
        report.text.push_str(&slow::tables(size, seed, detector));
    }
    if wanted("pipeline") && (only.is_some() || size.scenarios > 1) {
        report.text.push_str(&slow::pipeline_table(size, seed, detector)?);
    }
    Ok(report)
}

const HEAD: &str = "# How detectors do\n\nWritten by `pumphandle evaluate`; don't edit. All series \
    are simulated by the frozen generators \
    of `simulation::panels`.\n\n";

fn operating_p() -> f64 {
    operating::threshold(SERIES, f64::from(PER_WEEK))
}

fn draw_panel(spec: &PanelSpec, seed: u64) -> Panel {
    Panel::from(&panels::panel(spec, seed))
}

fn progress_bar(steps: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    ProgressBar::new(steps)
}
