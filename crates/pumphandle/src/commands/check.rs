//! `check`: every problem of the configuration at once, or what it amounts to.

use std::io::{self, Write};
use std::path::Path;

use crate::config::{self, Config, Problem};

/// Checks the configuration as `run` would read it; whether all is well.
pub(crate) fn run(config: Option<&Path>, sets: &[String], out: &mut dyn Write) -> bool {
    match config::load(config, sets, config::environment()) {
        Ok(config) => write_summary(&config, out).is_ok(),
        Err(problems) => {
            // Without anywhere to write there is still the exit code.
            let _ = write_problems(&problems, out);
            false
        }
    }
}

fn write_summary(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    for warning in &config.warnings {
        writeln!(out, "{}\n", warning.as_warning())?;
    }
    let file = config.file.as_ref().map_or_else(|| "the defaults".to_owned(), |file| format!("`{}`", file.display()));
    let topics = counted(config.topics.lexicon.topics().len(), "topic");
    let feeds = counted(config.feeds.len(), "feed");
    writeln!(out, "ok: {topics}, {feeds}, detector `{}`, from {file}", config.detect.method)
}

fn write_problems(problems: &[Problem], out: &mut dyn Write) -> io::Result<()> {
    for (index, problem) in problems.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        writeln!(out, "{gap}{problem}")?;
    }
    Ok(())
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
