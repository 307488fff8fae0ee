//! Messages: subject, text, HTML that works without its style block, and JSON for machines.
//!
//! Written from the words of [`crate::words`] and sent by [`crate::channel`]. Everything that came
//! from strangers or files is escaped here and nowhere else.

use record::time::{Micros, SECOND};
use record::{Alert, AlertState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::words::{self, Label, Language, Telling, label};
use crate::zone::Zone;

#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The same however often it is sent.
    pub id: String,
    pub subscription: String,
    pub language: Language,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub json: Value,
}

/// Why an alert is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    New,
    Update,
    /// Nobody has acknowledged it.
    Escalation,
    /// It was snoozed, and has grown too large for that; or the snooze is over.
    Woken,
}

impl Occasion {
    pub fn name(self) -> &'static str {
        match self {
            Occasion::New => "new",
            Occasion::Update => "update",
            Occasion::Escalation => "escalation",
            Occasion::Woken => "woken",
        }
    }
}

/// A window of the trend; none where there was no answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    pub end: Micros,
    pub observed: Option<u32>,
}

/// What surrounds a message.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frame<'a> {
    pub subscription: &'a str,
    /// Where the page is: `https://pumphandle.example.org`.
    pub page: Option<&'a str>,
    /// Where a mail goes that ends the subscription; none where it is no mail.
    pub unsubscribes: Option<&'a str>,
    pub simulated: bool,
}

impl Frame<'_> {
    /// Below every message: why the reader gets it, and how to change that. `about`: what the
    /// message is called in a log.
    fn foot(&self, language: Language, about: &str) -> Vec<String> {
        let mut lines = words::reasons(language, self.subscription, self.page, self.unsubscribes);
        if !about.is_empty() {
            lines.push(about.to_owned());
        }
        lines
    }
}

/// The foot of a message as text.
fn as_text(foot: &[String]) -> String {
    format!("\n--\n{}\n", foot.join("\n"))
}

/// An alert.
pub fn of_alert(
    alert: &Alert,
    occasion: Occasion,
    telling: &Telling<'_>,
    frame: &Frame<'_>,
    trend: &[Bar],
) -> Message {
    let language = telling.language;
    let headline = words::headline(alert, telling);
    let rest = words::rest_with_doubt(alert, telling);
    let checks = words::checks(alert, telling);
    let mark = match occasion {
        Occasion::New => label(language, Label::New),
        Occasion::Update | Occasion::Woken => label(language, Label::Updated),
        Occasion::Escalation => label(language, Label::Escalated),
    };
    let rarity = words::rarity(alert, telling);
    let above = [rarity.as_deref().map(capital), Some(mark.to_owned())]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" · ");
    let simulated = label(language, Label::Simulated);
    let subject = words::subject(alert, telling);
    let subject = if frame.simulated { format!("[{simulated}] {subject}") } else { subject };
    let link = link_of(alert, frame);
    let foot = frame.foot(language, &format!("{} r{}", alert.id, alert.revision));
    let mut text = alert_text(&above, &headline, &rest, &checks, link.as_deref(), language);
    if frame.simulated {
        text.insert_str(0, &format!("{simulated}\n\n"));
    }
    text.push_str(&as_text(&foot));
    let rows = html_rows(alert, telling, frame, trend, &[&above, &headline, &rest], &checks);
    Message {
        id: format!("{}-{}-{}-{}", frame.subscription, alert.id, alert.revision, occasion.name()),
        subscription: frame.subscription.to_owned(),
        language,
        html: page(&subject, &rest, &rows, &foot, frame, language),
        subject,
        text,
        json: payload(alert, occasion, telling, &checks, link.as_deref(), frame),
    }
}

