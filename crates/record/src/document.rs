//! TOML documents with the place of every key and value.
//!
//! Read by the configuration and by topic files.
//! Knows the syntax; knows no section, no key and no file.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Place};

pub type Table = BTreeMap<String, Node>;

/// A value and its places.
#[derive(Debug, Clone)]
pub struct Node {
    pub value: Value,
    /// The place of its key; for an element of a list that of the element.
    pub key_place: Place,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub enum Value {
    Text(String),
    /// In decimal digits.
    Number(String),
    Boolean(bool),
    Date(String),
    List(Vec<Node>),
    Table(Table),
    /// From the environment or `--set`: its key decides the type.
    Given(String),
}

impl Node {
    /// A node without a key of its own.
    pub fn new(value: Value, place: &Place) -> Node {
        Node { value, key_place: place.clone(), place: place.clone() }
    }
}

/// The table of a TOML text, as far as it could be read, and all errors of syntax.
/// `place` is the place of a line, counted from one.
pub fn parse_toml(text: &str, place: impl Fn(usize) -> Place) -> (Table, Vec<Diagnostic>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1)).collect();
    let place_at = |offset: usize| place(starts.partition_point(|&start| start <= offset));
    let mut diagnostics = Vec::new();
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let quoted = text.get(span.clone()).unwrap_or_default().trim();
        let message = match error.message() {
            "duplicate key" => format!("duplicate key `{quoted}`"),
            message => message.replace('\n', ", "),
        };
        let hint = syntax_hint(&message);
        diagnostics.push(Diagnostic::new(&place_at(span.start), message).hint(hint));
    }
    (read_table(document.get_ref(), &place_at), diagnostics)
}

/// What to do about an error of syntax.
pub fn syntax_hint(message: &str) -> &'static str {
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

fn read_table(table: &DeTable<'_>, place_at: &dyn Fn(usize) -> Place) -> Table {
    let nodes = table.iter().map(|(key, value)| {
        let key_place = place_at(key.span().start);
        (key.get_ref().to_string(), Node { key_place, ..read_node(value, place_at) })
    });
    nodes.collect()
}

fn read_node(node: &Spanned<DeValue<'_>>, place_at: &dyn Fn(usize) -> Place) -> Node {
    let value = match node.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Number(
            i128::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()),
        ),
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|item| read_node(item, place_at)).collect())
        }
        DeValue::Table(table) => Value::Table(read_table(table, place_at)),
    };
    Node::new(value, &place_at(node.span().start))
}

impl Value {
    /// For messages: the value, or its type where it is long.
    pub fn shown(&self) -> String {
        match self {
            Value::Text(text) | Value::Number(text) | Value::Date(text) | Value::Given(text) => {
                quoted(text)
            }
            Value::Boolean(value) => format!("`{value}`"),
            Value::List(_) => "(a list)".to_owned(),
            Value::Table(_) => "(a table)".to_owned(),
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Given(text) => Some(text),
            _ => None,
        }
    }

    pub fn number(&self) -> Option<&str> {
        match self {
            Value::Number(text) | Value::Given(text) => Some(text.trim()),
            _ => None,
        }
    }

    pub fn boolean(&self) -> Option<bool> {
        match self {
            Value::Boolean(value) => Some(*value),
            Value::Given(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

impl Node {
    /// The elements of `["a", "b"]`, and of `a,b` from outside.
    pub fn items(&self) -> Option<Vec<Node>> {
        match &self.value {
            Value::List(items) => Some(items.clone()),
            Value::Given(text) if text.trim_start().starts_with('[') => {
                let (mut table, errors) =
                    parse_toml(&format!("list = {text}"), |_| self.place.clone());
                match table.remove("list")?.value {
                    Value::List(items) if errors.is_empty() => Some(items),
                    _ => None,
                }
            }
            Value::Given(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                let node = |item: &str| Node::new(Value::Given(item.to_owned()), &self.place);
                Some(items.map(node).collect())
            }
            _ => None,
        }
    }
}

/// Between backticks, on one line, at most 100 characters.
pub fn quoted(text: &str) -> String {
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
