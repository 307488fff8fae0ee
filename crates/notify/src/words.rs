//! An alert in words, in four languages: a sentence, its rarity, context, doubt and checks.
//!
//! Mail, feeds, webhooks, the API, the page and the command line all take their words from here.
//! One form for all, a phrase book for each language. Rarity in words, never p-values; every number
//! with what was expected; posts, not cases. Text only: markup is escaped by its writer.

use record::public::Rise;
use record::time::{DAY, HOUR, Micros};
use record::{Alert, AlertState, Outcome, Stage, Suspect};

use crate::zone::{Local, Zone};

mod de;
mod en;
mod es;
mod fr;

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

    fn book(self) -> &'static dyn Book {
        match self {
            Language::English => &en::English,
            Language::French => &fr::French,
            Language::Spanish => &es::Spanish,
            Language::German => &de::German,
        }
    }
}

/// What things are called; `None` where a language has no name of its own.
pub trait Names {
    fn region(&self, code: &str, language: Language) -> Option<String>;
    fn topic(&self, id: &str, language: Language) -> Option<String>;
    /// Campaigns with days in `[from, to)`.
    fn campaigns(&self, _from: Micros, _to: Micros, _language: Language) -> Vec<String> {
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

/// The phrases of one language. Numbers come formatted.
trait Book {
    fn accounts(&self, number: u64, shown: &str) -> String;
    /// In place of [`Book::accounts`], without a number: `Many times the usual number of accounts`.
    fn rise(&self, rise: Rise) -> &'static str;
    /// `many times the usual level`, after a colon.
    fn level(&self, rise: Rise) -> &'static str;
    /// `posted about fever in Bavaria in the 24 h to Tue 14:00 CET`, after the accounts.
    fn posted(&self, topic: &str, place: &str, span: &str, end: &str, is_open: bool) -> String;
    fn expected(&self, number: &str, interval: Option<(&str, &str)>, bound: &str) -> String;
    fn place(&self, code: &str, name: &str) -> String;
    fn world(&self) -> &'static str;
    fn unlocated(&self) -> &'static str;
    fn span(&self, length: Micros) -> String;
    /// `Tue 13 Jan 2026 14:00 CET`.
    fn end(&self, local: &Local) -> String;
    fn rarity(&self, often: Often) -> String;
    /// `series`: 0 is all that are watched.
    fn by_chance(&self, rarity: &str, series: u32) -> String;
    /// `of`: among how many sampled posts, where not all were.
    fn voices(&self, own: u32, news: u32, of: Option<u32>) -> String;
    fn located(&self, percent: &str, place: &str) -> String;
    fn seen(&self, percent: &str) -> String;
    fn history(&self, outcomes: &[(Outcome, u32)], n: u32) -> String;
    fn posts_not_cases(&self) -> &'static str;
    fn withdrawn(&self) -> &'static str;
    fn check(&self, check: &Check) -> String;
    fn label(&self, label: Label) -> &'static str;
    fn decimal_comma(&self) -> bool;
    fn thousands(&self) -> &'static str;
    /// The name of a topic inside a sentence.
    fn in_sentence(&self, name: &str) -> String;
    fn language(&self, code: &str) -> Option<&'static str>;
    /// Why the reader gets this.
    fn why(&self, subscription: &str) -> String;
    /// Where the subscription is changed or ended.
    fn change(&self, address: &str) -> String;
    /// Whom to write to so as to end it.
    fn end_by_mail(&self, address: &str) -> String;
    /// The subject of a heartbeat: new alerts within a day, and those that nobody has acknowledged.
    fn works(&self, new: u32, unacknowledged: u32) -> String;
}

/// How often chance alone would raise one of the reader's series so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Often {
    RarerThanTenYears,
    OnceInYears(u32),
    Yearly,
    TimesAYear(u32),
    Monthly,
    TwiceAMonth,
    Weekly,
    MoreThanWeekly,
}

impl Often {
    fn every(days: f64) -> Often {
        match days {
            _ if days >= 3_650.0 => Often::RarerThanTenYears,
            _ if days >= 548.0 => Often::OnceInYears((days / 365.25).round() as u32),
            _ if days >= 274.0 => Often::Yearly,
            _ if days >= 43.0 => Often::TimesAYear((365.25 / days).round() as u32),
            _ if days >= 21.0 => Often::Monthly,
            _ if days >= 11.0 => Often::TwiceAMonth,
            _ if days >= 5.0 => Often::Weekly,
            _ => Often::MoreThanWeekly,
        }
    }
}

/// Something to look at before anything else is done.
pub(crate) enum Check {
    OneAuthor { posts: u32, of: u32 },
    NearCopies { posts: u32, of: u32 },
    NewAccounts { posts: u32, of: u32 },
    News { posts: u32, of: u32, domain: Option<String> },
    Tags(String),
    OneLink,
    Growth,
    Campaign(String),
    SlowRise(u32),
    Elsewhere(String),
    Coverage(String),
    Open,
    Ask,
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

/// The sentence that an official reads first.
pub fn headline(alert: &Alert, telling: &Telling<'_>) -> String {
    let book = telling.language.book();
    let is_open = alert.stage == Stage::Early && alert.state == AlertState::Open;
    let end = book.end(&telling.zone.local(alert.window_end));
    let posted = book.posted(
        &topic(alert, telling),
        &place(alert, telling),
        &book.span(alert.window_length),
        &end,
        is_open,
    );
    let withdrawn = if alert.state == AlertState::Withdrawn { book.withdrawn() } else { "" };
    if let Some(rise) = telling.rise {
        return format!("{withdrawn}{} {posted}.", book.rise(rise));
    }
    let accounts = book.accounts(alert.observed.into(), &whole(alert.observed.into(), book));
    let expected = expected(alert, telling);
    format!("{withdrawn}{accounts} {posted}{}{expected}.", semicolon(telling.language))
}

/// Conditions under which the program works with less, as the page calls them: English, French,
/// Spanish, German.
const CONDITIONS: [(&str, [&str; 4]); 11] = [
    (
        "feed-silent",
        [
            "source sends no data",
            "source sans données",
            "fuente sin datos",
            "Quelle liefert keine Daten",
        ],
    ),
    ("feed-failed", ["source failed", "source en panne", "fuente averiada", "Quelle ausgefallen"]),
    (
        "lag",
        ["results delayed", "résultats retardés", "resultados retrasados", "Ergebnisse verzögert"],
    ),
    (
        "clock",
        [
            "system clock unreliable",
            "horloge système peu fiable",
            "reloj del sistema poco fiable",
            "Systemuhr nicht verlässlich",
        ],
    ),
    ("mail-refused", ["mail rejected", "courriel refusé", "correo rechazado", "E-Mail abgelehnt"]),
    ("disk-full", ["disk full", "disque plein", "disco lleno", "Datenträger voll"]),
    (
        "backlog",
        [
            "backlog of more than two days",
            "retard de plus de deux jours",
            "retraso de más de dos días",
            "Rückstand von mehr als zwei Tagen",
        ],
    ),
    (
        "token-file",
        [
            "signing in not possible",
            "connexion impossible",
            "no se puede iniciar sesión",
            "Anmelden nicht möglich",
        ],
    ),
    (
        "landing",
        [
            "results cannot be stored",
            "résultats impossibles à enregistrer",
            "no se pueden guardar los resultados",
            "Ergebnisse können nicht gespeichert werden",
        ],
    ),
    ("no-frames", ["no counts are produced", "aucun comptage", "sin recuento", "keine Zählung"]),
    (
        "role-ended",
        [
            "a component has stopped",
            "un composant s’est arrêté",
            "un componente se ha detenido",
            "eine Komponente ist ausgefallen",
        ],
    ),
];

/// A condition's name and subject, such as `feed-silent bluesky`, in words: `source silent
/// (bluesky)`.
pub fn condition(name: &str, language: Language) -> String {
    let (what, subject) = name.split_once(' ').unwrap_or((name, ""));
    let column = match language {
        Language::English => 0,
        Language::French => 1,
        Language::Spanish => 2,
        Language::German => 3,
    };
    let words = CONDITIONS
        .iter()
        .find(|(known, _)| *known == what)
        .map_or(what, |(_, words)| words[column]);
    if subject.is_empty() { plain(words) } else { format!("{} ({})", plain(words), plain(subject)) }
}

/// What follows the sentence: how rare, whose voice, how much was seen, what came before.
pub fn rest(alert: &Alert, telling: &Telling<'_>) -> String {
    let book = telling.language.book();
    let mut parts = Vec::new();
    if let Some(days) = alert.recurrence {
        parts.push(book.by_chance(&book.rarity(Often::every(days)), telling.series));
    }
    let explanation = &alert.explanation;
    if explanation.sampled > 0 {
        let of = (explanation.sampled < alert.posts).then_some(explanation.sampled);
        parts.push(book.voices(explanation.own, explanation.news, of));
    }
    if let Some(share) = alert.grounds.located_share.filter(|_| !alert.region.contains(':')) {
        let country = alert.region.split('-').next().unwrap_or(&alert.region);
        parts.push(book.located(&percent(share), &region(country, telling)));
    }
    if alert.coverage < 0.995 {
        parts.push(book.seen(&percent(alert.coverage)));
    }
    let last = telling.history.get(..telling.history.len().min(3)).unwrap_or_default();
    let counts: Vec<(Outcome, u32)> = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome, last.iter().filter(|one| **one == outcome).count() as u32))
        .filter(|(_, count)| *count > 0)
        .collect();
    if !counts.is_empty() {
        parts.push(book.history(&counts, last.len() as u32));
    }
    parts.push(book.posts_not_cases().to_owned());
    parts.join(" ")
}

