use std::time::{Duration, Instant};

use super::{Fields, Outage, Shown};

fn fields(message: &str, values: &[(&'static str, Shown)]) -> Fields {
    Fields { message: message.to_owned(), values: values.to_vec() }
}

#[test]
fn every_event_is_one_line() {
    let bad = "first\nsecond\r\u{2028}third\u{7}\nhint: start \"it\"\nagain";
    let values = [
        ("error", Shown::Bare(bad.to_owned())),
        ("feed", Shown::Text(bad.to_owned())),
        ("count", Shown::Number(3.into())),
    ];
    for line in [fields(bad, &values).text("now", "WARN"), fields(bad, &values).json("now", "WARN")]
    {
        assert!(
            !line.contains(|letter: char| letter.is_control() || letter == '\u{2028}')
                || line.starts_with('{'),
            "{line:?}"
        );
        assert!(!line.contains(['\n', '\r', '\u{7}']), "{line:?}");
    }
    let text = fields("failed", &values[..1]).text("now", "WARN");
    assert_eq!(
        text,
        r#"now  WARN failed error=first\nsecond\r\u{2028}third\u{7} hint="start \"it\"\nagain""#
    );
}

#[test]
fn json_lines_hold_every_field() {
    let values = [
        ("error", Shown::Bare("no \"broker\"\nhint: start it".to_owned())),
        ("feed", Shown::Text("blue\\sky".to_owned())),
        ("count", Shown::Number(3.into())),
        ("drained", Shown::Boolean(true)),
    ];
    let line = fields("failed", &values).json("2026-01-01T00:00:00Z", "WARN");
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    let expected = serde_json::json!({
        "timestamp": "2026-01-01T00:00:00Z", "level": "WARN", "message": "failed",
        "error": "no \"broker\"", "feed": "blue\\sky", "count": 3, "drained": true, "hint": "start \
            it",
    });
    assert_eq!(read, expected);
}

#[test]
fn a_long_outage_is_logged_ever_less_often() {
    let mut outage = Outage::new("the warehouse");
    let began = Instant::now();
    let day = (0..24 * 3600 / 2)
        .filter(|two| outage.fails_at(began + Duration::from_secs(2 * two)))
        .count();
    // 5, 10, 20 … 320 s apart, then every ten minutes.
    assert!((145..=155).contains(&day), "{day} lines a day");
    outage.ended();
    assert!(
        outage.fails_at(began + Duration::from_secs(90_000)),
        "the next outage begins with a line"
    );
}
