//! What must be true in the end.
//!
//! Final numbers are those of one tally and one watch that read all posts straight, without a
//! fault. Everything that landed is what one watch says that reads the stream `tallies` once, as it
//! came to be; and each alert stands there once, with all its revisions.

use std::collections::BTreeMap;
use std::path::Path;

use feeds::Now;
use feeds::progress::Progress;
use journal::{Journal, Stream};
use record::time::MINUTE;
use record::{Record, Settings, Tick};
use surveillance::{Mode, Tally, Watch};

use warehouse::{Export, Format, Landing, Local, Reading};

use super::posts::{Line, Story};
use super::{Simulation, fresh_warehouse};

const TABLES: [&str; 8] = [
    "counts",
    "tag_counts",
    "denominators",
    "coverage",
    "window_counts",
    "verdicts",
    "alerts",
    "counts_history",
];
const STRAIGHT_TICKS: i64 = 20 * MINUTE;

pub(super) fn check(simulation: &Simulation, folder: &Path, empty: &Path) {
    let landed = &simulation.warehouse;
    let again = fresh_warehouse(folder, empty, "again");
    again.write(&watched(&read(&simulation.journal, Stream::Tallies)), &[]).unwrap();
    for table in TABLES {
        compare(
            &format!("`{table}`, beside a watch over the same frames"),
            &rows(landed, table),
            &rows(&again, table),
        );
    }
    let straight = fresh_warehouse(folder, empty, "straight");
    straight.write(&straight_run(&simulation.story), &[]).unwrap();
    for table in ["counts", "tag_counts", "denominators", "window_counts", "verdicts"] {
        compare(
            &format!("final `{table}`, beside a straight run"),
            &last(landed, table),
            &last(&straight, table),
        );
    }
    check_alerts(&read(&simulation.journal, Stream::Alerts), &rows(landed, "alerts"));
}

fn read(journal: &dyn Journal, stream: Stream) -> Vec<Record> {
    let batch = journal.read(stream, 0, 0, usize::MAX, std::time::Duration::ZERO).unwrap();
    batch.records.iter().map(|(_, bytes)| Record::decode(bytes).unwrap()).collect()
}

fn watched(tallies: &[Record]) -> Vec<Record> {
    let mut watch = Watch::new(Mode::Live);
    let mut out = Vec::new();
    for (position, record) in (0..).zip(tallies) {
        watch.apply(position, record, &mut out).unwrap();
    }
    assert!(watch.ended(), "the log has ended, and watch has not");
    out
}

/// All posts in the order of arrival, in one partition, by a worker that never fails.
fn straight_run(story: &Story) -> Vec<Record> {
    let settings = Settings { partitions: 1, ..story.settings.clone() };
    let mut log = vec![Record::Settings(settings.clone())];
    let mut lines: Vec<&Line> = story.feeds.iter().flat_map(|feed| &feed.lines).collect();
    lines.sort_by_key(|line| line.arrival);
    let mut progress: Vec<Progress> =
        story.feeds.iter().map(|feed| Progress::of_file(&feed.name, 1)).collect();
    let mut left: Vec<usize> = story.feeds.iter().map(|feed| feed.lines.len()).collect();
    let mut ticked = lines[0].arrival;
    let tick = |progress: &mut [Progress], log: &mut Vec<Record>, at| {
        let claim = |progress: &mut Progress| {
            if progress.has_ended() {
                progress.tick(Now::default())
            } else {
                progress.tick_before(at, Now::default())
            }
        };
        let feeds = progress.iter_mut().filter_map(claim).collect();
        log.push(Record::Tick(Tick { settings: 1, at, feeds }));
    };
    for line in lines {
        while line.arrival >= ticked + STRAIGHT_TICKS {
            ticked += STRAIGHT_TICKS;
            tick(&mut progress, &mut log, ticked);
        }
        let feed = usize::from(line.post.feed);
        progress[feed].on_arrival(line.arrival, Now::default());
        log.push(Record::Post(line.post.clone()));
        left[feed] -= 1;
        if left[feed] == 0 {
            progress[feed].on_end();
        }
    }
    tick(&mut progress, &mut log, ticked);
    log.push(Record::End);
    let mut tally = Tally::new(0);
    let mut tallies = vec![Record::Settings(settings)];
    for (position, record) in (0..).zip(&log) {
        let mut frames = Vec::new();
        tally.apply(position, record, &mut frames);
        tallies.extend(frames.into_iter().map(Record::Frame));
    }
    watched(&tallies)
}

/// Column by name, of each row.
type Row = BTreeMap<String, String>;

fn rows(warehouse: &Local, table: &str) -> Vec<Row> {
    let export = Export { table: table.to_owned(), from: None, to: None, format: Format::Csv };
    let mut out = Vec::new();
    warehouse.export(&export, &mut out).unwrap();
    csv::Reader::from_reader(out.as_slice()).deserialize().map(Result::unwrap).collect()
}

/// The final rows, without what says when or how often they were said.
fn last(warehouse: &Local, table: &str) -> Vec<Row> {
    let mut rows = rows(warehouse, table);
    rows.retain(|row| {
        let is = |column: &str, value: &str| row.get(column).is_none_or(|found| found == value);
        let some = |column: &str| row.get(column).is_some_and(|found| found != "0");
        let is_last = is("final", "1") && is("stage", "final");
        is_last && (!row.contains_key("posts") || some("posts") || some("posts_filtered"))
    });
    for row in &mut rows {
        // The newest post counted may have been deleted since.
        row.retain(|column, _| !["version", "revision", "newest_us"].contains(&column.as_str()));
    }
    rows
}

fn compare(what: &str, found: &[Row], expected: &[Row]) {
    if found == expected {
        return;
    }
    let lost: Vec<&Row> = expected.iter().filter(|row| !found.contains(row)).take(3).collect();
    let more: Vec<&Row> = found.iter().filter(|row| !expected.contains(row)).take(3).collect();
    panic!(
        "{what}: {} rows, expected {}\nmissing {lost:#?}\ntoo much {more:#?}",
        found.len(),
        expected.len()
    );
}

/// However often a revision was said, it was the same one; and none is left out.
fn check_alerts(said: &[Record], landed: &[Row]) {
    let mut revisions: BTreeMap<&str, BTreeMap<u32, &Record>> = BTreeMap::new();
    for record in said {
        let Record::Alert(alert) = record else { continue };
        let before = revisions.entry(&alert.id).or_default().insert(alert.revision, record);
        assert!(
            before.is_none_or(|before| before == record),
            "revision {} of {} was said twice, and not the same",
            alert.revision,
            alert.id
        );
    }
    for (id, revisions) in &revisions {
        assert!(
            revisions.keys().copied().eq(0..revisions.len() as u32),
            "revisions of {id}: {:?}",
            revisions.keys()
        );
    }
    assert_eq!(
        revisions.values().map(BTreeMap::len).sum::<usize>(),
        landed.len(),
        "revisions of alerts that landed"
    );
}
