//! What every implementation of the ports must hold, as a suite that is handed a maker of empty
//! warehouses.
//!
//! Each promise is a function that panics where it is broken. Random input comes from a seed that
//! the message names.

use std::collections::BTreeMap;
use std::io;

use record::time::{DAY, HOUR, SECOND, WEEK};
use record::{
    Alert, AlertEvent, AlertFold, AlertState, Count, CoverageRow, Explanation, Grounds, Handling,
    Micros, Milestones, Outcome, PastWindow, PublicCount, Record, Settings, Snooze, Stage, Suspect,
    TagCount, Total, Verdict, Version, WindowCount,
};

use crate::error::WarehouseError;
use crate::port::Reference;
use crate::port::{
    AlertEntry, AlertQuery, AlertStory, Export, FeedCoverage, Format, JudgedQuery, Landing, Placed,
    Progress, Published, Reading, Series, SeriesHead, SeriesQuery, Voices, Warehouse,
};
use crate::reference::load_reference;
use crate::tables::TABLES;

/// Makes a warehouse with empty tables.
pub type Fresh<'a> = &'a dyn Fn() -> Box<dyn Warehouse>;

/// 2026-01-05T00:00:00Z, a Monday.
pub const MONDAY: Micros = 1_767_571_200 * SECOND;

/// Random streams for each promise that has them, where that costs little.
pub const SEEDS: u64 = 60;

/// The whole suite.
pub fn holds(fresh: Fresh, seeds: u64) {
    any_order_and_any_repetition_give_the_same_tables(fresh, seeds);
    progress_is_read_back(fresh);
    counts_are_shown_as_the_design_says(fresh);
    days_and_weeks_never_add_authors(fresh);
    alerts_fold_as_the_stream_does(fresh, seeds);
    a_series_shows_its_latest_verdicts(fresh);
    a_map_shows_the_latest_verdicts_of_many_series(fresh);
    coverage_totals_and_references_are_asked_by_their_keys(fresh);
    voices_are_summed_by_series(fresh);
    published_days_are_asked_by_topic_region_and_day(fresh);
    history_holds_closings_and_revisions(fresh);
    exports_are_sorted_and_quoted(fresh);
    unknown_tables_are_refused_with_a_hint(fresh);
    every_table_can_be_exported(fresh);
    topics_and_regions_are_listed(fresh);
    references_are_loaded_whole_and_corrected(fresh);
}

/// The table of a naive model: of each key the row with the highest version.
pub fn any_order_and_any_repetition_give_the_same_tables(fresh: Fresh, seeds: u64) {
    for seed in 0..seeds {
        let mut random = Random::new(seed);
        let rows: Vec<Record> = (0..120).map(|_| versioned_row(&mut random)).collect();
        let mut model: BTreeMap<String, (Version, Record)> = BTreeMap::new();
        for row in &rows {
            let (key, version) = identity(row);
            match model.get(&key) {
                Some((known, _)) if *known >= version => {}
                _ => _ = model.insert(key, (version, row.clone())),
            }
        }
        let expected = fresh();
        let latest: Vec<Record> = model.into_values().map(|(_, row)| row).collect();
        expected.write(&latest, &[]).expect("write the model");
        let shuffled = fresh();
        let mut rest = rows.clone();
        rest.extend((0..80).map(|_| rows[random.below(rows.len())].clone()));
        while !rest.is_empty() {
            let size = 1 + random.below(rest.len().min(30));
            let batch: Vec<Record> =
                (0..size).map(|_| rest.swap_remove(random.below(rest.len()))).collect();
            shuffled.write(&batch, &[]).expect("write a batch");
        }
        for table in [
            "counts",
            "tag_counts",
            "denominators",
            "coverage",
            "window_counts",
            "public_counts",
            "verdicts",
            "alerts",
            "v_counts",
            "v_daily",
            "v_weekly",
            "v_alerts",
        ] {
            assert_eq!(
                csv(&*shuffled, table),
                csv(&*expected, table),
                "table {table}, seed {seed}"
            );
        }
        assert_eq!(shuffled.latest().expect("ask"), rows_newest(&rows), "seed {seed}");
        let settled: Vec<(String, String, i64, u32)> = latest.iter().filter_map(cell_of).collect();
        let shown: Vec<(String, String, i64, u32)> =
            csv(&*shuffled, "counts").lines().skip(1).map(cell_of_line).collect();
        let mut sorted = settled;
        sorted.sort();
        assert_eq!(shown, sorted, "seed {seed}");
    }
}

pub fn progress_is_read_back(fresh: Fresh) {
    let warehouse = fresh();
    assert_eq!(warehouse.progress().expect("ask"), []);
    let at =
        |stream: &str, partition, next| Progress { stream: stream.to_owned(), partition, next };
    warehouse
        .write(&[], &[at("counts", 1, 7), at("alerts", 0, 3), at("counts", 0, 5)])
        .expect("write");
    warehouse
        .write(&[Record::Count(count("flu", "DE", 0, 1))], &[at("counts", 0, 6)])
        .expect("write");
    assert_eq!(
        warehouse.progress().expect("ask"),
        [at("alerts", 0, 3), at("counts", 0, 6), at("counts", 1, 7)]
    );
}

