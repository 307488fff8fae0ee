//! Subscriptions: who wants to hear of what, how and when.
//!
//! Read from TOML, every mistake at once. What a reader may set by the page has the same form.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use record::diagnostic::Diagnostic;
use record::kind::Kind;
use record::policy::RARITIES;
use record::public::{self, Rise};
use record::time::{DAY, HOUR, MINUTE};
use record::{Alert, AlertEvent, Micros};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::Occasion;
use crate::words::Language;
use crate::zone::Zone;

pub const SUBSCRIPTIONS_MAX: usize = 1_000;
const RECIPIENTS_MAX: usize = 50;
const A_WEEK_MAX: u32 = 1_000;
/// Of topics, kinds and regions that a page may name.
const LIST_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    pub name: String,
    pub channel: Channel,
    pub audience: Audience,
    /// Empty: all.
    pub topics: BTreeSet<String>,
    /// Empty: all.
    pub kinds: BTreeSet<Kind>,
    /// Empty: all. A region covers what stands below it.
    pub regions: BTreeSet<String>,
    /// Least recurrence interval in days.
    pub rarity: Option<f64>,
    pub when: When,
    /// Minutes since midnight, in its zone.
    pub digest_at: u32,
    /// Of a weekly digest, 0 is Monday.
    pub digest_day: u8,
    pub zone: Zone,
    pub quiet: Option<Quiet>,
    /// Alerts at once a week, beyond those that are pressing.
    pub a_week: u32,
    /// Topics that go at once, at night too.
    pub always: BTreeSet<String>,
    pub language: Language,
    /// Whether it is told daily that everything works.
    pub heartbeat: bool,
    /// Whom an alert goes to that nobody has taken up in time.
    pub escalation: Option<Escalation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    Mail {
        to: Recipients,
    },
    Webhook {
        url: String,
        secret_files: Vec<PathBuf>,
    },
    Alertmanager {
        url: String,
    },
    /// Atom with CAP, under this name.
    Feed,
    Stdout,
}

impl Channel {
    pub fn name(&self) -> &'static str {
        match self {
            Channel::Mail { .. } => "mail",
            Channel::Webhook { .. } => "webhook",
            Channel::Alertmanager { .. } => "alertmanager",
            Channel::Feed => "feed",
            Channel::Stdout => "stdout",
        }
    }

    /// People are told what matters; machines are told of every revision.
    pub fn is_for_machines(&self) -> bool {
        matches!(self, Channel::Webhook { .. } | Channel::Alertmanager { .. } | Channel::Feed)
    }
}

/// Mail addresses: all of them, or those whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients {
    pub addresses: Vec<String>,
    pub rota: Option<Rota>,
}

impl Recipients {
    /// Who gets what is sent now.
    pub fn at(&self, zone: &Zone, now: Micros) -> Vec<String> {
        match &self.rota {
            None => self.addresses.clone(),
            Some(rota) => rota.on_duty(&self.addresses, zone, now).into_iter().cloned().collect(),
        }
    }
}

/// Turns of so many days, from a day on; the clock of the subscription's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rota {
    /// Days since 1970-01-01.
    pub starts: i64,
    pub days: u32,
    /// When the next one takes over, minutes since midnight.
    pub hands_over: u32,
}

impl Rota {
    fn on_duty<'a>(&self, members: &'a [String], zone: &Zone, now: Micros) -> Option<&'a String> {
        let local = zone.local(now);
        let day = if local.minute < self.hands_over { local.day - 1 } else { local.day };
        let turn = (day - self.starts).div_euclid(i64::from(self.days.max(1)));
        members
            .get(usize::try_from(turn.rem_euclid(i64::try_from(members.len().max(1)).ok()?)).ok()?)
    }
}

/// Minutes of the day; `from` after `to` goes over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    pub from: u32,
    pub to: u32,
}

impl Quiet {
    pub fn contains(self, minute: u32) -> bool {
        if self.from <= self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    pub after: Micros,
    pub deputies: Vec<String>,
}

/// Whom a channel reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    #[default]
    Public,
    Official,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    #[default]
    AtOnce,
    Daily,
    Weekly,
}

