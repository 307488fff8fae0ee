//! Topic files: what the people who run the system watch, as they write it.
//!
//! A file is read whole and every mistake in it is told at once, with its line and, where one can
//! be guessed, the right word. Knows one file at a time; what several files get wrong together is
//! found by `matching`.

use record::diagnostic::{Diagnostic, Place};
use record::document::{Node, Table, Value, parse_toml};
use record::kind::{CRISIS_INHABITANTS_LEAST, CRISIS_LONGEST, Kind};
use record::time::{self, DAY, Micros};

use crate::calendar::{Date, Days};

/// What one file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFile {
    pub topics: Vec<Topic>,
    pub voices: Vec<VoiceRules>,
}

/// A subject watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub id: String,
    pub kind: Kind,
    pub name: String,
    pub tags: Vec<Entry>,
    pub phrases: Vec<Entry>,
    pub exclude_tags: Vec<Entry>,
    pub exclude_phrases: Vec<Entry>,
    /// Tags that it knowingly shares with another topic; `lint` asks both to say so.
    pub shared: Vec<Entry>,
    /// Where what it counts is set out by those who know; every narrative names one.
    pub source: Option<String>,
    /// When it must have been looked at again.
    pub review: Option<Date>,
    /// The days of every year that a campaign is about.
    pub days: Vec<Days>,
    /// Where and how long a crisis is watched; templates have none yet.
    pub crisis: Option<Crisis>,
    /// Where it was written.
    pub file: String,
    pub line: usize,
}

/// For whom, how long and why a crisis topic is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crisis {
    /// The polygon's code.
    pub region: String,
    /// How many people live in it.
    pub inhabitants: u64,
    pub from: Micros,
    /// Posts from this instant on don't count for it.
    pub until: Micros,
    pub reason: String,
    /// Who said so.
    pub by: String,
}

/// A tag or phrase of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Of the language as written, or `any`.
    pub lang: String,
    pub text: String,
    pub line: usize,
}

/// By which phrases the voice of a post is told in one language; see `voice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceRules {
    pub lang: String,
    pub own: Vec<Entry>,
    /// Take back what `own` says.
    pub not: Vec<Entry>,
    pub news: Vec<Entry>,
    /// Of narratives: the claim is asked about.
    pub asks: Vec<Entry>,
    /// Of narratives: the claim is contradicted.
    pub counters: Vec<Entry>,
    pub file: String,
    pub line: usize,
}

/// The topics of the file `file`, or all errors in it, in order of lines.
pub fn parse(file: &str, text: &str) -> Result<TopicFile, Vec<Diagnostic>> {
    let (document, syntax) = parse_toml(text, |line| Place::File { file: file.to_owned(), line });
    let mut reader = Reader { file, errors: Vec::new() };
    let (topics, voices) = reader.document(&document);
    if let Some(broken) = syntax.iter().map(|error| &error.place).min() {
        // Errors after broken syntax would be guesses, and what is missing may be hidden by it.
        reader.errors.retain(|error| error.place < *broken && !error.message.contains(WITHOUT));
    }
    let mut errors = reader.errors;
    errors.extend(syntax);
    if errors.is_empty() {
        return Ok(TopicFile { topics, voices });
    }
    errors.sort_by(|a, b| a.place.cmp(&b.place));
    Err(errors)
}

const WITHOUT: &str = "without";

pub(crate) const ANY: &str = "any";

