//! What the program writes about itself to standard error: one line an event, as text or as JSON.
//!
//! `[log]` says which form and how much; `RUST_LOG` overrides the level. A line break inside a
//! value never becomes one in the log:
//! a hint that follows an error is a field of its own, other control characters are escaped.
//! Also here: how an outage is logged, with a begin, an end, and few repetitions between.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{self, LogFormat};

/// Stands between an error and what to do about it.
const HINT: &str = "\nhint: ";

/// Whether lines are JSON. Set once, before anything is logged.
static JSON: AtomicBool = AtomicBool::new(false);

/// Begins to log; called again it changes nothing.
pub(crate) fn start(log: &config::Log) {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| log.level.into());
    let lines = Lines { json: log.format == LogFormat::Json };
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .event_format(lines)
        .try_init();
    if started.is_ok() {
        JSON.store(lines.json, Ordering::SeqCst);
        std::panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("without a message");
            let at = panic.location().map(ToString::to_string).unwrap_or_default();
            let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
            tracing::error!(thread, at, "panicked: {message}");
        }));
    }
}

/// The first line of every role.
pub(crate) fn introduce(role: &str, config: &config::Config) {
    let file =
        config.file.as_deref().unwrap_or(Path::new("built-in defaults")).display().to_string();
    tracing::info!(
        role,
        release = crate::RELEASE,
        config = file,
        pid = std::process::id(),
        "starting"
    );
}

/// The error with which the program ends, where it must be a line of JSON as all others; whether it
/// was written.
pub(crate) fn end_with(error: &str) -> bool {
    let json = JSON.load(Ordering::SeqCst);
    if json {
        tracing::error!("{error}");
    }
    json
}

#[derive(Debug, Clone, Copy)]
struct Lines {
    json: bool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static>
    FormatEvent<S, N> for Lines
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut at = String::new();
        SystemTime.format_time(&mut Writer::new(&mut at))?;
        let level = event.metadata().level();
        let line = if self.json {
            fields.json(&at, level.as_str())
        } else {
            fields.text(&at, level.as_str())
        };
        writeln!(writer, "{line}")
    }
}

/// An event's message and values, in their order.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    values: Vec<(&'static str, Shown)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Shown {
    /// In quotes in a line of text.
    Text(String),
    /// As it is displayed.
    Bare(String),
    Number(serde_json::Number),
    Boolean(bool),
}

impl Fields {
    fn take(&mut self, field: &Field, value: Shown) {
        // Of the crate `log`, and of no use to a reader.
        if field.name().starts_with("log.") {
            return;
        }
        if field.name() == "message" {
            self.message = match value {
                Shown::Text(text) | Shown::Bare(text) => text,
                Shown::Number(number) => number.to_string(),
                Shown::Boolean(value) => value.to_string(),
            };
        } else {
            self.values.push((field.name(), value));
        }
    }

    /// What follows `hint: ` is a field of its own.
    fn split_hints(mut self) -> Fields {
        let mut hints = Vec::new();
        let mut split = |text: &mut String| {
            if let Some((before, hint)) = text.split_once(HINT) {
                hints.push(hint.to_owned());
                *text = before.to_owned();
            }
        };
        split(&mut self.message);
        for (_, value) in &mut self.values {
            if let Shown::Text(text) | Shown::Bare(text) = value {
                split(text);
            }
        }
        if !hints.is_empty() {
            self.values.push(("hint", Shown::Text(hints.join("; "))));
        }
        self
    }

    fn text(self, at: &str, level: &str) -> String {
        let fields = self.split_hints();
        let mut line = format!("{at} {level:>5} {}", on_one_line(&fields.message));
        for (name, value) in &fields.values {
            // Writing to a string can't fail.
            let _ = match value {
                Shown::Text(text) => write!(line, " {name}={text:?}"),
                Shown::Bare(text) => write!(line, " {name}={}", on_one_line(text)),
                Shown::Number(number) => write!(line, " {name}={number}"),
                Shown::Boolean(value) => write!(line, " {name}={value}"),
            };
        }
        line
    }

    fn json(self, at: &str, level: &str) -> String {
        let fields = self.split_hints();
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), at.into());
        line.insert("level".to_owned(), level.into());
        line.insert("message".to_owned(), fields.message.into());
        for (name, value) in fields.values {
            let value = match value {
                Shown::Text(text) | Shown::Bare(text) => Value::String(text),
                Shown::Number(number) => Value::Number(number),
                Shown::Boolean(value) => Value::Bool(value),
            };
            line.insert(name.to_owned(), value);
        }
        Value::Object(line).to_string()
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        let number = serde_json::Number::from_f64(value);
        self.take(field, number.map_or_else(|| Shown::Bare(value.to_string()), Shown::Number));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, Shown::Number(value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, Shown::Number(value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, Shown::Boolean(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, Shown::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, Shown::Bare(format!("{value:?}")));
    }
}

/// Control characters escaped, line breaks among them: what strangers wrote can't forge a line.
fn on_one_line(text: &str) -> String {
    let is_bad = |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
    if !text.contains(is_bad) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_bad(letter) { line.extend(letter.escape_default()) } else { line.push(letter) }
    }
    line
}

/// First pause between two lines about one outage; doubled up to the last.
const REPEAT_FIRST: Duration = Duration::from_secs(5);
const REPEAT_LAST: Duration = Duration::from_secs(600);

/// One outage of a server, a disk or a source in the log: a warning when it begins, further ones
/// ever less often, and how long it took when it ends.
#[derive(Debug)]
pub(crate) struct Outage {
    /// What is away: `the journal`.
    what: String,
    began: Option<Instant>,
    next: Instant,
    pause: Duration,
    failures: u32,
}

impl Outage {
    pub(crate) fn new(what: impl Into<String>) -> Outage {
        Outage {
            what: what.into(),
            began: None,
            next: Instant::now(),
            pause: REPEAT_FIRST,
            failures: 0,
        }
    }

    /// A call has failed and will be tried again.
    pub(crate) fn failed(&mut self, error: &dyn fmt::Display) {
        let now = Instant::now();
        if !self.fails_at(now) {
            return;
        }
        let (what, error) = (&self.what, error.to_string());
        if self.failures == 1 {
            tracing::warn!(error, "{what} is not reachable, trying again");
        } else {
            let seconds = self.began.map_or(0, |began| (now - began).as_secs());
            tracing::warn!(error, seconds, tries = self.failures, "{what} is still not reachable");
        }
    }

    /// Whether this failure is logged.
    fn fails_at(&mut self, now: Instant) -> bool {
        self.failures += 1;
        if self.began.is_none() {
            self.began = Some(now);
            self.pause = REPEAT_FIRST;
            self.next = now + self.pause;
            return true;
        }
        if now < self.next {
            return false;
        }
        self.pause = (self.pause * 2).min(REPEAT_LAST);
        self.next = now + self.pause;
        true
    }

    /// A call has succeeded.
    pub(crate) fn ended(&mut self) {
        if let Some(began) = self.began.take() {
            let seconds = began.elapsed().as_secs();
            tracing::info!(
                tries = std::mem::take(&mut self.failures),
                "{} is reachable again after {seconds} s",
                self.what
            );
        }
    }
}

#[cfg(test)]
mod tests;