/// The text of an alert's mail, down to the link.
fn alert_text(
    above: &str,
    headline: &str,
    rest: &str,
    checks: &[String],
    link: Option<&str>,
    language: Language,
) -> String {
    let to_check = label(language, Label::WhatToCheck);
    let mut text = format!("{above}\n\n{headline}\n{rest}\n\n{to_check}\n");
    for (number, check) in (1..).zip(checks) {
        text.push_str(&format!("{number}. {check}\n"));
    }
    if let Some(link) = link {
        let open = label(language, Label::Open);
        text.push_str(&format!("\n{open}{}{link}\n", words::colon(language)));
    }
    text
}

fn link_of(alert: &Alert, frame: &Frame<'_>) -> Option<String> {
    frame.page.map(|page| format!("{page}/alerts/{}", alert.id))
}

/// The rows of an alert's mail: what is above the headline, headline and context, then buttons,
/// trend, facts and checks.
fn html_rows(
    alert: &Alert,
    telling: &Telling<'_>,
    frame: &Frame<'_>,
    trend: &[Bar],
    [above, headline, rest]: &[&str; 3],
    checks: &[String],
) -> String {
    let language = telling.language;
    let mut body = format!(
        "<p class=\"hot\" style=\"margin:0 0 \
            6px;font-size:13px;line-height:18px;font-weight:600;color:#ad3d06\">{}</p>",
        escaped(above)
    );
    body.push_str(&format!(
        "<h1 class=\"ink big\" style=\"margin:0;font-size:22px;line-height:29px;font-weight:600;color:#141d26\">{}</h1><p class=\"soft\" style=\"margin:10px 0 0;font-size:15px;line-height:23px;color:#3f4c59\">{}</p>",
        escaped(headline),
        escaped(rest)
    ));
    let mut rows = vec![row(&body)];
    if let Some(link) = link_of(alert, frame) {
        rows.push(row(&buttons(&link, frame.page.unwrap_or_default(), language)));
    }
    if trend.len() > 1 {
        rows.push(row(&bars(alert, trend, telling)));
    }
    rows.push(row(&facts(alert, telling)));
    let list: String = checks
        .iter()
        .map(|check| format!("<li style=\"padding-bottom:4px\">{}</li>", escaped(check)))
        .collect();
    rows.push(row(&format!(
        "<h2 class=\"ink\" style=\"margin:0 0 \
            6px;font-size:15px;line-height:20px;font-weight:600;color:#141d26\">{}</h2><ol \
            class=\"soft\" style=\"margin:0;padding:0 0 0 \
            20px;font-size:14px;line-height:21px;color:#3f4c59\">{list}</ol>",
        label(language, Label::WhatToCheck)
    )));
    rows.concat()
}

/// The alert for a webhook, as numbers and in words.
fn payload(
    alert: &Alert,
    occasion: Occasion,
    telling: &Telling<'_>,
    checks: &[String],
    link: Option<&str>,
    frame: &Frame<'_>,
) -> Value {
    let kind = match (alert.state, occasion) {
        (AlertState::Withdrawn, _) => "alert.withdrawn",
        (AlertState::Closed, _) => "alert.closed",
        (AlertState::Open, Occasion::New) => "alert.opened",
        (AlertState::Open, Occasion::Update | Occasion::Woken) => "alert.updated",
        (AlertState::Open, Occasion::Escalation) => "alert.escalated",
    };
    let seconds = |at: Micros| at.div_euclid(SECOND);
    let mut message = json!({
        "type": kind,
        "timestamp": record::time::display(seconds(alert.fired_at) * SECOND),
        "data": {
            "id": alert.id,
            "revision": alert.revision,
            "topic": alert.topic,
            "topic_name": alert.topic_name,
            "region": alert.region,
            "region_name": words::region(&alert.region, telling),
            "regions": alert.regions.iter().take(100).collect::<Vec<_>>(),
            "opened_at": seconds(alert.opened_at),
            "fired_at": seconds(alert.fired_at),
            "window_end": seconds(alert.window_end),
            "window_seconds": seconds(alert.window_length),
            "stage": alert.stage,
            "state": alert.state,
            "severity": alert.severity,
            "coverage": alert.coverage,
            "language": telling.language.code(),
            "headline": words::headline(alert, telling),
            "rest": words::rest(alert, telling),
            "doubt": words::doubt(alert, telling),
            "checks": checks,
            "url": link,
            "subscription": frame.subscription,
            "simulated": frame.simulated,
        },
    });
    let data = &mut message["data"];
    match telling.rise {
        Some(rise) => data["level"] = json!(rise.name()),
        None => {
            data["observed"] = json!(alert.observed);
            data["expected"] = json!(alert.expected);
            data["expected_low"] = json!(alert.grounds.expected_low);
            data["expected_high"] = json!(alert.grounds.expected_high);
            data["upperbound"] = json!(alert.upperbound);
            data["recurrence"] = json!(alert.recurrence);
            data["suspect"] = json!(alert.grounds.suspect);
        }
    }
    message
}

