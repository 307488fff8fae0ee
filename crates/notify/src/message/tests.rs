use expect_test::expect;
use record::Outcome;

use super::*;
use crate::sample::{Europe, TUESDAY, fever};

fn frame() -> Frame<'static> {
    Frame {
        subscription: "bavaria",
        page: Some("https://pumphandle.example.org"),
        unsubscribes: Some("alerts@example.org"),
        simulated: false,
    }
}

fn trend() -> Vec<Bar> {
    let counts = [Some(7), Some(4), None, Some(6), Some(10), Some(23)];
    counts
        .into_iter()
        .zip(0..)
        .map(|(observed, day)| Bar { end: TUESDAY + (day - 5) * record::time::DAY, observed })
        .collect()
}

fn told(alert: &Alert, language: Language, occasion: Occasion) -> Message {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let telling = Telling {
        language,
        zone: &zone,
        names: &Europe,
        series: 40,
        history: &[Outcome::TalkOnly],
        rise: None,
    };
    of_alert(alert, occasion, &telling, &frame(), &trend())
}

#[test]
fn a_mail_in_text() {
    let message = told(&fever(), Language::English, Occasion::New);
    assert_eq!(message.id, "bavaria-3f2a9c01b7de-0-new");
    expect![[r#"
        Fever, Bavaria: 23 accounts, 6 expected (3–11)

        About once a year · new

        23 accounts posted about fever in Bavaria in the 24~h to Tue 13 Jan 2026 14:00~CET; 6 expected (3–11).
        By chance about once a year in your 40 series. 14 first-person, 3 link to news. Place known for 9~% of posts (Germany). Last alert here: 1 discussion only. Posts, not cases.

        What to check
        1. Co-occurring hashtags: #fieber #kita. Do these posts refer to the illness?
        2. Also above their bound: Baden-Württemberg.
        3. Check other sources: are consultations, absences or tests up?

        Open and acknowledge: https://pumphandle.example.org/alerts/3f2a9c01b7de

        --
        You receive this as a recipient of the subscription “bavaria”.
        Change or end the subscription: https://pumphandle.example.org/subscriptions
        End the subscription by mail: alerts@example.org
        3f2a9c01b7de r0
    "#]].assert_eq(&format!("{}\n\n{}", message.subject, message.text).replace('\u{a0}', "~"));
}

/// Tags open and close in order; no attribute or text of ours ends early.
fn is_well_formed(html: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    for part in html.split('<').skip(1) {
        let Some((tag, text)) = part.split_once('>') else { return false };
        if text.contains('>') && !open.contains(&"style") {
            return false;
        }
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default();
        if tag.starts_with('!') || matches!(name, "meta" | "br") {
            continue;
        }
        if tag.starts_with('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else {
            open.push(name);
        }
    }
    open.is_empty()
}

#[test]
fn html_is_whole_and_holds_nothing_of_strangers_as_markup() {
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=y>&amp;\u{202e}";
    let mut alert = Alert {
        topic: "x".to_owned(),
        topic_name: hostile.to_owned(),
        region: hostile.to_owned(),
        ..fever()
    };
    alert.id = hostile.to_owned();
    alert.regions = vec![hostile.to_owned(), "DE".to_owned()];
    alert.explanation.tags = vec![(hostile.to_owned(), 9)];
    alert.explanation.news = 20;
    alert.explanation.link_domains = vec![(hostile.to_owned(), 9)];
    for language in Language::ALL {
        for alert in [&alert, &fever()] {
            let message = told(alert, language, Occasion::Update);
            assert!(is_well_formed(&message.html), "{}", message.html);
            assert!(
                !message.html.contains("<script") && !message.html.contains("<img"),
                "{}",
                message.html
            );
            assert!(!message.subject.contains(['\n', '\r', '\u{202e}']), "{}", message.subject);
            assert!(message.html.len() < 60_000);
        }
    }
    assert!(
        !is_well_formed("<p><b></p></b>") && !is_well_formed("<p>a > b</p>"),
        "the check itself can fail"
    );
}

/// The bound is drawn where it is: what is above it stands in the upper row, and nothing else.
#[test]
fn bars_stand_above_the_bound_only_where_counts_do() {
    let message = told(&fever(), Language::German, Occasion::New);
    let upper = message.html.split("<tr style=\"height:").nth(1).unwrap();
    let filled: Vec<bool> =
        upper.split("<td").skip(1).map(|cell| cell.contains("<div class=\"hot-bg\"")).collect();
    assert_eq!(filled, [false, false, false, false, false, true]);
    assert!(message.html.contains(">·<"), "a gap is a gap");
    assert!(message.html.contains("border-top:1px dashed #ad3d06"));
}

#[test]
fn a_payload_says_what_happened_in_less_than_twenty_kilobytes() {
    let mut alert = fever();
    alert.regions = (0..5_000).map(|number| format!("DE-{number}")).collect();
    let message = told(&alert, Language::English, Occasion::New);
    assert!(message.json.to_string().len() < crate::channel::webhook::PAYLOAD_BYTES_MAX);
    assert_eq!(message.json["type"], "alert.opened");
    assert_eq!(message.json["data"]["expected_high"], 11.0);
    let withdrawn = told(
        &Alert { state: AlertState::Withdrawn, revision: 2, ..fever() },
        Language::English,
        Occasion::Update,
    );
    assert_eq!(
        (withdrawn.json["type"].as_str(), &*withdrawn.id),
        (Some("alert.withdrawn"), "bavaria-3f2a9c01b7de-2-update")
    );
}

#[test]
fn a_pulse_and_a_digest() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let well = Pulse { seen: Some(0.97), latest: Some(TUESDAY), ..Pulse::default() };
    let busy = Pulse { alerts: 1, unacknowledged: 2, ..well.clone() };
    let silent = Pulse { is_silent: true, ..well.clone() };
    let mut all = String::new();
    for language in Language::ALL {
        for said in [&well, &busy, &silent] {
            let message = pulse(said, "p", language, &zone, TUESDAY, &frame());
            assert!(is_well_formed(&message.html));
            all.push_str(
                &format!("{} | {}\n", message.subject, message.text.lines().next().unwrap())
                    .replace('\u{a0}', "~"),
            );
        }
    }
    expect![[r#"
        pumphandle is running; 0 new alerts in 24~h, 0 unacknowledged (Tue 13 Jan 2026 14:00~CET) | pumphandle is running; 0 new alerts in 24~h, 0 unacknowledged. Nothing unusual. Received: 97~%.
        pumphandle is running; 1 new alert in 24~h, 2 unacknowledged (Tue 13 Jan 2026 14:00~CET) | pumphandle is running; 1 new alert in 24~h, 2 unacknowledged. Received: 97~%.
        No data: no new post since Tue 13 Jan 2026 14:00~CET (Tue 13 Jan 2026 14:00~CET) | No data: no new post since Tue 13 Jan 2026 14:00~CET. Received: 97~%.
        pumphandle fonctionne~; 0 nouvelle alerte en 24~h, 0 non prise en charge (mar. 13 janv. 2026 14:00~CET) | pumphandle fonctionne~; 0 nouvelle alerte en 24~h, 0 non prise en charge. Rien d’inhabituel. Reçus~: 97~%.
        pumphandle fonctionne~; 1 nouvelle alerte en 24~h, 2 non prises en charge (mar. 13 janv. 2026 14:00~CET) | pumphandle fonctionne~; 1 nouvelle alerte en 24~h, 2 non prises en charge. Reçus~: 97~%.
        Aucune donnée~: aucun nouveau message depuis le mar. 13 janv. 2026 14:00~CET (mar. 13 janv. 2026 14:00~CET) | Aucune donnée~: aucun nouveau message depuis le mar. 13 janv. 2026 14:00~CET. Reçus~: 97~%.
        pumphandle funciona; 0 alertas nuevas en 24~h, 0 sin atender (mar. 13 ene. 2026 14:00~CET) | pumphandle funciona; 0 alertas nuevas en 24~h, 0 sin atender. Nada inusual. Recibidos: 97~%.
        pumphandle funciona; 1 alerta nueva en 24~h, 2 sin atender (mar. 13 ene. 2026 14:00~CET) | pumphandle funciona; 1 alerta nueva en 24~h, 2 sin atender. Recibidos: 97~%.
        Sin datos: ningún mensaje nuevo desde el mar. 13 ene. 2026 14:00~CET (mar. 13 ene. 2026 14:00~CET) | Sin datos: ningún mensaje nuevo desde el mar. 13 ene. 2026 14:00~CET. Recibidos: 97~%.
        pumphandle läuft; 0 neue Alarme in 24~h, 0 nicht übernommen (Di 13. Jan. 2026 14:00~MEZ) | pumphandle läuft; 0 neue Alarme in 24~h, 0 nicht übernommen. Nichts Ungewöhnliches. Erfasst: 97~%.
        pumphandle läuft; 1 neuer Alarm in 24~h, 2 nicht übernommen (Di 13. Jan. 2026 14:00~MEZ) | pumphandle läuft; 1 neuer Alarm in 24~h, 2 nicht übernommen. Erfasst: 97~%.
        Keine Daten: kein neuer Beitrag seit Di 13. Jan. 2026 14:00~MEZ (Di 13. Jan. 2026 14:00~MEZ) | Keine Daten: kein neuer Beitrag seit Di 13. Jan. 2026 14:00~MEZ. Erfasst: 97~%.
    "#]].assert_eq(&all);
    let alert = fever();
    let telling = Telling {
        language: Language::English,
        zone: &zone,
        names: &Europe,
        series: 40,
        history: &[],
        rise: None,
    };
    let message = digest(&[(&alert, telling)], "d", Language::English, &zone, TUESDAY, &frame());
    assert!(
        is_well_formed(&message.html)
            && message.text.contains("23 accounts posted about fever in Bavaria")
    );
}

#[test]
fn notices_name_what_is_wrong_in_four_languages() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let degraded = Notice::Degraded(vec![(
        "feed-silent bluesky".to_owned(),
        "no event for <3> min".to_owned(),
    )]);
    let mut all = String::new();
    for language in Language::ALL {
        for said in [&degraded, &Notice::Recovered, &Notice::Test] {
            let message = notice(said, "n", language, &zone, TUESDAY, &frame());
            assert!(is_well_formed(&message.html), "{}", message.html);
            all.push_str(
                &format!("{} | {}\n", message.subject, message.text.lines().next().unwrap())
                    .replace('\u{a0}', "~"),
            );
        }
    }
    expect![[r#"
        pumphandle is running with limitations: source sends no data (bluesky) (Tue 13 Jan 2026 14:00~CET) | source sends no data (bluesky): no event for <3> min
        pumphandle is running normally again (Tue 13 Jan 2026 14:00~CET) | pumphandle is running normally again.
        pumphandle: test of the subscription bavaria (Tue 13 Jan 2026 14:00~CET) | This is a test, not an alert.
        pumphandle fonctionne en mode dégradé~: source sans données (bluesky) (mar. 13 janv. 2026 14:00~CET) | source sans données (bluesky)~: no event for <3> min
        pumphandle fonctionne de nouveau normalement (mar. 13 janv. 2026 14:00~CET) | pumphandle fonctionne de nouveau normalement.
        pumphandle~: test de l’abonnement bavaria (mar. 13 janv. 2026 14:00~CET) | Ceci est un test, pas une alerte.
        pumphandle funciona de forma limitada: fuente sin datos (bluesky) (mar. 13 ene. 2026 14:00~CET) | fuente sin datos (bluesky): no event for <3> min
        pumphandle vuelve a funcionar con normalidad (mar. 13 ene. 2026 14:00~CET) | pumphandle vuelve a funcionar con normalidad.
        pumphandle: prueba de la suscripción bavaria (mar. 13 ene. 2026 14:00~CET) | Esto es una prueba, no una alerta.
        pumphandle läuft eingeschränkt: Quelle liefert keine Daten (bluesky) (Di 13. Jan. 2026 14:00~MEZ) | Quelle liefert keine Daten (bluesky): no event for <3> min
        pumphandle läuft wieder uneingeschränkt (Di 13. Jan. 2026 14:00~MEZ) | pumphandle läuft wieder uneingeschränkt.
        pumphandle: Test des Abonnements bavaria (Di 13. Jan. 2026 14:00~MEZ) | Dies ist ein Test, kein Alarm.
    "#]].assert_eq(&all);
}

#[test]
fn an_outage_names_its_cause_in_four_languages() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let causes = Language::ALL.map(|language| {
        let error = Some("watch ended: `manifest` is damaged");
        let message = outage("role-ended watch", error, "o", language, &zone, TUESDAY, &frame());
        let mut lines = message.text.lines().skip(1).map(str::to_owned);
        let cause = lines.next().unwrap();
        assert_eq!(lines.next().as_deref(), error);
        cause
    });
    expect![[r#"
        Cause: a component has stopped (watch).
        Cause : un composant s’est arrêté (watch).
        Causa: un componente se ha detenido (watch).
        Ursache: eine Komponente ist ausgefallen (watch).
    "#]]
    .assert_eq(&(causes.join("\n") + "\n"));
    let message = outage("disk-full", None, "o", Language::German, &zone, TUESDAY, &frame());
    assert!(message.text.contains("Datenträger voll") && !message.text.contains("ended"));
}

/// Whatever is sent: its date with weekday, day, month and year, why it comes, and how to end it.
#[test]
fn every_message_carries_date_reason_and_a_way_out() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let alert = fever();
    let telling = Telling {
        language: Language::English,
        zone: &zone,
        names: &Europe,
        series: 40,
        history: &[],
        rise: None,
    };
    let english = Language::English;
    let messages = [
        told(&alert, english, Occasion::New),
        told(&alert, english, Occasion::Escalation),
        digest(&[(&alert, telling)], "d", english, &zone, TUESDAY, &frame()),
        pulse(&Pulse::default(), "p", english, &zone, TUESDAY, &frame()),
        notice(&Notice::Test, "n", english, &zone, TUESDAY, &frame()),
    ];
    for message in messages {
        assert!(message.text.contains("Tue 13 Jan 2026 14:00\u{a0}CET"), "{}", message.text);
        for text in [&message.text, &message.html] {
            assert!(
                text.contains("subscription “bavaria”")
                    && text.contains("https://pumphandle.example.org/subscriptions"),
                "{text}"
            );
            assert!(text.contains("alerts@example.org"), "{text}");
        }
    }
}
