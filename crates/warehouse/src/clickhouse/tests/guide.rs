//! The questions of docs/guide/analyst.md, as they stand there, on fixed data, each with its
//! expected rows in tests/data/analyst.
//!
//! Three weeks of January 2026: influenza rises in Germany from the second week on, a cold stays as
//! it is; France is revised once;
//! a feed is gone for three hours.

use std::path::PathBuf;

use expect_test::expect_file;
use record::kind::Kind;
use record::{
    AlertEvent, AlertState, CoverageRow, Handling, Settings, TagCount, TopicSetting, Total,
    WindowCount,
};

use super::*;
use crate::reference::load_reference;

const WEEKS: i64 = 3;
const REGIONS: [(&str, i8, u32); 7] = [
    ("001", -1, 40),
    ("DE", 0, 12),
    ("DE-BE", 1, 4),
    ("DE-BY", 1, 6),
    ("FR", 0, 8),
    ("ZZ", 0, 20),
    ("lang:de", -1, 14),
];

#[test]
fn every_question_of_the_guide_gives_its_rows() {
    let Some(url) = engine::url() else { return };
    let Fresh { warehouse, databases } = fresh(&url);
    fill(&warehouse);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = fs::read_to_string(root.join("docs/guide/analyst.md")).unwrap();
    let questions = questions(&guide);
    assert!(questions.len() >= 20, "{}", questions.len());
    for (title, question) in &questions {
        let question = question.replace(
            "public.public_counts",
            &format!("`{}`.public_counts", databases.settings.public_database),
        );
        let answer = ask(&warehouse, &question);
        assert!(answer.lines().count() > 1, "{title} has no rows");
        expect_file![root.join("tests/data/analyst").join(format!("{}.tsv", slug(title)))]
            .assert_eq(&answer);
    }
    let files = fs::read_dir(root.join("tests/data/analyst")).unwrap().count();
    assert_eq!(files, questions.len(), "files without a question");
}

/// Title and text of each block.
fn questions(guide: &str) -> Vec<(String, String)> {
    let mut questions = Vec::new();
    let (mut title, mut question) = (String::new(), None::<String>);
    for line in guide.lines() {
        match (&mut question, line) {
            (None, "```sql") => question = Some(String::new()),
            (Some(text), "```") => {
                questions.push((title.clone(), std::mem::take(text)));
                question = None;
            }
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, line) => {
                if let Some(heading) = line.strip_prefix("### ") {
                    heading.clone_into(&mut title);
                }
            }
        }
    }
    questions
}

fn slug(title: &str) -> String {
    let (number, words) = title.split_once(". ").unwrap();
    let plain: String = words
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { ' ' })
        .collect();
    format!("{number:0>2}-{}", plain.split_whitespace().collect::<Vec<_>>().join("-"))
}

fn fill(warehouse: &ClickHouse) {
    let mut rows = vec![Record::Settings(settings_of_topics())];
    for hour in 0..WEEKS * 7 * 24 {
        hour_of(hour, &mut rows);
    }
    for day in 1..=WEEKS * 7 {
        day_of(day, &mut rows);
    }
    rows.extend(alerts());
    // Once more, as after a restart: nothing may change.
    for _ in 0..2 {
        warehouse.write(&rows, &[progress(rows.len() as u64)]).unwrap();
    }
    history(warehouse);
    let name = |region: &str, name: &str, parent: &str, level| RegionRow {
        region: region.to_owned(),
        name: name.to_owned(),
        parent: parent.to_owned(),
        level,
        population: 1_000_000,
        latitude: 50.0,
        longitude: 10.0,
    };
    let regions = vec![
        name("DE", "Germany", "001", 0),
        name("DE-BE", "Berlin", "DE", 1),
        name("DE-BY", "Bavaria", "DE", 1),
    ];
    warehouse.write_regions(regions).unwrap();
    warehouse.statement("SYSTEM RELOAD DICTIONARY region_names".to_owned()).unwrap();
    let cases = "series,region,date,value,unit,source\n\
                 influenza cases,DE,2026-01-05,12400,cases a week,a register\n\
                 influenza cases,DE,2026-01-12,16100,cases a week,a register\n\
                 influenza cases,DE,2026-01-19,30500,cases a week,a register\n\
                 influenza cases,FR,2026-01-12,9900,cases a week,a register\n";
    assert_eq!(load_reference(warehouse, io::Cursor::new(cases), &|_| Ok(())).unwrap(), 4);
    for (region, day, accounts) in
        [("DE", "2026-01-12", "45"), ("DE-BY", "2026-01-12", "20"), ("DE-BE", "2026-01-12", "NULL")]
    {
        let values = format!(
            "('influenza', '{region}', {}, '{day}', {accounts}, 1)",
            i8::from(region != "DE")
        );
        warehouse
            .statement(format!(
                "INSERT INTO public_counts (topic, region, level, day, \
            accounts, version) VALUES {values}"
            ))
            .unwrap();
    }
}