/// `About once a year by chance`, if it was simulated.
pub fn rarity(alert: &Alert, telling: &Telling<'_>) -> Option<String> {
    alert.recurrence.map(|days| telling.language.book().rarity(Often::every(days)))
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
    Some(telling.language.book().label(label))
}

/// [`rest`], and [`doubt`] where there is any.
pub(crate) fn rest_with_doubt(alert: &Alert, telling: &Telling<'_>) -> String {
    let doubt = doubt(alert, telling).map(|doubt| format!(" {doubt}"));
    rest(alert, telling) + doubt.as_deref().unwrap_or_default()
}

/// What to check, the most important first: at most three of what the alert shows, and a question
/// to people who would know.
pub fn checks(alert: &Alert, telling: &Telling<'_>) -> Vec<String> {
    let book = telling.language.book();
    let is_open = alert.stage == Stage::Early && alert.state == AlertState::Open;
    let from = alert.window_end - alert.window_length;
    let campaigns = telling.names.campaigns(from, alert.window_end, telling.language);
    let mut checks = Vec::new();
    checks.extend(is_open.then_some(Check::Open));
    if !campaigns.is_empty() {
        checks.push(Check::Campaign(plain(&campaigns.join(", "))));
    }
    checks.extend(alert.grounds.rising_days().map(Check::SlowRise));
    let suspect = SUSPECTS.into_iter().filter(|suspect| alert.grounds.suspect.contains(suspect));
    checks.extend(suspect.map(|suspect| check_of(suspect, alert)));
    let explanation = &alert.explanation;
    if explanation.is_large(explanation.news) {
        let domain = explanation.link_domains.first().map(|(domain, _)| plain(domain));
        checks.push(Check::News { posts: explanation.news, of: explanation.sampled, domain });
    }
    if alert.has_gaps() {
        checks.push(Check::Coverage(percent(alert.coverage)));
    }
    // Tags are written by strangers.
    let tags = explanation.tags.iter().take(4).map(|(tag, _)| format!("#{}", plain(tag)));
    let tags: Vec<String> = tags.collect();
    if !tags.is_empty() {
        checks.push(Check::Tags(tags.join(" ")));
    }
    let others: Vec<String> =
        other_regions(alert).take(5).map(|code| region(code, telling)).collect();
    if !others.is_empty() {
        checks.push(Check::Elsewhere(others.join(", ")));
    }
    checks.truncate(3);
    checks.push(Check::Ask);
    checks.iter().map(|check| book.check(check)).collect()
}