pub fn counts_are_shown_as_the_design_says(fresh: Fresh) {
    let warehouse = fresh();
    let rows = [
        Record::Count(Count {
            posts: 3,
            authors: 2,
            authors_24h: Some(9),
            authors_self: 1,
            total_posts: 0,
            ..count("flu", "DE-BY", 1, 10)
        }),
        Record::Count(Count {
            posts: 4,
            authors: 4,
            total_posts: 2_000,
            last: true,
            ..count("flu", "DE", 1, 11)
        }),
        Record::Count(Count { posts: 0, ..count("flu", "FR", 1, 12) }),
        Record::Count(Count {
            level: -1,
            posts: 1,
            authors: 1,
            total_posts: 10,
            ..count("flu", "001", 0, 13)
        }),
        Record::Total(Total {
            region: "001".to_owned(),
            pane_start: MONDAY,
            pane_length: HOUR,
            posts: 4_000,
            last: false,
            version: Version(14),
            sampled: 4_000,
        }),
        Record::Total(Total {
            region: "DE".to_owned(),
            pane_start: MONDAY + HOUR,
            pane_length: HOUR,
            posts: 1,
            last: false,
            version: Version(9),
            sampled: 1,
        }),
    ];
    warehouse.write(&rows, &[]).expect("write");
    assert_eq!(
        csv(&*warehouse, "v_counts"),
        "topic,region,level,pane_start,pane_seconds,posts,authors,authors_24h,authors_self,total_posts,rate,final,version\n\
         flu,001,-1,1767571200,3600,1,1,,0,4000,250.0,0,13\n\
         flu,DE,0,1767574800,3600,4,4,,0,2000,2000.0,1,11\n\
         flu,DE-BY,1,1767574800,3600,3,2,9,1,0,,0,10\n"
    );
}

pub fn days_and_weeks_never_add_authors(fresh: Fresh) {
    let warehouse = fresh();
    let cell = |hour, posts, last| {
        Record::Count(Count { posts, authors: posts, last, ..count("flu", "DE", hour, 1) })
    };
    let total = |hour: i64| {
        let pane_start = MONDAY + hour * HOUR;
        Record::Total(Total {
            region: "DE".to_owned(),
            pane_start,
            pane_length: HOUR,
            posts: 100,
            last: true,
            version: Version(1),
            sampled: 100,
        })
    };
    let window = |end, length, authors| {
        Record::WindowCount(WindowCount {
            topic: "flu".to_owned(),
            region: "DE".to_owned(),
            end,
            length,
            authors,
            authors_self: 0,
            last: true,
            version: Version(1),
        })
    };
    let mut rows =
        vec![cell(0, 4, true), cell(23, 6, true), cell(24, 5, false), cell(7 * 24, 1, true)];
    rows.extend((0..30).map(total));
    rows.extend([
        window(MONDAY + DAY, DAY, 7),
        window(MONDAY + WEEK, WEEK, 11),
        window(MONDAY + DAY, WEEK, 99),
    ]);
    warehouse.write(&rows, &[]).expect("write");
    assert_eq!(
        csv(&*warehouse, "v_daily"),
        "topic,region,level,day,panes,posts,authors,total_posts,rate,final\n\
         flu,DE,0,1767571200,2,10,7,2400,4166.666666666667,1\n\
         flu,DE,0,1767657600,1,5,,600,8333.333333333334,0\n\
         flu,DE,0,1768176000,1,1,,0,,1\n"
    );
    assert_eq!(
        csv(&*warehouse, "v_weekly"),
        "topic,region,level,week,panes,posts,authors,total_posts,rate,final\n\
         flu,DE,0,1767571200,3,15,11,3000,5000.0,0\n\
         flu,DE,0,1768176000,1,1,,0,,1\n"
    );
}