/// A list of alerts that waited, the rarest first.
pub fn digest(
    alerts: &[(&Alert, Telling<'_>)],
    id: &str,
    language: Language,
    zone: &Zone,
    now: Micros,
    frame: &Frame<'_>,
) -> Message {
    let colon = words::colon(language);
    let subject = format!(
        "{}{colon}{} ({})",
        label(language, Label::Digest),
        alerts.len(),
        words::instant(now, zone, language)
    );
    let mut text = format!("{}\n", label(language, Label::BelowTheLine));
    let mut rows = String::new();
    for (alert, telling) in alerts {
        let (headline, rest) =
            (words::headline(alert, telling), words::rest_with_doubt(alert, telling));
        let link = link_of(alert, frame);
        text.push_str(&format!("\n* {headline}\n  {rest}\n"));
        text.push_str(&link.as_ref().map_or(String::new(), |link| format!("  {link}\n")));
        let title = escaped(&words::title(alert, telling));
        let title = link.map_or(title.clone(), |link| {
            format!(
                "<a class=\"link\" href=\"{}\" style=\"color:#0a5687\">{title}</a>",
                escaped(&link)
            )
        });
        rows.push_str(&row(&format!(
            "<p class=\"hot\" style=\"margin:0 0 \
                4px;font-size:13px;line-height:18px;font-weight:600;color:#ad3d06\">{title}</p><p \
                class=\"ink\" style=\"margin:0;font-size:16px;line-height:23px;color:#141d26\">{}</p><p class=\"soft\" style=\"margin:4px 0 0;font-size:14px;line-height:21px;color:#3f4c59\">{}</p>",
            escaped(&headline),
            escaped(&rest)
        )));
    }
    let foot = frame.foot(language, "");
    text.push_str(&as_text(&foot));
    let html = page(&subject, label(language, Label::BelowTheLine), &rows, &foot, frame, language);
    let ids: Vec<&str> = alerts.iter().map(|(alert, _)| alert.id.as_str()).collect();
    let json = json!({ "type": "digest", "timestamp": record::time::display(now.div_euclid(SECOND) * SECOND), "data": { "alerts": ids } });
    Message {
        id: id.to_owned(),
        subscription: frame.subscription.to_owned(),
        language,
        subject,
        text,
        html,
        json,
    }
}

/// How things are, sent every day, and once when nothing has come for long.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pulse {
    /// The least share of posts seen over the feeds, 0 to 1.
    pub seen: Option<f64>,
    /// Of this subscription, fired since a day ago.
    pub alerts: u32,
    /// Of this subscription, open and acknowledged by nobody.
    pub unacknowledged: u32,
    /// The newest event that was counted.
    pub latest: Option<Micros>,
    pub is_silent: bool,
}

pub fn pulse(
    pulse: &Pulse,
    id: &str,
    language: Language,
    zone: &Zone,
    now: Micros,
    frame: &Frame<'_>,
) -> Message {
    let mut sentences = Vec::new();
    if pulse.is_silent {
        let since =
            pulse.latest.map_or("—".to_owned(), |latest| words::instant(latest, zone, language));
        sentences.push(format!("{} {since}.", label(language, Label::Silence)));
    } else {
        sentences.push(format!("{}.", words::works(language, pulse.alerts, pulse.unacknowledged)));
    }
    let title = sentences.concat();
    if !pulse.is_silent && pulse.alerts == 0 && pulse.unacknowledged == 0 {
        sentences.push(label(language, Label::NothingUnusual).to_owned());
    }
    if let Some(share) = pulse.seen {
        sentences.push(format!(
            "{}{}{}.",
            label(language, Label::Seen),
            words::colon(language),
            words::share(share)
        ));
    }
    let json = json!({
        "type": if pulse.is_silent { "system.silent" } else { "system.heartbeat" },
        "timestamp": record::time::display(now.div_euclid(SECOND) * SECOND),
        "data": {
            "alerts": pulse.alerts,
            "unacknowledged": pulse.unacknowledged,
            "seen": pulse.seen,
            "latest": pulse.latest.map(|at| at.div_euclid(SECOND)),
        },
    });
    plain_message(
        id,
        title.trim_end_matches('.'),
        &[sentences.join(" ")],
        json,
        (language, zone, now),
        frame,
    )
}

/// What the program says of itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// What works with less: a name and what is known of it, each.
    Degraded(Vec<(String, String)>),
    /// All of that has ended.
    Recovered,
    /// Asked for by a person.
    Test,
}

