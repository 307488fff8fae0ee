//! An alert in words, in four languages: a sentence, its rarity, context, doubt and checks.
//!
//! Mail, feeds, webhooks, the API, the page and the command line all take their words from here.
//! The texts are files of Project Fluent in `words/`, one for each language; this module decides
//! which message is shown with which arguments. Rarity in words, never p-values; every number with
//! what was expected; posts, not cases. Text only: markup is escaped by its writer.

use std::borrow::Cow;
use std::sync::LazyLock;

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use record::alerts::{Course, Phase, Point};
use record::public::Rise;
use record::time::{DAY, HOUR, Micros};
use record::{Alert, AlertState, Outcome, Stage, Suspect};

use crate::zone::{Local, Zone};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    English,
    French,
    Spanish,
    German,
}

impl Language {
    pub const ALL: [Language; 4] =
        [Language::English, Language::French, Language::Spanish, Language::German];

    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::French => "fr",
            Language::Spanish => "es",
            Language::German => "de",
        }
    }

    pub fn parse(code: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.code() == code)
    }

    /// Its messages.
    fn source(self) -> &'static str {
        match self {
            Language::English => include_str!("../words/en.ftl"),
            Language::French => include_str!("../words/fr.ftl"),
            Language::Spanish => include_str!("../words/es.ftl"),
            Language::German => include_str!("../words/de.ftl"),
        }
    }
}

/// Arguments of a message by name.
macro_rules! args {
    ($($name:literal => $value:expr),* $(,)?) => {
        FluentArgs::from_iter(Vec::<(&str, FluentValue<'_>)>::from([$(($name, $value.into())),*]))
    };
}

type Bundle = FluentBundle<FluentResource>;

static BUNDLES: LazyLock<[Bundle; 4]> = LazyLock::new(|| Language::ALL.map(bundle));

fn bundle(language: Language) -> Bundle {
    let code = language.code().parse().expect("each code is a language tag");
    let mut bundle = Bundle::new_concurrent(vec![code]);
    // Marks around each argument are for text of mixed direction; none of the four needs them.
    bundle.set_use_isolating(false);
    let resource = FluentResource::try_new(language.source().to_owned());
    bundle.add_resource_overriding(resource.expect("a test parses each file"));
    bundle
}

/// The message with its arguments.
fn say(language: Language, id: &str, args: &FluentArgs<'_>) -> String {
    let bundle = &BUNDLES[language as usize];
    let message = bundle.get_message(id).and_then(|message| message.value());
    let message = message.expect("a test compares the messages of each file with those used");
    let mut errors = Vec::new();
    let text = bundle.format_pattern(message, Some(args), &mut errors).into_owned();
    debug_assert!(errors.is_empty(), "{id} in {language:?}: {errors:?}");
    text
}

/// The message if it exists and takes no arguments.
fn text(language: Language, id: &str) -> Option<&'static str> {
    let bundle = &BUNDLES[language as usize];
    let message = bundle.get_message(id)?.value()?;
    match bundle.format_pattern(message, None, &mut Vec::new()) {
        Cow::Borrowed(text) => Some(text),
        Cow::Owned(_) => None,
    }
}

/// What things are called; `None` where a language has no name of its own.
pub trait Names {
    fn region(&self, code: &str, language: Language) -> Option<String>;
    fn topic(&self, id: &str, language: Language) -> Option<String>;
    /// Whether a hashtag is one of those that the topic counts.
    fn is_own_tag(&self, _topic: &str, _tag: &str) -> bool {
        false
    }
    /// Campaigns with days in an alert's window that its posts are about.
    fn campaigns(&self, _alert: &Alert, _language: Language) -> Vec<String> {
        Vec::new()
    }
}

/// What is said of an alert beside what it carries, and to whom.
#[derive(Clone, Copy)]
pub struct Telling<'a> {
    pub language: Language,
    pub zone: &'a Zone,
    pub names: &'a dyn Names,
    /// Among how many series the recurrence is measured: those of the reader's subscription; 0: all
    /// that are watched.
    pub series: u32,
    /// Outcomes of the last alerts of this topic here, latest first.
    pub history: &'a [Outcome],
    /// Stands in place of every number where the public is the reader.
    pub rise: Option<Rise>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    WhatToCheck,
    Open,
    Inbox,
    Accounts,
    Ratio,
    Detectable,
    Voice,
    News,
    Seen,
    PerMillion,
    Simulated,
    Trend,
    Bound,
    Digest,
    NothingUnusual,
    Silence,
    Outage,
    Cause,
    Doubtful,
    Provisional,
    Escalated,
    New,
    Updated,
    BelowTheLine,
    Degraded,
    Recovered,
    Test,
    TestMeans,
}

