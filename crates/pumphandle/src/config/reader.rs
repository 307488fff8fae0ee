//! Asks the written configuration key by key, and notes every mistake on the way.
//!
//! What somebody asks for is known; what is left over in the end is unknown, and the nearest of the
//! known is the hint.
//! A getter that gives nothing has noted why, so that reading goes on and all mistakes are told at
//! once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use record::time::Micros;

use super::problem::{Place, Problem, nearest};
use super::units::{display_duration, display_size, duration, size};
use super::written::{Node, Raw, Table, quoted};

/// Fewer known names than this are all named where no near one is found.
const NAMES_SHOWN_MAX: usize = 16;

/// So many sections of one list are read.
const SECTIONS_MAX: usize = 64;

pub(super) struct Reader {
    root: Table,
    problems: Vec<Problem>,
    /// Section (`[panes]`) and key of everything asked for.
    known: BTreeSet<(String, &'static str)>,
    leftovers: Vec<(String, String, Place)>,
    /// Where the file's syntax breaks; complaints behind that would be guesses.
    broken: Option<(String, usize)>,
    /// So many problems, the first ones, are those of syntax.
    syntax_count: usize,
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<T> At<T> {
    pub(super) fn is_default(&self) -> bool {
        matches!(self.place, Place::Default { .. })
    }
}

/// The place to complain of where two values don't fit each other: the first that isn't the
/// default.
pub(super) fn blamed<'a, T>(first: &'a At<T>, second: &'a At<T>) -> &'a Place {
    if first.is_default() { &second.place } else { &first.place }
}

impl Reader {
    /// Of the tree, and of what was wrong with its text.
    pub(super) fn new(root: Table, syntax: Vec<Problem>) -> Reader {
        let broken = syntax
            .iter()
            .filter_map(|problem| match &problem.place {
                Place::File { file, line } => Some((file.clone(), *line)),
                _ => None,
            })
            .min_by_key(|(_, line)| *line);
        Reader {
            root,
            syntax_count: syntax.len(),
            problems: syntax,
            known: BTreeSet::new(),
            leftovers: Vec::new(),
            broken,
        }
    }

    /// Whether the text was understood so far that values may be compared.
    pub(super) fn is_sound(&self) -> bool {
        self.broken.is_none()
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reads the section `[name]`.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let title = format!("[{name}]");
        self.known.insert((String::new(), name));
        let Some(node) = self.root.remove(name) else {
            let place = Place::Default { line: 1 };
            self.problem(Problem::new(&place, format!("no section `{title}`")));
            return None;
        };
        let place = node.key_place.clone();
        let Raw::Table(table) = node.raw else {
            let hint = format!("write `{title}` on a line of its own, and its keys below");
            self.problem(
                Problem::new(
                    &node.place,
                    format!("`{name}` is {}, not a section", kind_of(&node.raw)),
                )
                .hint(hint),
            );
            return None;
        };
        self.read(title, place, table, &Table::new(), read)
    }

    /// Reads each table of the list `[[name]]`; those that are in order.
    /// Keys that one lacks are taken from `defaults`.
    pub(super) fn list_of_sections<T>(
        &mut self,
        name: &'static str,
        defaults: &Table,
        mut read: impl FnMut(&mut Section<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.known.insert((String::new(), name));
        let node = self.root.remove(name)?;
        let title = format!("[[{name}]]");
        let Raw::List(items) = node.raw else {
            let hint = format!("write `{title}`, with two brackets, before each of them");
            self.problem(
                Problem::new(
                    &node.key_place,
                    format!("`{name}` is {}, not a list of sections", kind_of(&node.raw)),
                )
                .hint(hint),
            );
            return None;
        };
        let mut all = Some(Vec::new());
        if let Some(beyond) = items.get(SECTIONS_MAX) {
            let message =
                format!("{} times `{title}`, of which {SECTIONS_MAX} are read", items.len());
            self.problem(Problem::new(&beyond.place, message).hint("leave some out"));
        }
        for item in items.into_iter().take(SECTIONS_MAX) {
            let Raw::Table(table) = item.raw else {
                let hint = format!("write `{title}` before each of them");
                self.problem(
                    Problem::new(
                        &item.place,
                        format!("`{name}` holds {}, not a section", kind_of(&item.raw)),
                    )
                    .hint(hint),
                );
                all = None;
                continue;
            };
            let one = self.read(title.clone(), item.place, table, defaults, &mut read);
            all = all.zip(one).map(|(mut all, one)| {
                all.push(one);
                all
            });
        }
        all
    }

    fn read<T>(
        &mut self,
        title: String,
        place: Place,
        table: Table,
        defaults: &Table,
        read: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut section = Section { reader: self, title, place, table, defaults };
        let value = read(&mut section);
        let Section { title, table, .. } = section;
        self.leftovers
            .extend(table.into_iter().map(|(key, node)| (title.clone(), key, node.key_place)));
        value
    }

    /// All that is wrong, unknown keys included.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        for (name, node) in std::mem::take(&mut self.root) {
            let problem = self.unknown_at_top(&name, &node);
            self.problems.push(problem);
        }
        for (title, key, place) in std::mem::take(&mut self.leftovers) {
            let problem = self.unknown_key(&title, &key, &place);
            self.problems.push(problem);
        }
        let Some((broken_file, broken_line)) = self.broken else {
            return self.problems;
        };
        let is_guess = |problem: &Problem| match &problem.place {
            Place::File { file, line } => *file == broken_file && *line >= broken_line,
            _ => false,
        };
        let found = self.problems.split_off(self.syntax_count);
        self.problems.extend(found.into_iter().filter(|problem| !is_guess(problem)));
        self.problems
    }

    fn unknown_at_top(&self, name: &str, node: &Node) -> Problem {
        let sections = self.keys_of("");
        let title = match &node.raw {
            Raw::Table(_) => format!("[{name}]"),
            Raw::List(items) if items.iter().all(|item| matches!(item.raw, Raw::Table(_))) => {
                format!("[[{name}]]")
            }
            _ => {
                let problem =
                    Problem::new(&node.key_place, format!("key `{name}` outside of any section"));
                return match self.home_of(name) {
                    Some(home) => problem.hint(format!("it belongs in `{home}`")),
                    None => problem.hint(format!("sections are {}", sections.join(", "))),
                };
            }
        };
        let hint = match nearest(name, sections.iter().copied()) {
            Some("feeds") => "did you mean `[[feeds]]`?".to_owned(),
            Some(near) => format!("did you mean `[{near}]`?"),
            None => format!("sections are {}", sections.join(", ")),
        };
        Problem::new(&node.key_place, format!("unknown section `{title}`")).hint(hint)
    }

    fn unknown_key(&self, title: &str, key: &str, place: &Place) -> Problem {
        let known = self.keys_of(title);
        let file_key = format!("{key}-file");
        if known.contains(&file_key.as_str()) {
            let hint = format!("put it in a file of its own and name that by `{file_key}`");
            return Problem::new(place, format!("secret `{key}` in `{title}`")).hint(hint);
        }
        if is_secret(key) {
            let hint = "secrets stand in files of their own, which keys that end in `-file` name";
            return Problem::new(place, format!("secret `{key}` in `{title}`")).hint(hint);
        }
        let problem = Problem::new(place, format!("unknown key {} in `{title}`", quoted(key)));
        if let Some(near) = nearest(key, known.iter().copied()) {
            problem.hint(format!("did you mean `{near}`?"))
        } else if let Some(home) = self.home_of(key) {
            problem.hint(format!("it belongs in `{home}`"))
        } else if known.len() < NAMES_SHOWN_MAX {
            problem.hint(format!("keys are {}", known.join(", ")))
        } else {
            problem.hint("`config/pumphandle.toml` of the source tree has every key")
        }
    }

    fn keys_of(&self, title: &str) -> Vec<&'static str> {
        self.known.iter().filter(|(section, _)| section == title).map(|(_, key)| *key).collect()
    }

