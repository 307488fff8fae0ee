//! What the public receives, over all kinds of topics and all channels.

use record::kind::Kind;
use record::public::Rise;
use record::time::{DAY, HOUR, MINUTE};
use record::{Alert, AlertEvent, AlertState, Handling, Outcome};

use crate::channel::{alertmanager, cap};
use crate::dispatch::item::{Due, Item};
use crate::message::{self, Bar, Frame, Occasion};
use crate::plan::Planned;
use crate::sample::{Europe, TUESDAY, fever, subscription};
use crate::subscription::{Face, World};
use crate::words::{self, Language, Telling};
use crate::{Audience, Subscription};

/// A world in which topics are called like their kinds.
struct Kinds;

impl World for Kinds {
    fn kind(&self, topic: &str) -> Option<Kind> {
        Kind::parse(topic)
    }

    fn is_within(&self, region: &str, above: &str) -> bool {
        Europe.is_within(region, above)
    }
}

fn public(lines: &str) -> Subscription {
    Subscription { audience: Audience::Public, ..subscription(lines) }
}

/// Its numbers are found wherever they are written, exact or rounded to 5.
fn alert_of(kind: Kind) -> Alert {
    let mut alert = Alert {
        topic: kind.name().to_owned(),
        observed: 7_919,
        posts: 6_997,
        population: 8_887,
        expected: 5_557.0,
        upperbound: 6_661.0,
        ..fever()
    };
    alert.grounds.expected_low = Some(4_441.0);
    alert.grounds.expected_high = Some(6_113.0);
    alert.grounds.detectable_rise = Some(3_331.0);
    alert
}

const NUMBERS: [&str; 11] =
    ["7919", "7920", "6997", "6995", "8887", "5557", "5555", "6661", "4441", "6113", "3331"];

/// Everything that the channels would send of it.
fn sent(face: &Face, subscription: &Subscription) -> Vec<(&'static str, String)> {
    let frame = Frame {
        subscription: "all",
        page: Some("https://pumphandle.example.org"),
        unsubscribes: None,
        simulated: false,
    };
    let mut texts = Vec::new();
    for language in Language::ALL {
        let zone = &subscription.zone;
        let telling =
            Telling { language, zone, names: &Europe, series: 1, history: &[], rise: face.rise };
        for occasion in [Occasion::New, Occasion::Update, Occasion::Escalation, Occasion::Woken] {
            let mail = message::of_alert(&face.alert, occasion, &telling, &frame, &[] as &[Bar]);
            texts.extend([
                ("mail", mail.subject + &mail.text + &mail.html),
                ("webhook", mail.json.to_string()),
            ]);
        }
        let digest =
            message::digest(&[(&face.alert, telling)], "digest", language, zone, TUESDAY, &frame);
        texts.extend([
            ("digest", digest.subject + &digest.text + &digest.html),
            ("digest", digest.json.to_string()),
        ]);
        let named = alertmanager::Named::of(&face.alert);
        texts.push((
            "alertmanager",
            alertmanager::body(&face.alert, &named, &telling, "all", None, TUESDAY),
        ));
    }
    let (status, page) = (cap::Status::Actual, None);
    let sender = cap::Sender {
        sender: "a@example.org".to_owned(),
        status,
        audience: subscription.audience,
        page,
    };
    let cap = cap::message(
        &face.alert,
        face.rise,
        &[],
        &sender,
        &subscription.zone,
        &Europe,
        40,
        TUESDAY,
    );
    texts.push(("atom", cap::atom("all", &sender, std::slice::from_ref(&cap), TUESDAY)));
    texts.push(("cap", cap.xml));
    texts
}

/// Without what languages put between thousands.
fn digits_joined(text: &str) -> String {
    text.replace([',', '.', '\u{a0}', '\u{202f}', ' '], "")
}