/// In the order in which they should be checked.
const SUSPECTS: [Suspect; 5] = [
    Suspect::OneAccount,
    Suspect::OneLink,
    Suspect::PlatformGrowth,
    Suspect::NearCopies,
    Suspect::NewAccounts,
];

fn check_of(suspect: Suspect, alert: &Alert) -> Check {
    let explanation = &alert.explanation;
    let of = explanation.sampled;
    match suspect {
        Suspect::OneAccount => Check::OneAuthor { posts: explanation.most_by_one, of },
        Suspect::OneLink => Check::OneLink,
        Suspect::NearCopies => Check::NearCopies { posts: explanation.near_copies, of },
        Suspect::NewAccounts => Check::NewAccounts { posts: explanation.new_accounts, of },
        Suspect::PlatformGrowth => Check::Growth,
    }
}

/// Places in alarm too, neither the alert's own nor around it.
fn other_regions(alert: &Alert) -> impl Iterator<Item = &str> {
    let is_around = |code: &str| alert.region.starts_with(&format!("{code}-"));
    let codes = alert.regions.iter().map(String::as_str);
    codes.filter(move |code| *code != alert.region && !is_around(code) && is_place(code))
}

pub(crate) fn label(language: Language, label: Label) -> &'static str {
    language.book().label(label)
}

/// Why a reader gets a message, and how to change that: a line each.
pub(crate) fn reasons(
    language: Language,
    subscription: &str,
    page: Option<&str>,
    unsubscribes: Option<&str>,
) -> Vec<String> {
    let book = language.book();
    let page = page.map(|page| book.change(&format!("{page}/subscriptions")));
    let by_mail = unsubscribes.map(|address| book.end_by_mail(address));
    [Some(book.why(subscription)), page, by_mail].into_iter().flatten().collect()
}

