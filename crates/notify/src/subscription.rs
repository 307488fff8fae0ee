//! Subscriptions: who wants to hear of what, how and when.
//!
//! Read from TOML, every mistake at once. What a reader may set by the page has the same form.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use record::diagnostic::Diagnostic;
use record::kind::Kind;
use record::public::{self, Rise};
use record::time::{DAY, HOUR, MINUTE};
use record::{Alert, AlertEvent, Micros};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::Occasion;
use crate::plan::Quiet;
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
pub trait World {
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
    /// address only the host is told, since
    /// the rest may be a secret, and of secrets nothing.
    pub fn written(&self) -> Value {
        let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        let host = |url: &str| {
            url::Url::parse(url)
                .ok()
                .and_then(|url| Some(url.host_str()?.to_owned()))
                .unwrap_or_default()
        };
        let (channel, to, address, rota) = match &self.channel {
            Channel::Mail { to } => ("mail", to.addresses.clone(), None, to.rota),
            Channel::Webhook { url, .. } => ("webhook", Vec::new(), Some(host(url)), None),
            Channel::Alertmanager { url } => ("alertmanager", Vec::new(), Some(host(url)), None),
            Channel::Feed => ("feed", Vec::new(), None, None),
            Channel::Stdout => ("stdout", Vec::new(), None, None),
        };
        let rota = rota.map(|rota| WrittenRota {
            starts: record::time::display(rota.starts * DAY).chars().take(10).collect(),
            days: rota.days,
            hands_over: Some(clock(rota.hands_over)),
        });
        let after = |span: Micros| {
            if span % HOUR == 0 {
                format!("{}h", span / HOUR)
            } else {
                format!("{}m", span / MINUTE)
            }
        };
        let written = Written {
            name: self.name.clone(),
            channel: channel.to_owned(),
            to,
            url: address,
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
            escalate_after: self.escalation.as_ref().map(|escalation| after(escalation.after)),
            deputies: self
                .escalation
                .as_ref()
                .map(|escalation| escalation.deputies.clone())
                .unwrap_or_default(),
        };
        // Texts, numbers and lists: it can't fail.
        serde_json::to_value(written).unwrap_or_default()
    }

    /// Whom a mail on this occasion goes to now.
    pub fn recipients(&self, occasion: Occasion, now: Micros) -> Vec<String> {
        match (&self.channel, occasion) {
            (Channel::Mail { .. }, Occasion::Escalation) => self
                .escalation
                .as_ref()
                .map(|escalation| escalation.deputies.clone())
                .unwrap_or_default(),
            (Channel::Mail { to }, _) => to.at(&self.zone, now),
            _ => Vec::new(),
        }
    }

    pub fn covers_region(&self, region: &str, world: &dyn World) -> bool {
        self.regions.is_empty() || self.regions.iter().any(|above| world.is_within(region, above))
    }
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
        subscriptions.extend(checked(written, folder, &mut complain));
    }
    if subscriptions.len() > SUBSCRIPTIONS_MAX {
        let message = format!("more than {SUBSCRIPTIONS_MAX} subscriptions");
        errors.push(Diagnostic::at(file, 1, message));
    }
    if errors.is_empty() { Ok(subscriptions) } else { Err(errors) }
}

/// A subscription as a page sends it, or every mistake in it. Mail and feeds only: what names
/// addresses of machines, and files of
/// secrets on this one, is for those who can write files here.
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
    let subscription = checked(written, Path::new(""), &mut complain);
    subscription.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

