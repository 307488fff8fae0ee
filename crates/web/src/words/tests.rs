use record::time::{DAY, WEEK};
use record::{Alert, AlertState, Explanation, Stage};
use warehouse::contract::{MONDAY, alert};

use super::{Words, decimal, grouped, rarity};

fn words() -> Words {
    Words::new([("DE-BY".to_owned(), [("en".to_owned(), "Bavaria".to_owned())].into())].into())
}

#[test]
fn an_alert_is_a_sentence() {
    let closed = Alert { stage: Stage::Closed, window_end: MONDAY + DAY + 14 * DAY / 24, ..alert("a") };
    assert_eq!(
        words().sentence(&closed),
        "23 accounts posted about influenza in Bavaria in the 24 h to Tue 6 Jan 14:00 UTC; 6 expected, bound 11."
    );
    assert_eq!(
        words().rest(&closed),
        "By chance about once a year in one series. Of 26 sampled posts 14 are first-person, 3 link to news. \
         97 % of the posts of these hours were seen. Posts, not cases."
    );
    let early =
        Alert { observed: 1, expected: 0.25, upperbound: 10.04, topic_name: "COVID-19".to_owned(), region: "US".to_owned(), ..alert("a") };
    assert_eq!(
        words().sentence(&early),
        "1 account posted about COVID-19 in the United States so far in the 24 h that end Mon 5 Jan 00:00 UTC; 0.3 expected, bound 10."
    );
    let withdrawn = Alert {
        state: AlertState::Withdrawn,
        observed: 12_345,
        region: "001".to_owned(),
        window_length: WEEK,
        explanation: Explanation::default(),
        coverage: 1.0,
        recurrence: None,
        ..alert("a")
    };
    assert_eq!(
        words().sentence(&withdrawn),
        "Withdrawn: 12,345 accounts posted about influenza worldwide in the 7 days to Mon 5 Jan 00:00 UTC; 6 expected, bound 11."
    );
    assert_eq!(words().rest(&withdrawn), "Posts, not cases.");
}

#[test]
fn regions_have_names() {
    let named = |code| words().region(code);
    let names = ["DE", "DE-BY", "DE-SN", "lang:de", "lang:und", "001", "ZZ", "x:flood", "Q-Q"].map(named);
    let expected = ["Germany", "Bavaria", "DE-SN (Germany)", "German", "Language not stated", "World", "Place unknown", "x:flood", "Q-Q"];
    assert_eq!(names, expected);
}

#[test]
fn rarity_is_said_in_words() {
    let said = [f64::INFINITY, 4_000.0, 1_096.0, 365.0, 182.0, 91.0, 45.0, 30.0, 14.0, 7.0, 1.0, -1.0, f64::NAN].map(rarity);
    assert_eq!(
        said,
        [
            "Less than once in 10 years",
            "Less than once in 10 years",
            "About once in 3 years",
            "About once a year",
            "About twice a year",
            "About four times a year",
            "About eight times a year",
            "About once a month",
            "About twice a month",
            "About once a week",
            "More than once a week",
            "More than once a week",
            "More than once a week"
        ]
    );
}

#[test]
fn numbers_are_grouped_and_rounded() {
    assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!(
        [0.0, 0.04, 0.25, 6.0, 9.96, 10.4, 1_234.5, -1.0, f64::NAN].map(decimal),
        ["0", "0", "0.3", "6", "10", "10", "1,235", "0", "0"]
    );
}

#[test]
fn no_number_makes_a_sentence_panic() {
    let odd = Alert {
        observed: u32::MAX,
        expected: f64::NAN,
        upperbound: f64::INFINITY,
        coverage: f64::NAN,
        recurrence: Some(f64::NEG_INFINITY),
        window_end: i64::MIN,
        window_length: 0,
        topic_name: String::new(),
        region: String::new(),
        ..alert("a")
    };
    assert!(!words().sentence(&odd).is_empty() && !words().rest(&odd).is_empty());
}