fn settings_of_topics() -> Settings {
    let topic = |id: &str, kind| TopicSetting {
        id: id.to_owned(),
        name: id.to_owned(),
        kind,
        pane: HOUR,
        windows: vec![DAY],
    };
    Settings {
        number: 1,
        topics: vec![topic("cold", Kind::Symptom), topic("influenza", Kind::Disease)],
        ..Settings::default()
    }
}

/// How many posts: people sleep, influenza rises.
fn posts(topic: &str, weight: u32, hour: i64, grows: bool) -> u32 {
    let awake = if (6..23).contains(&(hour % 24)) { 2 } else { 1 };
    let (day, uneven) = ((hour / 24) as u32, (hour % 5) as u32);
    let rise = if topic == "influenza" && grows && day >= 7 { (day - 6) * weight / 8 } else { 0 };
    weight * awake / 2 + uneven + rise
}

fn hour_of(hour: i64, rows: &mut Vec<Record>) {
    let start = MONDAY + hour * HOUR;
    let version = Version(hour as u64 + 1);
    let last = hour < (WEEKS * 7 - 2) * 24;
    for (region, level, weight) in REGIONS {
        let total = u64::from(weight) * (400 + 200 * u64::from((6..23).contains(&(hour % 24))));
        for topic in ["cold", "influenza"] {
            let posts = posts(topic, weight, hour, region != "FR");
            rows.push(Record::Count(Count {
                level,
                posts,
                authors: posts - posts / 10,
                authors_24h: Some(posts * 9),
                authors_self: posts / 3,
                posts_news: posts / 6,
                total_posts: total,
                last,
                version,
                newest: start + HOUR - SECOND,
                ..count(topic, region, hour, 0)
            }));
        }
        rows.push(Record::Total(Total {
            region: region.to_owned(),
            pane_start: start,
            pane_length: HOUR,
            posts: total,
            last,
            version,
            sampled: total,
        }));
    }
    for (tag, region, from, posts) in [
        ("flu", "DE", 0, 3),
        ("flu", "DE-BY", 0, 2),
        ("grippe", "DE-BE", 0, 2),
        ("grippe", "FR", 0, 4),
        ("h3n2", "DE-BY", 200, 1),
        ("subcladek", "FR", 260, 2),
    ] {
        if hour >= from {
            let (key, region) = (tag.to_owned(), region.to_owned());
            rows.push(Record::TagCount(TagCount {
                key,
                region,
                pane_start: start,
                posts,
                last,
                version,
            }));
        }
    }
    for feed in ["bluesky", "mastodon"] {
        let share = match (feed, hour) {
            ("bluesky", 225..228) => 0.25,
            ("mastodon", 300) => 0.79,
            _ => 1.0,
        };
        rows.push(Record::Coverage(CoverageRow {
            feed: feed.to_owned(),
            pane_start: start,
            pane_length: HOUR,
            share,
            version,
        }));
    }
}

