//! CAP 1.2 (OASIS, 1 July 2010) and an Atom feed of it (RFC 4287).
//!
//! A rise in posts is a signal, not a confirmed event: certainty is `Possible` at most, severity
//! and urgency are not known, and the status is `Test` until an operator says that it is meant. An
//! update names what it updates, a withdrawal cancels.

use record::public::Rise;
use record::time::{DAY, Micros, SECOND};
use record::{Alert, AlertState, Stage};
use serde::{Deserialize, Serialize};

use crate::message::escaped;
use crate::subscription::Audience;
use crate::words::{self, Language, Names, Telling};
use crate::zone::Zone;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Actual,
    Exercise,
    #[default]
    Test,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Actual => "Actual",
            Status::Exercise => "Exercise",
            Status::Test => "Test",
        }
    }
}

/// A message that went out: what later ones refer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub alert: String,
    pub revision: u32,
    pub at: Micros,
    pub is_cancel: bool,
    pub title: String,
    pub summary: String,
    pub xml: String,
}

/// Who says it and how it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Globally unique, such as `alerts@example.org`.
    pub sender: String,
    pub status: Status,
    pub audience: Audience,
    pub page: Option<String>,
}

/// The message of a revision, in every language. `before`: what was said of this alert; `rise`
/// stands in place of every number where the public is the reader; `series`: among how many its
/// recurrence is measured.
#[expect(clippy::too_many_arguments, reason = "what one message is made of, from two callers")]
pub fn message(
    alert: &Alert,
    rise: Option<Rise>,
    before: &[Sent],
    sender: &Sender,
    zone: &Zone,
    names: &dyn Names,
    series: u32,
    now: Micros,
) -> Sent {
    let msg_type = match (before.is_empty(), alert.state) {
        (true, _) => "Alert",
        (false, AlertState::Withdrawn) => "Cancel",
        (false, AlertState::Open | AlertState::Closed) => "Update",
    };
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<alert \
            xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">",
    );
    let mut element =
        |name: &str, value: &str| xml.push_str(&format!("<{name}>{}</{name}>", escaped(value)));
    element("identifier", &identifier(&alert.id, alert.revision));
    element("sender", &sender.sender);
    element("sent", &instant(now));
    element("status", sender.status.name());
    element("msgType", msg_type);
    match sender.audience {
        Audience::Public => element("scope", "Public"),
        Audience::Official => {
            element("scope", "Restricted");
            element("restriction", "For health authorities");
        }
    }
    element("note", "Posts, not cases: a rise in what people post, not a confirmed event.");
    if !before.is_empty() {
        let references: Vec<String> = before.iter().map(|sent| reference(sent, sender)).collect();
        element("references", &references.join(" "));
    }
    let telling = |language| Telling { language, zone, names, series, history: &[], rise };
    for language in Language::ALL {
        info(&mut xml, alert, &telling(language), sender, now);
    }
    xml.push_str("</alert>\n");
    let english = telling(Language::English);
    Sent {
        alert: alert.id.clone(),
        revision: alert.revision,
        at: now,
        is_cancel: msg_type == "Cancel",
        title: words::title(alert, &english),
        summary: words::headline(alert, &english),
        xml,
    }
}

