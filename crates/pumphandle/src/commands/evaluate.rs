//! `evaluate`: prints the tables of `evaluate`, the crate.

use std::io::Write as _;

use anyhow::Context;
use evaluate::{FULL, RecordedError, SHORT};

use super::Failure;
use crate::cli::Evaluate;

pub(crate) fn run(args: &Evaluate) -> Result<(), Failure> {
    let size = if args.short { &SHORT } else { &FULL };
    let mut out = std::io::stdout().lock();
    if let Some(path) = &args.recorded {
        let text =
            std::fs::read(path).with_context(|| format!("failed to open `{}`", path.display()))?;
        let table = evaluate::recorded_table(&text, path).map_err(|error| match error {
            RecordedError::Csv { .. } => Failure::from(error),
            error => Failure::usage(error.to_string(), error.hint()),
        })?;
        out.write_all(table.as_bytes())?;
    } else if args.operating {
        out.write_all(evaluate::operating_table(size, args.seed).as_bytes())?;
    } else if args.slow_rises {
        out.write_all(evaluate::slow_rises_table(size, args.seed).as_bytes())?;
    } else if args.weekly {
        out.write_all(evaluate::weeks_table(size, args.seed).as_bytes())?;
    } else {
        let report = evaluate::report(size, args.seed, args.only.as_deref());
        out.write_all(report.text.as_bytes())?;
        if let (Some(path), Some(plot)) = (&args.plot, report.plot) {
            std::fs::write(path, plot)
                .with_context(|| format!("failed to write `{}`", path.display()))?;
        }
    }
    Ok(())
}
