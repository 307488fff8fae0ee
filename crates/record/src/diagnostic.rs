//! Diagnostics: errors in files and settings that people write, with place and hint.
//!
//! Made by the readers of configuration, topics, subscriptions, regions and reference data, and
//! printed by the program.
//! Reads no file and decides nothing.

use std::borrow::Cow;
use std::fmt;

/// An error in the configuration, or in a file that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub place: Place,
    pub message: String,
    pub hint: Option<String>,
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the compiled-in defaults.
    Default { line: usize },
    /// A whole file, for example one that can't be read.
    WholeFile { file: String },
    /// Lines are counted from one.
    File { file: String, line: usize },
    /// The name of an environment variable.
    Environment(String),
    /// `section.key` of a `--set`; without the value, which may be a secret.
    Set(String),
}

impl Place {
    pub fn is_default(&self) -> bool {
        matches!(self, Place::Default { .. })
    }

    pub fn file(&self) -> &str {
        match self {
            Place::WholeFile { file } | Place::File { file, .. } => file,
            Place::Default { .. } | Place::Environment(_) | Place::Set(_) => "",
        }
    }

    /// The line, 1 where there are none.
    pub fn line(&self) -> usize {
        match self {
            Place::Default { line } | Place::File { line, .. } => *line,
            Place::WholeFile { .. } | Place::Environment(_) | Place::Set(_) => 1,
        }
    }
}

impl Diagnostic {
    pub fn new(place: &Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic { place: place.clone(), message: message.into(), hint: None }
    }

    pub fn at(file: &str, line: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(&Place::File { file: file.to_owned(), line }, message)
    }

    pub fn of_file(file: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(&Place::WholeFile { file: file.to_owned() }, message)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the hint unless there is one.
    #[must_use]
    pub fn or_hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// The diagnostic as a warning: `warning: …`.
    pub fn as_warning(&self) -> Warning<'_> {
        Warning(self)
    }

    fn write(&self, severity: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joint = match &self.place {
            Place::Environment(_) | Place::Set(_) => ", by",
            _ if names_part_last(&self.message) => " of",
            _ => ", in",
        };
        let text = format!("{severity}: {}{joint} {}", self.message, self.place);
        f.write_str(&shorten_quotes(&text, '`'))?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", shorten_quotes(hint, '`')),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default { line } => write!(f, "the defaults, line {line}"),
            Place::WholeFile { file } => write!(f, "`{file}`"),
            Place::File { file, line } => write!(f, "`{file}`, line {line}"),
            Place::Environment(name) => write!(f, "environment variable `{name}`"),
            Place::Set(path) => write!(f, "`--set {path}`"),
        }
    }
}

/// ``error: unknown key `laetness` in `[panes]` of `pumphandle.toml`, line 12``, and the hint on a
/// line of its own.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write("error", f)
    }
}

impl std::error::Error for Diagnostic {}

/// A diagnostic that stops nothing.
pub struct Warning<'a>(&'a Diagnostic);

impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write("warning", f)
    }
}

/// Whether the message ends with a part of a file: "… in `[panes]`".
fn names_part_last(message: &str) -> bool {
    message.rsplit_once(" in ").is_some_and(|(_, part)| {
        let is_name = part.starts_with('`') && part.ends_with('`') && !part.contains(' ');
        is_name || part == "a topic file"
    })
}

/// Characters shown of a quotation.
const QUOTED_MAX: usize = 120;

/// The message with every quotation, between two of `mark`, cut to [`QUOTED_MAX`] characters.
pub fn shorten_quotes(message: &str, mark: char) -> Cow<'_, str> {
    if message.chars().count() <= QUOTED_MAX {
        return Cow::Borrowed(message);
    }
    let lines: Vec<String> =
        message.split('\n').map(|line| shorten_quotes_of_line(line, mark)).collect();
    Cow::Owned(lines.join("\n"))
}

/// A mark without a second one is punctuation.
fn shorten_quotes_of_line(line: &str, mark: char) -> String {
    let parts: Vec<&str> = line.split(mark).collect();
    let mut shown = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            shown.push(mark);
        }
        let quoted = index % 2 == 1 && index + 1 < parts.len();
        if quoted && part.chars().count() > QUOTED_MAX {
            shown.extend(part.chars().take(QUOTED_MAX - 1));
            shown.push('…');
        } else {
            shown.push_str(part);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotation_has_at_most_120_characters() {
        let long = "ß".repeat(5_000);
        for mark in ['`', '\''] {
            let message = format!(
                "no topic {mark}{long}{mark} in {mark}topics{mark}\nhint: write {mark}{long}{mark} \
                    once"
            );
            let shown = shorten_quotes(&message, mark);
            let quoted = shown.split(mark).nth(1).unwrap();
            assert_eq!((quoted.chars().count(), quoted.ends_with('…')), (QUOTED_MAX, true));
            assert!(shown.contains(&format!("{mark}topics{mark}\nhint: write ")), "{shown}");
            assert!(shown.chars().count() < 400, "{shown}");
        }
        let whole =
            format!("`{}` isn't there; {}", "x".repeat(QUOTED_MAX), "and so on ".repeat(20));
        assert_eq!(shorten_quotes(&whole, '`'), whole);
    }
}
