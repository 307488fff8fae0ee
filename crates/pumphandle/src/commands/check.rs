//! `check`: every problem of the configuration at once, or what it amounts to.

use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use lexicon::{Date, overdue};
use record::Micros;
use record::diagnostic::Diagnostic;

use super::Failure;
use crate::config::{self, Config};
use crate::roles::secrets::{self, Uses};

/// Checks the configuration as `run` would read it, and whether anything in it is overdue; whether
/// all is well.
pub(crate) fn run(
    config: Option<&Path>,
    sets: &[String],
    today: Option<Date>,
    out: &mut dyn Write,
) -> bool {
    let problems = match config::load(config, sets, config::environment()) {
        Ok(config) => {
            let problems = secrets::problems(&config, Uses::ALL);
            if !problems.is_empty() {
                let _ = write_problems(&problems, out);
                return false;
            }
            // What runs doesn't stop for a review that is due: only this command tells.
            let overdue = today
                .map(|today| overdue(config.topics.lexicon.topics(), today))
                .unwrap_or_default();
            if overdue.is_empty() {
                return write_summary(&config, out).is_ok();
            }
            overdue.into_iter().map(config::with_hint).collect()
        }
        Err(problems) => problems,
    };
    // Without anywhere to write there is still the exit code.
    let _ = write_problems(&problems, out);
    false
}

/// The day that was written, else today's by our clock.
pub(crate) fn today(written: Option<&str>) -> Result<Option<Date>, Failure> {
    if let Some(written) = written {
        let date = Date::parse(written);
        return date.map(Some).ok_or_else(|| {
            Failure::usage(format!("`--today {written}` is not a date"), "write 2027-06-01")
        });
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    Ok(since.and_then(|since| Micros::try_from(since.as_micros()).ok()).and_then(Date::of))
}

fn write_summary(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    for warning in &config.warnings {
        writeln!(out, "{}\n", warning.as_warning())?;
    }
    let file = config
        .file
        .as_ref()
        .map_or_else(|| "the defaults".to_owned(), |file| format!("`{}`", file.display()));
    let topics = counted(config.topics.lexicon.topics().len(), "topic");
    let feeds = counted(config.feeds.len(), "feed");
    writeln!(out, "ok: {topics}, {feeds}, detector `{}`, from {file}", config.detect.method)
}

fn write_problems(problems: &[Diagnostic], out: &mut dyn Write) -> io::Result<()> {
    for (index, problem) in problems.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        writeln!(out, "{gap}{problem}")?;
    }
    Ok(())
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