pub fn notice(
    notice: &Notice,
    id: &str,
    language: Language,
    zone: &Zone,
    now: Micros,
    frame: &Frame<'_>,
) -> Message {
    let (kind, title, paragraphs) = match notice {
        Notice::Degraded(conditions) => {
            let names: Vec<String> =
                conditions.iter().map(|(name, _)| words::condition(name, language)).collect();
            let colon = words::colon(language);
            let lines = names
                .iter()
                .zip(conditions)
                .map(|(name, (_, detail))| format!("{name}{colon}{}", words::plain(detail)));
            let lines = lines.collect();
            let title = format!("{}{colon}{}", label(language, Label::Degraded), names.join(", "));
            ("system.degraded", title, lines)
        }
        Notice::Recovered => {
            let title = label(language, Label::Recovered);
            ("system.recovered", title.to_owned(), vec![format!("{title}.")])
        }
        Notice::Test => {
            let title = format!("{} {}", label(language, Label::Test), frame.subscription);
            ("system.test", title, vec![label(language, Label::TestMeans).to_owned()])
        }
    };
    let conditions =
        if let Notice::Degraded(conditions) = notice { conditions.as_slice() } else { &[] };
    let json = json!({
        "type": kind,
        "timestamp": record::time::display(now.div_euclid(SECOND) * SECOND),
        "data": { "conditions": conditions.iter().map(|(name, detail)| json!({ "name": name, "detail": detail })).collect::<Vec<_>>() },
    });
    plain_message(id, &title, &paragraphs, json, (language, zone, now), frame)
}

/// A message of a title and paragraphs, with its date.
fn plain_message(
    id: &str,
    title: &str,
    paragraphs: &[String],
    json: Value,
    (language, zone, now): (Language, &Zone, Micros),
    frame: &Frame<'_>,
) -> Message {
    let at = words::instant(now, zone, language);
    let subject = format!("{title} ({at})");
    let foot = frame.foot(language, "");
    let rows: String = paragraphs
        .iter()
        .map(|text| {
            row(&format!(
                "<p class=\"ink\" \
                style=\"margin:0;font-size:16px;line-height:23px;color:#141d26\">{}</p>",
                escaped(text)
            ))
        })
        .chain([row(&format!(
            "<p class=\"mute\" \
            style=\"margin:0;font-size:13px;line-height:18px;color:#586572\">{}</p>",
            escaped(&at)
        ))])
        .collect();
    Message {
        id: id.to_owned(),
        subscription: frame.subscription.to_owned(),
        language,
        html: page(&subject, &paragraphs.join(" "), &rows, &foot, frame, language),
        subject,
        text: format!("{}\n\n{at}\n{}", paragraphs.join("\n"), as_text(&foot)),
        json,
    }
}

