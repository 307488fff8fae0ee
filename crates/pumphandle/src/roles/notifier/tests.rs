use record::kind::Kind;

use super::*;
use crate::config;

fn looked(heads: &[(&str, &str)]) -> Looked {
    let head = |(topic, region): &(&str, &str)| SeriesHead {
        topic: (*topic).to_owned(),
        region: (*region).to_owned(),
        level: 0,
        pane_length: 0,
        first: 0,
        latest: 0,
        newest: 0,
    };
    Looked { heads: heads.iter().map(head).collect(), ..Looked::default() }
}

/// Whoever covers all reads what the page says; whoever covers a quarter is told of a fourth of the
/// false episodes.
#[test]
fn rarity_is_scaled_by_the_share_of_series() {
    let config = config::built_in(&[]).unwrap();
    let world = Places::new(&config.settings(), &config);
    assert_eq!(world.kind("influenza"), Some(Kind::Disease));
    let looked =
        looked(&[("influenza", "DE-BE"), ("influenza", "FR"), ("fever", "DE-BE"), ("fever", "FR")]);
    let share = |lines: &str| {
        let text = format!("[[subscription]]\nname = \"a\"\nchannel = \"stdout\"\n{lines}");
        let subscription =
            notify::subscription::read(&text, std::path::Path::new("")).unwrap().remove(0);
        Share::of(&subscription, &world, &looked)
    };
    assert_eq!((share(""), share("").series()), (Share { mine: 4, all: 4 }, 4));
    assert_eq!(share("topics = [\"influenza\"]\nregions = [\"DE\"]"), Share { mine: 1, all: 4 });
    assert_eq!(
        share("topics = [\"influenza\"]\nalways = [\"fever\"]\nregions = [\"DE\"]"),
        Share { mine: 2, all: 4 }
    );
    let none = share("topics = [\"measles\"]");
    assert_eq!(
        (none, none.series()),
        (Share { mine: 0, all: 4 }, 0),
        "what is not known is not scaled"
    );
}

#[test]
fn a_condition_is_notified_once_it_lasts_and_its_end_once() {
    let mut conditions = Conditions::default();
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let lag = BTreeMap::from([("lag".to_owned(), "3 h".to_owned())]);
    conditions.update(&lag, at(0));
    assert_eq!(conditions.news(&BTreeSet::new(), at(0)), None, "it may pass");
    conditions.update(&lag, at(60));
    let degraded = Notice::Degraded(vec![("lag".to_owned(), "3 h".to_owned())]);
    assert_eq!(conditions.news(&BTreeSet::new(), at(60)), Some(degraded));
    let known = BTreeSet::from(["lag".to_owned()]);
    assert_eq!(conditions.news(&known, at(60)), None, "once");
    conditions.update(&BTreeMap::new(), at(100));
    assert_eq!(conditions.news(&known, at(100)), None);
    conditions.update(&BTreeMap::new(), at(700));
    assert_eq!(conditions.news(&known, at(700)), Some(Notice::Recovered));
    assert_eq!(conditions.news(&BTreeSet::new(), at(700)), None);
}

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
        let text = describe(&alert, &reader);
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
        let details = terminal.details(&alert);
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
fn days_of_a_campaign_are_named_in_its_window() {
    let config = config::built_in(&[]).unwrap();
    let places = Places::new(&config.settings(), &config);
    let names = |day: &str| {
        let end = record::time::parse_or_date(day).unwrap() + DAY;
        places.campaigns(end - DAY, end, Language::English).join(", ")
    };
    assert!(names("2026-12-01").contains("AIDS"), "{}", names("2026-12-01"));
    assert_eq!(names("2026-01-20"), "");
}