/// What stands between a label and its text: French has a space before it.
pub(crate) fn colon(language: Language) -> &'static str {
    if language == Language::French { " : " } else { ": " }
}

/// The same between two parts of a sentence.
pub(crate) fn semicolon(language: Language) -> &'static str {
    if language == Language::French { " ; " } else { "; " }
}

pub(crate) fn works(language: Language, new: u32, unacknowledged: u32) -> String {
    language.book().works(new, unacknowledged)
}

/// `3.8`, in the language's way.
pub(crate) fn number(value: f64, language: Language) -> String {
    decimal(value, language.book())
}

pub(crate) fn expected(alert: &Alert, telling: &Telling<'_>) -> String {
    let book = telling.language.book();
    let interval = alert.grounds.expected_low.zip(alert.grounds.expected_high);
    // In whole accounts, as on the page: what lies between is no count.
    let interval =
        interval.map(|(low, high)| (decimal(low.floor(), book), decimal(high.ceil(), book)));
    book.expected(
        &decimal(alert.expected, book),
        interval.as_ref().map(|(low, high)| (low.as_str(), high.as_str())),
        &decimal(alert.upperbound, book),
    )
}

pub(crate) fn instant(at: Micros, zone: &Zone, language: Language) -> String {
    language.book().end(&zone.local(at))
}

/// Not the world, a language, or unlocated posts.
fn is_place(code: &str) -> bool {
    !code.contains(':') && code != record::region::WORLD && code != record::region::UNLOCATED
}

fn topic(alert: &Alert, telling: &Telling<'_>) -> String {
    let book = telling.language.book();
    let name = telling
        .names
        .topic(&alert.topic, telling.language)
        .unwrap_or_else(|| alert.topic_name.clone());
    book.in_sentence(&plain(&name))
}

/// A region's name in the reader's language, else its code.
pub fn region(code: &str, telling: &Telling<'_>) -> String {
    let book = telling.language.book();
    match code {
        record::region::WORLD => book.world().to_owned(),
        record::region::UNLOCATED => book.unlocated().to_owned(),
        _ => {
            let language =
                code.strip_prefix("lang:").and_then(|code| book.language(code)).map(str::to_owned);
            plain(
                &language
                    .or_else(|| telling.names.region(code, telling.language))
                    .unwrap_or_else(|| code.to_owned()),
            )
        }
    }
}

fn place(alert: &Alert, telling: &Telling<'_>) -> String {
    let book = telling.language.book();
    match alert.region.as_str() {
        record::region::WORLD => book.world().to_owned(),
        record::region::UNLOCATED => book.unlocated().to_owned(),
        code => book.place(code, &region(code, telling)),
    }
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

/// `Influenza` inside a sentence is `influenza`; `COVID-19` stays.
fn lowered(name: &str) -> String {
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain([second]).chain(letters).collect()
        }
        _ => name.to_owned(),
    }
}

/// One decimal below ten, unless it is zero.
fn decimal(number: f64, book: &dyn Book) -> String {
    let tenths = (number.max(0.0) * 10.0).round() / 10.0;
    if tenths < 10.0 && tenths.fract() != 0.0 {
        let shown = format!("{tenths:.1}");
        if book.decimal_comma() { shown.replace('.', ",") } else { shown }
    } else {
        whole(tenths.round() as u64, book)
    }
}

fn whole(number: u64, book: &dyn Book) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push_str(book.thousands());
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
    let book = telling.language.book();
    let accounts = book.in_sentence(book.label(Label::Accounts));
    let withdrawn = if alert.state == AlertState::Withdrawn { book.withdrawn() } else { "" };
    if let Some(rise) = telling.rise {
        return format!(
            "{withdrawn}{}{}{}",
            title(alert, telling),
            colon(telling.language),
            book.level(rise)
        );
    }
    let observed = whole(alert.observed.into(), book);
    format!(
        "{withdrawn}{}{}{observed} {accounts}, {}",
        title(alert, telling),
        colon(telling.language),
        expected(alert, telling)
    )
}

/// `97 %`.
pub(crate) fn share(share: f64) -> String {
    percent(share)
}

/// `14:00`.
fn clock(local: &Local) -> String {
    format!("{:02}:{:02}", local.minute / 60, local.minute % 60)
}

fn hours_or_days(length: Micros) -> (bool, i64) {
    if length > DAY && length % DAY == 0 { (true, length / DAY) } else { (false, length / HOUR) }
}

#[cfg(test)]
mod tests;