/// The notice that the process has failed: the condition that ended it, in the reader's language,
/// and the error as it was logged, for those who may know it.
pub fn outage(
    condition: &str,
    error: Option<&str>,
    id: &str,
    language: Language,
    zone: &Zone,
    now: Micros,
    frame: &Frame<'_>,
) -> Message {
    let title = label(language, Label::Outage);
    let cause = words::condition(condition, language);
    let mut paragraphs = vec![
        format!("{title}."),
        format!("{}{}{cause}.", label(language, Label::Cause), words::colon(language)),
    ];
    paragraphs.extend(error.map(str::to_owned));
    let json = json!({
        "type": "system.outage",
        "timestamp": record::time::display(now.div_euclid(SECOND) * SECOND),
        "data": { "condition": condition, "cause": error },
    });
    plain_message(id, title, &paragraphs, json, (language, zone, now), frame)
}

/// Text in XML: what XML can't hold at all is left out.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(letter),
            '\u{fffe}' | '\u{ffff}' => {}
            _ if letter.is_control() => {}
            _ => safe.push(letter),
        }
    }
    safe
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn row(content: &str) -> String {
    format!("<tr><td class=\"pad\" style=\"padding:20px 28px 0\">{content}</td></tr>\n")
}

fn buttons(link: &str, inbox: &str, language: Language) -> String {
    format!(
        "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\"><tr><td \
            style=\"padding-right:8px\"><a class=\"go\" href=\"{}\" \
            style=\"display:inline-block;padding:9px \
            16px;border-radius:6px;background:#0a5687;color:#ffffff;font-size:15px;line-height:20px;font-weight:600;text-decoration:none\">{}</a></td><td><a class=\"alt\" href=\"{}\" style=\"display:inline-block;padding:8px 14px;border:1px solid #7d8894;border-radius:6px;color:#141d26;font-size:15px;line-height:20px;text-decoration:none\">{}</a></td></tr></table>",
        escaped(link),
        label(language, Label::Open),
        escaped(inbox),
        label(language, Label::Inbox)
    )
}

/// Bars made of cells: what mail programs draw without pictures. The bound is the border between
/// two rows of them.
fn bars(alert: &Alert, trend: &[Bar], telling: &Telling<'_>) -> String {
    const HEIGHT: f64 = 115.0;
    const CELL: &str = "padding:0 4px;line-height:1px;font-size:1px";
    let bound = alert.upperbound.max(0.5);
    let most =
        trend.iter().filter_map(|bar| bar.observed).map(f64::from).fold(bound * 1.1, f64::max);
    let pixels = |count: f64| (HEIGHT * count / most).round();
    let (below, above) = (pixels(bound), HEIGHT - pixels(bound));
    let (mut upper, mut lower, mut numbers) = (String::new(), String::new(), String::new());
    for bar in trend {
        let count = bar.observed.map_or(0.0, f64::from);
        let is_above = count > bound;
        let (class, colour) = if is_above { ("hot-bg", "#ad3d06") } else { ("bar-bg", "#7d9bb3") };
        let block = |height: f64| {
            format!("<div class=\"{class}\" style=\"height:{height}px;background:{colour}\"></div>")
        };
        let top = if is_above { block((pixels(count) - below).max(1.0)) } else { String::new() };
        let bottom = if count > 0.0 { block(pixels(count).min(below)) } else { String::new() };
        upper.push_str(&format!(
            "<td valign=\"bottom\" style=\"{CELL};height:{above}px\">{top}</td>"
        ));
        lower.push_str(&format!(
            "<td class=\"bound\" valign=\"bottom\" style=\"{CELL};height:{below}px;border-top:1px \
                dashed #ad3d06\">{bottom}</td>"
        ));
        // A gap is a gap, never zero.
        let shown = bar.observed.map_or("·".to_owned(), |count| count.to_string());
        let shown = if is_above { format!("<b>{shown}</b>") } else { shown };
        numbers.push_str(&format!(
            "<td class=\"mute\" align=\"center\" \
            style=\"padding-top:4px;border-top:1px solid \
            #c4cbd2;font-size:11px;line-height:14px;color:#586572\">{shown}</td>"
        ));
    }
    let (first, last) =
        (trend.first().map_or(0, |bar| bar.end), trend.last().map_or(0, |bar| bar.end));
    let caption = format!(
        "{}, {} – {}; {} {}",
        label(telling.language, Label::Trend),
        words::instant(first, telling.zone, telling.language),
        words::instant(last, telling.zone, telling.language),
        label(telling.language, Label::Bound),
        words::number(alert.upperbound, telling.language)
    );
    format!(
        "<p class=\"mute\" style=\"margin:0 0 \
            6px;font-size:12px;line-height:18px;color:#586572\">{}</p><table role=\"presentation\" \
            width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" style=\"table-layout:fixed\"><tr \
            style=\"height:{above}px\">{upper}</tr><tr \
            style=\"height:{below}px\">{lower}</tr><tr>{numbers}</tr></table>",
        escaped(&caption)
    )
}