fn checked(
    written: Written,
    folder: &Path,
    complain: &mut dyn FnMut(String, &str),
) -> Option<Subscription> {
    let mut sound = true;
    let mut wrong = |message: String, hint: &str| {
        sound = false;
        complain(message, hint);
    };
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= 60
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !is_name(&written.name) {
        wrong("a name is small letters, digits and hyphens, at most 60".to_owned(), "");
    }
    for address in written.to.iter().chain(&written.deputies) {
        if address.parse::<lettre::Address>().is_err() {
            wrong(format!("`{address}` is no mail address"), "write name@example.org");
        }
    }
    if written.to.len() > RECIPIENTS_MAX {
        wrong(format!("at most {RECIPIENTS_MAX} recipients"), "");
    }
    let zone = match written.zone.as_deref() {
        None => Some(Zone::utc()),
        Some(name) => Zone::named(name).or_else(|| {
            wrong(format!("unknown time zone `{name}`"), "an IANA name, such as Europe/Berlin");
            None
        }),
    };
    let mut time = |key: &str, text: Option<&str>, default: u32| match text.map(minutes) {
        None => default,
        Some(Some(minute)) => minute,
        Some(None) => {
            wrong(format!("`{key}` is no time of day"), "write 08:00");
            default
        }
    };
    let digest_at = time("digest-at", written.digest_at.as_deref(), 8 * 60);
    let hands_over = time(
        "rota.hands-over",
        written.rota.as_ref().and_then(|rota| rota.hands_over.as_deref()),
        8 * 60,
    );
    let rota = written.rota.as_ref().and_then(|rota| {
        let starts = record::time::parse(&format!("{}T00:00:00Z", rota.starts)).ok();
        if starts.is_none() || !(1..=366).contains(&rota.days) {
            wrong(
                "a rota has a day on which it `starts`, and turns of 1 to 366 `days`".to_owned(),
                "starts = \"2026-01-05\", days = 7",
            );
        }
        Some(Rota { starts: starts?.div_euclid(DAY), days: rota.days, hands_over })
    });
    if rota.is_some() && written.to.len() < 2 {
        wrong("a rota needs at least two in `to`".to_owned(), "");
    }
    let quiet = written.quiet.as_deref().and_then(|text| {
        let parsed = text
            .split_once('-')
            .and_then(|(from, to)| Some(Quiet { from: minutes(from)?, to: minutes(to)? }));
        if parsed.is_none() {
            wrong(format!("`quiet = \"{text}\"` is no span"), "write 22:00-06:00");
        }
        parsed
    });
    let digest_day = match written
        .digest_day
        .as_deref()
        .map(|day| DAYS.iter().position(|known| day.eq_ignore_ascii_case(known)))
    {
        None => 0,
        Some(Some(day)) => u8::try_from(day).unwrap_or(0),
        Some(None) => {
            wrong("`digest-day` is no day of the week".to_owned(), "monday to sunday");
            0
        }
    };
    let rarity = written.rarity.as_deref().and_then(|text| {
        let days = RARITIES.iter().find(|(name, _)| *name == text).map(|(_, days)| *days);
        if days.is_none() {
            wrong(
                format!("unknown rarity `{text}`"),
                "month, quarter or year: by chance less than once in that time",
            );
        }
        days
    });
    let kinds: BTreeSet<Kind> = written
        .kinds
        .iter()
        .filter_map(|name| {
            let kind = Kind::parse(name);
            if kind.is_none() {
                wrong(
                    format!("unknown kind `{name}`"),
                    &format!("one of {}", Kind::ALL.map(Kind::name).join(", ")),
                );
            }
            kind
        })
        .collect();
    let code = written.language.as_deref().unwrap_or("en");
    let language = Language::parse(code).or_else(|| {
        wrong(format!("unknown language `{code}`"), "en, fr, es or de");
        None
    });
    let a_week = written.a_week.unwrap_or(3);
    if a_week > A_WEEK_MAX {
        wrong(format!("`a-week` is at most {A_WEEK_MAX}"), "");
    }
    let escalate_after = written.escalate_after.as_deref().and_then(|text| {
        let (digits, unit) = text.split_at(text.len().saturating_sub(1));
        let unit = match unit {
            "m" => Some(MINUTE),
            "h" => Some(HOUR),
            _ => None,
        };
        let span =
            digits.parse::<u16>().ok().zip(unit).map(|(number, unit)| Micros::from(number) * unit);
        if span.is_none() {
            wrong(format!("`escalate-after = \"{text}\"` is no span"), "write 90m or 2h");
        }
        span
    });
    if escalate_after.is_some() == written.deputies.is_empty() {
        wrong("`escalate-after` and `deputies` belong together".to_owned(), "");
    }
    let channel = match (written.channel.as_str(), written.url) {
        ("mail", None) if !written.to.is_empty() => {
            Some(Channel::Mail { to: Recipients { addresses: written.to, rota } })
        }
        ("mail", _) => {
            wrong(
                "a mail goes `to` somebody, and to no `url`".to_owned(),
                "to = [\"duty@example.org\"]",
            );
            None
        }
        ("webhook", Some(url))
            if !written.secret_files.is_empty() && written.secret_files.len() <= 4 =>
        {
            let secret_files = written.secret_files.iter().map(|file| folder.join(file)).collect();
            Some(Channel::Webhook { url, secret_files })
        }
        ("webhook", _) => {
            wrong(
                "a webhook has a `url` and one to four `secret-files`, the newest first".to_owned(),
                "a file holds whsec_ and base64",
            );
            None
        }
        ("alertmanager", Some(url)) => Some(Channel::Alertmanager { url }),
        ("alertmanager", None) => {
            wrong("an Alertmanager has a `url`".to_owned(), "url = \"http://127.0.0.1:9093\"");
            None
        }
        ("feed", None) => Some(Channel::Feed),
        ("stdout", None) => Some(Channel::Stdout),
        (other, _) => {
            wrong(
                format!("unknown channel `{other}`, or one that has no `url`"),
                "mail, webhook, alertmanager, feed or stdout",
            );
            None
        }
    };
    let escalation = escalate_after.map(|after| Escalation { after, deputies: written.deputies });
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
        digest_day,
        zone: zone?,
        quiet,
        a_week,
        always: written.always,
        language: language?,
        heartbeat: written.heartbeat,
        escalation,
    };
    sound.then_some(subscription)
}

/// By chance less than once in that time; in days.
const RARITIES: [(&str, f64); 3] = [("month", 30.4), ("quarter", 91.3), ("year", 365.25)];
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