impl Label {
    fn id(self) -> &'static str {
        match self {
            Label::WhatToCheck => "label-what-to-check",
            Label::Open => "label-open",
            Label::Inbox => "label-inbox",
            Label::Accounts => "label-accounts",
            Label::Ratio => "label-ratio",
            Label::Detectable => "label-detectable",
            Label::Voice => "label-voice",
            Label::News => "label-news",
            Label::Seen => "label-seen",
            Label::PerMillion => "label-per-million",
            Label::Simulated => "label-simulated",
            Label::Trend => "label-trend",
            Label::Bound => "label-bound",
            Label::Digest => "label-digest",
            Label::NothingUnusual => "label-nothing-unusual",
            Label::Silence => "label-silence",
            Label::Outage => "label-outage",
            Label::Cause => "label-cause",
            Label::Doubtful => "label-doubtful",
            Label::Provisional => "label-provisional",
            Label::Escalated => "label-escalated",
            Label::New => "label-new",
            Label::Updated => "label-updated",
            Label::BelowTheLine => "label-below-the-line",
            Label::Degraded => "label-degraded",
            Label::Recovered => "label-recovered",
            Label::Test => "label-test",
            Label::TestMeans => "label-test-means",
        }
    }
}

/// The sentence that an official reads first.
pub fn headline(alert: &Alert, telling: &Telling<'_>) -> String {
    let language = telling.language;
    let (unit, length) = hours_or_days(alert.window_length);
    let window = if is_open(alert) { "open" } else { "closed" };
    let accounts = match telling.rise {
        Some(rise) => say(language, "rise", &args!["rise" => rise.name()]),
        None => {
            let shown = whole(alert.observed.into(), language);
            say(language, "accounts", &args!["count" => alert.observed, "shown" => shown])
        }
    };
    let posted = say(
        language,
        "posted",
        &args![
            "accounts" => accounts,
            "topic" => topic(alert, telling),
            "place" => place(alert, telling),
            "window" => window,
            "unit" => unit,
            "span" => say(language, "span", &args!["unit" => unit, "length" => length]),
            "end" => instant(alert.window_end, telling.zone, language),
        ],
    );
    let sentence = match telling.rise {
        Some(_) => format!("{posted}."),
        None => format!("{posted}{}{}.", semicolon(language), expected(alert, telling)),
    };
    or_withdrawn(alert, sentence, language)
}

/// How the rise went on after the alert was raised.
pub fn course(course: &Course, telling: &Telling<'_>) -> String {
    let language = telling.language;
    let count = |point: &Point| whole(point.observed.into(), language);
    let end = |end: Micros| instant(end, telling.zone, language);
    let is_highest = course.latest == course.peak && course.phase != Phase::Ended;
    let args = args![
        "peak" => count(&course.peak),
        "at" => end(course.peak.end),
        "now" => count(&course.latest),
        "end" => end(course.latest.end),
        "phase" => course.phase.name(),
    ];
    let id = if is_highest { "course-highest" } else { "course" };
    let since = course
        .below_since
        .map(|since| format!(" {}", say(language, "course-below", &args!["since" => end(since)])));
    say(language, id, &args) + &since.unwrap_or_default()
}