fn numbers(alert: &Alert, telling: &Telling<'_>) -> Vec<(Label, String)> {
    let language = telling.language;
    let bound = label(language, Label::Bound).split(':').next_back().unwrap_or_default().trim();
    let (expected, upperbound) =
        (words::expected(alert, telling), words::number(alert.upperbound, language));
    let semicolon = words::semicolon(language);
    let mut numbers = vec![
        (
            Label::Accounts,
            format!("{}{semicolon}{expected}{semicolon}{bound} {upperbound}", alert.observed),
        ),
        (Label::Ratio, format!("{} ×", words::number(alert.ratio(), language))),
    ];
    if let Some(rise) = alert.grounds.detectable_rise {
        numbers.push((Label::Detectable, format!("{} ×", words::number(rise, language))));
    }
    numbers
}

fn facts(alert: &Alert, telling: &Telling<'_>) -> String {
    let language = telling.language;
    let explanation = &alert.explanation;
    // The public gets words in the headline, and no number here.
    let mut facts = if telling.rise.is_some() { Vec::new() } else { numbers(alert, telling) };
    if alert.population > 0 {
        let rate = f64::from(alert.posts) * 1e6 / alert.population as f64;
        facts.push((Label::PerMillion, words::number(rate, language)));
    }
    if explanation.sampled > 0 {
        facts.push((Label::Voice, format!("{} / {}", explanation.own, explanation.sampled)));
        facts.push((Label::News, format!("{} / {}", explanation.news, explanation.sampled)));
    }
    facts.push((Label::Seen, words::share(alert.coverage)));
    let rows: String = facts
        .iter()
        .map(|(name, value)| {
            format!(
                "<tr><th class=\"mute rule k\" scope=\"row\" align=\"left\" valign=\"top\" \
                    style=\"width:136px;padding:6px 12px 6px 0;border-top:1px solid \
                    #dde1e5;font-size:13px;line-height:19px;font-weight:400;color:#586572\">{}</th><td class=\"ink rule\" style=\"padding:6px 0;border-top:1px solid #dde1e5;font-size:14px;line-height:19px;color:#141d26\">{}</td></tr>",
                label(language, *name),
                escaped(value)
            )
        })
        .collect();
    format!(
        "<table width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" \
            style=\"border-collapse:collapse\">{rows}</table>"
    )
}

