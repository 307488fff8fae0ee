//! An alert and a world for the tests of all modules.

use std::collections::BTreeMap;

use record::kind::Kind;
use record::time::{DAY, HOUR, MINUTE};
use record::{Alert, AlertState, Explanation, Grounds, Micros, Stage, Version};

use crate::subscription::{self, Subscription, World};
use crate::words::{Language, Names};

/// Tuesday 13 January 2026, 13:00 UTC.
pub(crate) const TUESDAY: Micros = 1_768_309_200_000_000;

pub(crate) struct Europe;

impl World for Europe {
    fn kind(&self, topic: &str) -> Option<Kind> {
        match topic {
            "fever" => Some(Kind::Symptom),
            "measles" => Some(Kind::Disease),
            "hiv" => Some(Kind::Sensitive),
            "flood" => Some(Kind::Crisis),
            _ => None,
        }
    }

    fn is_within(&self, region: &str, above: &str) -> bool {
        region == above || above == "001" || region.starts_with(&format!("{above}-"))
    }
}

impl Names for Europe {
    fn region(&self, code: &str, language: Language) -> Option<String> {
        let names: BTreeMap<&str, [&str; 4]> = BTreeMap::from([
            ("DE-BY", ["Bavaria", "Bavière", "Baviera", "Bayern"]),
            (
                "DE-BW",
                ["Baden-Württemberg", "Bade-Wurtemberg", "Baden-Wurtemberg", "Baden-Württemberg"],
            ),
            ("DE", ["Germany", "Allemagne", "Alemania", "Deutschland"]),
            ("CH", ["Switzerland", "Suisse", "Suiza", "Schweiz"]),
            ("US", ["United States", "États-Unis", "Estados Unidos", "Vereinigte Staaten"]),
        ]);
        names.get(code).map(|names| names[language as usize].to_owned())
    }

    fn topic(&self, id: &str, language: Language) -> Option<String> {
        (id == "fever")
            .then(|| ["Fever", "Fièvre", "Fiebre", "Fieber"][language as usize].to_owned())
    }
}

pub(crate) fn fever() -> Alert {
    Alert {
        id: "3f2a9c01b7de".to_owned(),
        revision: 0,
        topic: "fever".to_owned(),
        topic_name: "Fever".to_owned(),
        region: "DE-BY".to_owned(),
        regions: ["DE", "DE-BW", "DE-BY", "lang:de"].map(str::to_owned).to_vec(),
        opened_at: TUESDAY - DAY,
        fired_at: TUESDAY - 5 * HOUR + 3 * MINUTE,
        window_end: TUESDAY,
        window_length: DAY,
        stage: Stage::Closed,
        state: AlertState::Open,
        severity: 1,
        observed: 23,
        posts: 26,
        population: 9_213,
        expected: 6.0,
        upperbound: 15.0,
        recurrence: Some(365.0),
        method: "default".to_owned(),
        coverage: 1.0,
        explanation: Explanation {
            sampled: 26,
            own: 14,
            news: 3,
            tags: vec![("fieber".to_owned(), 9), ("kita".to_owned(), 6)],
            most_by_one: 2,
            near_copies: 1,
            ..Explanation::default()
        },
        version: Version(7),
        grounds: Box::new(Grounds {
            expected_low: Some(3.0),
            expected_high: Some(11.0),
            detectable_rise: Some(3.0),
            located_share: Some(0.09),
            ..Grounds::default()
        }),
    }
}

/// A subscription with a few lines of its own.
pub(crate) fn subscription(lines: &str) -> Subscription {
    let text = format!(
        "[[subscription]]\nname = \"test\"\naudience = \"official\"\nzone = \
            \"Europe/Berlin\"\n{lines}"
    );
    let text =
        if lines.contains("channel") { text } else { format!("{text}\nchannel = \"stdout\"") };
    let mut read =
        subscription::parse_subscriptions("a.toml", &text, std::path::Path::new("/etc/pumphandle"))
            .unwrap();
    read.remove(0)
}