/// An alert as an audience may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Face {
    pub alert: Alert,
    /// For the public, in place of every number.
    pub rise: Option<Rise>,
}

/// What the world is like, as far as a subscription asks.
pub trait World: Sync {
    fn kind(&self, topic: &str) -> Option<Kind>;
    /// Whether `region` is `above` or stands below it.
    fn is_within(&self, region: &str, above: &str) -> bool;
}

impl Subscription {
    /// Whether the alert, with what people have done about it so far, is for this reader at all.
    pub fn covers(&self, alert: &Alert, events: &[AlertEvent], world: &dyn World) -> bool {
        let kind = world.kind(&alert.topic);
        let is_withheld =
            self.audience == Audience::Public && public::alert(kind, alert, events).is_none();
        !is_withheld
            && (self.topics.is_empty() || self.topics.contains(&alert.topic) || self.always.contains(&alert.topic))
            && (self.kinds.is_empty() || kind.is_some_and(|kind| self.kinds.contains(&kind)))
            && self.covers_region(&alert.region, world)
            // A rarity that was never simulated is no reason to keep silent.
            && (self.always.contains(&alert.topic)
                || self.rarity.is_none_or(|least| alert.recurrence.is_none_or(|days| days >= least)))
    }

    /// The alert as this audience may see it: the public by the one rule of [`record::public`], if
    /// at all.
    pub fn face(&self, alert: &Alert, events: &[AlertEvent], world: &dyn World) -> Option<Face> {
        match self.audience {
            Audience::Official => Some(Face { alert: alert.clone(), rise: None }),
            Audience::Public => {
                let shown = public::alert(world.kind(&alert.topic), alert, events)?;
                Some(Face { alert: shown.alert, rise: Some(shown.rise) })
            }
        }
    }

    /// As it would be written, with all that is usual said: what a page shows and changes. Of an
    /// address only the host is told, since the rest may be a secret, and of secrets nothing.
    pub fn written(&self) -> Value {
        let (to, url, rota) = match &self.channel {
            Channel::Mail { to } => (to.addresses.clone(), None, to.rota),
            Channel::Webhook { url, .. } | Channel::Alertmanager { url } => {
                (Vec::new(), Some(host_of(url)), None)
            }
            Channel::Feed | Channel::Stdout => (Vec::new(), None, None),
        };
        let rota = rota.map(|rota| WrittenRota {
            starts: record::time::display(rota.starts * DAY).chars().take(10).collect(),
            days: rota.days,
            hands_over: Some(clock(rota.hands_over)),
        });
        let written = Written {
            name: self.name.clone(),
            channel: self.channel.name().to_owned(),
            to,
            url,
            secret_files: Vec::new(),
            audience: self.audience,
            topics: self.topics.clone(),
            kinds: self.kinds.iter().map(|kind| kind.name().to_owned()).collect(),
            regions: self.regions.clone(),
            rarity: self
                .rarity
                .and_then(|least| RARITIES.iter().find(|(_, days)| *days >= least))
                .map(|(name, _)| (*name).to_owned()),
            when: self.when,
            digest_at: Some(clock(self.digest_at)),
            digest_day: DAYS.get(usize::from(self.digest_day)).map(|day| (*day).to_owned()),
            zone: Some(self.zone.name().to_owned()),
            quiet: self.quiet.map(|quiet| format!("{}-{}", clock(quiet.from), clock(quiet.to))),
            a_week: Some(self.a_week),
            always: self.always.clone(),
            language: Some(self.language.code().to_owned()),
            heartbeat: self.heartbeat,
            rota,
            escalate_after: self.escalation.as_ref().map(|escalation| delay(escalation.after)),
            deputies: self.deputies().to_vec(),
        };
        // Texts, numbers and lists: it can't fail.
        serde_json::to_value(written).unwrap_or_default()
    }

    /// Whom a mail on this occasion goes to now.
    pub fn recipients(&self, occasion: Occasion, now: Micros) -> Vec<String> {
        match (&self.channel, occasion) {
            (Channel::Mail { .. }, Occasion::Escalation) => self.deputies().to_vec(),
            (Channel::Mail { to }, _) => to.at(&self.zone, now),
            _ => Vec::new(),
        }
    }

