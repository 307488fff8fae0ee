use super::*;

#[test]
fn calendar_and_seconds_agree() {
    let noon = 1_767_614_400 * SECOND; // 2026-01-05T12:00:00Z
    for text in [
        "2026-01-05T12:00:00Z",
        "2026-01-05t12:00:00z",
        "2026-01-05 12:00:00",
        "2026-01-05T12:00",
        "2026-01-05T13:30:00+01:30",
        "2026-01-05T07:00:00-0500",
        "2026-01-05T13:00:00+01",
        "1767614400",
        "1767614400.0000009",
        "1.7676144e9",
        "+2026-01-05T12:00:00.0000009Z",
    ] {
        assert_eq!(parse(text), Ok(noon), "{text}");
    }
    assert_eq!(parse("1767614399.9999999"), Ok(noon - 1));
    assert_eq!(parse("2026-01-05T11:59:60Z"), Ok(noon));
}

#[test]
fn what_is_no_time_is_told_from_what_is_out_of_range() {
    for text in [
        "",
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-05T25:00:00Z",
        "2026-01-05",
        "2026-01-05T12:00:00Zx",
        "12:00",
        "1767614400s",
        "2026-01-05T12:00:00+1",
        "NaN",
        "-",
    ] {
        assert_eq!(parse(text), Err(TimeError::Unreadable), "{text}");
    }
    for text in [
        "1999-12-31T23:59:59.999999Z",
        "2100-01-01T00:00:00Z",
        "-9999-01-01T00:00:00Z",
        "99999-12-31T00:00:00Z",
        "0",
        "-1",
        "1e300",
        "99999999999999999999999999",
    ] {
        assert_eq!(parse(text), Err(TimeError::OutOfRange), "{text}");
    }
}

#[test]
fn panes_are_multiples_and_weeks_start_on_monday() {
    let monday = parse("2026-01-05T00:00:00Z").unwrap();
    assert_eq!(pane_start(monday + 3 * DAY + 5, WEEK), monday);
    assert_eq!(pane_start(monday - 1, WEEK), monday - WEEK);
    assert_eq!(pane_start(monday + HOUR - 1, HOUR), monday);
    assert_eq!(pane_start(-1, HOUR), -HOUR);
    assert_eq!(pane_border(monday, HOUR), monday);
    assert_eq!(pane_border(monday + 1, HOUR), monday + HOUR);
    assert_eq!(display(monday), "2026-01-05T00:00:00Z");
}

#[test]
fn spans_are_sums_from_larger_to_smaller_units() {
    let read = [
        ("2m", 2 * MINUTE),
        ("36h", 36 * HOUR),
        ("7d", 7 * DAY),
        ("1h30m", 90 * MINUTE),
        ("10s", 10 * SECOND),
        ("1w2d", WEEK + 2 * DAY),
        ("250ms", SECOND / 4),
        (" 1h 30m ", 90 * MINUTE),
        ("0s", 0),
        ("007m", 7 * MINUTE),
    ];
    for (text, span) in read {
        assert_eq!(parse_span(text), Some(span), "{text}");
    }
    let refused = [
        "",
        " ",
        "2",
        "m",
        "-2m",
        "+2m",
        "2 minutes",
        "30m1h",
        "1h1h",
        "1.5h",
        "2M",
        "1y",
        "٣m",
        "99999999999999999999d",
        "40000d",
        "1h30",
    ];
    for text in refused {
        assert_eq!(parse_span(text), None, "{text}");
    }
}