/// A line whose address, if it ends with one, can be followed.
fn linked(line: &str) -> String {
    let address = line
        .rsplit(' ')
        .next()
        .filter(|word| word.starts_with("https://") || word.starts_with("http://"));
    match address.and_then(|address| Some((line.strip_suffix(address)?, escaped(address)))) {
        Some((before, address)) => format!(
            "{}<a class=\"link\" href=\"{address}\" style=\"color:#0a5687\">{address}</a>",
            escaped(before)
        ),
        None => escaped(line),
    }
}

/// Only what cannot be inline: dark mode and the narrow screen. The mail stands without it.
const STYLE: &str = ":root{color-scheme:light dark}@media \
    (prefers-color-scheme:dark){.out{background:#0e1317!important}.card{background:#151b21!important;border-color:#2a343d!important}.ink{color:#e9edf0!important}.soft{color:#bcc6cf!important}.mute{color:#98a5b1!important;border-color:#2a343d!important}.rule{border-color:#2a343d!important}.hot{color:#ff9f5f!important}.hot-bg{background:#ff9f5f!important}.bound{border-color:#ff9f5f!important}.bar-bg{background:#6590b3!important}.link{color:#79bdee!important}.go{background:#79bdee!important;color:#07141e!important}.alt{color:#e9edf0!important;border-color:#6f7d8a!important}}@media (max-width:480px){.pad{padding-left:16px!important;padding-right:16px!important}.k{width:104px!important}.big{font-size:19px!important;line-height:26px!important}}";

fn page(
    subject: &str,
    preview: &str,
    rows: &str,
    foot: &[String],
    frame: &Frame<'_>,
    language: Language,
) -> String {
    let code = language.code();
    let simulated = if frame.simulated { label(language, Label::Simulated) } else { "" };
    format!(
        "<!doctype html>\n<html lang=\"{code}\"><head><meta charset=\"utf-8\"><meta \
            name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta \
            name=\"color-scheme\" content=\"light \
            dark\"><title>{subject}</title><style>{STYLE}</style></head>\n<body class=\"out\" \
            style=\"margin:0;padding:0;background:#f5f6f7;font-family:-apple-system,'Segoe \
            UI',Roboto,'Helvetica Neue',Arial,sans-serif\">\n<div role=\"article\" \
            aria-roledescription=\"email\" lang=\"{code}\">\n<div \
            style=\"display:none;max-height:0;overflow:hidden\">{preview}</div>\n<table \
            class=\"out\" role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" \
            style=\"background:#f5f6f7\"><tr><td align=\"center\" style=\"padding:24px \
            8px\">\n<table class=\"card\" role=\"presentation\" width=\"100%\" cellpadding=\"0\" \
            cellspacing=\"0\" style=\"max-width:600px;background:#ffffff;border:1px solid \
            #dde1e5;border-radius:6px;text-align:left\">\n<tr><td class=\"pad\" \
            style=\"padding:20px 28px 0\"><table role=\"presentation\" width=\"100%\" \
            cellpadding=\"0\" cellspacing=\"0\"><tr><td class=\"ink\" \
            style=\"font-size:15px;line-height:20px;font-weight:600;color:#141d26\">pumphandle</td><td class=\"mute\" align=\"right\" style=\"font-size:12px;line-height:20px;color:#586572\">{simulated}</td></tr></table></td></tr>\n{rows}<tr><td style=\"padding:12px\"></td></tr></table>\n<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" style=\"max-width:600px;text-align:left\"><tr><td class=\"mute pad\" style=\"padding:16px 28px;font-size:12px;line-height:18px;color:#586572\">{}</td></tr></table>\n</td></tr></table>\n</div>\n</body></html>\n",
        foot.iter().map(|line| linked(line)).collect::<Vec<_>>().join("<br>"),
        subject = escaped(subject),
        preview = escaped(preview)
    )
}

/// Trends don't reach further back than this many windows of a day.
pub const TREND_BARS: i64 = 14;

#[cfg(test)]
mod tests;
