//! An alert in words: the sentence an official reads first, how rare it is, and what stands beside it.
//!
//! English for now. Rarity in words, never p-values; every number with what was expected; posts, not cases.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use record::time::{DAY, HOUR, Micros};
use record::{Alert, AlertState, Stage, region};

/// A code and its name a line.
const NAMES: &str = include_str!("../data/names.txt");

static KNOWN: LazyLock<BTreeMap<&'static str, &'static str>> =
    LazyLock::new(|| NAMES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' ')).collect());

/// Countries that take an article in a sentence.
const WITH_ARTICLE: [&str; 15] = ["AE", "BS", "CF", "DO", "FK", "GB", "GM", "IM", "KM", "KY", "MV", "NL", "PH", "SB", "US"];

/// What regions are called, and sentences made of that.
#[derive(Debug, Clone, Default)]
pub struct Words {
    regions: BTreeMap<String, BTreeMap<String, String>>,
}

/// The languages of the page; sentences here are English, the page makes its own.
pub(crate) const LANGUAGES: [&str; 4] = ["en", "fr", "es", "de"];

impl Words {
    /// The operator's and the atlas's names come before those known here.
    pub fn new(regions: BTreeMap<String, BTreeMap<String, String>>) -> Words {
        Words { regions }
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

    /// `in Germany`, `worldwide`, `in German`.
    fn place(&self, code: &str) -> String {
        match code {
            region::WORLD => "worldwide".to_owned(),
            region::UNLOCATED => "from places unknown".to_owned(),
            region::NO_LANGUAGE => "in no stated language".to_owned(),
            _ if WITH_ARTICLE.contains(&code) => format!("in the {}", self.region(code)),
            _ => format!("in {}", self.region(code)),
        }
    }

    pub fn title(&self, alert: &Alert) -> String {
        format!("{} · {}", alert.topic_name, self.region(&alert.region))
    }

    /// `23 accounts posted about fever in Bavaria in the 24 h to Tue 13 Jan 14:00 UTC; 6 expected, bound 11.`
    pub fn sentence(&self, alert: &Alert) -> String {
        let accounts = counted(alert.observed.into(), "account", "accounts");
        let topic = in_sentence(&alert.topic_name);
        let place = self.place(&alert.region);
        let window = span(alert.window_length);
        let end = instant(alert.window_end);
        let (expected, bound) = (decimal(alert.expected), decimal(alert.upperbound));
        let withdrawn = if alert.state == AlertState::Withdrawn { "Withdrawn: " } else { "" };
        let when = match alert.stage {
            Stage::Early if alert.state == AlertState::Open => format!("so far in the {window} that end {end}"),
            Stage::Early | Stage::Closed | Stage::Final => format!("in the {window} to {end}"),
        };
        format!("{withdrawn}{accounts} posted about {topic} {place} {when}; {expected} expected, bound {bound}.")
    }

    /// What follows the sentence: `By chance about once a year. 14 of 26 sampled posts are first-person, 3 link to news. Posts, not cases.`
    pub fn rest(&self, alert: &Alert) -> String {
        let mut parts = Vec::new();
        if let Some(days) = alert.recurrence {
            parts.push(format!("By chance {} in one series.", rarity(days).to_lowercase()));
        }
        let explanation = &alert.explanation;
        if explanation.sampled > 0 {
            let of = counted(explanation.sampled.into(), "sampled post", "sampled posts");
            parts.push(format!("Of {of} {} first-person, {} to news.", is_are(explanation.own), link(explanation.news)));
        }
        if alert.coverage < 0.995 {
            parts.push(format!("{} of the posts of these hours were seen.", percent(alert.coverage)));
        }
        if alert.stage == Stage::Early && alert.state == AlertState::Open {
            parts.push("This window is still open: its close confirms or withdraws the alert.".to_owned());
        }
        parts.push("Posts, not cases.".to_owned());
        parts.join(" ")
    }

    /// `About once a year`; none until it has been measured.
    pub fn rarity(&self, alert: &Alert) -> Option<String> {
        alert.recurrence.map(rarity)
    }
}

/// The sentence of an alert, with the names known here only.
pub fn sentence(alert: &Alert) -> String {
    Words::default().sentence(alert)
}

/// Mean time between false episodes, in words.
fn rarity(days: f64) -> String {
    let times = |times: f64| {
        let names = ["three", "four", "five", "six", "seven", "eight"];
        let number = times.round();
        let at = (number as usize).checked_sub(3);
        at.and_then(|at| names.get(at)).map_or_else(|| number.to_string(), |name| (*name).to_owned())
    };
    match days {
        _ if days >= 3_650.0 => "Less than once in 10 years".to_owned(),
        _ if days >= 548.0 => format!("About once in {} years", (days / 365.25).round()),
        _ if days >= 274.0 => "About once a year".to_owned(),
        _ if days >= 146.0 => "About twice a year".to_owned(),
        _ if days >= 43.0 => format!("About {} times a year", times(365.25 / days)),
        _ if days >= 21.0 => "About once a month".to_owned(),
        _ if days >= 11.0 => "About twice a month".to_owned(),
        _ if days >= 5.0 => "About once a week".to_owned(),
        _ => "More than once a week".to_owned(),
    }
}

/// `Influenza` inside a sentence is `influenza`; `COVID-19` stays.
fn in_sentence(name: &str) -> String {
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => first.to_lowercase().chain([second]).chain(letters).collect(),
        _ => name.to_owned(),
    }
}

fn is_are(number: u32) -> String {
    match number {
        0 => "none is".to_owned(),
        1 => "1 is".to_owned(),
        _ => format!("{} are", grouped(number.into())),
    }
}

fn link(number: u32) -> String {
    match number {
        0 => "none links".to_owned(),
        1 => "1 links".to_owned(),
        _ => format!("{} link", grouped(number.into())),
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One decimal below ten, unless it is zero.
fn decimal(number: f64) -> String {
    let tenths = (number * 10.0).round() / 10.0;
    if tenths.abs() < 10.0 && tenths.fract() != 0.0 { format!("{tenths:.1}") } else { grouped(number.max(0.0).round() as u64) }
}

/// Never 100 % of what was not whole.
fn percent(share: f64) -> String {
    format!("{} %", (share * 100.0).round().clamp(0.0, 99.0))
}

fn span(length: Micros) -> String {
    if length > DAY && length % DAY == 0 { format!("{} days", length / DAY) } else { format!("{} h", length / HOUR) }
}

/// `Tue 13 Jan 14:00 UTC`.
fn instant(at: Micros) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let shown = record::time::display(at);
    let field = |from: usize, to: usize| shown.get(from..to).unwrap_or_default();
    let Some(month) = field(5, 7).parse().ok().and_then(|month: usize| MONTHS.get(month.wrapping_sub(1))) else { return shown };
    let weekday = WEEKDAYS[at.div_euclid(DAY).rem_euclid(7) as usize];
    format!("{weekday} {} {month} {} UTC", field(8, 10).trim_start_matches('0'), field(11, 16))
}

#[cfg(test)]
mod tests;
