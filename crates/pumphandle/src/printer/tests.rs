use std::sync::Arc;

use record::{Alert, AlertState, Explanation, Stage, Version};
use web::AlertText;

use super::{Sentences, acknowledged};

fn sentences() -> Sentences {
    let rarity = Some("About once a year".to_owned());
    let describe =
        move |alert: &Alert, _: Option<&record::alerts::Course>, _: &web::Reader| AlertText {
            sentence: format!("{} accounts posted\nabout fever.", alert.observed),
            rarity: rarity.clone(),
            ..AlertText::default()
        };
    Sentences::new(Arc::new(describe), "en")
}

pub(crate) fn alert(observed: u32, severity: u8, state: AlertState) -> Alert {
    Alert {
        id: "3f2a9c01b7de".to_owned(),
        revision: 0,
        topic: "fever".to_owned(),
        topic_name: "Fever".to_owned(),
        region: "DE-BE".to_owned(),
        regions: Vec::new(),
        opened_at: 0,
        fired_at: 0,
        window_end: 0,
        window_length: 0,
        stage: Stage::Closed,
        state,
        severity,
        observed,
        posts: observed,
        population: 1_000,
        expected: 1.0,
        upperbound: 2.0,
        recurrence: None,
        method: String::new(),
        coverage: 1.0,
        explanation: Explanation::default(),
        version: Version(1),
        grounds: Box::default(),
    }
}

#[test]
fn a_revision_is_printed_if_it_opens_grows_or_ends() {
    let mut sentences = sentences();
    let mut word = |observed, severity, state| {
        let line = sentences.next(&alert(observed, severity, state))?;
        assert!(!line.contains('\n') && line.ends_with("[3f2a9c01b7de]"), "{line}");
        Some(line.split(' ').next().unwrap_or_default().to_owned())
    };
    let open = AlertState::Open;
    assert_eq!(word(10, 1, open).as_deref(), Some("ALERT"));
    assert_eq!(word(11, 1, open), None, "one more account");
    assert_eq!(word(20, 1, open).as_deref(), Some("MORE"), "twice as many");
    assert_eq!(word(21, 2, open).as_deref(), Some("MORE"), "more severe");
    assert_eq!(word(21, 2, AlertState::Closed).as_deref(), Some("ENDED"));
    assert_eq!(word(21, 2, AlertState::Closed), None);
    assert_eq!(word(21, 2, open).as_deref(), Some("AGAIN"));
    assert_eq!(word(3, 1, AlertState::Withdrawn).as_deref(), Some("WITHDRAWN"));
}

#[test]
fn an_acknowledgement_is_one_sentence() {
    let event = serde_json::json!({"alert": "3f2a9c01b7de", "state": "decided", "outcome": "talk-only", "assignee": null,
        "note": "a television\nprogramme", "actor": "ana", "at": 1, "after": 0});
    let line = "Alert 3f2a9c01b7de is now `decided`, outcome `talk-only`; changed by ana: a \
        television programme.";
    assert_eq!(acknowledged(&event), line);
}