fn is_open(alert: &Alert) -> bool {
    alert.stage == Stage::Early && alert.state == AlertState::Open
}

fn or_withdrawn(alert: &Alert, text: String, language: Language) -> String {
    match alert.state {
        AlertState::Withdrawn => say(language, "withdrawn", &args!["text" => text]),
        _ => text,
    }
}

/// A condition's name and subject, such as `feed-silent bluesky`, in words: `source silent
/// (bluesky)`.
pub fn condition(name: &str, language: Language) -> String {
    let (what, subject) = name.split_once(' ').unwrap_or((name, ""));
    let words = plain(text(language, &format!("condition-{what}")).unwrap_or(what));
    if subject.is_empty() { words } else { format!("{words} ({})", plain(subject)) }
}

/// What follows the sentence: how rare, whose voice, how much was seen, what came before.
pub fn rest(alert: &Alert, telling: &Telling<'_>) -> String {
    let language = telling.language;
    let mut parts = Vec::new();
    if let Some(rarity) = rarity(alert, telling) {
        let args = args!["rarity" => rarity, "series" => telling.series];
        parts.push(say(language, "by-chance", &args));
    }
    let explanation = &alert.explanation;
    if explanation.sampled > 0 {
        let is_sample = explanation.sampled < alert.posts;
        let args = args![
            "own" => explanation.own,
            "news" => explanation.news,
            "of" => explanation.sampled,
        ];
        parts.push(say(language, if is_sample { "voices-sample" } else { "voices" }, &args));
    }
    if let Some(share) = alert.grounds.located_share.filter(|_| !alert.region.contains(':')) {
        let country = alert.region.split('-').next().unwrap_or(&alert.region);
        let args = args!["share" => percent(share), "place" => region(country, telling)];
        parts.push(say(language, "located", &args));
    }
    if alert.coverage < 0.995 {
        parts.push(say(language, "seen", &args!["share" => percent(alert.coverage)]));
    }
    parts.extend(history(telling));
    parts.extend(text(language, "posts-not-cases").map(str::to_owned));
    parts.join(" ")
}

/// `Last 3 alerts here: 1 event, 2 talk.`
fn history(telling: &Telling<'_>) -> Option<String> {
    let language = telling.language;
    let last = telling.history.get(..telling.history.len().min(3)).unwrap_or_default();
    let outcomes: Vec<String> = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome, last.iter().filter(|one| **one == outcome).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(outcome, count)| {
            let id = format!("outcome-{}", outcome.name());
            say(language, &id, &args!["number" => count])
        })
        .collect();
    let args = args!["number" => last.len(), "outcomes" => outcomes.join(", ")];
    (!last.is_empty()).then(|| say(language, "history", &args))
}

/// `About once a year by chance`, if it was simulated.
pub fn rarity(alert: &Alert, telling: &Telling<'_>) -> Option<String> {
    alert.recurrence.map(|days| once_in(days, telling.language))
}

/// How often chance alone would raise one of the reader's series so.
fn once_in(days: f64, language: Language) -> String {
    let a_year = 365.25 / days;
    let (id, number) = match days {
        _ if days >= 3_650.0 => ("rarity-below-ten-years", 0.0),
        _ if days >= 548.0 => ("rarity-years", (1.0 / a_year).round()),
        _ if days >= 274.0 => ("rarity-year", 1.0),
        _ if days >= 43.0 => ("rarity-year", a_year.round()),
        _ if days >= 21.0 => ("rarity-month", 1.0),
        _ if days >= 11.0 => ("rarity-month", 2.0),
        _ if days >= 5.0 => ("rarity-week", 0.0),
        _ => ("rarity-above-week", 0.0),
    };
    say(language, id, &args!["number" => number])
}

/// `Fever, Bavaria`.
pub fn title(alert: &Alert, telling: &Telling<'_>) -> String {
    let name = telling
        .names
        .topic(&alert.topic, telling.language)
        .unwrap_or_else(|| alert.topic_name.clone());
    format!("{}, {}", plain(&name), region(&alert.region, telling))
}

