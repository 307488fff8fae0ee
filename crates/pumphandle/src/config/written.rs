//! The configuration as written: every value with the place where it stands, from all layers in one
//! tree.
//!
//! First of two steps: knows TOML, the environment and `--set`, and which of them wins; knows no
//! section and no key.
//! What a value means, and whether its key exists, the second step asks (`reader`).

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem, nearest};

/// What environment variables of ours begin with.
pub(super) const PREFIX: &str = "PUMPHANDLE__";

pub(super) type Table = BTreeMap<String, Node>;

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) raw: Raw,
    /// Where its key stands; for an element of a list as `place`.
    pub(super) key_place: Place,
    pub(super) place: Place,
}

#[derive(Debug, Clone)]
pub(super) enum Raw {
    Text(String),
    /// In decimal digits.
    Number(String),
    Boolean(bool),
    Date(String),
    List(Vec<Node>),
    Table(Table),
    /// From the environment or `--set`: of whatever type its key has.
    Given(String),
}

/// The tree of a TOML text and how it is broken; what could be read of a broken one is there all
/// the same.
pub(super) fn parse(text: &str, place: impl Fn(usize) -> Place) -> (Table, Vec<Problem>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let lines = Lines::of(text);
    let converter = Converter { lines: &lines, place: &place };
    let mut problems = Vec::new();
    for error in &errors {
        let at = error.span().unwrap_or(0..0);
        let quoted = text.get(at.clone()).unwrap_or_default().trim();
        let message = match error.message() {
            "duplicate key" => format!("duplicate key `{quoted}`"),
            message => message.replace('\n', ", "),
        };
        let hint = syntax_hint(&message);
        problems.push(Problem::new(&place(lines.line(at.start)), message).hint(hint));
    }
    (converter.table(document.get_ref()), problems)
}

/// What to do about a text that is no TOML, by what the parser says of it.
pub(super) fn syntax_hint(message: &str) -> &'static str {
    let hints = [
        ("duplicate key", "keep one of them"),
        ("recurs", "no value here is nested so deep"),
        ("string", "a text begins and ends with `\"` on the same line"),
        ("table", "a section is written `[name]`, on a line of its own"),
        ("array", "a list is written `[\"…\", \"…\"]`"),
        ("key", "write `key = value`, a line each"),
    ];
    let found = hints.iter().find(|(word, _)| message.contains(word));
    found.map_or(
        "values are texts in quotes, numbers, `true`, `false`, and lists in `[…]`",
        |(_, hint)| hint,
    )
}

struct Converter<'a, F> {
    lines: &'a Lines,
    place: &'a F,
}

impl<F: Fn(usize) -> Place> Converter<'_, F> {
    fn table(&self, table: &DeTable<'_>) -> Table {
        table
            .iter()
            .map(|(key, value)| {
                (key.get_ref().to_string(), self.node(value, self.place(key.span().start)))
            })
            .collect()
    }

    fn node(&self, value: &Spanned<DeValue<'_>>, key_place: Place) -> Node {
        let raw = match value.get_ref() {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Integer(number) => Raw::Number(
                i128::from_str_radix(number.as_str(), number.radix())
                    .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()),
            ),
            DeValue::Float(number) => Raw::Number(number.as_str().to_owned()),
            DeValue::Boolean(value) => Raw::Boolean(*value),
            DeValue::Datetime(date) => Raw::Date(date.to_string()),
            DeValue::Array(items) => Raw::List(
                items.iter().map(|item| self.node(item, self.place(item.span().start))).collect(),
            ),
            DeValue::Table(table) => Raw::Table(self.table(table)),
        };
        Node { raw, key_place, place: self.place(value.span().start) }
    }

    fn place(&self, offset: usize) -> Place {
        (self.place)(self.lines.line(offset))
    }
}

/// Lays one tree over another: tables join, everything else is replaced.
pub(super) fn lay_over(base: &mut Table, over: Table) {
    for (key, node) in over {
        match (base.get_mut(&key).map(|below| &mut below.raw), node.raw) {
            (Some(Raw::Table(below)), Raw::Table(above)) => lay_over(below, above),
            (_, raw) => {
                base.insert(key, Node { raw, ..node });
            }
        }
    }
}

/// The path and the value of an environment variable, if it is one of ours:
/// `PUMPHANDLE__FEEDS__BLUESKY__IDLE_TIMEOUT`.
pub(super) fn environment_path(name: &str) -> Option<Vec<String>> {
    let path = name.strip_prefix(PREFIX)?;
    Some(path.split("__").map(|part| part.to_ascii_lowercase().replace('_', "-")).collect())
}