    fn home_of(&self, key: &str) -> Option<&str> {
        let mut homes =
            self.known.iter().filter(|(section, known)| *known == key && !section.is_empty());
        homes.next().map(|(section, _)| section.as_str())
    }
}

/// A section that is being read.
pub(super) struct Section<'reader> {
    reader: &'reader mut Reader,
    /// `[panes]`
    title: String,
    pub(super) place: Place,
    table: Table,
    defaults: &'reader Table,
}

impl Section<'_> {
    /// The section `[title.name]` below this one.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let title = format!("[{}.{name}]", self.title.trim_matches(['[', ']']));
        let node = self.take(name)?;
        let Raw::Table(table) = node.raw else {
            self.bad(
                &node,
                name,
                &format!("write `{title}` on a line of its own, and its keys below"),
            );
            return None;
        };
        self.reader.read(title, node.key_place, table, &Table::new(), read)
    }

    /// What is written in the whole section, whatever its keys.
    pub(super) fn everything(&mut self) -> Table {
        std::mem::take(&mut self.table)
    }

    /// Where a key's value stands, or the section that lacks it.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.table.get(key).map_or_else(|| self.place.clone(), |node| node.place.clone())
    }

    pub(super) fn is_given(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A key that has no meaning here, because of what another one says.
    pub(super) fn refuse(&mut self, key: &'static str, hint: &str) {
        self.known(key);
        if let Some(node) = self.table.remove(key) {
            self.problem(&node.key_place, &format!("misplaced key `{key}`"), Some(hint));
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<At<String>> {
        self.value(key, |raw| {
            raw.text().map(str::to_owned).ok_or_else(|| "a text in quotes".to_owned())
        })
    }

    /// A text that says what `expected` describes.
    pub(super) fn text_of(
        &mut self,
        key: &'static str,
        expected: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Option<At<String>> {
        self.value(key, |raw| {
            raw.text()
                .filter(|text| fits(text))
                .map(str::to_owned)
                .ok_or_else(|| expected.to_owned())
        })
    }

    pub(super) fn parsed<T: FromStr>(
        &mut self,
        key: &'static str,
        expected: &str,
    ) -> Option<At<T>> {
        self.value(key, |raw| {
            raw.text().and_then(|text| text.trim().parse().ok()).ok_or_else(|| expected.to_owned())
        })
    }

    /// Empty is not given.
    pub(super) fn optional_text(&mut self, key: &'static str) -> Option<Option<At<String>>> {
        if !self.is_given(key) {
            self.known(key);
            return Some(None);
        }
        self.text(key).map(|text| Some(text).filter(|text| !text.value.is_empty()))
    }

    /// One of a few words; its place among them.
    pub(super) fn word(&mut self, key: &'static str, words: &[&str]) -> Option<At<usize>> {
        self.value(key, |raw| {
            let written = raw.text().unwrap_or_default();
            let found = words.iter().position(|word| *word == written);
            found.ok_or_else(|| match nearest(written, words.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("one of {}", words.join(", ")),
            })
        })
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<At<bool>> {
        self.value(key, |raw| {
            raw.boolean().ok_or_else(|| "`true` or `false`, without quotes".to_owned())
        })
    }

    pub(super) fn whole_number<T>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
    ) -> Option<At<T>>
    where
        T: FromStr + PartialOrd + Display,
    {
        self.number_in(key, "a whole number", range)
    }

    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<f64>,
    ) -> Option<At<f64>> {
        self.number_in(key, "a number", range)
    }

    fn number_in<T>(
        &mut self,
        key: &'static str,
        what: &str,
        range: RangeInclusive<T>,
    ) -> Option<At<T>>
    where
        T: FromStr + PartialOrd + Display,
    {
        self.value(key, |raw| {
            let number = raw
                .number()
                .and_then(|text| text.parse().ok())
                .filter(|number| range.contains(number));
            let without_quotes = if matches!(raw, Raw::Text(_)) { ", without quotes" } else { "" };
            number.ok_or_else(|| {
                format!("{what} from {} to {}{without_quotes}", range.start(), range.end())
            })
        })
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Micros>,
    ) -> Option<At<Micros>> {
        self.value(key, |raw| duration_in(raw, &range))
    }

    /// A duration; none where the text is empty.
    pub(super) fn optional_duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Micros>,
    ) -> Option<At<Option<Micros>>> {
        self.value(key, |raw| {
            if raw.text() == Some("") { Ok(None) } else { duration_in(raw, &range).map(Some) }
        })
    }

    /// A list of durations, each with its place.
    pub(super) fn durations(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Micros>,
    ) -> Option<Vec<At<Micros>>> {
        self.items(key, "a list of durations, such as `[\"24h\", \"7d\"]`", |raw| {
            duration_in(raw, &range)
        })
    }

    pub(super) fn size(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<At<u64>> {
        self.value(key, |raw| {
            let bytes =
                raw.number().or(raw.text()).and_then(size).filter(|bytes| range.contains(bytes));
            let bounds =
                format!("{} to {}", display_size(*range.start()), display_size(*range.end()));
            bytes.ok_or_else(|| format!("a size from {bounds}, such as `64KiB` or `1GB`"))
        })
    }

    /// A list of texts, each with its place.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<At<String>>> {
        self.items(key, "a list of texts, such as `[\"…\"]`", |raw| {
            raw.text()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| "a text in quotes".to_owned())
        })
    }

    /// A list of texts, or a single one.
    pub(super) fn text_or_texts(&mut self, key: &'static str) -> Option<Vec<At<String>>> {
        match self.table.get_mut(key) {
            Some(node) if matches!(node.raw, Raw::Text(_)) => {
                let item = Node {
                    raw: node.raw.clone(),
                    key_place: node.place.clone(),
                    place: node.place.clone(),
                };
                node.raw = Raw::List(vec![item]);
            }
            _ => {}
        }
        self.texts(key)
    }

    fn items<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&Raw) -> Result<T, String>,
    ) -> Option<Vec<At<T>>> {
        let node = self.take(key)?;
        let Some(items) = node.raw.list(&node.place) else {
            self.bad(&node, key, expected);
            return None;
        };
        let mut all = Some(Vec::new());
        for item in items {
            match read(&item.raw) {
                Ok(value) => {
                    if let Some(all) = &mut all {
                        all.push(At { value, place: item.place });
                    }
                }
                Err(hint) => {
                    self.bad(&item, key, &hint);
                    all = None;
                }
            }
        }
        all
    }

    /// Whatever it is, read by `read`, which says what it would have wanted.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Raw) -> Result<T, String>,
    ) -> Option<At<T>> {
        let node = self.take(key)?;
        match read(&node.raw) {
            Ok(value) => Some(At { value, place: node.place }),
            Err(hint) => {
                self.bad(&node, key, &hint);
                None
            }
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known(key);
        let node = self.table.remove(key).or_else(|| self.defaults.get(key).cloned());
        // What a broken text doesn't show may well be there.
        if node.is_none() {
            let place = self.place.clone();
            self.problem_if_sound(
                &place,
                &format!("no `{key}`"),
                Some(&format!("write `{key} = …` below it")),
            );
        }
        node
    }

    pub(super) fn known(&mut self, key: &'static str) {
        self.reader.known.insert((self.title.clone(), key));
    }

    fn bad(&mut self, node: &Node, key: &str, hint: &str) {
        self.problem(
            &node.place,
            &format!("bad value {} for `{key}`", node.raw.shown()),
            Some(hint),
        );
    }

    /// Says nothing of a key, known or not.
    pub(super) fn leave(&mut self, key: &str) {
        self.table.remove(key);
    }

    /// A problem that a broken text may only pretend.
    pub(super) fn problem_if_sound(&mut self, place: &Place, message: &str, hint: Option<&str>) {
        if self.reader.is_sound() {
            self.problem(place, message, hint);
        }
    }

    /// A problem in the section above this one.
    pub(super) fn problem_above(&mut self, place: &Place, message: &str, hint: Option<&str>) {
        let title = std::mem::take(&mut self.title);
        let above = title.trim_matches(['[', ']']).rsplit_once('.').map_or("", |(above, _)| above);
        self.title = format!("[{above}]");
        self.problem(place, message, hint);
        self.title = title;
    }

    /// A problem in this section, which the message goes on to name.
    pub(super) fn problem(&mut self, place: &Place, message: &str, hint: Option<&str>) {
        let problem = Problem::new(place, format!("{message} in `{}`", self.title));
        self.reader.problem(match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
    }
}

fn duration_in(raw: &Raw, range: &RangeInclusive<Micros>) -> Result<Micros, String> {
    let Some(span) = raw.text().and_then(duration) else {
        return Err(
            "a number and its unit in quotes, such as `2m`, `36h`, `7d` or `1h30m`".to_owned()
        );
    };
    if range.contains(&span) {
        return Ok(span);
    }
    Err(format!(
        "a duration from {} to {}",
        display_duration(*range.start()),
        display_duration(*range.end())
    ))
}

fn is_secret(key: &str) -> bool {
    let words =
        ["password", "passphrase", "secret", "token", "api-key", "private-key", "credentials"];
    words.iter().any(|word| key.to_ascii_lowercase().replace('_', "-").contains(word))
}

fn kind_of(raw: &Raw) -> &'static str {
    match raw {
        Raw::Text(_) | Raw::Given(_) => "a text",
        Raw::Number(_) => "a number",
        Raw::Boolean(_) => "true or false",
        Raw::Date(_) => "a date",
        Raw::List(_) => "a list",
        Raw::Table(_) => "a section",
    }
}