pub fn alerts_fold_as_the_stream_does(fresh: Fresh, seeds: u64) {
    for seed in 0..seeds {
        let mut random = Random::new(seed);
        let warehouse = fresh();
        let mut fold = AlertFold::default();
        let mut version = 0;
        let mut revisions: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..40 {
            version += 1;
            let id = ["a", "b", "c"][random.below(3)];
            let row = if random.below(2) == 0 {
                let revision = revisions
                    .entry(id.to_owned())
                    .and_modify(|revision| *revision += 1)
                    .or_insert(0);
                let alert = Alert {
                    revision: *revision,
                    observed: random.below(99) as u32,
                    version: Version(version),
                    ..alert(id)
                };
                fold.apply(alert.clone());
                Record::Alert(alert)
            } else {
                let event = AlertEvent {
                    alert: id.to_owned(),
                    after: random.below(4) as u32,
                    at: MONDAY + version as i64,
                    actor: "duty".to_owned(),
                    state: Handling::ALL[random.below(5)],
                    note: format!("note {version}"),
                    revision: random.below(3) as u32,
                    outcome: Outcome::ALL.get(random.below(6)).copied(),
                    assignee: ["", "Ann", "'Bo'"][random.below(3)].to_owned(),
                    snooze: (random.below(2) == 0)
                        .then_some(Snooze { until: MONDAY + DAY, ratio: 3.9 }),
                    milestones: Milestones {
                        emerged: (random.below(2) == 0).then_some(MONDAY - DAY),
                        notified: (random.below(2) == 0).then_some(MONDAY + version as i64),
                        responded: None,
                    },
                };
                fold.apply_event(event.clone());
                Record::AlertEvent(event)
            };
            let times = 1 + random.below(2);
            warehouse.write(&vec![row; times], &[]).expect("write");
        }
        for entry in warehouse.alerts(&AlertQuery::default()).expect("ask") {
            let (alert, events) = fold.get(&entry.alert.id).expect("an alert that the fold knows");
            assert_eq!((&entry.alert, entry.events.as_slice()), (alert, events), "seed {seed}");
            let story = warehouse.alert(&entry.alert.id).expect("ask").expect("a story");
            assert_eq!(story.revisions.last(), Some(alert), "seed {seed}");
            assert_eq!(story.revisions.len() as u32, revisions[&alert.id] + 1, "seed {seed}");
        }
        assert_eq!(
            warehouse.alerts(&AlertQuery::default()).expect("ask").len(),
            fold.alerts().count(),
            "seed {seed}"
        );
        assert_eq!(warehouse.alert("no such alert").expect("ask"), None);
    }
    let warehouse = fresh();
    let rows = [
        Record::Alert(Alert { fired_at: MONDAY + 1, ..alert("old") }),
        Record::Alert(Alert {
            state: AlertState::Withdrawn,
            fired_at: MONDAY + 2,
            region: "FR".to_owned(),
            ..alert("withdrawn")
        }),
        Record::Alert(Alert { fired_at: MONDAY + 3, topic: "cough".to_owned(), ..alert("new") }),
    ];
    warehouse.write(&rows, &[]).expect("write");
    let ids = |query: AlertQuery| {
        warehouse
            .alerts(&query)
            .expect("ask")
            .into_iter()
            .map(|entry| entry.alert.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(AlertQuery::default()), ["new", "withdrawn", "old"]);
    assert_eq!(ids(AlertQuery { open: Some(true), ..AlertQuery::default() }), ["new", "old"]);
    assert_eq!(ids(AlertQuery { open: Some(false), ..AlertQuery::default() }), ["withdrawn"]);
    assert_eq!(
        ids(AlertQuery { topic: Some("cough".to_owned()), ..AlertQuery::default() }),
        ["new"]
    );
    // A page at a time, nothing twice and nothing left out.
    let all = warehouse.alerts(&AlertQuery::default()).expect("ask");
    let mut paged = Vec::new();
    while let [next] = &warehouse
        .alerts(&AlertQuery {
            limit: 1,
            after: paged
                .last()
                .map(|last: &AlertEntry| (last.alert.fired_at, last.alert.id.clone())),
            ..AlertQuery::default()
        })
        .expect("ask")[..]
    {
        paged.push(next.clone());
    }
    assert_eq!(paged, all);
    assert_eq!(
        ids(AlertQuery { region: Some("FR".to_owned()), ..AlertQuery::default() }),
        ["withdrawn"]
    );
    assert_eq!(
        ids(AlertQuery { from: Some(MONDAY + 2), limit: 1, ..AlertQuery::default() }),
        ["new"]
    );
}

pub fn a_series_shows_its_latest_verdicts(fresh: Fresh) {
    let warehouse = fresh();
    let verdict = |end: Micros, stage, observed, version| {
        Record::Verdict(Verdict {
            window_end: end,
            stage,
            observed,
            version: Version(version),
            ..verdict("flu", "DE")
        })
    };
    let rows = [
        Record::Count(count("flu", "DE", 0, 1)),
        Record::Count(count("flu", "DE", 1, 2)),
        Record::Count(count("flu", "DE-BY", 1, 3)),
        verdict(MONDAY + HOUR, Stage::Early, 5, 1),
        verdict(MONDAY + HOUR, Stage::Final, 7, 9),
        verdict(MONDAY + HOUR, Stage::Closed, 6, 3),
        verdict(MONDAY + 2 * HOUR, Stage::Early, 8, 4),
    ];
    warehouse.write(&rows, &[]).expect("write");
    let query = SeriesQuery {
        topic: "flu".to_owned(),
        region: "DE".to_owned(),
        from: MONDAY,
        to: MONDAY + DAY,
        limit: 100,
        only: None,
    };
    let series = warehouse.series(&query).expect("ask");
    assert_eq!(
        series.panes.iter().map(|cell| cell.start).collect::<Vec<_>>(),
        [MONDAY, MONDAY + HOUR]
    );
    let judged: Vec<_> = series
        .verdicts
        .iter()
        .map(|judged| (judged.end, judged.stage, judged.observed, judged.upperbound))
        .collect();
    assert_eq!(
        judged,
        [
            (MONDAY + HOUR, Stage::Final, 7, Some(9.5)),
            (MONDAY + 2 * HOUR, Stage::Early, 8, Some(9.5))
        ]
    );
    assert!(!series.cut);
    let latest = warehouse.series(&SeriesQuery { limit: 1, ..query.clone() }).expect("ask");
    assert_eq!(
        (latest.panes[0].start, latest.verdicts[0].end, latest.cut),
        (MONDAY + HOUR, MONDAY + 2 * HOUR, true)
    );
    warehouse
        .write(
            &[Record::Verdict(Verdict {
                window_end: MONDAY + 2 * HOUR,
                window_length: 2 * DAY,
                ..self::verdict("flu", "DE")
            })],
            &[],
        )
        .expect("write");
    let only = |length, limit| {
        let series = warehouse
            .series(&SeriesQuery { only: Some(length), limit, ..query.clone() })
            .expect("ask");
        assert_eq!(series.panes, []);
        series
            .verdicts
            .iter()
            .map(|judged| (judged.end - MONDAY, judged.length))
            .collect::<Vec<_>>()
    };
    assert_eq!(only(DAY, 100), [(HOUR, DAY), (2 * HOUR, DAY)]);
    assert_eq!(only(DAY, 1), [(2 * HOUR, DAY)]);
    assert_eq!(only(2 * DAY, 1), [(2 * HOUR, 2 * DAY)]);
    let half_open =
        warehouse.series(&SeriesQuery { to: MONDAY + HOUR, ..query.clone() }).expect("ask");
    assert_eq!((half_open.panes.len(), half_open.verdicts.len()), (1, 0));
    let nothing =
        warehouse.series(&SeriesQuery { topic: "no such topic".to_owned(), ..query }).expect("ask");
    assert_eq!((nothing.panes.len(), nothing.verdicts.len()), (0, 0));
}

/// Open counts leave no trace; the count at the close and each later one do, also when all is
/// written again.
pub fn a_map_shows_the_latest_verdicts_of_many_series(fresh: Fresh) {
    let warehouse = fresh();
    let at = |topic: &str, region: &str, end, observed, version| {
        Record::Verdict(Verdict {
            window_end: end,
            observed,
            version: Version(version),
            ..verdict(topic, region)
        })
    };
    let length = verdict("flu", "DE").window_length;
    warehouse
        .write(
            &[
                at("flu", "DE", MONDAY, 5, 1),
                at("flu", "DE", MONDAY, 7, 2),
                at("flu", "DE", MONDAY + DAY, 9, 3),
                at("flu", "FR", MONDAY, 4, 4),
                at("flu", "FR", MONDAY + HOUR, 1, 5),
                at("cough", "DE", MONDAY, 2, 6),
                Record::Verdict(Verdict {
                    window_end: MONDAY,
                    window_length: 2 * length,
                    ..verdict("flu", "DE")
                }),
            ],
            &[],
        )
        .expect("write");
    assert_eq!(warehouse.closed_until().expect("ask"), Some(MONDAY + DAY));
    let pair = |topic: &str, region: &str| (topic.to_owned(), region.to_owned());
    let query = JudgedQuery {
        series: vec![
            pair("flu", "FR"),
            pair("flu", "DE"),
            pair("flu", "DE"),
            pair("flu", "nowhere"),
        ],
        ends: vec![MONDAY + DAY, MONDAY],
        length: Some(length),
    };
    let shown = |query: &JudgedQuery| -> Vec<(String, Micros, u32)> {
        let placed = warehouse.judged(query).expect("ask");
        placed
            .into_iter()
            .map(|placed| (placed.region, placed.judged.end, placed.judged.observed))
            .collect()
    };
    let de = |end, observed| ("DE".to_owned(), end, observed);
    assert_eq!(shown(&query), [de(MONDAY, 7), de(MONDAY + DAY, 9), ("FR".to_owned(), MONDAY, 4)]);
    assert_eq!(shown(&JudgedQuery { length: None, ..query.clone() }).len(), 4);
    assert_eq!(shown(&JudgedQuery { ends: Vec::new(), ..query.clone() }), []);
    assert_eq!(shown(&JudgedQuery { series: Vec::new(), ..query }), []);
}

pub fn coverage_totals_and_references_are_asked_by_their_keys(fresh: Fresh) {
    let warehouse = fresh();
    let covered = |feed: &str, start| {
        Record::Coverage(CoverageRow {
            feed: feed.to_owned(),
            pane_start: start,
            pane_length: HOUR,
            share: 0.5,
            version: Version(1),
        })
    };
    let total = |region: &str, start, length, posts| {
        Record::Total(Total {
            region: region.to_owned(),
            pane_start: start,
            pane_length: length,
            posts,
            last: true,
            sampled: posts,
            version: Version(1),
        })
    };
    warehouse
        .write(
            &[
                covered("b", MONDAY),
                covered("b", MONDAY - HOUR),
                covered("a", MONDAY + HOUR),
                total("DE", MONDAY, HOUR, 3),
                total("DE", MONDAY + HOUR, HOUR, 4),
                total("DE", MONDAY + 2 * HOUR, HOUR, 50),
                total("DE", MONDAY, DAY, 600),
                total("ZZ", MONDAY, HOUR, 7),
            ],
            &[],
        )
        .expect("write");
    let feeds: Vec<(String, Micros)> = warehouse
        .coverage_since(MONDAY)
        .expect("ask")
        .into_iter()
        .map(|pane| (pane.feed, pane.pane_start))
        .collect();
    assert_eq!(feeds, [("a".to_owned(), MONDAY + HOUR), ("b".to_owned(), MONDAY)]);
    let regions = ["ZZ", "DE", "FR"].map(str::to_owned);
    let totals = warehouse.totals(&regions, MONDAY, MONDAY + 2 * HOUR).expect("ask");
    assert_eq!(totals, [("ZZ".to_owned(), 7), ("DE".to_owned(), 7)]);
    let reference = |series: &str, region: &str, date| Reference {
        series: series.to_owned(),
        region: region.to_owned(),
        date,
        value: 1.5,
        unit: "cases".to_owned(),
        source: "a ministry".to_owned(),
    };
    let rows = [
        reference("b", "DE", MONDAY),
        reference("a", "DE", MONDAY + DAY),
        reference("a", "DE", MONDAY),
        reference("a", "FR", MONDAY),
    ];
    warehouse.write_reference(&rows).expect("write");
    assert_eq!(
        warehouse.references("DE").expect("ask"),
        [rows[2].clone(), rows[1].clone(), rows[0].clone()]
    );
}

pub fn voices_are_summed_by_series(fresh: Fresh) {
    let warehouse = fresh();
    let cell = |region: &str, hour, posts_news| {
        Record::Count(Count {
            posts: 10,
            authors: 8,
            authors_self: 3,
            posts_news,
            ..count("flu", region, hour, 1)
        })
    };
    let again =
        Record::Count(Count { posts: 10, authors: 6, posts_news: 4, ..count("flu", "DE", 1, 2) });
    warehouse
        .write(
            &[cell("DE", 0, 1), cell("DE", 1, 2), cell("DE", 2, 9), cell("FR", 1, 7), again],
            &[],
        )
        .expect("write");
    let told = warehouse.voices("flu", "DE", MONDAY, MONDAY + 2 * HOUR).expect("ask");
    assert_eq!(told, Voices { posts: 20, authors: 14, authors_self: 3, news: 5 });
    assert_eq!(
        warehouse.voices("flu", "US", MONDAY, MONDAY + 2 * HOUR).expect("ask"),
        Voices::default()
    );
}

/// What the public may see: whole days, a number or its being withheld, nothing of other topics.
pub fn published_days_are_asked_by_topic_region_and_day(fresh: Fresh) {
    let warehouse = fresh();
    let day =
        |topic: &str, region: &str, days: i64, accounts: Option<u32>, version: u64| PublicCount {
            topic: topic.to_owned(),
            region: region.to_owned(),
            level: if region == record::region::WORLD {
                -1
            } else {
                i8::from(region.contains('-'))
            },
            day: MONDAY + days * DAY,
            accounts,
            version: Version(version),
        };
    let rows = [
        day("flu", "DE-BY", 1, Some(15), 6),
        day("flu", "DE", 1, Some(25), 5),
        day("flu", "001", 1, None, 4),
        day("flu", "001", 0, Some(40), 1),
        day("fever", "001", 0, Some(60), 2),
        day("fever", "DE", 2, Some(10), 9),
        day("cough", "DE", 0, Some(500), 3),
    ];
    warehouse.write(&rows.map(Record::PublicCount), &[]).expect("write public counts");
    // The same once more, and an older word on one of them: nothing changes.
    let again = [day("flu", "DE", 1, Some(25), 5), day("fever", "DE", 2, None, 8)];
    warehouse.write(&again.map(Record::PublicCount), &[]).expect("write some again");
    let asked = |topics: &[&str], region: Option<&str>, from: Micros| -> Vec<String> {
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let found = warehouse.published(&topics, region, from).expect("read public counts");
        let shown = |one: &Published| {
            let accounts =
                one.accounts.map_or("withheld".to_owned(), |accounts| accounts.to_string());
            format!(
                "{} {} {} {} {accounts}",
                one.topic,
                one.region,
                one.level,
                (one.day - MONDAY) / DAY
            )
        };
        found.iter().map(shown).collect()
    };
    let of_flu = ["flu 001 -1 0 40", "flu 001 -1 1 withheld", "flu DE 0 1 25", "flu DE-BY 1 1 15"];
    assert_eq!(asked(&["flu"], None, MONDAY - DAY), of_flu);
    assert_eq!(asked(&["flu"], None, 0), of_flu, "from long before");
    let both = [
        "fever 001 -1 0 60",
        "fever DE 0 2 10",
        "flu 001 -1 0 40",
        "flu 001 -1 1 withheld",
        "flu DE 0 1 25",
        "flu DE-BY 1 1 15",
    ];
    assert_eq!(asked(&["flu", "fever", "flu"], None, MONDAY), both, "by topic, each once");
    assert_eq!(
        asked(&["flu", "fever"], Some("001"), MONDAY + 1),
        ["flu 001 -1 1 withheld"],
        "a day that has begun before is not asked for"
    );
    assert_eq!(
        asked(&["flu", "fever"], Some("DE"), MONDAY + DAY),
        ["fever DE 0 2 10", "flu DE 0 1 25"]
    );
    for (topics, region, from) in [
        (&["flu"][..], Some("FR"), MONDAY),
        (&["nothing"], None, MONDAY),
        (&[], None, MONDAY),
        (&["flu"], None, MONDAY + 2 * DAY),
    ] {
        assert_eq!(asked(topics, region, from), [""; 0], "{topics:?} {region:?}");
    }
}

pub fn history_holds_closings_and_revisions(fresh: Fresh) {
    let warehouse = fresh();
    let cell = |posts, version, last| {
        Record::Count(Count { posts, last, ..count("flu", "DE", 0, version) })
    };
    let closed = |version| {
        let window_end = MONDAY + HOUR;
        Record::Verdict(Verdict {
            window_end,
            stage: Stage::Closed,
            version: Version(version),
            ..verdict("flu", "DE")
        })
    };
    let early = Record::Verdict(Verdict {
        window_end: MONDAY + HOUR,
        stage: Stage::Early,
        version: Version(2),
        ..verdict("flu", "DE")
    });
    let late_cell =
        Record::Count(Count { posts: 1, region: "FR".to_owned(), ..count("flu", "FR", 0, 7) });
    let empty_close = Record::Verdict(Verdict {
        window_end: MONDAY + HOUR,
        stage: Stage::Closed,
        version: Version(5),
        ..verdict("flu", "FR")
    });
    let rows = [
        cell(1, 1, false),
        early,
        cell(2, 3, false),
        closed(5),
        empty_close,
        cell(3, 6, false),
        late_cell,
        cell(3, 9, true),
    ];
    for _ in 0..2 {
        for row in &rows {
            warehouse.write(std::slice::from_ref(row), &[]).expect("write");
        }
        let history = csv(&*warehouse, "counts_history");
        let revisions: Vec<_> = history
            .lines()
            .skip(1)
            .map(|line| line.split(',').collect::<Vec<_>>())
            .map(|line| (line[1].to_owned(), line[5].to_owned(), line[6].to_owned()))
            .collect();
        let shown: Vec<_> = revisions
            .iter()
            .map(|(region, version, posts)| (region.as_str(), version.as_str(), posts.as_str()))
            .collect();
        assert_eq!(shown, [("DE", "3", "2"), ("DE", "6", "3"), ("DE", "9", "3"), ("FR", "7", "1")]);
    }
}

pub fn exports_are_sorted_and_quoted(fresh: Fresh) {
    let warehouse = fresh();
    let tag = |key: &str, region: &str, hour: i64, posts| {
        let pane_start = MONDAY + hour * HOUR;
        Record::TagCount(TagCount {
            key: key.to_owned(),
            region: region.to_owned(),
            pane_start,
            posts,
            last: true,
            version: Version(1),
        })
    };
    let rows = [
        tag("z", "DE", 0, 10),
        tag("z", "DE", -1, 9),
        tag("=cmd()", "DE", 0, 1),
        tag("a,\"b\"\n", "DE", 0, 2),
        tag("é", "DE", 0, 3),
        tag("Z", "FR", 0, 4),
        tag("-1", "FR", 0, 5),
    ];
    warehouse.write(&rows, &[]).expect("write");
    let written = |format, from, to| {
        let mut out = Vec::new();
        let rows = warehouse
            .export(&Export { table: "tag_counts".to_owned(), from, to, format }, &mut out)
            .expect("export");
        (rows, String::from_utf8(out).expect("utf-8"))
    };
    assert_eq!(
        written(Format::Csv, None, None),
        (
            7,
            "tag,region,pane_start,posts,final,version\n\
             '-1,FR,1767571200,5,1,1\n\
             '=cmd(),DE,1767571200,1,1,1\n\
             Z,FR,1767571200,4,1,1\n\
             \"a,\"\"b\"\"\n\",DE,1767571200,2,1,1\n\
             z,DE,1767567600,9,1,1\n\
             z,DE,1767571200,10,1,1\n\
             é,DE,1767571200,3,1,1\n"
                .to_owned()
        )
    );
    assert_eq!(
        written(Format::Ndjson, Some(MONDAY - HOUR), Some(MONDAY)),
        (1, "{\"tag\":\"z\",\"region\":\"DE\",\"pane_start\":1767567600,\"posts\":9,\"final\":1,\"version\":1}\n".to_owned())
    );
    // Half an hour later is no pane start, but still after the one before it.
    assert_eq!(written(Format::Csv, Some(MONDAY - HOUR + 1), Some(MONDAY)).0, 0);
    assert_eq!(written(Format::Csv, Some(MONDAY - HOUR), Some(MONDAY + 1)).0, 7);
    let raw = fresh();
    raw.write(&[Record::Count(count("=flu", "+DE", 0, 1))], &[]).expect("write");
    assert!(csv(&*raw, "v_counts").contains("\n=flu,+DE,"));
    assert!(csv(&*raw, "counts").contains("\n=flu,+DE,"));
}

pub fn unknown_tables_are_refused_with_a_hint(fresh: Fresh) {
    let warehouse = fresh();
    for table in ["", "Counts", "counts; DROP TABLE counts", "sqlite_schema", "progress"] {
        let export = Export { table: table.to_owned(), from: None, to: None, format: Format::Csv };
        let error = warehouse.export(&export, &mut Vec::new()).expect_err("an unknown table");
        assert!(
            error.to_string().contains("hint: the tables are `counts`, `tag_counts`"),
            "{error}"
        );
        assert!(!error.try_again());
    }
}

pub fn every_table_can_be_exported(fresh: Fresh) {
    let warehouse = fresh();
    let mut random = Random::new(1854);
    let mut rows: Vec<Record> = (0..200).map(|_| versioned_row(&mut random)).collect();
    rows.push(Record::Alert(alert("with events")));
    let note = "=HYPERLINK()".to_owned();
    rows.push(Record::AlertEvent(AlertEvent {
        alert: "with events".to_owned(),
        after: 0,
        at: MONDAY,
        actor: "x".to_owned(),
        note,
        ..AlertEvent::default()
    }));
    warehouse.write(&rows, &[]).expect("write");
    load_reference(
        &*warehouse,
        "series,region,date,value\ncases,DE,2026-01-05,1\n".as_bytes(),
        &|_| Ok(()),
    )
    .expect("load");
    for table in &TABLES {
        for format in [Format::Csv, Format::Ndjson] {
            let mut out = Vec::new();
            let export =
                Export { table: table.name.to_owned(), from: None, to: Some(i64::MAX), format };
            let rows = warehouse.export(&export, &mut out).expect("export");
            assert!(rows > 0, "{} is empty", table.name);
            let text = String::from_utf8(out).expect("utf-8");
            if format == Format::Ndjson {
                for line in text.lines() {
                    let value: serde_json::Value =
                        serde_json::from_str(line).expect("a line is JSON");
                    assert!(value.get(table.time).is_some_and(serde_json::Value::is_i64), "{line}");
                    assert!(
                        table
                            .json
                            .iter()
                            .all(|column| value[column].is_array() || value[column].is_object()),
                        "{line}"
                    );
                }
            } else {
                let header = text.lines().next().unwrap_or_default();
                assert!(
                    table
                        .guarded
                        .iter()
                        .chain(table.json)
                        .chain([&table.time])
                        .all(|column| header.split(',').any(|name| name == *column)),
                    "{header}"
                );
            }
        }
    }
    assert!(csv(&*warehouse, "alert_events").contains(",'=HYPERLINK(),"));
}

pub fn topics_and_regions_are_listed(fresh: Fresh) {
    let warehouse = fresh();
    assert_eq!(warehouse.topics().expect("ask"), []);
    assert_eq!(warehouse.settings().expect("ask"), None);
    assert_eq!(warehouse.latest().expect("ask"), None);
    warehouse.ready().expect("ready");
    let topic = record::TopicSetting {
        id: "measles".to_owned(),
        name: "Measles".to_owned(),
        kind: record::kind::Kind::Disease,
        pane: HOUR,
        windows: vec![DAY],
    };
    let settings =
        |number, topics| Record::Settings(Settings { number, topics, ..Settings::default() });
    let coverage = |feed: &str, hour: i64, share| {
        let pane_start = MONDAY + hour * HOUR;
        Record::Coverage(CoverageRow {
            feed: feed.to_owned(),
            pane_start,
            pane_length: HOUR,
            share,
            version: Version(1),
        })
    };
    let rows = [
        settings(2, vec![topic]),
        settings(1, Vec::new()),
        Record::Count(count("flu", "DE", 0, 1)),
        Record::Count(count("flu", "DE", 5, 1)),
        Record::Count(Count { level: -1, ..count("flu", "001", 3, 1) }),
        Record::Count(count("cough", "DE", 1, 1)),
        Record::Alert(alert("one")),
        coverage("two", 1, 0.5),
        coverage("one", 1, 0.25),
        coverage("one", 2, 1.0),
    ];
    warehouse.write(&rows, &[]).expect("write");
    let topics: Vec<_> = warehouse
        .topics()
        .expect("ask")
        .into_iter()
        .map(|topic| (topic.topic, topic.name, topic.regions, topic.first, topic.open_alerts))
        .collect();
    assert_eq!(
        topics,
        [
            ("cough".to_owned(), None, 1, Some(MONDAY + HOUR), 0),
            ("flu".to_owned(), None, 2, Some(MONDAY), 1),
            ("measles".to_owned(), Some("Measles".to_owned()), 0, None, 0)
        ]
    );
    assert_eq!(warehouse.regions().expect("ask"), [("001".to_owned(), -1), ("DE".to_owned(), 0)]);
    assert_eq!(warehouse.latest().expect("ask"), Some(MONDAY + 5 * HOUR + 1));
    let feeds: Vec<_> = warehouse
        .coverage()
        .expect("ask")
        .into_iter()
        .map(|feed| (feed.feed, feed.pane_start, feed.share))
        .collect();
    assert_eq!(
        feeds,
        [("one".to_owned(), MONDAY + 2 * HOUR, 1.0), ("two".to_owned(), MONDAY + HOUR, 0.5)]
    );
}

pub fn references_are_loaded_whole_and_corrected(fresh: Fresh) {
    let warehouse = fresh();
    let load = |text: &str| load_reference(&*warehouse, text.as_bytes(), &|_| Ok(()));
    let first = "date,series,region,value,unit\n2026-01-05,=cases,de,12.5,cases\n2026-01-12,=cases,de,1e3,cases\n";
    assert_eq!(load(first).expect("load"), 2);
    assert_eq!(load(first).expect("load again"), 2);
    assert_eq!(
        load("series,region,date,value,source\n=cases,DE,2026-01-12,7,RKI\n").expect("correct"),
        1
    );
    let table = "series,region,date,value,unit,source\n'=cases,DE,1767571200,12.5,cases,\n'=cases,DE,1768176000,7.0,,RKI\n";
    assert_eq!(csv(&*warehouse, "reference"), table);
    load("series,region,date,value\ngood,DE,2026-01-05,1\nbad,DE,2026-02-30,1\n")
        .expect_err("no such day");
    assert_eq!(csv(&*warehouse, "reference"), table);
}

/// A table as CSV.
pub fn csv(warehouse: &dyn Warehouse, table: &str) -> String {
    let mut out = Vec::new();
    warehouse
        .export(
            &Export { table: table.to_owned(), from: None, to: None, format: Format::Csv },
            &mut out,
        )
        .expect("export");
    String::from_utf8(out).expect("exports are UTF-8")
}

pub fn count(topic: &str, region: &str, hour: i64, version: u64) -> Count {
    Count {
        topic: topic.to_owned(),
        region: region.to_owned(),
        level: i8::from(region.contains('-')),
        pane_start: MONDAY + hour * HOUR,
        pane_length: HOUR,
        posts: 1,
        authors: 1,
        authors_24h: None,
        authors_self: 0,
        posts_news: 0,
        posts_filtered: 0,
        authors_filtered: 0,
        total_posts: 0,
        last: false,
        newest: MONDAY + hour * HOUR + 1,
        version: Version(version),
    }
}

pub fn verdict(topic: &str, region: &str) -> Verdict {
    Verdict {
        topic: topic.to_owned(),
        region: region.to_owned(),
        window_end: MONDAY + DAY,
        window_length: DAY,
        method: "eears".to_owned(),
        stage: Stage::Closed,
        observed: 4,
        population: 1_000,
        expected: Some(4.25),
        upperbound: Some(9.5),
        pvalue: None,
        alarm: Some(false),
        reason: None,
        coverage: 0.97,
        revision: 0,
        version: Version(1),
        expected_low: Some(3.5),
        expected_high: Some(5.25),
        detectable_rise: Some(2.75),
        qvalue: None,
        provisional: false,
    }
}

pub fn alert(id: &str) -> Alert {
    Alert {
        id: id.to_owned(),
        revision: 0,
        topic: "flu".to_owned(),
        topic_name: "Influenza".to_owned(),
        region: "DE-BY".to_owned(),
        regions: vec!["DE".to_owned(), "DE-BY".to_owned()],
        opened_at: MONDAY - DAY,
        fired_at: MONDAY + 1_234_567,
        window_end: MONDAY,
        window_length: DAY,
        stage: Stage::Early,
        state: AlertState::Open,
        severity: 2,
        observed: 23,
        posts: 26,
        population: 8_150,
        expected: 6.0,
        upperbound: 11.0,
        recurrence: Some(365.0),
        method: "eears".to_owned(),
        coverage: 0.97,
        explanation: Explanation {
            sampled: 26,
            own: 14,
            news: 3,
            tags: vec![("flu".to_owned(), 12)],
            ..Explanation::default()
        },
        version: Version(1),
        grounds: Box::new(Grounds {
            pvalue: Some(0.000_25),
            threshold: Some(0.0005),
            detectable_rise: Some(2.5),
            suspect: vec![Suspect::NearCopies],
            baseline: vec![PastWindow { end: MONDAY - 3 * DAY, observed: 6, exposure: 0.875 }],
            model: vec![("prior-shape".to_owned(), 0.5)],
            ..Grounds::default()
        }),
    }
}

fn versioned_row(random: &mut Random) -> Record {
    let topic = ["flu", "cough"][random.below(2)];
    let region = ["DE", "DE-BY", "001"][random.below(3)];
    let hour = random.below(3) as i64;
    let version = random.below(8) as u64;
    // What a row says follows from its key and version, as in the log.
    let said = (hour as u64 * 31 + version * 17) as u32;
    let last = version == 7;
    match random.below(8) {
        0 => Record::Count(Count {
            posts: said,
            authors: said / 2,
            authors_24h: version.is_multiple_of(2).then_some(said),
            last,
            ..count(topic, region, hour, version)
        }),
        1 => Record::TagCount(TagCount {
            key: topic.to_owned(),
            region: region.to_owned(),
            pane_start: MONDAY + hour * HOUR,
            posts: said,
            last,
            version: Version(version),
        }),
        2 => Record::Total(Total {
            region: region.to_owned(),
            pane_start: MONDAY + hour * HOUR,
            pane_length: HOUR,
            posts: said.into(),
            last,
            version: Version(version),
            sampled: said.into(),
        }),
        3 => Record::Coverage(CoverageRow {
            feed: topic.to_owned(),
            pane_start: MONDAY + hour * HOUR,
            pane_length: HOUR,
            share: f64::from(said) / 1000.0,
            version: Version(version),
        }),
        4 => Record::WindowCount(WindowCount {
            topic: topic.to_owned(),
            region: region.to_owned(),
            end: MONDAY + DAY + hour * HOUR,
            length: DAY,
            authors: said,
            authors_self: said / 3,
            last,
            version: Version(version),
        }),
        5 => Record::PublicCount(PublicCount {
            topic: topic.to_owned(),
            region: region.to_owned(),
            level: region.len() as i8 / 3,
            day: MONDAY + hour * DAY,
            accounts: version.is_multiple_of(2).then_some(said),
            version: Version(version),
        }),
        6 => Record::Verdict(Verdict {
            window_end: MONDAY + hour * HOUR,
            observed: said,
            alarm: [None, Some(true), Some(false)][version as usize % 3],
            version: Version(version),
            stage: [Stage::Early, Stage::Closed, Stage::Final][version as usize / 3],
            ..verdict(topic, region)
        }),
        _ => Record::Alert(Alert {
            revision: hour as u32,
            observed: said,
            version: Version(version),
            ..alert(topic)
        }),
    }
}

/// What a row is about, and its version.
fn identity(row: &Record) -> (String, Version) {
    match row {
        Record::Count(row) => {
            (format!("count {} {} {}", row.topic, row.region, row.pane_start), row.version)
        }
        Record::TagCount(row) => {
            (format!("tag {} {} {}", row.key, row.region, row.pane_start), row.version)
        }
        Record::Total(row) => (format!("total {} {}", row.region, row.pane_start), row.version),
        Record::Coverage(row) => (format!("coverage {} {}", row.feed, row.pane_start), row.version),
        Record::WindowCount(row) => {
            (format!("window {} {} {}", row.topic, row.region, row.end), row.version)
        }
        Record::PublicCount(row) => {
            (format!("public {} {} {}", row.topic, row.region, row.day), row.version)
        }
        Record::Verdict(row) => (
            format!("verdict {} {} {} {:?}", row.topic, row.region, row.window_end, row.stage),
            row.version,
        ),
        Record::Alert(row) => (format!("alert {} {}", row.id, row.revision), row.version),
        other => panic!("a {} has no version", other.kind()),
    }
}

fn rows_newest(rows: &[Record]) -> Option<Micros> {
    rows.iter()
        .filter_map(|row| if let Record::Count(count) = row { Some(count.newest) } else { None })
        .max()
}

fn cell_of(row: &Record) -> Option<(String, String, i64, u32)> {
    let Record::Count(count) = row else { return None };
    Some((count.topic.clone(), count.region.clone(), count.pane_start / SECOND, count.posts))
}

fn cell_of_line(line: &str) -> (String, String, i64, u32) {
    let fields: Vec<&str> = line.split(',').collect();
    (
        fields[0].to_owned(),
        fields[1].to_owned(),
        fields[3].parse().expect("a start"),
        fields[5].parse().expect("a count"),
    )
}

/// SplitMix64 (Steele, Lea & Flood 2014): small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

/// A warehouse that takes along what it lives in.
pub struct Kept<W, K> {
    warehouse: W,
    _kept: K,
}

impl<W, K> Kept<W, K> {
    pub fn new(warehouse: W, kept: K) -> Kept<W, K> {
        Kept { warehouse, _kept: kept }
    }
}

impl<W: Landing, K: Send + Sync> Landing for Kept<W, K> {
    fn write(&self, rows: &[Record], progress: &[Progress]) -> Result<(), WarehouseError> {
        self.warehouse.write(rows, progress)
    }
    fn progress(&self) -> Result<Vec<Progress>, WarehouseError> {
        self.warehouse.progress()
    }
    fn write_reference(&self, rows: &[Reference]) -> Result<(), WarehouseError> {
        self.warehouse.write_reference(rows)
    }
}

impl<W: Reading, K: Send + Sync> Reading for Kept<W, K> {
    fn ready(&self) -> Result<(), WarehouseError> {
        self.warehouse.ready()
    }
    fn settings(&self) -> Result<Option<Settings>, WarehouseError> {
        self.warehouse.settings()
    }
    fn latest(&self) -> Result<Option<Micros>, WarehouseError> {
        self.warehouse.latest()
    }
    fn heads(&self) -> Result<Vec<SeriesHead>, WarehouseError> {
        self.warehouse.heads()
    }
    fn series(&self, query: &SeriesQuery) -> Result<Series, WarehouseError> {
        self.warehouse.series(query)
    }
    fn alerts(&self, query: &AlertQuery) -> Result<Vec<AlertEntry>, WarehouseError> {
        self.warehouse.alerts(query)
    }
    fn alert(&self, id: &str) -> Result<Option<AlertStory>, WarehouseError> {
        self.warehouse.alert(id)
    }
    fn coverage(&self) -> Result<Vec<FeedCoverage>, WarehouseError> {
        self.warehouse.coverage()
    }
    fn closed_until(&self) -> Result<Option<Micros>, WarehouseError> {
        self.warehouse.closed_until()
    }
    fn judged(&self, query: &JudgedQuery) -> Result<Vec<Placed>, WarehouseError> {
        self.warehouse.judged(query)
    }
    fn coverage_since(&self, from: Micros) -> Result<Vec<FeedCoverage>, WarehouseError> {
        self.warehouse.coverage_since(from)
    }
    fn totals(
        &self,
        regions: &[String],
        from: Micros,
        to: Micros,
    ) -> Result<Vec<(String, u64)>, WarehouseError> {
        self.warehouse.totals(regions, from, to)
    }
    fn voices(
        &self,
        topic: &str,
        region: &str,
        from: Micros,
        to: Micros,
    ) -> Result<Voices, WarehouseError> {
        self.warehouse.voices(topic, region, from, to)
    }
    fn published(
        &self,
        topics: &[String],
        region: Option<&str>,
        from: Micros,
    ) -> Result<Vec<Published>, WarehouseError> {
        self.warehouse.published(topics, region, from)
    }
    fn references(&self, region: &str) -> Result<Vec<Reference>, WarehouseError> {
        self.warehouse.references(region)
    }
    fn export(&self, export: &Export, out: &mut dyn io::Write) -> Result<u64, WarehouseError> {
        self.warehouse.export(export, out)
    }
}
