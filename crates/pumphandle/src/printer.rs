//! Alerts on standard output: sentences where a person reads them at a terminal, lines of JSON
//! where a program does.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use record::alerts::Course;
use record::{Alert, AlertEvent, AlertState, Handling, Record};
use warehouse::AlertLine;
use web::{Describe, Reader};

use crate::config::Config;
use crate::roles::notifier;

/// Whether a person reads standard output, and did not ask for JSON.
pub(crate) fn is_for_people(json: bool) -> bool {
    !json && std::io::stdout().is_terminal()
}

/// Prints alerts as they land.
pub(crate) enum Printer {
    Nothing,
    Json,
    Sentences(Sentences),
}

impl Printer {
    /// `alerts.stdout` says whether; a terminal or `--json` says how.
    pub(crate) fn of(config: &Config, json: bool) -> Printer {
        match (config.alerts.stdout, is_for_people(json)) {
            (false, _) => Printer::Nothing,
            (true, false) => Printer::Json,
            (true, true) => Printer::Sentences(Sentences::of(config)),
        }
    }

    /// After a kill the last ones may be printed again, with the same id and revision.
    pub(crate) fn print(&mut self, rows: &[Record]) -> anyhow::Result<()> {
        let alerts = || {
            rows.iter()
                .filter_map(|row| if let Record::Alert(alert) = row { Some(alert) } else { None })
        };
        if alerts().next().is_none() {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        for alert in alerts() {
            match self {
                Printer::Nothing => {}
                Printer::Json => write_json(alert, &mut out)?,
                Printer::Sentences(sentences) => {
                    if let Some(line) = sentences.next(alert) {
                        writeln!(out, "{line}")?;
                    }
                }
            }
        }
        out.flush()?;
        Ok(())
    }
}

/// An alert as a line of JSON.
pub(crate) fn write_json(alert: &Alert, out: &mut impl Write) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, &AlertLine::from(alert))?;
    Ok(out.write_all(b"\n")?)
}

/// The revisions of alerts that matter to a reader, a sentence each.
pub(crate) struct Sentences {
    describe: Describe,
    reader: Reader,
    /// State, severity and count of each printed alert at that time.
    printed: BTreeMap<String, (AlertState, u8, u32)>,
}

impl Sentences {
    pub(crate) fn of(config: &Config) -> Sentences {
        Sentences::new(notifier::describe(config), "en")
    }

    pub(crate) fn new(describe: Describe, language: &'static str) -> Sentences {
        let reader = Reader { language, zone: "UTC".to_owned() };
        Sentences { describe, reader, printed: BTreeMap::new() }
    }

    /// None for a revision that has neither ended nor grown much.
    fn next(&mut self, alert: &Alert) -> Option<String> {
        let is_open = alert.state == AlertState::Open;
        let word = match self.printed.get(&alert.id) {
            None if is_open => "ALERT",
            Some((AlertState::Open, severity, observed)) if is_open => {
                let has_grown =
                    alert.severity > *severity || alert.observed >= observed.saturating_mul(2);
                if !has_grown {
                    return None;
                }
                "MORE"
            }
            Some((state, ..)) if *state == alert.state => return None,
            _ if is_open => "AGAIN",
            _ => ended(alert.state),
        };
        self.printed.insert(alert.id.clone(), (alert.state, alert.severity, alert.observed));
        Some(self.line(word, alert))
    }

    /// One line of a list.
    pub(crate) fn listed(&self, alert: &Alert, events: &[AlertEvent]) -> String {
        let handling = events.last().map_or(Handling::New, |event| event.state);
        let word = match alert.state {
            AlertState::Open => handling.name(),
            state => ended(state),
        };
        self.line(word, alert)
    }

    /// Below the line of an alert: its course, context, and what to check.
    pub(crate) fn details(&self, alert: &Alert, course: Option<&Course>) -> Vec<String> {
        let text = (self.describe)(alert, course, &self.reader);
        let checks = text.checks.into_iter().map(|check| format!("- {check}"));
        let lines = text.course_text.into_iter().chain([text.rest]);
        lines.chain(checks).map(|line| one_line(&line)).collect()
    }

    fn line(&self, word: &str, alert: &Alert) -> String {
        let text = (self.describe)(alert, None, &self.reader);
        let mut after =
            text.rarity.map_or_else(String::new, |rarity| format!(" By chance {rarity}."));
        after.extend(text.doubt.map(|doubt| format!(" {doubt}")));
        let sentence = if alert.state == AlertState::Closed {
            format!("No longer unusual. Last: {}", text.sentence)
        } else {
            text.sentence
        };
        one_line(&format!(
            "{:<9} {}  {}{after} [{}]",
            word,
            minute(alert.fired_at),
            sentence,
            alert.id
        ))
    }
}

fn ended(state: AlertState) -> &'static str {
    match state {
        AlertState::Open => "OPEN",
        AlertState::Closed => "ENDED",
        AlertState::Withdrawn => "WITHDRAWN",
    }
}

/// `2026-01-19 10:02 UTC`
fn minute(at: record::Micros) -> String {
    let text = record::time::display(at);
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

/// What strangers wrote into topic files or tags moves no cursor.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// What was done about an alert, for the one who did it.
pub(crate) fn acknowledged(event: &serde_json::Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    let mut line = format!("Alert {} is now `{}`", text("alert"), text("state"));
    if !text("outcome").is_empty() {
        line += &format!(", outcome `{}`", text("outcome"));
    }
    if !text("assignee").is_empty() {
        line += &format!(", assigned to {}", text("assignee"));
    }
    line += &format!("; changed by {}", text("actor"));
    if !text("note").is_empty() {
        line += &format!(": {}", text("note"));
    }
    one_line(&(line + "."))
}

#[cfg(test)]
pub(crate) mod tests;