/// Why the numbers of an alert are less certain than usual.
pub fn doubt(alert: &Alert, telling: &Telling<'_>) -> Option<&'static str> {
    let label = match &alert.grounds {
        grounds if grounds.is_doubtful() => Label::Doubtful,
        grounds if grounds.provisional => Label::Provisional,
        _ => return None,
    };
    Some(self::label(telling.language, label))
}

/// [`rest`], and [`doubt`] where there is any.
pub(crate) fn rest_with_doubt(alert: &Alert, telling: &Telling<'_>) -> String {
    let doubt = doubt(alert, telling).map(|doubt| format!(" {doubt}"));
    rest(alert, telling) + doubt.as_deref().unwrap_or_default()
}

/// What to check, the most important first: at most three of what the alert shows, and a question
/// to people who would know.
pub fn checks(alert: &Alert, telling: &Telling<'_>) -> Vec<String> {
    let check = |id: &str, args: &FluentArgs<'_>| say(telling.language, id, args);
    let campaigns = telling.names.campaigns(alert, telling.language);
    let mut checks = Vec::new();
    if is_open(alert) {
        checks.push(check("check-open", &args![]));
    }
    if !campaigns.is_empty() {
        let names = plain(&campaigns.join(", "));
        checks.push(check("check-campaign", &args!["names" => names]));
    }
    if let Some(days) = alert.grounds.rising_days() {
        checks.push(check("check-slow-rise", &args!["days" => days]));
    }
    let explanation = &alert.explanation;
    let suspects = SUSPECTS.into_iter().filter(|suspect| alert.grounds.suspect.contains(suspect));
    checks.extend(suspects.map(|suspect| {
        let (id, posts) = match suspect {
            Suspect::OneAccount => ("check-one-account", explanation.most_by_one),
            Suspect::OneLink => ("check-one-link", 0),
            Suspect::PlatformGrowth => ("check-growth", 0),
            Suspect::NearCopies => ("check-near-copies", explanation.near_copies),
            Suspect::NewAccounts => ("check-new-accounts", explanation.new_accounts),
        };
        check(id, &args!["posts" => posts, "of" => explanation.sampled])
    }));
    if explanation.is_large(explanation.news) {
        let mut args = args!["posts" => explanation.news, "of" => explanation.sampled];
        checks.push(match explanation.link_domains.first() {
            Some((domain, _)) => {
                args.set("domain", plain(domain));
                check("check-news-domain", &args)
            }
            None => check("check-news", &args),
        });
    }
    if alert.has_gaps() {
        checks.push(check("check-coverage", &args!["share" => percent(alert.coverage)]));
    }
    // Tags are written by strangers.
    let others =
        explanation.tags.iter().filter(|(tag, _)| !telling.names.is_own_tag(&alert.topic, tag));
    let tags: Vec<String> = others.take(4).map(|(tag, _)| format!("#{}", plain(tag))).collect();
    if !tags.is_empty() {
        checks.push(check("check-tags", &args!["tags" => tags.join(" ")]));
    }
    let places: Vec<String> =
        other_regions(alert).take(5).map(|code| region(code, telling)).collect();
    if !places.is_empty() {
        checks.push(check("check-elsewhere", &args!["places" => places.join(", ")]));
    }
    checks.truncate(3);
    checks.push(check("check-ask", &args![]));
    checks
}

/// In the order in which they should be checked.
const SUSPECTS: [Suspect; 5] = [
    Suspect::OneAccount,
    Suspect::OneLink,
    Suspect::PlatformGrowth,
    Suspect::NearCopies,
    Suspect::NewAccounts,
];

/// Places in alarm too, neither the alert's own nor around it.
fn other_regions(alert: &Alert) -> impl Iterator<Item = &str> {
    let is_around = |code: &str| alert.region.starts_with(&format!("{code}-"));
    let codes = alert.regions.iter().map(String::as_str);
    codes.filter(move |code| *code != alert.region && !is_around(code) && is_place(code))
}

pub(crate) fn label(language: Language, label: Label) -> &'static str {
    text(language, label.id()).unwrap_or(label.id())
}

