use std::collections::{BTreeMap, BTreeSet};

use expect_test::{Expect, expect};

use super::*;
use crate::sample::{Europe, fever};

fn telling<'a>(language: Language, zone: &'a Zone, history: &'a [Outcome]) -> Telling<'a> {
    Telling { language, zone, names: &Europe, series: 40, history, rise: None }
}

/// Everything that a reader gets to read of it.
fn told(alert: &Alert, language: Language) -> String {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let history = [Outcome::TalkOnly, Outcome::HealthEvent, Outcome::TalkOnly, Outcome::Artefact];
    let telling = telling(language, &zone, &history);
    let checks = checks(alert, &telling);
    format!(
        "{}\n{}\n{}\n- {}\n",
        title(alert, &telling),
        headline(alert, &telling),
        rest(alert, &telling),
        checks.join("\n- ")
    )
    .replace('\u{a0}', "~")
}

fn check(alert: &Alert, language: Language, expected: Expect) {
    expected.assert_eq(&told(alert, language));
}

#[test]
fn english() {
    check(
        &fever(),
        Language::English,
        expect![[r#"
            Fever, Bavaria
            23 accounts posted about fever in Bavaria in the 24~h to Tue 13 Jan 2026 14:00~CET; 6 expected (3–11).
            By chance about once a year in your 40 series. 14 first-person, 3 link to news. Place known for 9~% of posts (Germany). Last 3 alerts here: 1 event, 2 discussion only. Posts, not cases.
            - Co-occurring hashtags: #fieber #kita. Do these posts refer to the illness?
            - Also above their bound: Baden-Württemberg.
            - Check other sources: are consultations, absences or tests up?
        "#]],
    );
}

#[test]
fn french() {
    check(
        &fever(),
        Language::French,
        expect![[r#"
            Fièvre, Bavière
            23 comptes ont publié sur «~fièvre~» (Bavière) dans les 24~h avant le mar. 13 janv. 2026 14:00~CET~; 6 attendus (3–11).
            Par hasard, environ une fois par an dans vos 40 séries. 14 à la première personne, 3 renvoient vers la presse. Lieu connu pour 9~% des messages (Allemagne). 3 dernières alertes ici~: 1 événement, 2 simple discussion. Des messages, pas des cas.
            - Mots-dièse associés~: #fieber #kita. S’agit-il bien de la maladie~?
            - Également au-dessus du seuil~: Bade-Wurtemberg.
            - Consultez d’autres sources~: les consultations, absences ou tests augmentent-ils~?
        "#]],
    );
}

#[test]
fn spanish() {
    check(
        &fever(),
        Language::Spanish,
        expect![[r#"
            Fiebre, Baviera
            23 cuentas publicaron sobre «fiebre» en Baviera en las 24~h hasta el mar. 13 ene. 2026 14:00~CET; se esperaban 6 (3–11).
            Por azar, aproximadamente una vez al año en sus 40 series. 14 en primera persona, 3 enlazan a noticias. Lugar conocido en el 9~% de los mensajes (Alemania). Últimas 3 alertas aquí: 1 evento, 2 solo conversación. Mensajes, no casos.
            - Etiquetas asociadas: #fieber #kita. ¿Se trata de la enfermedad?
            - También por encima del umbral: Baden-Wurtemberg.
            - Consulte otras fuentes: ¿aumentan las consultas, ausencias o pruebas?
        "#]],
    );
}

#[test]
fn german() {
    check(
        &fever(),
        Language::German,
        expect![[r#"
            Fieber, Bayern
            23 Konten schrieben in Bayern in den 24~h bis Di 13. Jan. 2026 14:00~MEZ über Fieber; 6 erwartet (3–11).
            Durch Zufall etwa einmal im Jahr in Ihren 40 Zeitreihen. 14 in Ich-Form, 3 verweisen auf Nachrichten. Ort bekannt bei 9~% der Beiträge (Deutschland). Letzte 3 Alarme hier: 1 Ereignis, 2 nur Diskussion. Beiträge, keine Fälle.
            - Gemeinsam verwendete Hashtags: #fieber #kita. Geht es um die Krankheit?
            - Ebenfalls über der Schwelle: Baden-Württemberg.
            - Prüfen Sie andere Quellen: Gibt es mehr Arztbesuche, Fehltage oder Tests?
        "#]],
    );
}

/// The hard ones of grammar: one account, a country with an article, a week, an open window, a
/// withdrawal, large and small numbers.
#[test]
fn the_hard_ones() {
    let mut all = String::new();
    let week = 7 * DAY;
    let swiss = Alert {
        region: "CH".to_owned(),
        regions: Vec::new(),
        window_length: week,
        observed: 12_345,
        posts: 20_000,
        recurrence: Some(120.0),
        ..fever()
    };
    let states = Alert {
        region: "US".to_owned(),
        stage: Stage::Early,
        observed: 1,
        expected: 0.25,
        ..fever()
    };
    let world = Alert {
        region: "001".to_owned(),
        state: AlertState::Withdrawn,
        recurrence: Some(9_000.0),
        grounds: Box::default(),
        ..fever()
    };
    let speakers =
        Alert { region: "lang:de".to_owned(), coverage: 0.8, recurrence: Some(14.0), ..fever() };
    let zone = Zone::named("Europe/Berlin").unwrap();
    for language in Language::ALL {
        let telling = telling(language, &zone, &[]);
        for alert in [&swiss, &states, &world, &speakers] {
            all.push_str(
                &format!("{} {}\n", headline(alert, &telling), rest(alert, &telling))
                    .replace('\u{a0}', "~")
                    .replace('\u{202f}', "~"),
            );
        }
    }
    expect![[r#"
        12,345 accounts posted about fever in Switzerland in the 7 days to Tue 13 Jan 2026 14:00~CET; 6 expected (3–11). By chance about three times a year in your 40 series. Of 26 sampled posts 14 first-person, 3 link to news. Place known for 9~% of posts (Switzerland). Posts, not cases.
        1 account posted about fever in the United States so far in the 24~h ending Tue 13 Jan 2026 14:00~CET; 0.3 expected (3–11). By chance about once a year in your 40 series. 14 first-person, 3 link to news. Place known for 9~% of posts (United States). Posts, not cases.
        Withdrawn: 23 accounts posted about fever worldwide in the 24~h to Tue 13 Jan 2026 14:00~CET; 6 expected, bound 15. By chance less than once in 10 years in your 40 series. 14 first-person, 3 link to news. Posts, not cases.
        23 accounts posted about fever in German in the 24~h to Tue 13 Jan 2026 14:00~CET; 6 expected (3–11). By chance about twice a month in your 40 series. 14 first-person, 3 link to news. 80~% of the posts of these hours were received. Posts, not cases.
        12~345 comptes ont publié sur «~fièvre~» en Suisse dans les 7 jours avant le mar. 13 janv. 2026 14:00~CET~; 6 attendus (3–11). Par hasard, environ trois fois par an dans vos 40 séries. Sur 26 messages de l’échantillon, 14 à la première personne, 3 renvoient vers la presse. Lieu connu pour 9~% des messages (Suisse). Des messages, pas des cas.
        1 compte a publié sur «~fièvre~» aux États-Unis jusqu’ici, dans les 24~h se terminant le mar. 13 janv. 2026 14:00~CET~; 0,3 attendu (3–11). Par hasard, environ une fois par an dans vos 40 séries. 14 à la première personne, 3 renvoient vers la presse. Lieu connu pour 9~% des messages (États-Unis). Des messages, pas des cas.
        Retirée~: 23 comptes ont publié sur «~fièvre~» dans le monde dans les 24~h avant le mar. 13 janv. 2026 14:00~CET~; 6 attendus, seuil 15. Par hasard, moins d’une fois en 10 ans dans vos 40 séries. 14 à la première personne, 3 renvoient vers la presse. Des messages, pas des cas.
        23 comptes ont publié sur «~fièvre~» en allemand dans les 24~h avant le mar. 13 janv. 2026 14:00~CET~; 6 attendus (3–11). Par hasard, environ deux fois par mois dans vos 40 séries. 14 à la première personne, 3 renvoient vers la presse. 80~% des messages de ces heures ont été reçus. Des messages, pas des cas.
        12.345 cuentas publicaron sobre «fiebre» en Suiza en los 7 días hasta el mar. 13 ene. 2026 14:00~CET; se esperaban 6 (3–11). Por azar, aproximadamente tres veces al año en sus 40 series. De 26 mensajes de la muestra, 14 en primera persona, 3 enlazan a noticias. Lugar conocido en el 9~% de los mensajes (Suiza). Mensajes, no casos.
        1 cuenta publicó sobre «fiebre» en Estados Unidos hasta ahora, en las 24~h que terminan el mar. 13 ene. 2026 14:00~CET; se esperaban 0,3 (3–11). Por azar, aproximadamente una vez al año en sus 40 series. 14 en primera persona, 3 enlazan a noticias. Lugar conocido en el 9~% de los mensajes (Estados Unidos). Mensajes, no casos.
        Retirada: 23 cuentas publicaron sobre «fiebre» en el mundo en las 24~h hasta el mar. 13 ene. 2026 14:00~CET; se esperaban 6, umbral 15. Por azar, menos de una vez en 10 años en sus 40 series. 14 en primera persona, 3 enlazan a noticias. Mensajes, no casos.
        23 cuentas publicaron sobre «fiebre» en alemán en las 24~h hasta el mar. 13 ene. 2026 14:00~CET; se esperaban 6 (3–11). Por azar, aproximadamente dos veces al mes en sus 40 series. 14 en primera persona, 3 enlazan a noticias. Se recibió el 80~% de los mensajes de estas horas. Mensajes, no casos.
        12.345 Konten schrieben in der Schweiz in den 7 Tagen bis Di 13. Jan. 2026 14:00~MEZ über Fieber; 6 erwartet (3–11). Durch Zufall etwa dreimal im Jahr in Ihren 40 Zeitreihen. Von 26 Beiträgen der Stichprobe 14 in Ich-Form, 3 verweisen auf Nachrichten. Ort bekannt bei 9~% der Beiträge (Schweiz). Beiträge, keine Fälle.
        1 Konto schrieb in den Vereinigten Staaten bisher in den 24~h bis Di 13. Jan. 2026 14:00~MEZ über Fieber; 0,3 erwartet (3–11). Durch Zufall etwa einmal im Jahr in Ihren 40 Zeitreihen. 14 in Ich-Form, 3 verweisen auf Nachrichten. Ort bekannt bei 9~% der Beiträge (Vereinigte Staaten). Beiträge, keine Fälle.
        Zurückgezogen: 23 Konten schrieben weltweit in den 24~h bis Di 13. Jan. 2026 14:00~MEZ über Fieber; 6 erwartet, Schwelle 15. Durch Zufall seltener als einmal in 10 Jahren in Ihren 40 Zeitreihen. 14 in Ich-Form, 3 verweisen auf Nachrichten. Beiträge, keine Fälle.
        23 Konten schrieben auf Deutsch in den 24~h bis Di 13. Jan. 2026 14:00~MEZ über Fieber; 6 erwartet (3–11). Durch Zufall etwa zweimal im Monat in Ihren 40 Zeitreihen. 14 in Ich-Form, 3 verweisen auf Nachrichten. 80~% der Beiträge dieser Stunden wurden erfasst. Beiträge, keine Fälle.
    "#]].assert_eq(&all);
}

#[test]
fn what_strangers_wrote_moves_nothing_and_stays_short() {
    let mut alert = Alert {
        topic: "x".to_owned(),
        topic_name: format!("\u{202e}evil\n<b>{}", "x".repeat(500)),
        ..fever()
    };
    alert.explanation.tags = vec![("a\u{202e}b\u{2066}\r\nBcc: x".to_owned(), 5)];
    for language in Language::ALL {
        let told = told(&alert, language);
        assert!(!told.contains(['\u{202e}', '\u{2066}', '\r']), "{told}");
        assert!(told.lines().all(|line| line.chars().count() < 700), "{told}");
        assert!(!told.lines().any(|line| line.starts_with("Bcc")), "{told}");
    }
}

#[test]
fn rarity_falls_through_every_step() {
    let steps = [9e9, 3_650.0, 800.0, 365.0, 183.0, 40.0, 30.0, 14.0, 7.0, 1.0]
        .map(|days| once_in(days, Language::English));
    expect![[r#"
        less than once in 10 years
        less than once in 10 years
        about once in 2 years
        about once a year
        about twice a year
        about once a month
        about once a month
        about twice a month
        about once a week
        more than once a week"#]]
    .assert_eq(&steps.join("\n"));
}

/// Each message of a file with the arguments that it shows; those of selectors may differ.
fn messages(language: Language) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut messages: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut id = "";
    for line in language.source().lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with(|letter: char| letter.is_ascii_lowercase()) {
            id = line.split(' ').next().unwrap_or_default();
            assert!(messages.insert(id, BTreeSet::new()).is_none(), "{id} twice");
        }
        let shown = line.split("{ $").skip(1).filter_map(|rest| rest.split_once(" }"));
        let shown = shown.map(|(name, _)| name).filter(|name| !name.contains(' '));
        messages.entry(id).or_default().extend(shown);
    }
    messages
}

#[test]
fn languages_have_the_same_messages_and_arguments() {
    let english = messages(Language::English);
    for language in Language::ALL {
        let other = messages(language);
        for (id, arguments) in &english {
            assert_eq!(other.get(id), Some(arguments), "{id} in {language:?}");
        }
        assert_eq!(other.len(), english.len(), "{language:?}");
    }
}

#[test]
fn each_message_is_used_and_each_label_has_one() {
    let source = include_str!("../words.rs");
    let english = messages(Language::English);
    let quoted: BTreeSet<&str> = source.split('"').collect();
    // Composed of a name: of an outcome, of a language, of a condition of the program.
    let composed = ["outcome-", "language-", "condition-"];
    for id in english.keys().filter(|id| !composed.iter().any(|start| id.starts_with(start))) {
        assert!(quoted.contains(id), "{id} is not used");
    }
    for label in quoted.iter().filter(|text| text.starts_with("label-")) {
        assert!(
            Language::ALL.into_iter().all(|language| text(language, label).is_some()),
            "{label}"
        );
    }
}

#[test]
fn a_course_names_peak_latest_window_and_phase() {
    let point = |hours: i64, observed, is_alarm| Point {
        end: fever().window_end + hours * HOUR,
        observed,
        expected: Some(2.0),
        upperbound: Some(9.0),
        is_alarm,
    };
    let texts = |points: &[Point]| -> String {
        let course = Course::of(&fever(), points).unwrap();
        let zone = Zone::utc();
        let text = |language| super::course(&course, &telling(language, &zone, &[]));
        Language::ALL.map(text).map(|text| text + "\n").concat()
    };
    let fall = [point(0, 390, true), point(24, 147, true), point(26, 8, false)];
    expect![[r#"
        Peak 390 (Tue 13 Jan 2026 13:00 UTC); latest 8 (Wed 14 Jan 2026 15:00 UTC), falling. Not above the bound since Wed 14 Jan 2026 15:00 UTC.
        Maximum 390 (mar. 13 janv. 2026 13:00 UTC) ; dernière valeur 8 (mer. 14 janv. 2026 15:00 UTC), en baisse. Ne dépasse plus le seuil depuis le mer. 14 janv. 2026 15:00 UTC.
        Máximo 390 (mar. 13 ene. 2026 13:00 UTC); último valor 8 (mié. 14 ene. 2026 15:00 UTC), en descenso. No supera el umbral desde el mié. 14 ene. 2026 15:00 UTC.
        Höchststand 390 (Di 13. Jan. 2026 13:00 UTC); zuletzt 8 (Mi 14. Jan. 2026 15:00 UTC), fallend. Nicht über der Schwelle seit Mi 14. Jan. 2026 15:00 UTC.
    "#]].assert_eq(&texts(&fall));
    expect![[r#"
        Latest 390 (Tue 13 Jan 2026 13:00 UTC), the highest so far.
        Dernière valeur 390 (mar. 13 janv. 2026 13:00 UTC), la plus élevée jusqu’ici.
        Último valor 390 (mar. 13 ene. 2026 13:00 UTC), el más alto hasta ahora.
        Zuletzt 390 (Di 13. Jan. 2026 13:00 UTC), der bisherige Höchststand.
    "#]]
    .assert_eq(&texts(&fall[..1]));
}
