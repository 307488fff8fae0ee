//! The phrase book in German.

use record::public::Rise;
use record::{Micros, Outcome};

use super::{Book, Check, Label, Often, clock, hours_or_days};
use crate::zone::Local;

pub(super) struct German;

const DAYS: [&str; 7] = ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"];
const MONTHS: [&str; 12] = [
    "Jan.", "Febr.", "März", "April", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.",
    "Dez.",
];
const NUMBERS: [&str; 6] = ["drei", "vier", "fünf", "sechs", "sieben", "acht"];

impl Book for German {
    fn accounts(&self, number: u64, shown: &str) -> String {
        if number == 1 {
            format!("{shown} Konto schrieb")
        } else {
            format!("{shown} Konten schrieben")
        }
    }

    fn rise(&self, rise: Rise) -> &'static str {
        match rise {
            Rise::Above => "Mehr Konten als üblich schrieben",
            Rise::Several => "Ein Mehrfaches der üblichen Zahl von Konten schrieb",
            Rise::Many => "Ein sehr hohes Vielfaches der üblichen Zahl von Konten schrieb",
        }
    }

    fn level(&self, rise: Rise) -> &'static str {
        match rise {
            Rise::Above => "über dem üblichen Niveau",
            Rise::Several => "ein Mehrfaches des üblichen Niveaus",
            Rise::Many => "ein sehr hohes Vielfaches des üblichen Niveaus",
        }
    }

    fn posted(&self, topic: &str, place: &str, span: &str, end: &str, is_open: bool) -> String {
        let when = if is_open {
            format!("bisher in den {span}, die {end} enden,")
        } else {
            format!("in den {span} bis {end}")
        };
        format!("{place} {when} über {topic}")
    }

    fn expected(&self, number: &str, interval: Option<(&str, &str)>, bound: &str) -> String {
        match interval {
            Some((low, high)) => format!("{number} erwartet ({low}–{high})"),
            None => format!("{number} erwartet, Schwelle {bound}"),
        }
    }

    fn place(&self, code: &str, name: &str) -> String {
        if code.starts_with("lang:") {
            return format!("auf {name}");
        }
        match code {
            "CH" | "TR" | "SK" | "UA" | "MN" | "DO" | "CF" | "CI" | "CD" => {
                format!("in der {}", name.replace("ische Republik", "ischen Republik"))
            }
            "IR" | "IQ" | "YE" | "LB" | "SD" | "TD" | "NE" | "SN" | "VA" => format!("im {name}"),
            "US" | "AE" => format!("in den {}", name.replace("Vereinigte ", "Vereinigten ")),
            "NL" => "in den Niederlanden".to_owned(),
            "PH" | "BS" | "KM" | "SC" | "MV" | "FO" | "SB" => format!("auf den {name}"),
            "GB" => format!("im {}", name.replace("Vereinigtes ", "Vereinigten ")),
            _ => format!("in {name}"),
        }
    }

    fn world(&self) -> &'static str {
        "weltweit"
    }

    fn unlocated(&self) -> &'static str {
        "von unbekannten Orten"
    }

    fn span(&self, length: Micros) -> String {
        match hours_or_days(length) {
            (true, days) => format!("{days} Tagen"),
            (false, hours) => format!("{hours}\u{a0}h"),
        }
    }

    fn end(&self, local: &Local) -> String {
        let day = DAYS[usize::from(local.weekday)];
        let (date, month, year) =
            (local.day_of_month, MONTHS[usize::from(local.month - 1)], local.year);
        let zone = match local.zone.as_str() {
            "CET" => "MEZ",
            "CEST" => "MESZ",
            zone => zone,
        };
        format!("{day} {date}. {month} {year} {}\u{a0}{}", clock(local), zone)
    }

    fn rarity(&self, often: Often) -> String {
        match often {
            Often::RarerThanTenYears => "seltener als einmal in 10 Jahren".to_owned(),
            Often::OnceInYears(years) => format!("etwa einmal in {years} Jahren"),
            Often::Yearly => "etwa einmal im Jahr".to_owned(),
            Often::TimesAYear(2) => "etwa zweimal im Jahr".to_owned(),
            Often::TimesAYear(times) => {
                let name = (times as usize)
                    .checked_sub(3)
                    .and_then(|at| NUMBERS.get(at))
                    .map_or_else(|| format!("{times}-"), |name| (*name).to_owned());
                format!("etwa {name}mal im Jahr")
            }
            Often::Monthly => "etwa einmal im Monat".to_owned(),
            Often::TwiceAMonth => "etwa zweimal im Monat".to_owned(),
            Often::Weekly => "etwa einmal in der Woche".to_owned(),
            Often::MoreThanWeekly => "öfter als einmal in der Woche".to_owned(),
        }
    }

    fn by_chance(&self, rarity: &str, series: u32) -> String {
        match series {
            0 => format!("Durch Zufall {rarity} in allen überwachten Zeitreihen."),
            1 => format!("Durch Zufall {rarity} in dieser Zeitreihe."),
            _ => format!("Durch Zufall {rarity} in Ihren {series} Zeitreihen."),
        }
    }

    fn voices(&self, own: u32, news: u32, of: Option<u32>) -> String {
        let link = if news == 1 { "verweist" } else { "verweisen" };
        match of {
            Some(of) => format!(
                "Von {of} Beiträgen der Stichprobe {own} in Ich-Form, {news} {link} auf \
                    Nachrichten."
            ),
            None => format!("{own} in Ich-Form, {news} {link} auf Nachrichten."),
        }
    }

    fn located(&self, percent: &str, place: &str) -> String {
        format!("Ort bekannt bei {percent} der Beiträge ({place}).")
    }

    fn seen(&self, percent: &str) -> String {
        format!("{percent} der Beiträge dieser Stunden wurden erfasst.")
    }

    fn history(&self, outcomes: &[(Outcome, u32)], n: u32) -> String {
        let shown: Vec<String> = outcomes
            .iter()
            .map(|(outcome, count)| {
                let name = match outcome {
                    Outcome::HealthEvent if *count == 1 => "Ereignis",
                    Outcome::HealthEvent => "Ereignisse",
                    Outcome::Known => "bekannt",
                    Outcome::TalkOnly => "nur Diskussion",
                    Outcome::Artefact => "Artefakt",
                    Outcome::CouldNotTell => "nicht geklärt",
                };
                format!("{count} {name}")
            })
            .collect();
        let alerts = if n == 1 {
            "Letzter Alarm hier".to_owned()
        } else {
            format!("Letzte {n} Alarme hier")
        };
        format!("{alerts}: {}.", shown.join(", "))
    }

    fn posts_not_cases(&self) -> &'static str {
        "Beiträge, keine Fälle."
    }

    fn withdrawn(&self) -> &'static str {
        "Zurückgezogen: "
    }

    fn check(&self, check: &Check) -> String {
        match check {
            Check::OneAuthor { posts, of } => {
                format!(
                    "Mindestens {posts} von {of} Beiträgen der Stichprobe stammen von einem \
                        Konto: ein Bot oder eine Kampagne?"
                )
            }
            Check::NearCopies { posts, of } => {
                format!(
                    "{posts} von {of} Beiträgen der Stichprobe sind nahezu identisch: wird ein Text \
                    weiterverbreitet?"
                )
            }
            Check::NewAccounts { posts, of } => {
                format!(
                    "{posts} von {of} Beiträgen der Stichprobe stammen von neuen Konten: \
                    Massenanmeldungen oder Bots?"
                )
            }
            Check::News { posts, of, domain: Some(domain) } => {
                format!(
                    "{posts} von {of} Beiträgen der Stichprobe verweisen auf Nachrichten, meist \
                        auf {domain}: wird über einen Bericht diskutiert?"
                )
            }
            Check::News { posts, of, domain: None } => {
                format!(
                    "{posts} von {of} Beiträgen der Stichprobe verweisen auf Nachrichten: \
                    wird über einen Bericht diskutiert?"
                )
            }
            Check::Campaign(names) => {
                format!("Fällt zusammen mit {names}: geht es nur darum?")
            }
            Check::OneLink => "Viele Beiträge enthalten denselben Link: wird eine einzelne Seite \
                geteilt?"
                .to_owned(),
            Check::Growth => {
                "Alle Beiträge haben im gleichen Maß zugenommen: ist das Netz gewachsen, \
                nicht das Thema?"
                    .to_owned()
            }
            Check::SlowRise(days) => {
                format!(
                    "Kein einzelner Tag liegt über der Schwelle, die letzten {days} Tage zusammen \
                    schon: was nimmt seitdem zu?"
                )
            }
            Check::Tags(tags) => format!(
                "Gemeinsam verwendete Hashtags: {tags}. Geht es um die \
                Krankheit?"
            ),
            Check::Elsewhere(places) => format!("Ebenfalls über der Schwelle: {places}."),
            Check::Coverage(percent) => format!(
                "Nur {percent} der Beiträge wurden erfasst: ist eine \
                Quelle ausgefallen?"
            ),
            Check::Open => "Das Zeitfenster ist noch offen: bei seinem Abschluss wird der Alarm \
                bestätigt oder zurückgezogen."
                .to_owned(),
            Check::Ask => "Prüfen Sie andere Quellen: gibt es mehr Arztbesuche, Fehltage oder \
                Tests?"
                .to_owned(),
        }
    }

    fn label(&self, label: Label) -> &'static str {
        match label {
            Label::WhatToCheck => "Was zu prüfen ist",
            Label::Open => "Öffnen und übernehmen",
            Label::Inbox => "Eingang",
            Label::Accounts => "Konten",
            Label::Ratio => "Verhältnis",
            Label::Detectable => "Kleinster erkennbarer Anstieg",
            Label::Voice => "Ich-Form",
            Label::News => "Nachrichten",
            Label::Seen => "Erfasst",
            Label::PerMillion => "Beiträge pro Million",
            Label::Simulated => "Simulierte Daten",
            Label::Trend => "Konten nach Zeitfenster",
            Label::Bound => "gestrichelt: Schwelle von",
            Label::Digest => "Übersicht",
            Label::NothingUnusual => "Nichts Ungewöhnliches.",
            Label::Silence => "Keine Daten: kein neuer Beitrag seit",
            Label::Outage => "pumphandle ist ausgefallen: bis zum Neustart wird nichts überwacht",
            Label::Cause => "Ursache",
            Label::Escalated => "Dieser Alarm wurde nicht rechtzeitig übernommen.",
            Label::New => "neu",
            Label::Updated => "Aktualisierung",
            Label::BelowTheLine => "Unter der Wochengrenze, die seltensten zuerst",
            Label::Degraded => "pumphandle läuft eingeschränkt",
            Label::Recovered => "pumphandle läuft wieder uneingeschränkt",
            Label::Test => "pumphandle: Test des Abonnements",
            Label::TestMeans => "Dies ist ein Test, kein Alarm.",
            Label::Doubtful => "Zweifelhaft: siehe „Was zu prüfen ist“.",
            Label::Provisional => {
                "Vorläufig: beruht auf den ersten zwei Wochen, das übliche Niveau steht noch nicht \
                fest."
            }
        }
    }

    fn decimal_comma(&self) -> bool {
        true
    }

    fn thousands(&self) -> &'static str {
        "."
    }

    /// Nouns keep their capital.
    fn in_sentence(&self, name: &str) -> String {
        name.to_owned()
    }

    fn language(&self, code: &str) -> Option<&'static str> {
        Some(match code {
            "en" => "Englisch",
            "fr" => "Französisch",
            "es" => "Spanisch",
            "de" => "Deutsch",
            "pt" => "Portugiesisch",
            "it" => "Italienisch",
            "ja" => "Japanisch",
            "und" => "ohne Sprachangabe",
            _ => return None,
        })
    }

    fn why(&self, subscription: &str) -> String {
        format!("Sie erhalten diese Nachricht über das Abonnement „{subscription}“.")
    }

    fn change(&self, address: &str) -> String {
        format!("Abonnement ändern oder beenden: {address}")
    }

    fn end_by_mail(&self, address: &str) -> String {
        format!("Abonnement per E-Mail beenden: {address}")
    }

    fn works(&self, new: u32, unacknowledged: u32) -> String {
        let alerts = if new == 1 { "neuer Alarm" } else { "neue Alarme" };
        format!("pumphandle läuft; {new} {alerts} in 24\u{a0}h, {unacknowledged} nicht übernommen")
    }
}