/// Lays a single value over the tree, at a path such as `panes.lateness` or `feeds.bluesky.rewind`.
pub(super) fn set(
    root: &mut Table,
    path: &[String],
    value: &str,
    place: &Place,
) -> Result<(), Problem> {
    let (Some((last, parents)), true) =
        (path.split_last(), path.iter().all(|part| !part.is_empty()))
    else {
        return Err(Problem::new(place, "a key without its name")
            .hint("write `section.key`, such as `panes.lateness`"));
    };
    if parents.is_empty() && last == "feeds" {
        return set_feeds(root, value, place);
    }
    let mut table = root;
    let mut parents = parents;
    if let Some((first, rest)) = parents.split_first()
        && first == "feeds"
    {
        let Some((name, rest)) = rest.split_first() else {
            return Err(Problem::new(place, "a feed's key without the feed")
                .hint("write `feeds.NAME.key`, such as `feeds.bluesky.rewind`"));
        };
        table = feed(table, name, place)?;
        parents = rest;
    }
    for parent in parents {
        let fresh = || Node {
            raw: Raw::Table(Table::new()),
            key_place: place.clone(),
            place: place.clone(),
        };
        table = match &mut table.entry(parent.clone()).or_insert_with(fresh).raw {
            Raw::Table(table) => table,
            _ => return Err(Problem::new(place, format!("`{parent}` holds no keys"))),
        };
    }
    table.insert(
        last.clone(),
        Node { raw: Raw::Given(value.to_owned()), key_place: place.clone(), place: place.clone() },
    );
    Ok(())
}

/// The whole list at once, in TOML: `feeds=[{name = "a", kind = "file", path = "-"}]`.
fn set_feeds(root: &mut Table, value: &str, place: &Place) -> Result<(), Problem> {
    let (mut table, problems) = parse(&format!("feeds = {value}"), |_| place.clone());
    match (problems.into_iter().next(), table.remove("feeds")) {
        (None, Some(feeds)) => {
            root.insert("feeds".to_owned(), feeds);
            Ok(())
        }
        (Some(problem), _) => Err(problem
            .hint("the list of feeds is written in TOML; a key of one feed is `feeds.NAME.key`")),
        (None, None) => Err(Problem::new(place, "no list of feeds")),
    }
}

fn feed<'root>(
    root: &'root mut Table,
    name: &str,
    place: &Place,
) -> Result<&'root mut Table, Problem> {
    let feeds = match root.get_mut("feeds").map(|feeds| &mut feeds.raw) {
        Some(Raw::List(feeds)) => feeds.as_mut_slice(),
        _ => &mut [],
    };
    let names: Vec<String> = feeds.iter().filter_map(name_of).map(str::to_owned).collect();
    match feeds.iter_mut().find(|feed| name_of(feed) == Some(name)).map(|feed| &mut feed.raw) {
        Some(Raw::Table(feed)) => Ok(feed),
        _ => {
            let problem = Problem::new(place, format!("no feed has the name `{name}`"));
            Err(match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem
                    .hint(format!("feeds are made in the file; there are: {}", names.join(", "))),
            })
        }
    }
}

fn name_of(feed: &Node) -> Option<&str> {
    match &feed.raw {
        Raw::Table(feed) => match &feed.get("name")?.raw {
            Raw::Text(name) | Raw::Given(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// Where the lines of a text begin.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Lines {
        Lines {
            starts: std::iter::once(0)
                .chain(text.match_indices('\n').map(|(end, _)| end + 1))
                .collect(),
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset)
    }
}

impl Raw {
    /// For messages: what stands there, or what kind of thing it is.
    pub(super) fn shown(&self) -> String {
        match self {
            Raw::Text(text) | Raw::Number(text) | Raw::Date(text) | Raw::Given(text) => {
                quoted(text)
            }
            Raw::Boolean(value) => format!("`{value}`"),
            Raw::List(_) => "(a list)".to_owned(),
            Raw::Table(_) => "(a table)".to_owned(),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Raw::Text(text) | Raw::Given(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<&str> {
        match self {
            Raw::Number(text) | Raw::Given(text) => Some(text.trim()),
            _ => None,
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self {
            Raw::Boolean(value) => Some(*value),
            Raw::Given(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// `["a", "b"]`, and `a,b` where it is given from outside.
    pub(super) fn list(&self, place: &Place) -> Option<Vec<Node>> {
        match self {
            Raw::List(items) => Some(items.clone()),
            Raw::Given(text) if text.trim_start().starts_with('[') => {
                let (mut table, problems) = parse(&format!("list = {text}"), |_| place.clone());
                match table.remove("list")?.raw {
                    Raw::List(items) if problems.is_empty() => Some(items),
                    _ => None,
                }
            }
            Raw::Given(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                let node = |item: &str| Node {
                    raw: Raw::Given(item.to_owned()),
                    key_place: place.clone(),
                    place: place.clone(),
                };
                Some(items.map(node).collect())
            }
            _ => None,
        }
    }
}

/// Between backticks, on one line, and not longer than a message bears.
pub(super) fn quoted(text: &str) -> String {
    const CHARACTERS_MAX: usize = 100;
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let mut shown: String = text
        .chars()
        .take(CHARACTERS_MAX)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if text.chars().nth(CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
