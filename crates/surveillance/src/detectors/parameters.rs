//! Parameters of a method as `(key, value)` texts: read, bounded, and every mistake with a hint.
//!
//! Read key by key by the method's own `read`; a key that no method reads is unknown, and the
//! nearest known key is the hint.

use super::Range;
use std::ops::RangeInclusive;
use thiserror::Error;

/// Longest list of values that a parameter may hold.
const LIST_LENGTH_MAX: usize = 100_000;

/// A method or a parameter that cannot be understood.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ParamError {
    /// No such method.
    #[error("unknown method `{name}`\nhint: {hint}")]
    UnknownMethod {
        /// As given.
        name: String,
        /// What to write instead.
        hint: String,
    },
    /// The method has no such parameter.
    #[error("unknown parameter `{key}` of method `{method}`\nhint: {hint}")]
    UnknownParameter {
        /// The method's name.
        method: &'static str,
        /// As given.
        key: String,
        /// What to write instead.
        hint: String,
    },
    /// The parameter cannot have this value.
    #[error("bad value `{value}` for parameter `{key}` of method `{method}`\nhint: {hint}")]
    BadValue {
        /// The method's name.
        method: &'static str,
        /// As given.
        key: String,
        /// As given.
        value: String,
        /// What is expected.
        hint: String,
    },
    /// The parameter is given twice.
    #[error("parameter `{key}` of method `{method}` is given twice\nhint: keep one of them")]
    Twice {
        /// The method's name.
        method: &'static str,
        /// As given.
        key: String,
    },
}

/// The parameters given to a method, with a note of those that were read.
pub(super) struct Parameters<'a> {
    method: &'static str,
    given: Vec<Given<'a>>,
    known: Vec<&'static str>,
}

struct Given<'a> {
    written: &'a str,
    key: String,
    value: &'a str,
    read: bool,
}