fn info(xml: &mut String, alert: &Alert, telling: &Telling<'_>, sender: &Sender, now: Micros) {
    xml.push_str("<info>");
    let mut element =
        |name: &str, value: &str| xml.push_str(&format!("<{name}>{}</{name}>", escaped(value)));
    element("language", telling.language.code());
    element("category", "Health");
    element("event", &words::title(alert, telling));
    element("responseType", "Assess");
    element("urgency", "Unknown");
    element("severity", "Unknown");
    // What is still open, or doubtful, is not even that.
    let is_doubtful = alert.stage == Stage::Early
        || !alert.grounds.suspect.is_empty()
        || alert.state == AlertState::Withdrawn;
    element("certainty", if is_doubtful { "Unknown" } else { "Possible" });
    element("effective", &instant(now));
    element("onset", &instant(alert.fired_at));
    element("expires", &instant(if alert.state == AlertState::Open { now + DAY } else { now }));
    element("headline", &words::headline(alert, telling));
    element("description", &words::rest(alert, telling));
    element("instruction", &words::checks(alert, telling).join(" "));
    if let Some(page) = &sender.page {
        element("web", &format!("{page}/alerts/{}", alert.id));
    }
    let mut parameters = match telling.rise {
        Some(rise) => vec![("level", rise.name().to_owned())],
        None => vec![
            ("observed", alert.observed.to_string()),
            ("expected", format!("{:.1}", alert.expected)),
            ("upperbound", format!("{:.1}", alert.upperbound)),
        ],
    };
    parameters.push(("revision", alert.revision.to_string()));
    for (name, value) in parameters {
        xml.push_str(&format!(
            "<parameter><valueName>{name}</valueName><value>{value}</value></parameter>"
        ));
    }
    xml.push_str(&format!(
        "<area><areaDesc>{}</areaDesc>",
        escaped(&words::region(&alert.region, telling))
    ));
    if !alert.region.contains(':')
        && alert.region != record::region::WORLD
        && alert.region != record::region::UNLOCATED
    {
        let scheme = if alert.region.contains('-') { "ISO3166-2" } else { "ISO3166-1" };
        xml.push_str(&format!(
            "<geocode><valueName>{scheme}</valueName><value>{}</value></geocode>",
            escaped(&alert.region)
        ));
    }
    xml.push_str("</area></info>");
}

/// An earlier message, as later ones name it.
fn reference(sent: &Sent, sender: &Sender) -> String {
    format!("{},{},{}", sender.sender, identifier(&sent.alert, sent.revision), instant(sent.at))
}

/// Letters, digits and hyphens only, whatever an id holds.
fn identifier(alert: &str, revision: u32) -> String {
    let plain: String = alert
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '-' })
        .collect();
    format!("pumphandle-{plain}-{revision}")
}

/// CAP's form of UTC.
fn instant(at: Micros) -> String {
    let shown = record::time::display(at.div_euclid(SECOND) * SECOND);
    format!("{}-00:00", shown.trim_end_matches('Z'))
}

const FOR_PUBLIC: &str = "<category term=\"public\"/>";

/// Whether a feed or a message is for everybody: it says so itself, in markup, which no text in it
/// can.
pub fn is_public(xml: &str) -> bool {
    (xml.contains(FOR_PUBLIC) || xml.contains("<scope>Public</scope>"))
        && !xml.contains("<scope>Restricted</scope>")
}

/// The feed of what was sent, latest first.
pub fn atom(name: &str, sender: &Sender, sent: &[Sent], now: Micros) -> String {
    let mut latest: Vec<&Sent> = sent.iter().collect();
    latest.sort_by_key(|sent| std::cmp::Reverse((sent.at, sent.alert.clone(), sent.revision)));
    let updated = latest.first().map_or(now, |sent| sent.at);
    let atom_instant = |at: Micros| record::time::display(at.div_euclid(SECOND) * SECOND);
    let mut feed = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feed \
            xmlns=\"http://www.w3.org/2005/Atom\"><id>{}</id><title>pumphandle: \
            {}</title><updated>{}</updated><author><name>{}</name></author>{}\n",
        escaped(&format!("tag:{},2026:feeds/{name}", tag_authority(&sender.sender))),
        escaped(name),
        atom_instant(updated),
        escaped(&sender.sender),
        if sender.audience == Audience::Public { FOR_PUBLIC } else { "" }
    );
    for sent in latest {
        let id = format!(
            "tag:{},2026:{}",
            tag_authority(&sender.sender),
            identifier(&sent.alert, sent.revision)
        );
        let cap = sent.xml.split_once("?>\n").map_or(sent.xml.as_str(), |(_, cap)| cap);
        feed.push_str(&format!(
            "<entry><id>{}</id><title>{}</title><updated>{}</updated><summary>{}</summary><content \
                type=\"application/cap+xml\">{cap}</content></entry>\n",
            escaped(&id),
            escaped(&sent.title),
            atom_instant(sent.at),
            escaped(&sent.summary)
        ));
    }
    feed.push_str("</feed>\n");
    feed
}

/// RFC 4151 wants a domain or a mail address.
fn tag_authority(sender: &str) -> &str {
    if sender.contains('@') || sender.contains('.') { sender } else { "pumphandle.invalid" }
}

#[cfg(test)]
mod tests;