    fn deputies(&self) -> &[String] {
        self.escalation.as_ref().map_or(&[], |escalation| &escalation.deputies)
    }

    pub fn covers_region(&self, region: &str, world: &dyn World) -> bool {
        self.regions.is_empty() || self.regions.iter().any(|above| world.is_within(region, above))
    }
}

/// Of an address; nothing where it has none.
fn host_of(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    parsed.and_then(|url| Some(url.host_str()?.to_owned())).unwrap_or_default()
}

/// `08:00`.
fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// `90m` or `2h`.
fn delay(span: Micros) -> String {
    if span % HOUR == 0 { format!("{}h", span / HOUR) } else { format!("{}m", span / MINUTE) }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    subscription: Vec<toml::Spanned<Written>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    name: String,
    channel: String,
    #[serde(default)]
    to: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    secret_files: Vec<PathBuf>,
    #[serde(default)]
    audience: Audience,
    #[serde(default)]
    topics: BTreeSet<String>,
    #[serde(default)]
    kinds: BTreeSet<String>,
    #[serde(default)]
    regions: BTreeSet<String>,
    rarity: Option<String>,
    #[serde(default)]
    when: When,
    digest_at: Option<String>,
    digest_day: Option<String>,
    zone: Option<String>,
    quiet: Option<String>,
    a_week: Option<u32>,
    #[serde(default)]
    always: BTreeSet<String>,
    language: Option<String>,
    #[serde(default)]
    heartbeat: bool,
    rota: Option<WrittenRota>,
    escalate_after: Option<String>,
    #[serde(default)]
    deputies: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenRota {
    starts: String,
    #[serde(default = "a_week")]
    days: u32,
    hands_over: Option<String>,
}

fn a_week() -> u32 {
    7
}

/// The subscriptions of a file, or all errors in it. Files it names are relative to `folder`.
pub fn parse_subscriptions(
    file: &str,
    text: &str,
    folder: &Path,
) -> Result<Vec<Subscription>, Vec<Diagnostic>> {
    let line_of = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
    let parsed: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        vec![Diagnostic::at(file, line, error.message())]
    })?;
    let (mut subscriptions, mut errors): (Vec<Subscription>, Vec<Diagnostic>) =
        (Vec::new(), Vec::new());
    for spanned in parsed.subscription {
        let line = line_of(spanned.span().start);
        let written = spanned.into_inner();
        let name = written.name.clone();
        let mut complain = |message: String, hint: &str| {
            let error = Diagnostic::at(file, line, format!("subscription `{name}`: {message}"));
            errors.push(if hint.is_empty() { error } else { error.hint(hint) });
        };
        if subscriptions.iter().any(|other| other.name == written.name) {
            complain("the name is taken".to_owned(), "its state is kept under its name");
        }
        subscriptions.extend(check_subscription(written, folder, &mut complain));
    }
    if subscriptions.len() > SUBSCRIPTIONS_MAX {
        let message = format!("more than {SUBSCRIPTIONS_MAX} subscriptions");
        errors.push(Diagnostic::at(file, 1, message));
    }
    if errors.is_empty() { Ok(subscriptions) } else { Err(errors) }
}

