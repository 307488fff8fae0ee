//! The phrase book in English.

use record::public::Rise;
use record::{Micros, Outcome};

use super::{Book, Check, Label, Often, clock, hours_or_days};
use crate::zone::Local;

pub(super) struct English;

/// Countries that take an article in a sentence.
const WITH_ARTICLE: [&str; 15] =
    ["AE", "BS", "CF", "DO", "FK", "GB", "GM", "IM", "KM", "KY", "MV", "NL", "PH", "SB", "US"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const NUMBERS: [&str; 6] = ["three", "four", "five", "six", "seven", "eight"];

impl Book for English {
    fn accounts(&self, number: u64, shown: &str) -> String {
        format!("{shown} {}", if number == 1 { "account" } else { "accounts" })
    }

    fn rise(&self, rise: Rise) -> &'static str {
        match rise {
            Rise::Above => "More accounts than usual",
            Rise::Several => "Several times the usual number of accounts",
            Rise::Many => "Many times the usual number of accounts",
        }
    }

    fn level(&self, rise: Rise) -> &'static str {
        match rise {
            Rise::Above => "above the usual level",
            Rise::Several => "several times the usual level",
            Rise::Many => "many times the usual level",
        }
    }

    fn posted(&self, topic: &str, place: &str, span: &str, end: &str, is_open: bool) -> String {
        let when = if is_open {
            format!("so far in the {span} that end {end}")
        } else {
            format!("in the {span} to {end}")
        };
        format!("posted about {topic} {place} {when}")
    }

    fn expected(&self, number: &str, interval: Option<(&str, &str)>, bound: &str) -> String {
        match interval {
            Some((low, high)) => format!("{number} expected ({low}–{high})"),
            None => format!("{number} expected, bound {bound}"),
        }
    }

    fn place(&self, code: &str, name: &str) -> String {
        if WITH_ARTICLE.contains(&code) { format!("in the {name}") } else { format!("in {name}") }
    }

    fn world(&self) -> &'static str {
        "worldwide"
    }

    fn unlocated(&self) -> &'static str {
        "from places unknown"
    }

    fn span(&self, length: Micros) -> String {
        match hours_or_days(length) {
            (true, days) => format!("{days} days"),
            (false, hours) => format!("{hours}\u{a0}h"),
        }
    }

    fn end(&self, local: &Local) -> String {
        let day = DAYS[usize::from(local.weekday)];
        let (date, month, year) =
            (local.day_of_month, MONTHS[usize::from(local.month - 1)], local.year);
        format!("{day} {date} {month} {year} {}\u{a0}{}", clock(local), local.zone)
    }

    fn rarity(&self, often: Often) -> String {
        match often {
            Often::RarerThanTenYears => "less than once in 10 years".to_owned(),
            Often::OnceInYears(years) => format!("about once in {years} years"),
            Often::Yearly => "about once a year".to_owned(),
            Often::TimesAYear(2) => "about twice a year".to_owned(),
            Often::TimesAYear(times) => {
                let name = (times as usize)
                    .checked_sub(3)
                    .and_then(|at| NUMBERS.get(at))
                    .map_or_else(|| times.to_string(), |name| (*name).to_owned());
                format!("about {name} times a year")
            }
            Often::Monthly => "about once a month".to_owned(),
            Often::TwiceAMonth => "about twice a month".to_owned(),
            Often::Weekly => "about once a week".to_owned(),
            Often::MoreThanWeekly => "more than once a week".to_owned(),
        }
    }

    fn by_chance(&self, rarity: &str, series: u32) -> String {
        match series {
            0 => format!("By chance {rarity} in all monitored series."),
            1 => format!("By chance {rarity} in this series."),
            _ => format!("By chance {rarity} in your {series} series."),
        }
    }

    fn voices(&self, own: u32, news: u32, of: Option<u32>) -> String {
        let link = if news == 1 { "links" } else { "link" };
        match of {
            Some(of) => format!("Of {of} sampled posts {own} first-person, {news} {link} to news."),
            None => format!("{own} first-person, {news} {link} to news."),
        }
    }

    fn located(&self, percent: &str, place: &str) -> String {
        format!("Place known for {percent} of posts ({place}).")
    }

    fn seen(&self, percent: &str) -> String {
        format!("{percent} of the posts of these hours were received.")
    }

    fn history(&self, outcomes: &[(Outcome, u32)], n: u32) -> String {
        let shown: Vec<String> = outcomes
            .iter()
            .map(|(outcome, count)| {
                let name = match outcome {
                    Outcome::HealthEvent if *count == 1 => "event",
                    Outcome::HealthEvent => "events",
                    Outcome::Known => "known",
                    Outcome::TalkOnly => "talk",
                    Outcome::Artefact => "artefact",
                    Outcome::CouldNotTell => "unclear",
                };
                format!("{count} {name}")
            })
            .collect();
        let alerts =
            if n == 1 { "Last alert here".to_owned() } else { format!("Last {n} alerts here") };
        format!("{alerts}: {}.", shown.join(", "))
    }

    fn posts_not_cases(&self) -> &'static str {
        "Posts, not cases."
    }

    fn withdrawn(&self) -> &'static str {
        "Withdrawn: "
    }

    fn check(&self, check: &Check) -> String {
        match check {
            Check::OneAuthor { posts, of } => {
                format!(
                    "At least {posts} of {of} sampled posts are from one account: a bot, or a \
                        campaigner?"
                )
            }
            Check::NearCopies { posts, of } => {
                format!(
                    "{posts} of {of} sampled posts are near-duplicates: one text shared repeatedly?"
                )
            }
            Check::NewAccounts { posts, of } => format!(
                "{posts} of {of} sampled posts are from new accounts: mass registration, or bots?"
            ),
            Check::News { posts, of, domain: Some(domain) } => {
                format!(
                    "{posts} of {of} sampled posts link to news, most to {domain}: are people \
                        discussing a report?"
                )
            }
            Check::News { posts, of, domain: None } => {
                format!(
                    "{posts} of {of} sampled posts link to news: are people discussing a report?"
                )
            }
            Check::Campaign(names) => format!("Coincides with {names}: is it talk about that?"),
            Check::OneLink => {
                "Many posts contain the same link: are people sharing one page?".to_owned()
            }
            Check::Growth => {
                "All posts rose to the same extent: did the network grow, rather than the topic?"
                    .to_owned()
            }
            Check::SlowRise(days) => {
                format!(
                    "No single day is above its bound; the last {days} days together are: what has \
                        been rising since?"
                )
            }
            Check::Tags(tags) => {
                format!("Co-occurring hashtags: {tags}. Do these posts refer to the illness?")
            }
            Check::Elsewhere(places) => format!("Also above their bound: {places}."),
            Check::Coverage(percent) => {
                format!("Only {percent} of posts were received: was a source down?")
            }
            Check::Open => {
                "The window is still open: when it closes, the alert is confirmed or withdrawn."
                    .to_owned()
            }
            Check::Ask => {
                "Check other sources: are consultations, absences or tests up?".to_owned()
            }
        }
    }

    fn label(&self, label: Label) -> &'static str {
        match label {
            Label::WhatToCheck => "What to check",
            Label::Open => "Open and acknowledge",
            Label::Inbox => "Inbox",
            Label::Accounts => "Accounts",
            Label::Ratio => "Ratio",
            Label::Detectable => "Smallest detectable rise",
            Label::Voice => "First-person",
            Label::News => "News",
            Label::Seen => "Received",
            Label::PerMillion => "Posts per million",
            Label::Simulated => "Simulated data",
            Label::Trend => "Accounts, window by window",
            Label::Bound => "dashes: bound of",
            Label::Digest => "Digest",
            Label::NothingUnusual => "Nothing unusual.",
            Label::Silence => "No data: no new post since",
            Label::Outage => "pumphandle has stopped: nothing is monitored until it is restarted",
            Label::Cause => "Cause",
            Label::Escalated => "This alert was not acknowledged in time.",
            Label::New => "new",
            Label::Updated => "update",
            Label::BelowTheLine => "Below this week’s limit, rarest first",
            Label::Degraded => "pumphandle is running with limitations",
            Label::Recovered => "pumphandle is running normally again",
            Label::Test => "pumphandle: test of the subscription",
            Label::TestMeans => "This is a test, not an alert.",
            Label::Doubtful => "Doubtful: see what to check.",
            Label::Provisional => {
                "Provisional: based on the first two weeks, the usual level is not yet established."
            }
        }
    }

    fn decimal_comma(&self) -> bool {
        false
    }

    fn thousands(&self) -> &'static str {
        ","
    }

    fn in_sentence(&self, name: &str) -> String {
        super::lowered(name)
    }

    fn language(&self, code: &str) -> Option<&'static str> {
        Some(match code {
            "en" => "English",
            "fr" => "French",
            "es" => "Spanish",
            "de" => "German",
            "pt" => "Portuguese",
            "it" => "Italian",
            "ja" => "Japanese",
            "und" => "no stated language",
            _ => return None,
        })
    }

    fn why(&self, subscription: &str) -> String {
        format!("You receive this as a recipient of the subscription “{subscription}”.")
    }

    fn change(&self, address: &str) -> String {
        format!("Change or end the subscription: {address}")
    }

    fn end_by_mail(&self, address: &str) -> String {
        format!("End the subscription by mail: {address}")
    }

    fn works(&self, new: u32, unacknowledged: u32) -> String {
        format!(
            "pumphandle is running; {new} new {} in 24\u{a0}h, {unacknowledged} unacknowledged",
            if new == 1 { "alert" } else { "alerts" }
        )
    }
}
