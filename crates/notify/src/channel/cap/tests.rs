use std::io::Write;
use std::process::{Command, Stdio};

use record::{Grounds, Suspect};

use super::*;
use crate::sample::{Europe, TUESDAY, fever};

fn sender(status: Status, audience: Audience) -> Sender {
    Sender {
        sender: "alerts@example.org".to_owned(),
        status,
        audience,
        page: Some("https://pumphandle.example.org".to_owned()),
    }
}

/// Every message that an alert's life can make, with hostile names among them.
fn life(sender: &Sender) -> Vec<Sent> {
    let hostile = "<b>&\"']]>\u{0}\u{202e}".to_owned();
    let suspect = Grounds { suspect: vec![Suspect::OneAccount], ..Grounds::default() };
    let revisions = [
        Alert { stage: Stage::Early, ..fever() },
        Alert { revision: 1, region: "001".to_owned(), ..fever() },
        Alert { revision: 2, region: "lang:de".to_owned(), grounds: Box::new(suspect), ..fever() },
        Alert {
            revision: 3,
            topic: "x".to_owned(),
            topic_name: hostile.clone(),
            region: hostile,
            ..fever()
        },
        Alert { revision: 4, state: AlertState::Closed, ..fever() },
        Alert { revision: 5, state: AlertState::Withdrawn, ..fever() },
    ];
    let zone = Zone::named("Europe/Berlin").unwrap();
    let mut sent = Vec::new();
    for (alert, at) in revisions.iter().zip(0..) {
        let rise = (sender.audience == Audience::Public).then_some(Rise::Several);
        sent.push(message(
            alert,
            rise,
            &sent,
            sender,
            &zone,
            &Europe,
            40,
            TUESDAY + at * 1_500_000,
        ));
    }
    sent
}

fn element<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once(&close))
        .map(|(value, _)| value)
        .collect()
}

#[test]
fn an_alert_is_told_updated_and_cancelled_and_never_called_more_than_possible() {
    let sent = life(&sender(Status::default(), Audience::Official));
    let kinds: Vec<&str> = sent.iter().flat_map(|sent| element(&sent.xml, "msgType")).collect();
    assert_eq!(kinds, ["Alert", "Update", "Update", "Update", "Update", "Cancel"]);
    for (number, sent) in sent.iter().enumerate() {
        assert_eq!(element(&sent.xml, "status"), ["Test"], "until an operator says otherwise");
        assert_eq!(element(&sent.xml, "scope"), ["Restricted"]);
        assert_eq!(element(&sent.xml, "language"), ["en", "fr", "es", "de"]);
        assert!(
            element(&sent.xml, "certainty")
                .iter()
                .all(|certainty| matches!(*certainty, "Possible" | "Unknown"))
        );
        let references: usize =
            element(&sent.xml, "references").iter().map(|list| list.split(' ').count()).sum();
        assert_eq!(references, number, "an update names all that it updates");
    }
    assert_eq!(element(&sent[0].xml, "certainty"), ["Unknown"; 4], "the window is open");
    assert_eq!(element(&sent[1].xml, "certainty"), ["Possible"; 4]);
    assert_eq!(element(&sent[0].xml, "sent"), ["2026-01-13T13:00:00-00:00"]);
    assert_eq!(
        element(&life(&sender(Status::Actual, Audience::Public))[0].xml, "status"),
        ["Actual"]
    );
}

/// By xmllint and a schema written from the standard, where xmllint is.
#[test]
fn every_message_is_valid_and_so_is_the_feed() {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/cap-1.2.xsd");
    let valid = |xml: &str, by_schema: bool| {
        let mut command = Command::new("xmllint");
        command.args(["--noout", "--nonet"]);
        if by_schema {
            command.args(["--schema", schema]);
        }
        let child = command
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else { return None };
        child.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        Some((done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned()))
    };
    if valid("<a/>", false).is_none() {
        assert!(
            std::env::var("PUMPHANDLE_REQUIRE_PARTS").as_deref() != Ok("1"),
            "xmllint is not here"
        );
        return;
    }
    for (status, audience) in
        [(Status::Test, Audience::Official), (Status::Actual, Audience::Public)]
    {
        let sender = sender(status, audience);
        let sent = life(&sender);
        for one in &sent {
            assert_eq!(
                valid(&one.xml, true).unwrap(),
                (true, "- validates\n".to_owned()),
                "{}",
                one.xml
            );
        }
        let feed = atom("test", &sender, &sent, TUESDAY);
        assert_eq!(valid(&feed, false).unwrap(), (true, String::new()));
        assert!(
            is_public(&feed) == (audience == Audience::Public)
                && is_public(&sent[0].xml) == is_public(&feed)
        );
    }
    // The schema itself refuses what the standard refuses.
    let good = &life(&sender(Status::Test, Audience::Official))[1].xml;
    for (from, to) in [
        ("<certainty>Possible<", "<certainty>Sure<"),
        ("<identifier>pumphandle-", "<identifier>pump handle-"),
        ("-00:00</sent>", "Z</sent>"),
        ("<event>", "<evnt>"),
        ("<category>Health</category>", ""),
        ("<references>", "<references>x "),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(!valid(&good.replacen(from, to, 1), true).unwrap().0, "{to}");
    }
}