#[test]
fn no_channel_sends_the_public_a_number_of_any_kind() {
    let verified = AlertEvent {
        outcome: Some(Outcome::HealthEvent),
        state: Handling::Decided,
        ..AlertEvent::default()
    };
    for kind in Kind::ALL {
        for events in [&[][..], std::slice::from_ref(&verified)] {
            let alert = alert_of(kind);
            let subscription = public("");
            let may = match kind {
                Kind::Symptom | Kind::Disease | Kind::Campaign | Kind::Narrative => true,
                Kind::Crisis => !events.is_empty(),
                Kind::Sensitive | Kind::Patient => false,
            };
            let face = subscription.face(&alert, events, &Kinds);
            assert_eq!(face.is_some(), may, "{kind:?}");
            assert_eq!(subscription.covers(&alert, events, &Kinds), may, "{kind:?}");
            let Some(face) = face else { continue };
            assert_eq!(face.rise, Some(Rise::Above));
            for (channel, text) in sent(&face, &subscription) {
                let joined = digits_joined(&text);
                let found: Vec<&&str> =
                    NUMBERS.iter().filter(|number| joined.contains(**number)).collect();
                assert_eq!(found, [&""; 0], "{kind:?} by {channel}: {text}");
                assert!(!text.contains("fieber"), "{channel}: a tag of the sample");
            }
        }
    }
}

#[test]
fn the_public_reads_a_level_in_each_language() {
    let alert = Alert { observed: 80, ..fever() };
    let face = public("").face(&alert, &[], &Europe).unwrap();
    let zone = &subscription("").zone;
    let texts = Language::ALL.map(|language| {
        let telling =
            Telling { language, zone, names: &Europe, series: 1, history: &[], rise: face.rise };
        let message =
            message::of_alert(&face.alert, Occasion::New, &telling, &Frame::default(), &[]);
        format!("{}\n{}\n", message.subject, words::headline(&face.alert, &telling))
            .replace('\u{a0}', "~")
    });
    expect_test::expect![[r#"
        Fever, Bavaria: many times the usual level
        Many times the usual number of accounts posted about fever in Bavaria in the 24~h to Tue 13 Jan 2026 14:00~CET.
        Fièvre, Bavière~: très au-dessus du niveau habituel
        Un nombre de comptes très supérieur à l’habitude a publié sur «~fièvre~» (Bavière) dans les 24~h avant le mar. 13 janv. 2026 14:00~CET.
        Fiebre, Baviera: muchas veces el nivel habitual
        Muchas veces el número habitual de cuentas publicaron sobre «fiebre» en Baviera en las 24~h hasta el mar. 13 ene. 2026 14:00~CET.
        Fieber, Bayern: um ein Vielfaches über dem üblichen Niveau
        Um ein Vielfaches mehr Konten als üblich schrieben in Bayern in den 24~h bis Di 13. Jan. 2026 14:00~MEZ über Fieber.
    "#]]
    .assert_eq(&texts.concat());
}

#[test]
fn officials_receive_the_numbers_by_each_channel() {
    let official = subscription("");
    let face = official.face(&alert_of(Kind::Symptom), &[], &Kinds).unwrap();
    for (channel, text) in sent(&face, &official) {
        if channel != "digest" || text.contains('<') {
            assert!(digits_joined(&text).contains("7919"), "{channel}: {text}");
        }
    }
}

#[test]
fn the_public_is_sent_one_level_of_an_alert_a_day() {
    let hook =
        public("channel = \"webhook\"\nurl = \"https://example.org\"\nsecret-files = [\"s\"]");
    let first = Alert { observed: 23, ..fever() };
    let told = Item::new(&first, Planned::AtOnce { from: TUESDAY }).record_sent(
        &first,
        Some(Occasion::New),
        TUESDAY,
    );
    let grown = Alert { revision: 5, severity: 3, observed: 230, ..fever() };
    let update = Some(Due::Send(Occasion::Update));
    let due = |item: &Item, alert: &Alert, at| item.due(&hook, alert, &[], at);
    assert_eq!(
        (told.rise(&grown, TUESDAY + HOUR), due(&told, &grown, TUESDAY + HOUR)),
        (Rise::Several, None)
    );
    assert_eq!(
        (told.rise(&grown, TUESDAY + DAY), due(&told, &grown, TUESDAY + DAY)),
        (Rise::Many, update)
    );
    // The same level on another day is no news; that it is over is, at once.
    assert_eq!(due(&told, &Alert { revision: 5, ..first.clone() }, TUESDAY + DAY), None);
    let withdrawn = Alert { state: AlertState::Withdrawn, ..grown.clone() };
    assert_eq!(
        (told.rise(&withdrawn, TUESDAY + HOUR), due(&told, &withdrawn, TUESDAY + HOUR)),
        (Rise::Several, update)
    );
    let official = subscription(
        "channel = \"webhook\"\nurl = \"https://example.org\"\nsecret-files = [\"s\"]",
    );
    assert_eq!(told.due(&official, &grown, &[], TUESDAY + MINUTE), update);
}