struct Reader<'file> {
    file: &'file str,
    errors: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn document(&mut self, document: &Table) -> (Vec<Topic>, Vec<VoiceRules>) {
        self.check_keys(document, "a topic file", &["topic", "voice"]);
        let topics = self.tables(document, "topic");
        let topics = topics.iter().filter_map(|(at, table)| self.topic(at, table)).collect();
        let voices = self.tables(document, "voice");
        let voices = voices.iter().filter_map(|(at, table)| self.voice(at, table)).collect();
        (topics, voices)
    }

    /// The tables written as `[[key]]`, and where.
    fn tables<'value>(
        &mut self,
        document: &'value Table,
        key: &str,
    ) -> Vec<(&'value Place, &'value Table)> {
        let Some(value) = document.get(key) else {
            return Vec::new();
        };
        let hint = || Some(format!("write `[[{key}]]`, with two brackets, before each {key}"));
        let Value::List(items) = &value.value else {
            self.problem(
                &value.place,
                format!("`{key}` is {}, not a list of tables", kind_of(value)),
                hint(),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match &item.value {
                Value::Table(table) => tables.push((&item.place, table)),
                _ => self.problem(
                    &item.place,
                    format!("a {key} is a table, not {}", kind_of(item)),
                    hint(),
                ),
            }
        }
        tables
    }

    fn topic(&mut self, at: &Place, table: &Table) -> Option<Topic> {
        let known = [
            "id", "kind", "name", "tags", "phrases", "exclude", "shared", "source", "review",
            "days", "crisis",
        ];
        self.check_keys(table, "`[[topic]]`", &known);
        let id = self.required_string(at, table, "topic", "id");
        let kind = self
            .required_string(at, table, "topic", "kind")
            .and_then(|(kind, at)| self.kind(kind, at));
        let name = self.required_string(at, table, "topic", "name");
        let tags = self.by_language(table, "tags");
        let phrases = self.by_language(table, "phrases");
        let (exclude_tags, exclude_phrases) = self.exclude(table);
        let shared =
            table.get("shared").map(|value| self.strings(value, "shared", ANY)).unwrap_or_default();
        let source = self.source(table);
        let review = self.review(table);
        let days = self.days(table);
        let crisis = self.crisis(table, kind);
        let (id, at) = id?;
        Some(Topic {
            id: id.to_owned(),
            kind: kind?,
            name: name?.0.to_owned(),
            tags,
            phrases,
            exclude_tags,
            exclude_phrases,
            shared,
            source,
            review,
            days,
            crisis,
            file: self.file.to_owned(),
            line: at.line(),
        })
    }

    fn crisis(&mut self, topic: &Table, kind: Option<Kind>) -> Option<Crisis> {
        let value = topic.get("crisis")?;
        let (at, of) = (&value.place, "crisis");
        let Value::Table(table) = &value.value else {
            let hint = Some("`pumphandle crisis start` writes it".to_owned());
            self.problem(at, format!("`crisis` is {}, not a table", kind_of(value)), hint);
            return None;
        };
        if kind.is_some_and(|kind| kind != Kind::Crisis) {
            self.problem(
                at,
                "`crisis` in a topic of another kind".to_owned(),
                Some("write `kind = \"crisis\"`".to_owned()),
            );
        }
        self.check_keys(
            table,
            "`crisis`",
            &["region", "inhabitants", "from", "until", "reason", "by"],
        );
        let region = self.required_string(at, table, of, "region");
        let inhabitants = self.inhabitants(at, table);
        let from = self.instant(at, table, "from");
        let until = self.instant(at, table, "until");
        let reason = self.required_string(at, table, of, "reason");
        let by = self.required_string(at, table, of, "by");
        let (from, until) = (from?, until?);
        if until <= from || until - from > CRISIS_LONGEST {
            let message = format!(
                "a crisis of at most {} days ends after it begins, not at {}",
                CRISIS_LONGEST / DAY,
                time::display(until)
            );
            self.problem(
                at,
                message,
                Some(
                    "after that it is no crisis any more: make a topic of another kind".to_owned(),
                ),
            );
            return None;
        }
        let text = |found: Option<(&str, &Place)>| Some(found?.0.to_owned());
        Some(Crisis {
            region: text(region)?,
            inhabitants: inhabitants?,
            from,
            until,
            reason: text(reason)?,
            by: text(by)?,
        })
    }

    fn inhabitants(&mut self, at: &Place, crisis: &Table) -> Option<u64> {
        let number = crisis.get("inhabitants").and_then(|value| match &value.value {
            Value::Number(number) => number.replace('_', "").parse::<u64>().ok(),
            _ => None,
        });
        let number = number.filter(|number| *number >= CRISIS_INHABITANTS_LEAST);
        if number.is_none() {
            let hint =
                "say how many people live in the polygon; a smaller one would tell of too few";
            self.problem(
                at,
                format!("a crisis needs `inhabitants` of {CRISIS_INHABITANTS_LEAST} or more"),
                Some(hint.to_owned()),
            );
        }
        number
    }

    fn instant(&mut self, at: &Place, table: &Table, key: &str) -> Option<Micros> {
        let (text, at) = self.required_string(at, table, "crisis", key)?;
        let instant = time::parse(text);
        if instant.is_err() {
            let hint = Some("write `\"2026-12-10T00:00:00Z\"`".to_owned());
            self.problem(at, format!("`{key}` is `{text}`, which is no instant"), hint);
        }
        instant.ok()
    }

    fn voice(&mut self, at: &Place, table: &Table) -> Option<VoiceRules> {
        self.check_keys(table, "`[[voice]]`", &["lang", "own", "not", "news", "asks", "counters"]);
        let lang = self.required_string(at, table, "voice", "lang");
        if let Some((lang, at)) = &lang {
            self.check_language(lang, at, "lang");
        }
        let (lang, at) = lang?;
        let mut list =
            |key| table.get(key).map(|value| self.strings(value, key, lang)).unwrap_or_default();
        let (own, not, news) = (list("own"), list("not"), list("news"));
        let (asks, counters) = (list("asks"), list("counters"));
        let (file, line) = (self.file.to_owned(), at.line());
        Some(VoiceRules { lang: lang.to_owned(), own, not, news, asks, counters, file, line })
    }

    fn source(&mut self, topic: &Table) -> Option<String> {
        let (text, at) = self.string(topic, "source")?;
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        if host.is_none_or(|host| !host.contains('.') || text.contains(char::is_whitespace)) {
            let hint =
                Some("write the address of a page, such as `https://www.who.int/…`".to_owned());
            self.problem(at, format!("`source` is `{text}`, which is no address"), hint);
            return None;
        }
        Some(text.to_owned())
    }

    fn review(&mut self, topic: &Table) -> Option<Date> {
        let (text, at) = self.string(topic, "review")?;
        let date = Date::parse(text);
        if date.is_none() {
            let hint = Some("write it as `\"2027-01-31\"`".to_owned());
            self.problem(at, format!("`review` is `{text}`, which is no day"), hint);
        }
        date
    }

    fn days(&mut self, topic: &Table) -> Vec<Days> {
        let Some(value) = topic.get("days") else {
            return Vec::new();
        };
        let mut days = Vec::new();
        for entry in self.strings(value, "days", ANY) {
            match Days::parse(&entry.text) {
                Some(parsed) => days.push(parsed),
                None => {
                    let hint = Some(
                        "write `\"03-24\"`, or `\"04-24/04-30\"` for a week; what runs over \
                            new year is two of them"
                            .to_owned(),
                    );
                    self.problem(
                        &value.place,
                        format!("`days` holds `{}`, which is no day of a year", entry.text),
                        hint,
                    );
                }
            }
        }
        days
    }

    fn kind(&mut self, name: &str, at: &Place) -> Option<Kind> {
        let kind = Kind::parse(name);
        if kind.is_none() {
            let names = Kind::ALL.map(Kind::name);
            let hint =
                nearest(name, &names).unwrap_or_else(|| format!("one of {}", names.join(", ")));
            self.problem(at, format!("unknown kind `{name}`"), Some(hint));
        }
        kind
    }

    fn exclude(&mut self, topic: &Table) -> (Vec<Entry>, Vec<Entry>) {
        let Some(exclude) = topic.get("exclude") else {
            return (Vec::new(), Vec::new());
        };
        let Value::Table(table) = &exclude.value else {
            let hint = Some("write `exclude = { tags = [\"…\"], phrases = [\"…\"] }`".to_owned());
            self.problem(
                &exclude.place,
                format!("`exclude` is {}, not a table", kind_of(exclude)),
                hint,
            );
            return (Vec::new(), Vec::new());
        };
        self.check_keys(table, "`exclude`", &["tags", "phrases"]);
        let mut list =
            |key| table.get(key).map(|value| self.strings(value, key, ANY)).unwrap_or_default();
        (list("tags"), list("phrases"))
    }

    fn by_language(&mut self, topic: &Table, key: &str) -> Vec<Entry> {
        let Some(value) = topic.get(key) else {
            return Vec::new();
        };
        let Value::Table(languages) = &value.value else {
            let hint = Some(format!("write `{key} = {{ any = [\"…\"], fr = [\"…\"] }}`"));
            self.problem(
                &value.place,
                format!("`{key}` is {}, not a table of languages", kind_of(value)),
                hint,
            );
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (language, list) in languages {
            self.check_language(language, &list.key_place, key);
            entries.extend(self.strings(list, key, language));
        }
        // Tables are sorted by key; people and messages follow the file.
        entries.sort_by_key(|entry| entry.line);
        entries
    }

    fn strings(&mut self, value: &Node, key: &str, lang: &str) -> Vec<Entry> {
        let Value::List(items) = &value.value else {
            let hint = Some("write a list, even of one: `[\"…\"]`".to_owned());
            self.problem(
                &value.place,
                format!("`{key}` holds {}, not a list of strings", kind_of(value)),
                hint,
            );
            return Vec::new();
        };
        let mut entries = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(text) => {
                    let line = item.place.line();
                    entries.push(Entry { lang: lang.to_owned(), text: text.to_string(), line });
                }
                _ => self.problem(
                    &item.place,
                    format!("`{key}` holds {}, not a string", kind_of(item)),
                    None,
                ),
            }
        }
        entries
    }

    fn check_language(&mut self, name: &str, at: &Place, of: &str) {
        if !is_language(name) {
            let hint = Some(
                "a language is a code of ISO 639 in small letters such as `fr`, or `any`"
                    .to_owned(),
            );
            self.problem(at, format!("`{name}` is not a language in `{of}`"), hint);
        }
    }

    fn required_string<'value>(
        &mut self,
        at: &Place,
        table: &'value Table,
        of: &str,
        key: &str,
    ) -> Option<(&'value str, &'value Place)> {
        if !table.contains_key(key) {
            self.problem(at, format!("a {of} {WITHOUT} `{key}`"), None);
        }
        self.string(table, key)
    }

    fn string<'value>(
        &mut self,
        table: &'value Table,
        key: &str,
    ) -> Option<(&'value str, &'value Place)> {
        let value = table.get(key)?;
        match &value.value {
            Value::Text(text) if !text.trim().is_empty() => Some((text.as_ref(), &value.place)),
            Value::Text(_) => {
                self.problem(&value.place, format!("`{key}` is empty"), None);
                None
            }
            _ => {
                self.problem(
                    &value.place,
                    format!("`{key}` is {}, not a string", kind_of(value)),
                    None,
                );
                None
            }
        }
    }

    fn check_keys(&mut self, table: &Table, of: &str, known: &[&str]) {
        for (key, node) in table {
            if !known.contains(&key.as_str()) {
                let message = format!("unknown key `{key}` in {of}");
                self.problem(&node.key_place, message, nearest(key, known));
            }
        }
    }

    fn problem(&mut self, at: &Place, message: String, hint: Option<String>) {
        self.errors.push(Diagnostic { hint, ..Diagnostic::new(at, message) });
    }
}

fn kind_of(value: &Node) -> &'static str {
    match &value.value {
        Value::Text(_) | Value::Given(_) => "a string",
        Value::Number(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Date(_) => "a date",
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// `any`, or a primary language subtag with or without further ones.
fn is_language(name: &str) -> bool {
    let primary = name.split('-').next().unwrap_or(name);
    let is_primary = primary == ANY || record::language::find(primary).is_some();
    is_primary
        && primary.bytes().all(|byte| byte.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn nearest(name: &str, known: &[&str]) -> Option<String> {
    let by_distance = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), *known));
    let (distance, nearest) = by_distance.min()?;
    (distance <= 2 && distance < nearest.len()).then(|| format!("did you mean `{nearest}`?"))
}
