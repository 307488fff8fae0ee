//! What a run lets out, from outside: nothing of a sensitive topic below its rule, anywhere; and to
//! the public only what is published.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use journal::local::{LocalJournal, Options};
use journal::{Journal, Stream};
use record::Record;

use crate::program::Folder;

const CONFIG: &str = r#"
    [journal]
    partitions = 2
    [topics]
    files = ["topics.toml"]
    [web]
    listen = "127.0.0.1:0"
    [[feeds]]
    name = "posts"
    kind = "file"
    path = "posts.ndjson"
"#;
/// A key that stands nowhere else. It is another topic's too, so that a list of that one's tags
/// could tell it.
const SECRET: &str = "hushpox";
const TOPICS: &str = r#"
    [[topic]]
    id = "quiet"
    kind = "sensitive"
    name = "A quiet illness"
    tags = { any = ["hushpox", "hushpoxtest"] }
    [[topic]]
    id = "influenza"
    kind = "disease"
    name = "Influenza"
    tags = { any = ["flu"] }
"#;
const FLOOR: u32 = 20;
/// 2026-01-05T00:00:00Z, a Monday.
const MONDAY: i64 = 1_767_571_200;
const DAYS: i64 = 15;

/// Each account writes of the sensitive topic once a week and of the other each day, in lines of
/// our own schema.
fn posts() -> String {
    let crowds = [
        ("DE-BY", 60),
        ("DE-BE", 7),
        ("FR-IDF", 9),
        ("FR", 8),
        ("US-TX", 30),
        ("LU", 3),
        ("ZZ", 25),
    ];
    let mut lines: Vec<(i64, String)> = Vec::new();
    let mut line = |at: i64, author: &str, region: &str, text: &str| {
        let id = lines.len();
        let text = format!(
            r#"{{"id":"{id}","author":"{author}","created_at":{at},"arrived":{at},"text":"{text}","langs":["en"],"region":"{region}"}}"#
        );
        lines.push((at, text));
    };
    for day in 0..DAYS {
        for (region, crowd) in crowds {
            for nth in 0..crowd {
                let at = MONDAY + day * 86_400 + (nth * 997 + day * 13) % 86_000;
                let author = format!("{region}-{nth}");
                if (nth + day) % 3 < 2 {
                    line(at, &author, region, "in bed with #flu");
                }
                if day % 7 == nth % 7 {
                    line(
                        at + 60,
                        &author,
                        region,
                        "had my #HushPox test, #flu too #hushpoxTest #HushPox2026",
                    );
                }
            }
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

fn files_below(folder: &Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("our own folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files_below(&path, into) } else { into.push(path) }
    }
}

fn holds_secret(bytes: &[u8]) -> bool {
    let lower = bytes.to_ascii_lowercase();
    lower.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

/// Whether a cell of the sensitive topic may be in this record.
fn allowed(record: &Record) -> bool {
    let of = |topic: &str, region: &str, values: &[u32]| {
        topic != "quiet"
            || ((region == "001" || region.len() == 2)
                && values.iter().all(|value| *value == 0 || *value >= FLOOR))
    };
    match record {
        Record::Count(row) => {
            let values = [
                row.posts,
                row.authors,
                row.authors_self,
                row.posts_news,
                row.posts_filtered,
                row.authors_24h.unwrap_or(0),
            ];
            of(&row.topic, &row.region, &values)
        }
        Record::WindowCount(row) => of(&row.topic, &row.region, &[row.authors, row.authors_self]),
        Record::Verdict(row) => of(&row.topic, &row.region, &[row.observed]),
        Record::Alert(row) => {
            row.regions.iter().all(|region| of(&row.topic, region, &[row.observed]))
                && row.explanation.tags.iter().all(|(tag, _)| !holds_secret(tag.as_bytes()))
        }
        Record::PublicCount(row) => row.topic != "quiet",
        Record::TagCount(row) => !holds_secret(row.key.as_bytes()),
        // The topics, and nothing by which the post could be found in an archive.
        Record::Post(post) if post.topics.iter().any(|hit| hit.id == "quiet") => {
            let keys: usize = post.topics.iter().map(|hit| hit.keys.len()).sum();
            post.tags.len() + keys == 0 && post.link_domain.is_none() && post.simhash == 0
        }
        // Parts of sums, which watch is the first to see: levels are kept, and there is no sample.
        Record::Frame(frame) => frame.series.iter().all(|change| {
            of(&change.topic, &change.region, &[])
                && (change.topic != "quiet"
                    || change.panes.iter().all(|pane| pane.sample.is_none()))
        }),
        _ => true,
    }
}

fn rows(csv: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(csv.as_bytes()).deserialize().map(|row| row.expect("a row")).collect()
}

#[test]
fn a_sensitive_topic_is_found_nowhere_below_its_rule_and_the_public_sees_what_is_published() {
    let folder = Folder::new();
    folder.write("run.toml", CONFIG);
    folder.write("topics.toml", TOPICS);
    folder.write("posts.ndjson", posts());
    let said = folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    let outputs = ["--counts", "--tag-counts", "--verdicts", "--alerts", "--rejects"];
    let named: Vec<String> = outputs
        .iter()
        .flat_map(|option| [(*option).to_owned(), format!("out{option}.csv")])
        .collect();
    let replay: Vec<&str> = ["replay", "--config", "run.toml", "posts.ndjson"]
        .into_iter()
        .chain(named.iter().map(String::as_str))
        .collect();
    let replayed = folder.output(&replay).ends(0);

    // Bytes: every file that the run and the replay have left, and what they said.
    let mut files = Vec::new();
    files_below(folder.path(), &mut files);
    files.retain(|path| !path.ends_with("posts.ndjson") && !path.ends_with("topics.toml"));
    assert!(
        files.iter().any(|path| path.ends_with("out--counts.csv")) && files.len() > 12,
        "{files:?}"
    );
    let mut bytes = 0;
    for path in &files {
        let content = std::fs::read(path).expect("a file of ours");
        bytes += content.len();
        assert!(!holds_secret(&content), "the key stands in {}", path.display());
    }
    assert!(
        ![said.stdout(), said.stderr(), replayed.stdout(), replayed.stderr()]
            .iter()
            .any(|text| holds_secret(text.as_bytes()))
    );

    // Records: every stream as it is read, whatever its files look like; and every snapshot.
    let journal =
        LocalJournal::open(&folder.file("data"), 2, Options::default()).expect("nobody uses it");
    let (mut records, mut of_topic) = (0, 0);
    for stream in Stream::ALL {
        if stream.compacted() {
            for key in journal.keys(stream, "").expect("keys") {
                assert!(
                    !holds_secret(&journal.get(stream, &key).expect("a value").unwrap_or_default()),
                    "{} {key}",
                    stream.name()
                );
                records += 1;
            }
            continue;
        }
        for partition in 0..journal.partitions(stream) {
            let mut next = journal.extent(stream, partition).expect("an extent").start;
            loop {
                let batch = journal
                    .read(stream, partition, next, 1 << 20, Duration::ZERO)
                    .expect("records");
                if batch.records.is_empty() {
                    break;
                }
                next = batch.next;
                for (position, bytes) in &batch.records {
                    let record = Record::decode(bytes).expect("a record of ours");
                    let place = format!("{} {partition} {position}", stream.name());
                    assert!(!holds_secret(bytes), "the key stands in {place}");
                    assert!(allowed(&record), "{place}: {record:?}");
                    of_topic += usize::from(
                        matches!(&record, Record::Count(row) if row.topic == "quiet" && row.posts > 0),
                    );
                    records += 1;
                }
            }
        }
    }
    drop(journal);
    assert!(of_topic > 0, "what may be told is told");

    // Tables: every one, through the door that everybody uses.
    let mut table_rows = 0;
    for table in [
        "counts",
        "tag_counts",
        "denominators",
        "coverage",
        "window_counts",
        "verdicts",
        "alerts",
        "alert_events",
        "public_counts",
        "counts_history",
        "reference",
        "v_counts",
        "v_daily",
        "v_weekly",
        "v_alerts",
    ] {
        let csv =
            folder.output(&["export", "--config", "run.toml", "--table", table]).ends(0).stdout();
        assert!(!holds_secret(csv.as_bytes()), "the key stands in {table}");
        for row in
            rows(&csv).iter().filter(|row| row.get("topic").is_some_and(|topic| topic == "quiet"))
        {
            assert!(
                ["001", "DE", "FR", "US", "LU", "ZZ"].contains(&row["region"].as_str()),
                "{table}: {row:?}"
            );
            for column in ["posts", "authors", "authors_24h", "authors_self", "observed"] {
                let value: u32 = row.get(column).and_then(|value| value.parse().ok()).unwrap_or(0);
                assert!(value == 0 || value >= FLOOR, "{table}: {row:?}");
            }
        }
        table_rows += csv.lines().count() - 1;
    }
    for option in ["--counts", "--verdicts"] {
        for row in rows(&folder.read(&format!("out{option}.csv")))
            .iter()
            .filter(|row| row["topic"] == "quiet")
        {
            assert!(row["region"] == "001" || row["region"].len() == 2, "{row:?}");
        }
    }

    // The public: whole days of the other topic, rounded, of the world, countries and first levels.
    let public = rows(
        &folder
            .output(&["export", "--config", "run.toml", "--table", "public_counts"])
            .ends(0)
            .stdout(),
    );
    let days: BTreeSet<&str> = public.iter().map(|row| row["day"].as_str()).collect();
    // The log ends in the midst of the last one.
    assert_eq!(days.len() as i64, DAYS - 1, "{days:?}");
    for row in &public {
        let accounts: Option<u32> = row["accounts"].parse().ok();
        assert!(
            row["topic"] == "influenza"
                && accounts.is_some_and(|accounts| accounts >= 10 && accounts % 5 == 0),
            "{row:?}"
        );
        assert!(
            ["001", "DE", "DE-BY", "US", "US-TX", "FR", "FR-IDF"].contains(&row["region"].as_str()),
            "{row:?}"
        );
    }
    println!(
        "searched {} files of {bytes} bytes, {records} records and values of every stream, \
            {table_rows} rows of every table: no sensitive key; \
         {} public numbers of {} days",
        files.len(),
        public.len(),
        days.len()
    );
}
