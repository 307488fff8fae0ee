//! Reader of the configuration: reads each key by its type and bounds, and notes every error.
//!
//! Second step of reading, after `layers`; sections declare their keys by [`section!`].
//! A key that was read is known; every key left over is unknown, with the nearest known one as
//! hint.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use record::diagnostic::{Diagnostic, Place};
use record::document::{Node, Table, Value, quoted};
use record::time::{Micros, parse_span};

use super::units::{display_duration, display_size, parse_size};

/// More keys than these are not listed in a hint.
const NAMES_SHOWN_MAX: usize = 16;

/// Sections read of one list.
const SECTIONS_MAX: usize = 64;

/// Declares a struct of configured values, each with its key, type and check:
/// `key: Type = check(bounds)`, where the check is a method of [`Section`].
/// The key is the field's name with hyphens, or the text after `@`.
macro_rules! section {
    ($(#[$meta:meta])* struct $name:ident {
        $(
            $(#[$doc:meta])*
            $field:ident $(@ $key:literal)?: $type:ty = $check:ident($($bound:expr),* $(,)?)
        ),* $(,)?
    }) => {
        $(#[$meta])*
        pub(crate) struct $name { $($(#[$doc])* pub(crate) $field: $type),* }

        impl $name {
            pub(super) fn read(section: &mut Section<'_>) -> Read<$name> {
                read_keys!(section, $name { $($field $(@ $key)? = $check($($bound),*)),* })
            }
        }
    };
}

/// Reads a value of any struct or variant, key by key; see [`section!`].
macro_rules! read_keys {
    ($section:expr, $build:ident $(:: $variant:ident)? {
        $($field:ident $(@ $key:literal)? = $check:ident($($bound:expr),*)),* $(,)?
    }) => {{
        $(let $field = $section.$check(&key_of(&[stringify!($field) $(, $key)?]), $($bound),*);)*
        Ok($build $(:: $variant)? { $($field: $field?),* })
    }};
}

pub(super) use {read_keys, section};

/// The last of the names, with hyphens.
pub(super) fn key_of(names: &[&str]) -> String {
    names.last().copied().unwrap_or_default().replace('_', "-")
}

/// An error that is in the reader's list already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted;

pub(super) type Read<T> = Result<T, Noted>;

/// Why a value doesn't fit its key: a hint, and a message where "bad value" doesn't say enough.
pub(super) struct Misfit {
    message: Option<String>,
    hint: String,
}

impl Misfit {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Misfit {
        Misfit { message: Some(message.into()), hint: hint.into() }
    }
}

impl<T: Into<String>> From<T> for Misfit {
    fn from(hint: T) -> Misfit {
        Misfit { message: None, hint: hint.into() }
    }
}

pub(super) struct Reader {
    root: Table,
    /// The folder of the configuration file.
    folder: PathBuf,
    errors: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
    /// By section (`[panes]`) and key, every key read, and the place of its value.
    known: BTreeMap<(String, String), Option<Place>>,
    leftovers: Vec<(String, String, Place)>,
    /// Where the file's syntax breaks; errors after it would be guesses.
    broken: Option<(String, usize)>,
    /// The first errors are those of syntax.
    syntax_count: usize,
}

impl Reader {
    /// Of the merged layers, and of the errors of syntax in their texts.
    pub(super) fn new(root: Table, folder: &Path, syntax: Vec<Diagnostic>) -> Reader {
        let places = syntax.iter().filter_map(|error| match &error.place {
            Place::File { file, line } => Some((file.clone(), *line)),
            _ => None,
        });
        Reader {
            root,
            folder: folder.to_owned(),
            broken: places.min_by_key(|(_, line)| *line),
            syntax_count: syntax.len(),
            errors: syntax,
            warnings: Vec::new(),
            known: BTreeMap::new(),
            leftovers: Vec::new(),
        }
    }

    /// Whether the syntax is sound, so that values may be compared.
    pub(super) fn is_sound(&self) -> bool {
        self.broken.is_none()
    }

    pub(super) fn note(&mut self, error: Diagnostic) -> Noted {
        self.errors.push(error);
        Noted
    }

    pub(super) fn note_all(&mut self, errors: Vec<Diagnostic>) -> Noted {
        self.errors.extend(errors);
        Noted
    }

    pub(super) fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// The place of a key that was read.
    pub(super) fn place(&self, section: &str, key: &str) -> Place {
        let place = self.known.get(&(section.to_owned(), key.to_owned())).cloned().flatten();
        place.unwrap_or(Place::Default { line: 1 })
    }

    /// Reads the section `[name]`.
    pub(super) fn section<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Section<'_>) -> Read<T>,
    ) -> Read<T> {
        let title = format!("[{name}]");
        self.known.insert((String::new(), name.to_owned()), None);
        let Some(node) = self.root.remove(name) else {
            let place = Place::Default { line: 1 };
            return Err(self.note(Diagnostic::new(&place, format!("no section `{title}`"))));
        };
        let Value::Table(table) = node.value else {
            let message = format!("`{name}` is {}, not a section", kind_of(&node.value));
            let hint = format!("write `{title}` on a line of its own, and its keys below");
            return Err(self.note(Diagnostic::new(&node.place, message).hint(hint)));
        };
        self.read(title, node.key_place, table, &Table::new(), read)
    }

    /// Reads each table of the list `[[name]]`; keys that one lacks are taken from `defaults`.
    pub(super) fn list_of_sections<T>(
        &mut self,
        name: &str,
        defaults: &Table,
        mut read: impl FnMut(&mut Section<'_>) -> Read<T>,
    ) -> Read<Vec<T>> {
        self.known.insert((String::new(), name.to_owned()), None);
        let node = self.root.remove(name).ok_or(Noted)?;
        let title = format!("[[{name}]]");
        let Value::List(items) = node.value else {
            let message = format!("`{name}` is {}, not a list of sections", kind_of(&node.value));
            let hint = format!("write `{title}`, with two brackets, before each of them");
            return Err(self.note(Diagnostic::new(&node.key_place, message).hint(hint)));
        };
        if let Some(beyond) = items.get(SECTIONS_MAX) {
            let message =
                format!("{} times `{title}`, of which {SECTIONS_MAX} are read", items.len());
            self.note(Diagnostic::new(&beyond.place, message).hint("leave some out"));
        }
        let mut all = Vec::new();
        for item in items.into_iter().take(SECTIONS_MAX) {
            all.push(match item.value {
                Value::Table(table) => {
                    self.read(title.clone(), item.place, table, defaults, &mut read)
                }
                value => {
                    let message = format!("`{name}` holds {}, not a section", kind_of(&value));
                    let hint = format!("write `{title}` before each of them");
                    Err(self.note(Diagnostic::new(&item.place, message).hint(hint)))
                }
            });
        }
        all.into_iter().collect()
    }

    fn read<T>(
        &mut self,
        title: String,
        place: Place,
        table: Table,
        defaults: &Table,
        read: impl FnOnce(&mut Section<'_>) -> Read<T>,
    ) -> Read<T> {
        let mut section = Section { reader: self, title, place, table, defaults, mode: Mode::Read };
        let value = read(&mut section);
        let Section { title, table, .. } = section;
        self.leftovers
            .extend(table.into_iter().map(|(key, node)| (title.clone(), key, node.key_place)));
        value
    }

    /// All errors, unknown keys included, and all warnings.
    pub(super) fn finish(mut self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        for (name, node) in std::mem::take(&mut self.root) {
            let error = self.unknown_at_top(&name, &node);
            self.errors.push(error);
        }
        for (title, key, place) in std::mem::take(&mut self.leftovers) {
            let error = self.unknown_key(&title, &key, &place);
            self.errors.push(error);
        }
        if let Some((broken_file, broken_line)) = &self.broken {
            let is_guess = |error: &Diagnostic| {
                let Place::File { file, line } = &error.place else { return false };
                file == broken_file && line >= broken_line
            };
            let found = self.errors.split_off(self.syntax_count);
            self.errors.extend(found.into_iter().filter(|error| !is_guess(error)));
        }
        (self.errors, self.warnings)
    }

    fn unknown_at_top(&self, name: &str, node: &Node) -> Diagnostic {
        let sections = self.keys_of("");
        let title = match &node.value {
            Value::Table(_) => format!("[{name}]"),
            Value::List(items)
                if items.iter().all(|item| matches!(item.value, Value::Table(_))) =>
            {
                format!("[[{name}]]")
            }
            _ => {
                let hint = match self.home_of(name) {
                    Some(home) => format!("it belongs in `{home}`"),
                    None => format!("sections are {}", sections.join(", ")),
                };
                let message = format!("key `{name}` outside of any section");
                return Diagnostic::new(&node.key_place, message).hint(hint);
            }
        };
        let hint = match nearest(name, sections.iter().copied()) {
            Some("feeds") => "did you mean `[[feeds]]`?".to_owned(),
            Some(near) => format!("did you mean `[{near}]`?"),
            None => format!("sections are {}", sections.join(", ")),
        };
        Diagnostic::new(&node.key_place, format!("unknown section `{title}`")).hint(hint)
    }

    fn unknown_key(&self, title: &str, key: &str, place: &Place) -> Diagnostic {
        let known = self.keys_of(title);
        let file_key = format!("{key}-file");
        let secret = || Diagnostic::new(place, format!("secret `{key}` in `{title}`"));
        if known.contains(&file_key.as_str()) {
            return secret()
                .hint(format!("put it in a file of its own and name that by `{file_key}`"));
        }
        if is_secret(key) {
            return secret()
                .hint("secrets stand in files of their own, which keys that end in `-file` name");
        }
        let hint = if let Some(near) = nearest(key, known.iter().copied()) {
            format!("did you mean `{near}`?")
        } else if let Some(home) = self.home_of(key) {
            format!("it belongs in `{home}`")
        } else if known.len() < NAMES_SHOWN_MAX {
            format!("keys are {}", known.join(", "))
        } else {
            "`config/pumphandle.toml` of the source tree has every key".to_owned()
        };
        Diagnostic::new(place, format!("unknown key {} in `{title}`", quoted(key))).hint(hint)
    }

    fn keys_of(&self, title: &str) -> Vec<&str> {
        self.known.keys().filter(|(section, _)| section == title).map(|(_, key)| &**key).collect()
    }

    fn home_of(&self, key: &str) -> Option<&str> {
        let mut homes =
            self.known.keys().filter(|(section, known)| known == key && !section.is_empty());
        homes.next().map(|(section, _)| section.as_str())
    }
}

/// What is done with the keys of a section.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    Read,
    /// They have no meaning here, for the reason given as hint.
    Refuse(&'static str),
    /// Whether they have a meaning here is unknown.
    Skip,
}

/// A section that is being read. The methods that take a key read its value.
pub(super) struct Section<'reader> {
    pub(super) reader: &'reader mut Reader,
    /// `[panes]`
    title: String,
    place: Place,
    table: Table,
    defaults: &'reader Table,
    mode: Mode,
}

impl Section<'_> {
    /// The section `[title.name]` below this one.
    pub(super) fn section<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Section<'_>) -> Read<T>,
    ) -> Read<T> {
        let title = format!("[{}.{name}]", self.title.trim_matches(['[', ']']));
        let node = self.take(name)?;
        let Value::Table(table) = node.value else {
            let hint = format!("write `{title}` on a line of its own, and its keys below");
            return Err(self.bad(&node, name, hint.into()));
        };
        self.reader.read(title, node.key_place, table, &Table::new(), read)
    }

    /// Further keys of this section, as a struct of their own.
    pub(super) fn keys<T>(
        &mut self,
        _: &str,
        read: impl FnOnce(&mut Section<'_>) -> Read<T>,
    ) -> Read<T> {
        read(self)
    }

    /// Reads keys in another mode.
    pub(super) fn in_mode<T>(
        &mut self,
        mode: Mode,
        read: impl FnOnce(&mut Section<'_>) -> Read<T>,
    ) -> Read<T> {
        self.mode = mode;
        let value = read(self);
        self.mode = Mode::Read;
        value
    }

    /// All keys of the section, whatever their names.
    pub(super) fn everything(&mut self) -> Table {
        std::mem::take(&mut self.table)
    }

    /// The place of a key that was read, or of the section that lacks it.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let place = self.place_read(key);
        if place.is_default() { self.place.clone() } else { place }
    }

    /// A path relative to the configuration file's folder if it was written there, else to the
    /// working directory.
    pub(super) fn resolve(&self, place: &Place, path: &str) -> PathBuf {
        self.base(place).join(path)
    }

    pub(super) fn base(&self, place: &Place) -> &Path {
        if matches!(place, Place::File { .. }) { &self.reader.folder } else { Path::new("") }
    }

    pub(super) fn text(&mut self, key: &str) -> Read<String> {
        self.text_of(key, "a text in quotes", |_| true)
    }

    /// A text of the form that `expected` describes.
    pub(super) fn text_of(
        &mut self,
        key: &str,
        expected: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Read<String> {
        self.value(key, |value, _| {
            let text = value.text().filter(|text| fits(text));
            text.map(str::to_owned).ok_or_else(|| expected.into())
        })
    }

    pub(super) fn parsed<T: FromStr>(&mut self, key: &str, expected: &str) -> Read<T> {
        self.value(key, |value, _| {
            let parsed = value.text().and_then(|text| text.trim().parse().ok());
            parsed.ok_or_else(|| expected.into())
        })
    }

    /// A text; none if it is empty.
    pub(super) fn optional_text(&mut self, key: &str) -> Read<Option<String>> {
        self.optional(key, |text, _| Ok(text.to_owned()))
    }

    /// What `parse` makes of a text; none if the text is empty.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str, &Place) -> Result<T, Misfit>,
    ) -> Read<Option<T>> {
        self.value(key, |value, place| match value.text() {
            None => Err("a text in quotes".into()),
            Some("") => Ok(None),
            Some(text) => parse(text, place).map(Some),
        })
    }

    /// One of a few words, and its value.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Read<T> {
        self.value(key, |value, _| {
            let written = value.text().unwrap_or_default();
            let names = words.iter().map(|(name, _)| *name);
            match words.iter().find(|(name, _)| *name == written) {
                Some((_, value)) => Ok(*value),
                None => Err(match nearest(written, names.clone()) {
                    Some(near) => format!("did you mean `{near}`?").into(),
                    None => format!("one of {}", names.collect::<Vec<_>>().join(", ")).into(),
                }),
            }
        })
    }

    /// A word; those without a value are not in this build.
    pub(super) fn kind<T: Copy>(&mut self, key: &str, words: &[(&str, Option<T>)]) -> Read<T> {
        let named = words.iter().map(|(name, value)| (*name, (*name, *value)));
        let (name, value) = self.word(key, &named.collect::<Vec<_>>())?;
        value.ok_or_else(|| {
            let built = words.iter().filter(|(_, value)| value.is_some());
            let built: Vec<String> = built.map(|(name, _)| format!("`{name}`")).collect();
            let message = format!("not in this build yet: {key} `{name}`");
            self.error(&self.place_of(key), &message, &format!("use {}", built.join(" or ")))
        })
    }

    pub(super) fn boolean(&mut self, key: &str) -> Read<bool> {
        self.value(key, |value, _| {
            value.boolean().ok_or_else(|| "`true` or `false`, without quotes".into())
        })
    }

    pub(super) fn inverted(&mut self, key: &str) -> Read<bool> {
        self.boolean(key).map(|value| !value)
    }

    pub(super) fn whole_number<T>(&mut self, key: &str, range: RangeInclusive<T>) -> Read<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        self.number_in(key, "a whole number", range)
    }

    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> Read<f64> {
        self.number_in(key, "a number", range)
    }

    fn number_in<T>(&mut self, key: &str, what: &str, range: RangeInclusive<T>) -> Read<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        self.value(key, |value, _| {
            let number = value.number().and_then(|text| text.parse().ok());
            let is_text = matches!(value, Value::Text(_));
            let without_quotes = if is_text { ", without quotes" } else { "" };
            number.filter(|number| range.contains(number)).ok_or_else(|| {
                format!("{what} from {} to {}{without_quotes}", range.start(), range.end()).into()
            })
        })
    }

    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Micros>) -> Read<Micros> {
        self.value(key, |value, _| duration_in(value, &range))
    }

    /// A duration; none if the text is empty.
    pub(super) fn optional_duration(
        &mut self,
        key: &str,
        range: RangeInclusive<Micros>,
    ) -> Read<Option<Micros>> {
        self.value(key, |value, _| {
            if value.text() == Some("") { Ok(None) } else { duration_in(value, &range).map(Some) }
        })
    }

    pub(super) fn size<T: TryFrom<u64>>(
        &mut self,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Read<T> {
        self.value(key, |value, _| {
            let bytes = value.number().or(value.text()).and_then(parse_size);
            let bytes = bytes.filter(|bytes| range.contains(bytes));
            bytes.and_then(|bytes| T::try_from(bytes).ok()).ok_or_else(|| {
                let bounds =
                    format!("{} to {}", display_size(*range.start()), display_size(*range.end()));
                format!("a size from {bounds}, such as `64KiB` or `1GB`").into()
            })
        })
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, key: &str) -> Read<Vec<String>> {
        self.texts_of(key, |text, _| Ok(text.to_owned()))
    }

    /// A list of what `parse` makes of texts.
    pub(super) fn texts_of<T>(
        &mut self,
        key: &str,
        mut parse: impl FnMut(&str, &Place) -> Result<T, Misfit>,
    ) -> Read<Vec<T>> {
        let node = self.take(key)?;
        self.items_of(&node, key, TEXTS, |value, place| parse(item_text(value)?, place))
    }

    /// A list of texts or a single one, with their places; `missing` is the error without any.
    pub(super) fn text_or_texts(
        &mut self,
        key: &str,
        missing: &str,
        hint: &str,
    ) -> Read<Vec<(String, Place)>> {
        let mut node = self.take_or(key, missing, hint)?;
        if matches!(node.value, Value::Text(_)) {
            node.value = Value::List(vec![Node::new(node.value, &node.place)]);
        }
        self.items_of(&node, key, TEXTS, |value, place| {
            Ok((item_text(value)?.to_owned(), place.clone()))
        })
    }

    /// A list of what `read` makes of values.
    pub(super) fn items<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnMut(&Value, &Place) -> Result<T, Misfit>,
    ) -> Read<Vec<T>> {
        let node = self.take(key)?;
        self.items_of(&node, key, expected, read)
    }

    fn items_of<T>(
        &mut self,
        node: &Node,
        key: &str,
        expected: &str,
        mut read: impl FnMut(&Value, &Place) -> Result<T, Misfit>,
    ) -> Read<Vec<T>> {
        let Some(items) = node.items() else {
            return Err(self.bad(node, key, expected.into()));
        };
        let values: Vec<Read<T>> = items
            .iter()
            .map(|item| {
                read(&item.value, &item.place).map_err(|misfit| self.bad(item, key, misfit))
            })
            .collect();
        values.into_iter().collect()
    }

    /// A value of any type, read by `read`.
    pub(super) fn value<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Value, &Place) -> Result<T, Misfit>,
    ) -> Read<T> {
        let node = self.take(key)?;
        read(&node.value, &node.place).map_err(|misfit| self.bad(&node, key, misfit))
    }

    fn take(&mut self, key: &str) -> Read<Node> {
        let message = format!("no `{key}`");
        self.take_or(key, &message, &format!("write `{key} = …` below it"))
    }

    /// The value of a key, or the error that it is missing.
    pub(super) fn take_or(&mut self, key: &str, message: &str, hint: &str) -> Read<Node> {
        let name = (self.title.clone(), key.to_owned());
        let given = self.table.remove(key);
        let place = given.as_ref().map(|node| node.place.clone());
        match (self.mode, given) {
            (Mode::Read, given) => {
                let node = given.or_else(|| self.defaults.get(key).cloned());
                self.reader.known.insert(name, place);
                // A key that is missing in a broken text may be there.
                match node {
                    None if self.reader.is_sound() => {
                        Err(self.error(&self.place.clone(), message, hint))
                    }
                    node => node.ok_or(Noted),
                }
            }
            (mode, given) => {
                self.reader.known.entry(name).or_insert(None);
                if let (Mode::Refuse(hint), Some(node)) = (mode, given) {
                    self.error(&node.key_place, &format!("misplaced key `{key}`"), hint);
                }
                Err(Noted)
            }
        }
    }

    /// The place of a key that was read, even in the defaults.
    pub(super) fn place_read(&self, key: &str) -> Place {
        self.reader.place(&self.title, key)
    }

    /// The place to report where two values don't fit: the first that isn't a default.
    pub(super) fn blamed(&self, first: Place, second_key: &str) -> Place {
        if first.is_default() { self.place_read(second_key) } else { first }
    }

    /// Whether the key has its default value. Meaningless after it was read.
    pub(super) fn is_default(&self, key: &str) -> bool {
        self.table.get(key).is_none_or(|node| node.place.is_default())
    }

    /// Whether the key is written in this section.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes that a value doesn't fit its key.
    fn bad(&mut self, node: &Node, key: &str, misfit: Misfit) -> Noted {
        let message = misfit
            .message
            .unwrap_or_else(|| format!("bad value {} for `{key}`", node.value.shown()));
        self.error(&node.place, &message, &misfit.hint)
    }

    /// Notes an error in this section, which is named at the end of the message.
    pub(super) fn error(&mut self, place: &Place, message: &str, hint: &str) -> Noted {
        let error = Diagnostic::new(place, format!("{message} in `{}`", self.title));
        self.reader.note(error.hint(hint))
    }

    /// Notes an error at a key of the section above this one.
    pub(super) fn error_above(&mut self, key: &str, message: &str, hint: &str) -> Noted {
        let title = self.title.trim_matches(['[', ']']);
        let above = format!("[{}]", title.rsplit_once('.').map_or("", |(above, _)| above));
        let place = self.reader.place(&above, key);
        let error = Diagnostic::new(&place, format!("{message} in `{above}`"));
        self.reader.note(error.hint(hint))
    }
}

const TEXTS: &str = "a list of texts, such as `[\"…\"]`";

fn item_text(value: &Value) -> Result<&str, Misfit> {
    value.text().filter(|text| !text.is_empty()).ok_or_else(|| "a text in quotes".into())
}

pub(super) fn duration_in(value: &Value, range: &RangeInclusive<Micros>) -> Result<Micros, Misfit> {
    let Some(span) = value.text().and_then(parse_span) else {
        return Err("a number and its unit in quotes, such as `2m`, `36h`, `7d` or `1h30m`".into());
    };
    if range.contains(&span) {
        return Ok(span);
    }
    let (least, most) = (display_duration(*range.start()), display_duration(*range.end()));
    Err(format!("a duration from {least} to {most}").into())
}

fn is_secret(key: &str) -> bool {
    let words =
        ["password", "passphrase", "secret", "token", "api-key", "private-key", "credentials"];
    words.iter().any(|word| key.to_ascii_lowercase().replace('_', "-").contains(word))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Text(_) | Value::Given(_) => "a text",
        Value::Number(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Date(_) => "a date",
        Value::List(_) => "a list",
        Value::Table(_) => "a section",
    }
}

/// The known name nearest to a misspelt one.
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