/// Why a reader gets a message, and how to change that: a line each.
pub(crate) fn reasons(
    language: Language,
    subscription: &str,
    page: Option<&str>,
    unsubscribes: Option<&str>,
) -> Vec<String> {
    let say = |id, name, value| say(language, id, &FluentArgs::from_iter([(name, value)]));
    let page = page.map(|page| say("change", "address", format!("{page}/subscriptions")));
    let by_mail = unsubscribes.map(|address| say("end-by-mail", "address", address.to_owned()));
    let why = say("why", "subscription", subscription.to_owned());
    [Some(why), page, by_mail].into_iter().flatten().collect()
}

/// What stands between a label and its text: French has a space before it.
pub(crate) fn colon(language: Language) -> &'static str {
    if language == Language::French { "\u{a0}: " } else { ": " }
}

/// The same between two parts of a sentence.
pub(crate) fn semicolon(language: Language) -> &'static str {
    if language == Language::French { "\u{a0}; " } else { "; " }
}

pub(crate) fn works(language: Language, new: u32, unacknowledged: u32) -> String {
    say(language, "works", &args!["new" => new, "open" => unacknowledged])
}

/// `3.8`, in the language's way.
pub(crate) fn number(value: f64, language: Language) -> String {
    decimal(value, language)
}

pub(crate) fn expected(alert: &Alert, telling: &Telling<'_>) -> String {
    let language = telling.language;
    let number = decimal(alert.expected, language);
    // The grammar follows the number as it is shown.
    let count = (alert.expected * 10.0).round() / 10.0;
    let mut args = args!["count" => count, "number" => number];
    match alert.grounds.expected_low.zip(alert.grounds.expected_high) {
        // In whole accounts, as on the page: what lies between is no count.
        Some((low, high)) => {
            args.set("low", decimal(low.floor(), language));
            args.set("high", decimal(high.ceil(), language));
            say(language, "expected", &args)
        }
        None => {
            args.set("bound", decimal(alert.upperbound, language));
            say(language, "expected-bound", &args)
        }
    }
}

/// `Tue 13 Jan 2026 14:00 CET`.
pub(crate) fn instant(at: Micros, zone: &Zone, language: Language) -> String {
    let Local { year, month, day_of_month, weekday, minute, zone, .. } = zone.local(at);
    let named = |id, number: u8| say(language, id, &args!["number" => number]);
    say(
        language,
        "end",
        &args![
            "weekday" => named("weekday", weekday),
            "day" => day_of_month,
            "month" => named("month", month),
            "year" => year.to_string(),
            "time" => format!("{:02}:{:02}", minute / 60, minute % 60),
            "zone" => say(language, "zone", &args!["zone" => zone]),
        ],
    )
}

/// Not the world, a language, or unlocated posts.
fn is_place(code: &str) -> bool {
    !code.contains(':') && code != record::region::WORLD && code != record::region::UNLOCATED
}

fn topic(alert: &Alert, telling: &Telling<'_>) -> String {
    let name = telling
        .names
        .topic(&alert.topic, telling.language)
        .unwrap_or_else(|| alert.topic_name.clone());
    in_sentence(&plain(&name), telling.language)
}

/// A region's name in the reader's language, else its code.
pub fn region(code: &str, telling: &Telling<'_>) -> String {
    let language = telling.language;
    outside_of_places(code, language).map(str::to_owned).unwrap_or_else(|| {
        let spoken = code
            .strip_prefix("lang:")
            .and_then(|spoken| text(language, &format!("language-{spoken}")))
            .map(str::to_owned);
        let name = spoken.or_else(|| telling.names.region(code, language));
        plain(name.as_deref().unwrap_or(code))
    })
}