/// A subscription as a page sends it, or every mistake in it. Mail and feeds only: what names
/// addresses of machines, and files of secrets on this one, is for those who can write files here.
pub fn of_page(json: Value) -> Result<Subscription, Vec<String>> {
    let written: Written = serde_json::from_value(json).map_err(|error| vec![error.to_string()])?;
    let mut mistakes = Vec::new();
    if !matches!(written.channel.as_str(), "mail" | "feed") || !written.secret_files.is_empty() {
        mistakes.push(
            "by the page there are `mail` and `feed`; other channels stand in files".to_owned(),
        );
    }
    let long = [&written.topics, &written.kinds, &written.regions, &written.always]
        .iter()
        .any(|list| list.len() > LIST_MAX);
    if long || written.deputies.len() > RECIPIENTS_MAX {
        mistakes.push(format!(
            "a list has at most {LIST_MAX} entries, and there are at most {RECIPIENTS_MAX} deputies"
        ));
    }
    let mut complain = |message: String, hint: &str| {
        mistakes.push(if hint.is_empty() { message } else { format!("{message} ({hint})") });
    };
    let subscription = check_subscription(written, Path::new(""), &mut complain);
    subscription.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

/// The subscription that was written, if it has no errors.
fn check_subscription(
    written: Written,
    folder: &Path,
    complain: &mut dyn FnMut(String, &str),
) -> Option<Subscription> {
    let mut checker = Checker { complain, sound: true };
    checker.check_names(&written);
    let zone = checker.zone(&written);
    let digest_at = checker.time_of_day("digest-at", written.digest_at.as_deref());
    let rota = checker.rota(&written);
    let quiet = checker.parse(
        written.quiet.as_deref(),
        parse_quiet,
        |text| format!("`quiet = \"{text}\"` is no span"),
        "write 22:00-06:00",
    );
    let digest_day = checker.digest_day(&written);
    let rarity = checker.rarity(&written);
    let kinds = checker.kinds(&written.kinds);
    let language = checker.parse(
        Some(written.language.as_deref().unwrap_or("en")),
        Language::parse,
        |code| format!("unknown language `{code}`"),
        "en, fr, es or de",
    );
    let a_week = written.a_week.unwrap_or(3);
    if a_week > A_WEEK_MAX {
        checker.wrong(format!("`a-week` is at most {A_WEEK_MAX}"), "");
    }
    let escalation = checker.escalation(&written);
    let channel = checker.channel(&written, rota, folder);
    let subscription = Subscription {
        name: written.name,
        channel: channel?,
        audience: written.audience,
        topics: written.topics,
        kinds,
        regions: written.regions,
        rarity,
        when: written.when,
        digest_at,
        digest_day: digest_day.unwrap_or(0),
        zone: zone.unwrap_or_else(Zone::utc),
        quiet,
        a_week,
        always: written.always,
        language: language?,
        heartbeat: written.heartbeat,
        escalation,
    };
    checker.sound.then_some(subscription)
}

/// Checks the fields of a subscription and reports errors.
struct Checker<'a> {
    complain: &'a mut dyn FnMut(String, &str),
    sound: bool,
}