impl<'a> Parameters<'a> {
    pub(super) fn new(
        method: &'static str,
        params: &'a [(String, String)],
    ) -> Result<Parameters<'a>, ParamError> {
        let mut given: Vec<Given> = Vec::with_capacity(params.len());
        for (written, value) in params {
            let key = kebab_case(written);
            if given.iter().any(|other| other.key == key) {
                return Err(ParamError::Twice { method, key: written.clone() });
            }
            given.push(Given { written, key, value: value.trim(), read: false });
        }
        Ok(Parameters { method, given, known: Vec::new() })
    }

    /// Refuses keys that the method has not read.
    pub(super) fn finish(&self) -> Result<(), ParamError> {
        match self.given.iter().find(|given| !given.read) {
            None => Ok(()),
            Some(given) => Err(ParamError::UnknownParameter {
                method: self.method,
                key: given.written.to_owned(),
                hint: hint(&given.key, &self.known),
            }),
        }
    }

    /// The value under a key, which may have several names; the first is the one to show.
    pub(super) fn text(&mut self, names: &[&'static str]) -> Result<Option<&'a str>, ParamError> {
        self.known.extend(names);
        let mut found: Option<&'a str> = None;
        for given in &mut self.given {
            if !names.contains(&given.key.as_str()) {
                continue;
            }
            given.read = true;
            if found.is_some() {
                return Err(ParamError::Twice {
                    method: self.method,
                    key: given.written.to_owned(),
                });
            }
            found = Some(given.value);
        }
        Ok(found)
    }

    /// The error for a value that doesn't fit.
    pub(super) fn bad(&self, key: &str, value: &str, expected: impl Into<String>) -> ParamError {
        ParamError::BadValue {
            method: self.method,
            key: key.to_owned(),
            value: value.to_owned(),
            hint: expected.into(),
        }
    }

    pub(super) fn number(
        &mut self,
        names: &[&'static str],
        default: f64,
        bounds: RangeInclusive<f64>,
    ) -> Result<f64, ParamError> {
        Ok(self.number_if_given(names, bounds)?.unwrap_or(default))
    }

    pub(super) fn number_if_given(
        &mut self,
        names: &[&'static str],
        bounds: RangeInclusive<f64>,
    ) -> Result<Option<f64>, ParamError> {
        let Some(text) = self.text(names)? else {
            return Ok(None);
        };
        match text.parse::<f64>() {
            Ok(value) if bounds.contains(&value) => Ok(Some(value)),
            _ => Err(self.bad(
                names[0],
                text,
                format!("a number from {} to {}", bounds.start(), bounds.end()),
            )),
        }
    }

    /// A number strictly between 0 and 1.
    pub(super) fn probability(
        &mut self,
        names: &[&'static str],
        default: f64,
    ) -> Result<f64, ParamError> {
        let Some(text) = self.text(names)? else {
            return Ok(default);
        };
        match text.parse::<f64>() {
            Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
            _ => Err(self.bad(names[0], text, "a number between 0 and 1, such as 0.05")),
        }
    }

    pub(super) fn count(
        &mut self,
        names: &[&'static str],
        default: usize,
        bounds: RangeInclusive<usize>,
    ) -> Result<usize, ParamError> {
        let Some(text) = self.text(names)? else {
            return Ok(default);
        };
        match text.parse::<usize>() {
            Ok(value) if bounds.contains(&value) => Ok(value),
            _ => Err(self.bad(
                names[0],
                text,
                format!("a whole number from {} to {}", bounds.start(), bounds.end()),
            )),
        }
    }

    pub(super) fn flag(
        &mut self,
        names: &[&'static str],
        default: bool,
    ) -> Result<bool, ParamError> {
        let Some(text) = self.text(names)? else {
            return Ok(default);
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "yes" => Ok(true),
            "false" | "f" | "0" | "no" => Ok(false),
            _ => Err(self.bad(names[0], text, "`true` or `false`")),
        }
    }

    /// One of a few words, compared without regard to case; gives its place in `words`.
    pub(super) fn word(
        &mut self,
        names: &[&'static str],
        words: &[&str],
    ) -> Result<Option<usize>, ParamError> {
        let Some(text) = self.text(names)? else {
            return Ok(None);
        };
        match words.iter().position(|word| word.eq_ignore_ascii_case(text)) {
            Some(place) => Ok(Some(place)),
            None => Err(self.bad(names[0], text, hint(text, words))),
        }
    }

    /// `compat=…`: whose defects are to be reproduced.
    pub(super) fn compatible_with(&mut self, whose: &[&str]) -> Result<Option<usize>, ParamError> {
        self.word(&["compat"], whose)
    }

    /// A list of numbers, separated by commas.
    pub(super) fn numbers_in(
        &self,
        key: &str,
        text: &str,
        bounds: RangeInclusive<f64>,
    ) -> Result<Vec<f64>, ParamError> {
        let numbers: Option<Vec<f64>> = text
            .split(',')
            .take(LIST_LENGTH_MAX + 1)
            .map(|part| part.trim().parse::<f64>().ok().filter(|value| bounds.contains(value)))
            .collect();
        match numbers {
            Some(numbers) if numbers.len() <= LIST_LENGTH_MAX => Ok(numbers),
            _ => Err(self.bad(
                key,
                text,
                format!("numbers from {} to {}, separated by commas", bounds.start(), bounds.end()),
            )),
        }
    }

    /// `range=first:last`, counted from 1; a single number is a range of one.
    pub(super) fn range(&mut self) -> Result<Option<Range>, ParamError> {
        let Some(text) = self.text(&["range"])? else {
            return Ok(None);
        };
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            (Ok(first), Ok(last)) if 1 <= first && first <= last => Ok(Some(Range { first, last })),
            _ => Err(self.bad(
                "range",
                text,
                "first and last point counted from 1, such as `120:208`",
            )),
        }
    }
}

/// R's spelling in kebab-case: `minSigma` is `min-sigma`, `c.ARL` is `c-arl`.
fn kebab_case(written: &str) -> String {
    let mut key = String::with_capacity(written.len() + 4);
    let mut after_lower = false;
    for letter in written.trim().chars() {
        if matches!(letter, '.' | '_' | '-') {
            key.push('-');
            after_lower = false;
            continue;
        }
        if letter.is_ascii_uppercase() && after_lower {
            key.push('-');
        }
        after_lower = letter.is_ascii_lowercase();
        key.push(letter.to_ascii_lowercase());
    }
    key
}

/// "did you mean", where something is near; else all there is.
pub(super) fn hint(given: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .rev()
        .map(|name| {
            (strsim::jaro_winkler(&given.to_ascii_lowercase(), &name.to_ascii_lowercase()), name)
        })
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("one of `{}`", known.join("`, `")),
    }
}
