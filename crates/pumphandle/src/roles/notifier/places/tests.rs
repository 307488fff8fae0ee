//! One alert in the words of API, mail and terminal; campaigns by day.

use notify::message::{self, Frame, Occasion};
use record::{Alert, AlertState};

use super::*;
use crate::config;

#[test]
fn api_mail_and_terminal_word_an_alert_alike() {
    let config = config::built_in(&[]).unwrap();
    let places = Places::new(&config.settings(), &config);
    let alert = Alert {
        stage: record::Stage::Early,
        recurrence: Some(365.0),
        grounds: Box::new(record::Grounds {
            suspect: vec![record::Suspect::OneAccount],
            provisional: true,
            ..record::Grounds::default()
        }),
        ..crate::printer::tests::alert(23, 1, AlertState::Open)
    };
    for language in Language::ALL {
        let describe = describe(&config);
        let reader = web::Reader { language: language.code(), zone: "UTC".to_owned() };
        let text = describe(&alert, None, &reader);
        let telling = Telling {
            language,
            zone: &Zone::utc(),
            names: &places,
            series: 0,
            history: &[],
            rise: None,
        };
        let frame = Frame::default();
        let mail = message::of_alert(&alert, Occasion::New, &telling, &frame, &[]).text;
        let terminal = crate::printer::Sentences::new(describe, language.code());
        let line = terminal.listed(&alert, &[]);
        let details = terminal.details(&alert, None);
        let (rarity, doubt) = (text.rarity.unwrap(), text.doubt.unwrap());
        for part in [&text.sentence, &rarity, &doubt] {
            assert!(line.contains(part.as_str()), "{part} in {line}");
        }
        let first = mail.lines().next().unwrap().to_lowercase();
        assert!(first.starts_with(&rarity.to_lowercase()), "{rarity} in {mail}");
        assert!(mail.contains(&format!("\n{}\n{} {doubt}\n", text.sentence, text.rest)), "{mail}");
        assert_eq!(details[0], text.rest);
        assert_eq!(text.checks.len(), details.len() - 1);
        for (at, check) in text.checks.iter().enumerate() {
            assert_eq!(details[at + 1], format!("- {check}"));
            assert!(mail.contains(&format!("\n{}. {check}\n", at + 1)), "{check} in {mail}");
        }
    }
}

#[test]
fn a_topics_own_hashtags_are_no_hint() {
    let config = config::built_in(&[]).unwrap();
    let places = Places::new(&config.settings(), &config);
    let mut alert = crate::printer::tests::alert(23, 1, AlertState::Open);
    alert.topic = "fever".to_owned();
    alert.explanation.tags = vec![("fieber".to_owned(), 22), ("kita".to_owned(), 9)];
    for language in Language::ALL {
        let telling = Telling {
            language,
            zone: &Zone::utc(),
            names: &places,
            series: 0,
            history: &[],
            rise: None,
        };
        let checks = words::checks(&alert, &telling).join(" ");
        assert!(checks.contains("#kita") && !checks.contains("#fieber"), "{checks}");
    }
}

#[test]
fn days_of_a_campaign_are_named_in_its_window() {
    let config = config::built_in(&[]).unwrap();
    let places = Places::new(&config.settings(), &config);
    let names = |day: &str, tag: &str| {
        let mut alert = crate::printer::tests::alert(23, 1, AlertState::Open);
        alert.window_end = record::time::parse_or_date(day).unwrap() + DAY;
        alert.window_length = DAY;
        alert.explanation.tags = vec![(tag.to_owned(), 9)];
        places.campaigns(&alert, Language::English).join(", ")
    };
    assert_eq!(names("2026-03-24", "worldtbday"), "World Tuberculosis Day");
    assert_eq!(names("2026-03-24", "fieber"), "", "no post is about it");
    // A campaign of months is no occasion.
    assert_eq!(names("2026-10-02", "breastcancerawarenessmonth"), "");
    assert_eq!(names("2026-01-20", "worldtbday"), "");
}