impl Checker<'_> {
    fn wrong(&mut self, message: impl Into<String>, hint: &str) {
        self.sound = false;
        (self.complain)(message.into(), hint);
    }

    /// What `parse` makes of a text that is given.
    fn parse<T>(
        &mut self,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Option<T>,
        message: impl FnOnce(&str) -> String,
        hint: &str,
    ) -> Option<T> {
        let text = text?;
        let parsed = parse(text);
        if parsed.is_none() {
            self.wrong(message(text), hint);
        }
        parsed
    }

    fn check_names(&mut self, written: &Written) {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=60).contains(&written.name.len()) || !written.name.bytes().all(fits) {
            self.wrong("a name is small letters, digits and hyphens, at most 60", "");
        }
        for address in written.to.iter().chain(&written.deputies) {
            if address.parse::<lettre::Address>().is_err() {
                let message = format!("`{address}` is no mail address");
                self.wrong(message, "write name@example.org");
            }
        }
        if written.to.len() > RECIPIENTS_MAX {
            self.wrong(format!("at most {RECIPIENTS_MAX} recipients"), "");
        }
    }

    /// Minutes since midnight, by default those of 08:00.
    fn time_of_day(&mut self, key: &str, text: Option<&str>) -> u32 {
        let message = |_: &str| format!("`{key}` is no time of day");
        self.parse(text, minutes, message, "write 08:00").unwrap_or(8 * 60)
    }

    fn zone(&mut self, written: &Written) -> Option<Zone> {
        self.parse(
            written.zone.as_deref(),
            Zone::named,
            |name| format!("unknown time zone `{name}`"),
            "an IANA name, such as Europe/Berlin",
        )
    }

    fn digest_day(&mut self, written: &Written) -> Option<u8> {
        self.parse(
            written.digest_day.as_deref(),
            |day| {
                (0..)
                    .zip(DAYS)
                    .find(|(_, known)| day.eq_ignore_ascii_case(known))
                    .map(|found| found.0)
            },
            |_| "`digest-day` is no day of the week".to_owned(),
            "monday to sunday",
        )
    }

    fn rarity(&mut self, written: &Written) -> Option<f64> {
        self.parse(
            written.rarity.as_deref(),
            |text| RARITIES.iter().find(|(name, _)| *name == text).map(|(_, days)| *days),
            |text| format!("unknown rarity `{text}`"),
            "month, quarter or year: by chance less than once in that time",
        )
    }

    fn rota(&mut self, written: &Written) -> Option<Rota> {
        let rota = written.rota.as_ref()?;
        let hands_over = self.time_of_day("rota.hands-over", rota.hands_over.as_deref());
        let starts = record::time::parse(&format!("{}T00:00:00Z", rota.starts)).ok();
        if starts.is_none() || !(1..=366).contains(&rota.days) {
            self.wrong(
                "a rota has a day on which it `starts`, and turns of 1 to 366 `days`",
                "starts = \"2026-01-05\", days = 7",
            );
        }
        let starts = starts?.div_euclid(DAY);
        if written.to.len() < 2 {
            self.wrong("a rota needs at least two in `to`", "");
        }
        Some(Rota { starts, days: rota.days, hands_over })
    }

    fn kinds(&mut self, names: &BTreeSet<String>) -> BTreeSet<Kind> {
        let hint = format!("one of {}", Kind::ALL.map(Kind::name).join(", "));
        let message = |name: &str| format!("unknown kind `{name}`");
        let kinds =
            names.iter().filter_map(|name| self.parse(Some(name), Kind::parse, message, &hint));
        kinds.collect()
    }

    fn escalation(&mut self, written: &Written) -> Option<Escalation> {
        let after = self.parse(
            written.escalate_after.as_deref(),
            parse_delay,
            |text| format!("`escalate-after = \"{text}\"` is no span"),
            "write 90m or 2h",
        );
        if after.is_some() == written.deputies.is_empty() {
            self.wrong("`escalate-after` and `deputies` belong together", "");
        }
        Some(Escalation { after: after?, deputies: written.deputies.clone() })
    }

    fn channel(&mut self, written: &Written, rota: Option<Rota>, folder: &Path) -> Option<Channel> {
        let secrets = &written.secret_files;
        let (message, hint) = match (written.channel.as_str(), written.url.clone()) {
            ("mail", None) if !written.to.is_empty() => {
                let to = Recipients { addresses: written.to.clone(), rota };
                return Some(Channel::Mail { to });
            }
            ("webhook", Some(url)) if (1..=4).contains(&secrets.len()) => {
                let secret_files = secrets.iter().map(|file| folder.join(file)).collect();
                return Some(Channel::Webhook { url, secret_files });
            }
            ("alertmanager", Some(url)) => return Some(Channel::Alertmanager { url }),
            ("feed", None) => return Some(Channel::Feed),
            ("stdout", None) => return Some(Channel::Stdout),
            ("mail", _) => (
                "a mail goes `to` somebody, and to no `url`".to_owned(),
                "to = [\"duty@example.org\"]",
            ),
            ("webhook", _) => (
                "a webhook has a `url` and one to four `secret-files`, the newest first".to_owned(),
                "a file holds whsec_ and base64",
            ),
            ("alertmanager", None) => {
                ("an Alertmanager has a `url`".to_owned(), "url = \"http://127.0.0.1:9093\"")
            }
            (other, _) => (
                format!("unknown channel `{other}`, or one that has no `url`"),
                "mail, webhook, alertmanager, feed or stdout",
            ),
        };
        self.wrong(message, hint);
        None
    }
}

/// `22:00-06:00`.
fn parse_quiet(text: &str) -> Option<Quiet> {
    let (from, to) = text.split_once('-')?;
    Some(Quiet { from: minutes(from)?, to: minutes(to)? })
}

/// `90m` or `2h`.
fn parse_delay(text: &str) -> Option<Micros> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    };
    Some(Micros::from(digits.parse::<u16>().ok()?) * unit)
}

const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// `08:00` in minutes.
fn minutes(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let part = |text: &str, max: u32| {
        (text.len() == 2).then(|| text.parse::<u32>().ok())?.filter(|number| *number <= max)
    };
    Some(part(hour, 23)? * 60 + part(minute, 59)?)
}

#[cfg(test)]
mod tests;