/// The windows that end with a day.
fn day_of(day: i64, rows: &mut Vec<Record>) {
    let end = MONDAY + day * DAY;
    let version = Version(day as u64 * 24);
    for (region, _, weight) in REGIONS {
        for topic in ["cold", "influenza"] {
            let hours = |from: i64| {
                (from.max(0)..day * 24)
                    .map(|hour| posts(topic, weight, hour, region != "FR"))
                    .sum::<u32>()
            };
            let (of_day, of_week) = (hours((day - 1) * 24) * 3 / 4, hours((day - 7) * 24) / 2);
            for (length, authors) in [(DAY, of_day), (7 * DAY, of_week)] {
                rows.push(Record::WindowCount(WindowCount {
                    topic: topic.to_owned(),
                    region: region.to_owned(),
                    end,
                    length,
                    authors,
                    authors_self: authors / if topic == "cold" { 2 } else { 3 },
                    last: true,
                    version,
                }));
            }
            let expected = f64::from(weight) * 14.0;
            let upperbound = expected + 3.0 * expected.sqrt();
            let judged = day > 7;
            for stage in [Stage::Closed, Stage::Final] {
                rows.push(Record::Verdict(Verdict {
                    window_end: end,
                    stage,
                    observed: of_day,
                    expected: judged.then_some(expected),
                    upperbound: judged.then_some(upperbound),
                    alarm: judged.then_some(f64::from(of_day) > upperbound * 1.5),
                    reason: (!judged).then_some(record::Reason::BaselineTooShort),
                    version,
                    ..verdict(topic, region)
                }));
            }
        }
    }
}

fn alerts() -> Vec<Record> {
    let raised = |id: &str, region: &str, revision, state, version| {
        let fired_at = MONDAY + 13 * DAY + 9 * HOUR;
        Record::Alert(record::Alert {
            topic: "influenza".to_owned(),
            region: region.to_owned(),
            regions: vec!["DE".to_owned(), region.to_owned()],
            opened_at: fired_at - DAY,
            fired_at,
            revision,
            state,
            version: Version(version),
            ..alert(id)
        })
    };
    let event = |after, minutes, state| {
        Record::AlertEvent(AlertEvent {
            alert: "influenza-de-by-1".to_owned(),
            after,
            at: MONDAY + 13 * DAY + 9 * HOUR + minutes * MINUTE,
            actor: "duty".to_owned(),
            state,
            note: "asked the state office".to_owned(),
            ..AlertEvent::default()
        })
    };
    vec![
        raised("influenza-de-by-1", "DE-BY", 0, AlertState::Open, 1),
        event(0, 12, Handling::Triaged),
        raised("influenza-de-by-1", "DE-BY", 1, AlertState::Open, 2),
        event(1, 95, Handling::Verifying),
        raised("influenza-de-be-1", "DE-BE", 0, AlertState::Withdrawn, 3),
    ]
}

/// Closings and revisions with the instants at which they landed, which are the server's own
/// otherwise.
fn history(warehouse: &ClickHouse) {
    warehouse.statement("TRUNCATE TABLE counts_history".to_owned()).unwrap();
    let rows = [
        ("2026-01-12 21:00:00", 10, 1, 0, "2026-01-12 22:02:30"),
        ("2026-01-12 22:00:00", 8, 2, 0, "2026-01-12 23:02:30"),
        ("2026-01-12 22:00:00", 9, 3, 0, "2026-01-13 05:02:30"),
        ("2026-01-12 22:00:00", 12, 4, 1, "2026-01-14 11:00:00"),
        ("2026-01-12 23:00:00", 6, 5, 0, "2026-01-13 00:02:30"),
        ("2026-01-12 23:00:00", 5, 6, 1, "2026-01-14 12:00:00"),
        ("2026-01-13 07:00:00", 9, 7, 0, "2026-01-13 08:02:30"),
    ];
    for (pane, posts, version, last, landed) in rows {
        warehouse
            .statement(format!(
                "INSERT INTO counts_history (topic, region, level, pane_start, pane_seconds, \
                    version, posts, authors, authors_self,
                                             posts_news, posts_filtered, authors_filtered, \
                                             total_posts, final, newest_us, landed_at)
                 VALUES ('influenza', 'FR', 0, '{pane}', 3600, {version}, {posts}, {posts}, 0, 0, \
                 0, 0, 4800, {last}, 0, '{landed}')"
            ))
            .unwrap();
    }
}
