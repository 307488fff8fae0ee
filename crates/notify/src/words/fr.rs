//! The phrase book in French.

use record::public::Rise;
use record::{Micros, Outcome};

use super::{Book, Check, Label, Often, clock, hours_or_days};
use crate::zone::Local;

pub(super) struct French;

const DAYS: [&str; 7] = ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."];
const MONTHS: [&str; 12] = [
    "janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.",
    "déc.",
];
const NUMBERS: [&str; 6] = ["trois", "quatre", "cinq", "six", "sept", "huit"];
/// Countries that are masculine in spite of their last letter, or begin with a consonant and are.
const MASCULINE_E: [&str; 6] = ["MX", "KH", "MZ", "ZW", "SR", "BZ"];
const PLURAL: [&str; 12] = ["US", "NL", "PH", "AE", "BS", "KM", "MV", "SC", "FJ", "SB", "MH", "PW"];
/// Without an article.
const BARE: [&str; 12] = ["CU", "MT", "CY", "SG", "MG", "HT", "MC", "DJ", "MU", "BH", "TW", "HK"];

impl Book for French {
    fn accounts(&self, number: u64, shown: &str) -> String {
        format!("{shown} {}", if number < 2 { "compte a" } else { "comptes ont" })
    }

    fn rise(&self, rise: Rise) -> &'static str {
        match rise {
            Rise::Above => "Plus de comptes que d’habitude ont",
            Rise::Several => "Plusieurs fois le nombre habituel de comptes ont",
            Rise::Many => "Un nombre de comptes très supérieur à l’habitude a",
        }
    }

    fn level(&self, rise: Rise) -> &'static str {
        match rise {
            Rise::Above => "au-dessus du niveau habituel",
            Rise::Several => "plusieurs fois le niveau habituel",
            Rise::Many => "très au-dessus du niveau habituel",
        }
    }

    fn posted(&self, topic: &str, place: &str, span: &str, end: &str, is_open: bool) -> String {
        let when = if is_open {
            format!("jusqu’ici, dans les {span} se terminant le {end}")
        } else {
            format!("dans les {span} avant le {end}")
        };
        format!("publié sur « {topic} » {place} {when}")
    }

    fn expected(&self, number: &str, interval: Option<(&str, &str)>, bound: &str) -> String {
        match interval {
            Some((low, high)) => format!("{number} attendus ({low}–{high})"),
            None => format!("{number} attendus, seuil {bound}"),
        }
    }

    fn place(&self, code: &str, name: &str) -> String {
        if code.starts_with("lang:") {
            return format!("en {name}");
        }
        if code.len() != 2 {
            return format!("({name})");
        }
        let starts_with_vowel =
            name.starts_with(|letter: char| "AEIOUÉÈÎaeiouéèî".contains(letter));
        match code {
            _ if BARE.contains(&code) => format!("à {name}"),
            _ if PLURAL.contains(&code) => format!("aux {name}"),
            _ if starts_with_vowel || (name.ends_with('e') && !MASCULINE_E.contains(&code)) => {
                format!("en {name}")
            }
            _ => format!("au {name}"),
        }
    }

    fn world(&self) -> &'static str {
        "dans le monde"
    }

    fn unlocated(&self) -> &'static str {
        "de lieux inconnus"
    }

    fn span(&self, length: Micros) -> String {
        match hours_or_days(length) {
            (true, days) => format!("{days} jours"),
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
            Often::RarerThanTenYears => "moins d’une fois en 10 ans".to_owned(),
            Often::OnceInYears(years) => format!("environ une fois en {years} ans"),
            Often::Yearly => "environ une fois par an".to_owned(),
            Often::TimesAYear(2) => "environ deux fois par an".to_owned(),
            Often::TimesAYear(times) => {
                let name = (times as usize)
                    .checked_sub(3)
                    .and_then(|at| NUMBERS.get(at))
                    .map_or_else(|| times.to_string(), |name| (*name).to_owned());
                format!("environ {name} fois par an")
            }
            Often::Monthly => "environ une fois par mois".to_owned(),
            Often::TwiceAMonth => "environ deux fois par mois".to_owned(),
            Often::Weekly => "environ une fois par semaine".to_owned(),
            Often::MoreThanWeekly => "plus d’une fois par semaine".to_owned(),
        }
    }

    fn by_chance(&self, rarity: &str, series: u32) -> String {
        match series {
            0 => format!("Par hasard, {rarity} dans l’ensemble des séries surveillées."),
            1 => format!("Par hasard, {rarity} dans cette série."),
            _ => format!("Par hasard, {rarity} dans vos {series} séries."),
        }
    }

    fn voices(&self, own: u32, news: u32, of: Option<u32>) -> String {
        let link = if news < 2 { "renvoie" } else { "renvoient" };
        match of {
            Some(of) => format!(
                "Sur {of} messages de l’échantillon, {own} à la première personne, {news} {link} \
                    vers la presse."
            ),
            None => format!("{own} à la première personne, {news} {link} vers la presse."),
        }
    }

    fn located(&self, percent: &str, place: &str) -> String {
        format!("Lieu connu pour {percent} des messages ({place}).")
    }

    fn seen(&self, percent: &str) -> String {
        format!("{percent} des messages de ces heures ont été reçus.")
    }

    fn history(&self, outcomes: &[(Outcome, u32)], n: u32) -> String {
        let shown: Vec<String> = outcomes
            .iter()
            .map(|(outcome, count)| {
                let name = match outcome {
                    Outcome::HealthEvent if *count == 1 => "événement",
                    Outcome::HealthEvent => "événements",
                    Outcome::Known => "déjà connu",
                    Outcome::TalkOnly => "simple discussion",
                    Outcome::Artefact => "artefact",
                    Outcome::CouldNotTell => "indéterminé",
                };
                format!("{count} {name}")
            })
            .collect();
        let alerts = if n == 1 {
            "Dernière alerte ici".to_owned()
        } else {
            format!("{n} dernières alertes ici")
        };
        format!("{alerts} : {}.", shown.join(", "))
    }

    fn posts_not_cases(&self) -> &'static str {
        "Des messages, pas des cas."
    }

    fn withdrawn(&self) -> &'static str {
        "Retirée : "
    }

    fn check(&self, check: &Check) -> String {
        match check {
            Check::OneAuthor { posts, of } => {
                format!(
                    "Au moins {posts} des {of} messages de l’échantillon viennent d’un seul compte \
                        : un robot, ou une campagne ?"
                )
            }
            Check::NearCopies { posts, of } => {
                format!(
                    "{posts} des {of} messages de l’échantillon sont des quasi-doublons : un \
                    texte relayé ?"
                )
            }
            Check::NewAccounts { posts, of } => {
                format!(
                    "{posts} des {of} messages de l’échantillon viennent de comptes récents : des \
                        inscriptions en masse, ou des robots ?"
                )
            }
            Check::News { posts, of, domain: Some(domain) } => {
                format!(
                    "{posts} des {of} messages de l’échantillon renvoient vers la presse, surtout \
                        {domain} : commente-t-on un article ?"
                )
            }
            Check::News { posts, of, domain: None } => {
                format!(
                    "{posts} des {of} messages de l’échantillon renvoient vers la presse : \
                    commente-t-on un article ?"
                )
            }
            Check::Campaign(names) => {
                format!("Coïncide avec {names} : ne parle-t-on que de cela ?")
            }
            Check::OneLink => {
                "Beaucoup de messages contiennent le même lien : partage-t-on une seule \
                page ?"
                    .to_owned()
            }
            Check::Growth => "Tous les messages ont augmenté dans la même mesure : le réseau \
                a-t-il grandi, plutôt que le thème ?"
                .to_owned(),
            Check::SlowRise(days) => {
                format!(
                    "Aucun jour ne dépasse seul le seuil ; les {days} derniers jours ensemble le \
                    dépassent : qu’est-ce qui augmente depuis ?"
                )
            }
            Check::Tags(tags) => format!(
                "Mots-dièse associés : {tags}. S’agit-il bien de la \
                maladie ?"
            ),
            Check::Elsewhere(places) => format!("Également au-dessus du seuil : {places}."),
            Check::Coverage(percent) => format!(
                "Seuls {percent} des messages ont été reçus : une \
                source était-elle en panne ?"
            ),
            Check::Open => "La fenêtre est encore ouverte : à sa clôture, l’alerte sera confirmée \
                ou retirée."
                .to_owned(),
            Check::Ask => "Consultez d’autres sources : les consultations, absences ou tests \
                augmentent-ils ?"
                .to_owned(),
        }
    }

    fn label(&self, label: Label) -> &'static str {
        match label {
            Label::WhatToCheck => "À vérifier",
            Label::Open => "Ouvrir et prendre en charge",
            Label::Inbox => "Réception",
            Label::Accounts => "Comptes",
            Label::Ratio => "Rapport",
            Label::Detectable => "Plus petite hausse détectable",
            Label::Voice => "À la première personne",
            Label::News => "Presse",
            Label::Seen => "Reçus",
            Label::PerMillion => "Messages par million",
            Label::Simulated => "Données simulées",
            Label::Trend => "Comptes par fenêtre",
            Label::Bound => "tirets : seuil de",
            Label::Digest => "Récapitulatif",
            Label::NothingUnusual => "Rien d’inhabituel.",
            Label::Silence => "Aucune donnée : aucun nouveau message depuis le",
            Label::Outage => "pumphandle s’est arrêté : rien n’est surveillé jusqu’au redémarrage",
            Label::Cause => "Cause",
            Label::Escalated => "Cette alerte n’a pas été prise en charge à temps.",
            Label::New => "nouvelle",
            Label::Updated => "mise à jour",
            Label::BelowTheLine => "Sous la limite hebdomadaire, les plus rares d’abord",
            Label::Degraded => "pumphandle fonctionne en mode dégradé",
            Label::Recovered => "pumphandle fonctionne de nouveau normalement",
            Label::Test => "pumphandle : test de l’abonnement",
            Label::TestMeans => "Ceci est un test, pas une alerte.",
            Label::Doubtful => "Douteuse : voir « À vérifier ».",
            Label::Provisional => {
                "Provisoire : fondée sur les deux premières semaines, le niveau habituel n’est pas \
                encore établi."
            }
        }
    }

    fn decimal_comma(&self) -> bool {
        true
    }

    fn thousands(&self) -> &'static str {
        "\u{202f}"
    }

    fn in_sentence(&self, name: &str) -> String {
        super::lowered(name)
    }

    fn language(&self, code: &str) -> Option<&'static str> {
        Some(match code {
            "en" => "anglais",
            "fr" => "français",
            "es" => "espagnol",
            "de" => "allemand",
            "pt" => "portugais",
            "it" => "italien",
            "ja" => "japonais",
            "und" => "langue non déclarée",
            _ => return None,
        })
    }

    fn why(&self, subscription: &str) -> String {
        format!("Vous recevez ce message au titre de l’abonnement « {subscription} ».")
    }

    fn change(&self, address: &str) -> String {
        format!("Modifier ou résilier l’abonnement : {address}")
    }

    fn end_by_mail(&self, address: &str) -> String {
        format!("Résilier l’abonnement par courriel : {address}")
    }

    fn works(&self, new: u32, unacknowledged: u32) -> String {
        let alerts = if new < 2 { "nouvelle alerte" } else { "nouvelles alertes" };
        let open = if unacknowledged < 2 { "non prise en charge" } else { "non prises en charge" };
        format!("pumphandle fonctionne ; {new} {alerts} en 24\u{a0}h, {unacknowledged} {open}")
    }
}
