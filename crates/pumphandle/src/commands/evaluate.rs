//! `evaluate`: scores detectors on the frozen yardstick of `simulation::panels`, or on recorded
//! counts.
//!
//! Tables as Markdown to standard output, a plot as SVG. What is drawn depends on the seed alone,
//! so two runs of one build agree
//! to the last digit; a short run is held to a committed one by a test, so that no table in docs
//! goes out of date unseen.

mod calibration;
mod calm;
mod early;
mod outbreaks;
mod recorded;

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context;
use indicatif::ProgressBar;
use simulation::panels::{self, PanelSpec};
use surveillance::evaluation::{Panel, Track};
use surveillance::forecast::operating;

use super::Failure;
use crate::cli::Evaluate;

const HOURS: usize = 24;
/// Days before the first judged window.
const WARM_UP: usize = 35;
/// Series that a usual installation judges, and the false episodes a week that it may give.
const SERIES: usize = 500;
const PER_WEEK: u32 = 5;
/// Mean counts of a day, for tables.
const MEANS: [f64; 6] = [0.05, 0.2, 1.0, 5.0, 20.0, 200.0];
const DEFAULT: &str = "nb-predictive";

/// How much is drawn.
struct Size {
    /// Years of a panel for each line of the calibration table, where the law is known and where it
    /// isn't.
    calibration: [u64; 2],
    means: &'static [f64],
    /// Cells for each line of the table of first-seen ones.
    first_seen: u64,
    /// Topics of the null year, of 25 regions each.
    topics: u64,
    /// Topics for each generator that the operating threshold is read from.
    operating: u64,
    /// Outbreaks for each kind, generator and mean.
    outbreaks: u64,
    /// Outbreaks whose early alerts are followed, for each generator and mean.
    early: u64,
    /// Years of calm panels, of ten regions each, for thresholds.
    calm: u64,
    /// Days of a calm panel that are judged.
    days: usize,
}

const FULL: Size = Size {
    calibration: [24, 12],
    means: &MEANS,
    first_seen: 100_000,
    topics: 20,
    operating: 4,
    outbreaks: 10,
    early: 40,
    calm: 2,
    days: 365,
};
const SHORT: Size = Size {
    calibration: [3, 2],
    means: &[0.2, 5.0],
    first_seen: 5_000,
    topics: 3,
    operating: 1,
    outbreaks: 1,
    early: 2,
    calm: 1,
    days: 42,
};

pub(crate) fn run(args: &Evaluate) -> Result<(), Failure> {
    let size = if args.short { &SHORT } else { &FULL };
    let mut out = std::io::stdout().lock();
    if let Some(path) = &args.recorded {
        out.write_all(recorded::table(path)?.as_bytes())?;
        return Ok(());
    }
    if args.operating {
        out.write_all(calm::operating_table(size, args.seed).as_bytes())?;
        return Ok(());
    }
    if args.slow_rises {
        out.write_all(calm::slow_table(size, args.seed).as_bytes())?;
        return Ok(());
    }
    let wanted = |part: &str| args.only.as_deref().is_none_or(|only| only == part);
    if args.only.is_none() {
        out.write_all(HEAD.as_bytes())?;
    }
    if wanted("calibration") {
        out.write_all(calibration::table(size, args.seed).as_bytes())?;
        out.write_all(calibration::first_seen(size, args.seed).as_bytes())?;
    }
    let year = wanted("null-year").then(|| calm::null_year(size, args.seed));
    if let Some(year) = &year {
        out.write_all(year.table().as_bytes())?;
    }
    if wanted("outbreaks") {
        let scores = outbreaks::scores(size, args.seed)?;
        out.write_all(scores.table().as_bytes())?;
        if let Some(path) = &args.plot {
            std::fs::write(path, scores.plot())
                .with_context(|| format!("failed to write `{}`", path.display()))?;
        }
        if let Some(year) = &year {
            out.write_all(scores.after_budget(year, args.seed).as_bytes())?;
        }
    }
    if wanted("early") {
        out.write_all(early::table(size, args.seed).as_bytes())?;
    }
    Ok(())
}

const HEAD: &str = "# How detectors do\n\nWritten by `pumphandle evaluate`; don't edit. All series \
    are simulated by the frozen generators \
    of `simulation::panels`.\n\n";

fn operating_p() -> f64 {
    operating::threshold(SERIES, f64::from(PER_WEEK))
}

fn drawn(spec: &PanelSpec, seed: u64) -> Panel {
    panel_of(&panels::panel(spec, seed))
}

fn panel_of(drawn: &panels::Panel) -> Panel {
    let track = |track: &panels::Track| {
        Track::new(&track.counts, &track.seen, &track.totals, &track.totals_seen)
    };
    Panel {
        regions: drawn.regions.iter().map(track).collect(),
        covered: drawn.covered.clone(),
        replayed: drawn.replayed.clone(),
    }
}

fn bar(steps: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    ProgressBar::new(steps)
}
