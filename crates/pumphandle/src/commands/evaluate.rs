//! `evaluate`: prints the tables of `evaluate`, the crate.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use evaluate::{Detector, FULL, PARTS, Question, REAL, RealError, RecordedError, SHORT};
use surveillance::detectors::ParamError;

use super::Failure;
use crate::cli::Evaluate;

pub(crate) fn run(args: &Evaluate) -> Result<(), Failure> {
    let size = if args.short { &SHORT } else { &FULL };
    let parts = if args.real.is_some() { &REAL[..] } else { &PARTS };
    if let Some(part) = args.only.as_deref().filter(|part| !parts.contains(part)) {
        let hint = format!("parts are `{}`", parts.join("`, `"));
        return Err(Failure::usage(format!("`--only {part}` is no part of this report"), hint));
    }
    let detector = Detector::parse(&args.method, &args.params).map_err(refused)?;
    let mut out = std::io::stdout().lock();
    if let Some(path) = &args.recorded {
        out.write_all(recorded(path)?.as_bytes())?;
    } else if let Some(folder) = &args.real {
        out.write_all(real(args, &detector, folder)?.as_bytes())?;
    } else if args.operating {
        out.write_all(evaluate::operating_table(size, args.seed).as_bytes())?;
    } else if args.weekly {
        out.write_all(evaluate::weeks_table(size, args.seed).as_bytes())?;
    } else {
        let report = evaluate::report(size, args.seed, args.only.as_deref(), &detector)?;
        out.write_all(report.text.as_bytes())?;
        if let (Some(path), Some(plot)) = (&args.plot, report.plot) {
            std::fs::write(path, plot)
                .with_context(|| format!("failed to write `{}`", path.display()))?;
        }
    }
    Ok(())
}

fn recorded(path: &Path) -> Result<String, Failure> {
    let text =
        std::fs::read(path).with_context(|| format!("failed to open `{}`", path.display()))?;
    evaluate::recorded_table(&text, path).map_err(|error| match error {
        RecordedError::Csv { .. } => Failure::from(error),
        error => Failure::usage(error.to_string(), error.hint()),
    })
}

fn refused(error: ParamError) -> Failure {
    Failure::usage(error.to_string(), String::new())
}

fn real(args: &Evaluate, detector: &Detector, folder: &Path) -> Result<String, Failure> {
    let against = args.against.as_deref().map(named).transpose().map_err(refused)?;
    let question = Question { folder, detector, against: against.as_ref(), from: &args.from };
    evaluate::real_tables(&question, args.only.as_deref()).map_err(|error| match error {
        RealError::NoDate(_) => Failure::usage(error.to_string(), "write `--from 2013-01-06`"),
        error => Failure::from(error),
    })
}

/// Reads `METHOD,KEY=VALUE,...`; a value may have commas.
fn named(text: &str) -> Result<Detector, ParamError> {
    let mut fields = text.split(',');
    let name = fields.next().unwrap_or_default();
    let mut params: Vec<(String, String)> = Vec::new();
    for field in fields {
        match (field.split_once('='), params.last_mut()) {
            (Some((key, value)), _) => params.push((key.to_owned(), value.to_owned())),
            (None, Some((_, value))) => *value = format!("{value},{field}"),
            (None, None) => params.push((field.to_owned(), String::new())),
        }
    }
    Detector::parse(name, &params)
}