/// The world and unlocated posts.
fn outside_of_places(code: &str, language: Language) -> Option<&'static str> {
    match code {
        record::region::WORLD => text(language, "world"),
        record::region::UNLOCATED => text(language, "unlocated"),
        _ => None,
    }
}

/// `in the United States`.
fn place(alert: &Alert, telling: &Telling<'_>) -> String {
    let code = alert.region.as_str();
    if let Some(words) = outside_of_places(code, telling.language) {
        return words.to_owned();
    }
    let name = region(code, telling);
    let (kind, code) = match code.strip_prefix("lang:") {
        Some(spoken) => ("language", spoken),
        None if code.len() == 2 => ("country", code),
        None => ("region", code),
    };
    // By these French chooses between `en` and `au`.
    let is_vowel = name.starts_with(|letter| "AEIOUÉÈÎaeiouéèî".contains(letter));
    let initial = if is_vowel { "vowel" } else { "consonant" };
    let ending = if name.ends_with('e') { "e" } else { "other" };
    let args = args![
        "kind" => kind,
        "code" => code,
        "initial" => initial,
        "ending" => ending,
        "name" => name,
    ];
    say(telling.language, "place", &args)
}

/// Without what moves or breaks the text around it: names come from files and tags from strangers.
pub fn plain(name: &str) -> String {
    let is_mark = |letter: char| matches!(letter, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let cleaned: String = name
        .chars()
        .filter(|letter| !is_mark(*letter))
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let mut short: String = cleaned.chars().take(120).collect();
    if short.len() < cleaned.len() {
        short.push('…');
    }
    short
}

/// `Influenza` inside a sentence is `influenza`; `COVID-19` stays, and so do German nouns.
fn in_sentence(name: &str, language: Language) -> String {
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if language != Language::German && !second.is_uppercase() => {
            first.to_lowercase().chain([second]).chain(letters).collect()
        }
        _ => name.to_owned(),
    }
}

/// One decimal below ten, unless it is zero.
fn decimal(number: f64, language: Language) -> String {
    let tenths = (number.max(0.0) * 10.0).round() / 10.0;
    if tenths < 10.0 && tenths.fract() != 0.0 {
        let shown = format!("{tenths:.1}");
        if language == Language::English { shown } else { shown.replace('.', ",") }
    } else {
        whole(tenths.round() as u64, language)
    }
}

fn whole(number: u64, language: Language) -> String {
    let thousands = match language {
        Language::English => ",",
        Language::French => "\u{202f}",
        Language::Spanish | Language::German => ".",
    };
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push_str(thousands);
        }
        text.push(digit);
    }
    text
}

/// Never 100 % of what was not whole; a no-break space before the sign.
fn percent(share: f64) -> String {
    let whole = (share * 100.0).round().clamp(0.0, if share < 1.0 { 99.0 } else { 100.0 });
    format!("{whole}\u{a0}%")
}

/// `Fever, Bavaria: 23 accounts, 6 expected (3–11)`: what a list of mails shows.
pub(crate) fn subject(alert: &Alert, telling: &Telling<'_>) -> String {
    let language = telling.language;
    let level = match telling.rise {
        Some(rise) => say(language, "level", &args!["rise" => rise.name()]),
        None => {
            let shown = whole(alert.observed.into(), language);
            let args = args!["count" => alert.observed, "shown" => shown];
            let accounts = say(language, "number-of-accounts", &args);
            format!("{accounts}, {}", expected(alert, telling))
        }
    };
    let subject = format!("{}{}{level}", title(alert, telling), colon(language));
    or_withdrawn(alert, subject, language)
}

/// `97 %`.
pub(crate) fn share(share: f64) -> String {
    percent(share)
}

fn hours_or_days(length: Micros) -> (&'static str, i64) {
    if length > DAY && length % DAY == 0 {
        ("days", length / DAY)
    } else {
        ("hours", length / HOUR)
    }
}

#[cfg(test)]
mod tests;
