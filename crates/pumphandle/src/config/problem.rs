//! A mistake of the person who configures, told so that it can be found and put right.

use std::fmt;

use crate::shorten::shortened;

/// Something wrong in the configuration, or in a file that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) place: Place,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In the file that is compiled in: no mistake can be there but ours.
    Default { line: usize },
    /// As a whole, as when it can't be read.
    WholeFile { file: String },
    /// Lines are counted from one.
    File { file: String, line: usize },
    /// The name of a variable.
    Environment(String),
    /// `section.key` of a `--set`; the value is left out, it could be a secret.
    Set(String),
}

impl Problem {
    pub(crate) fn new(place: &Place, message: impl Into<String>) -> Problem {
        Problem { place: place.clone(), message: message.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// The hint, unless there is one already.
    #[must_use]
    pub(super) fn or_hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint.get_or_insert_with(|| hint.into());
        self
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
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error: ")?;
        self.write(f)
    }
}

impl std::error::Error for Problem {}

/// A problem in spite of which all goes on.
pub(crate) struct Warning<'a>(&'a Problem);

impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("warning: ")?;
        self.0.write(f)
    }
}

impl Problem {
    pub(crate) fn as_warning(&self) -> Warning<'_> {
        Warning(self)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joint = match &self.place {
            Place::Environment(_) | Place::Set(_) => ", by",
            _ if ends_in_a_part(&self.message) => " of",
            _ => ", in",
        };
        write!(f, "{}", shortened(&format!("{}{joint} {}", self.message, self.place)))?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", shortened(hint)),
            None => Ok(()),
        }
    }
}

/// Whether the message ends by naming a part of a file: "… in `[panes]`".
fn ends_in_a_part(message: &str) -> bool {
    message.rsplit_once(" in ").is_some_and(|(_, part)| {
        let is_name = part.starts_with('`') && part.ends_with('`') && !part.contains(' ');
        is_name || part == "a topic file"
    })
}

/// The known name that was probably meant.
pub(super) fn nearest<'known>(
    name: &str,
    known: impl IntoIterator<Item = &'known str>,
) -> Option<&'known str> {
    let by_distance =
        known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    let (distance, nearest) = by_distance.min()?;
    let close = distance <= 2 || distance * 3 <= nearest.chars().count();
    (close && distance < nearest.chars().count()).then_some(nearest)
}
