//! Names of regions and topics on the page and in the API's answers.
//!
//! Alerts are put into words by [`crate::Describe`], from outside of this crate.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use record::{Alert, region};

/// A code and its name a line.
const NAMES: &str = include_str!("../data/names.txt");

static KNOWN: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    NAMES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .collect()
});

/// What regions and topics are called.
#[derive(Debug, Clone, Default)]
pub struct Words {
    regions: BTreeMap<String, BTreeMap<String, String>>,
    topics: BTreeMap<String, BTreeMap<String, String>>,
}

/// The languages of page and API.
pub(crate) const LANGUAGES: [&str; 4] = ["en", "fr", "es", "de"];

impl Words {
    /// The operator's and the atlas's names come before those known here.
    pub fn new(
        regions: BTreeMap<String, BTreeMap<String, String>>,
        topics: BTreeMap<String, BTreeMap<String, String>>,
    ) -> Words {
        Words { regions, topics }
    }

    /// What a topic is called in a language; else as its file calls it.
    pub(crate) fn topic(&self, id: &str, named: &str, language: &str) -> String {
        self.topics
            .get(id)
            .and_then(|names| names.get(language))
            .map_or_else(|| named.to_owned(), String::clone)
    }

    /// `Germany`, `DE-BY (Germany)` where the first level has no name here, `German` of a language.
    pub fn region(&self, code: &str) -> String {
        if let Some(name) = self.name(code) {
            return name.to_owned();
        }
        match (code, code.split_once('-')) {
            (region::WORLD, _) => "World".to_owned(),
            (region::UNLOCATED, _) => "Place unknown".to_owned(),
            (region::NO_LANGUAGE, _) => "Language not stated".to_owned(),
            (_, Some((country, _))) => match self.name(country) {
                Some(name) => format!("{code} ({name})"),
                None => code.to_owned(),
            },
            _ => code.to_owned(),
        }
    }

    /// Whether a region or language has a name here.
    pub(crate) fn knows(&self, code: &str) -> bool {
        self.name(code).is_some()
    }

    fn name(&self, code: &str) -> Option<&str> {
        self.named(code, "en").or_else(|| KNOWN.get(code).copied())
    }

    fn named(&self, code: &str, language: &str) -> Option<&str> {
        self.regions.get(code)?.get(language).map(String::as_str)
    }

    /// What a region is called in a language, as far as that is known; else in English.
    pub(crate) fn region_in(&self, code: &str, language: &str) -> String {
        self.named(code, language).map_or_else(|| self.region(code), str::to_owned)
    }

    pub(crate) fn title(&self, alert: &Alert, language: &str) -> String {
        format!(
            "{} · {}",
            self.topic(&alert.topic, &alert.topic_name, language),
            self.region_in(&alert.region, language)
        )
    }
}

#[cfg(test)]
mod tests;
