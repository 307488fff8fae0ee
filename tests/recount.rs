//! A recount by hand: what `replay` must come to, from nothing but the lines and the rules of
//! counting.
//!
//! Lines are those of `simulate`, read as plain JSON. What a text means (tags, keys, topics) is
//! asked of `pumphandle tags`;
//! which key of a topic file a longer tag holds is found here, by splitting it at every border.
//! Knows nothing else of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value, json};

use crate::program::{Folder, root};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const HORIZON: i64 = 36 * HOUR;
const AHEAD_MAX: i64 = 5 * MINUTE;

/// The files that `replay` must write, and what it must say of itself.
#[derive(Debug, Default)]
pub(crate) struct Recount {
    pub(crate) counts: String,
    pub(crate) tag_counts: String,
    /// Distinct posts that are not late.
    pub(crate) posts: u64,
    /// Further records of those.
    pub(crate) duplicates: u64,
    /// Of those, the ones that say something else than the first.
    pub(crate) unequal: u64,
    pub(crate) late: u64,
    pub(crate) clamped: u64,
    pub(crate) edits: u64,
    /// Posts that a deletion took away, and that an account's removal did.
    pub(crate) deleted: u64,
    pub(crate) removed: u64,
    /// Deletions that stand before the post.
    pub(crate) deleted_before: u64,
}

/// One record of a post.
#[derive(Debug, Clone)]
struct Made {
    arrival: i64,
    event: i64,
    /// From the country down; only `ZZ` where nothing is known.
    path: Vec<String>,
    langs: BTreeSet<String>,
    text: String,
    tags: Vec<String>,
    line: String,
}

type Id = (String, String);

pub(crate) fn recount(folder: &Folder, lines: &str) -> Recount {
    let mut recount = Recount::default();
    let mut records: BTreeMap<Id, Vec<Made>> = BTreeMap::new();
    let mut deletions: BTreeMap<Id, Vec<i64>> = BTreeMap::new();
    let mut removals: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for line in lines.lines() {
        let event: Value = serde_json::from_str(line).expect("simulated lines are JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let arrival = event["time_us"].as_i64().expect("a stamp");
        let author = text(&event["did"]);
        match event["kind"].as_str() {
            Some("account") => {
                let gone = ["deleted", "deactivated", "takendown", "suspended"];
                if event["account"]["active"] == json!(false)
                    && gone.iter().any(|status| event["account"]["status"] == *status)
                {
                    removals.entry(author).or_default().push(arrival);
                }
            }
            Some("commit") if event["commit"]["collection"] == "app.bsky.feed.post" => {
                let id = (author, text(&event["commit"]["rkey"]));
                match event["commit"]["operation"].as_str() {
                    Some("delete") => {
                        recount.deleted_before += u64::from(!records.contains_key(&id));
                        deletions.entry(id).or_default().push(arrival);
                    }
                    Some("update") => recount.edits += 1,
                    Some("create") => {
                        let made = made(&event, arrival, line);
                        recount.clamped += u64::from(made.event == arrival);
                        if made.event < arrival - HORIZON {
                            recount.late += 1;
                        } else {
                            records.entry(id).or_default().push(made);
                        }
                    }
                    other => panic!("operation {other:?}"),
                }
            }
            Some("commit" | "identity") => {}
            other => panic!("kind {other:?}"),
        }
    }

    let mut totals: BTreeMap<(String, i64), u64> = BTreeMap::new();
    let mut counted: Vec<(Id, Made)> = Vec::new();
    for (id, mut same) in records {
        recount.posts += 1;
        recount.duplicates += same.len() as u64 - 1;
        same.sort_by(|a, b| (a.arrival, a.event, &a.path).cmp(&(b.arrival, b.event, &b.path)));
        let first = same[0].clone();
        let others = same.iter().filter(|made| made.line != first.line);
        recount.unequal += others
            .inspect(|made| {
                assert_ne!(made.arrival, first.arrival, "the rest of the order would decide")
            })
            .count() as u64;
        for region in regions(&first) {
            *totals.entry((region, hour(first.event))).or_default() += 1;
        }
        let in_time = |deletion: i64| deletion <= first.event + HORIZON;
        let deleted = deletions.get(&id).is_some_and(|all| all.iter().any(|at| in_time(*at)));
        let removed = removals
            .get(&id.0)
            .is_some_and(|all| all.iter().any(|at| first.arrival < *at && in_time(*at)));
        recount.deleted += u64::from(deleted);
        recount.removed += u64::from(removed);
        if !deleted && !removed {
            counted.push((id, first));
        }
    }
    count(folder, &counted, &totals, &mut recount);
    recount
}

fn made(event: &Value, arrival: i64, line: &str) -> Made {
    let record = &event["commit"]["record"];
    let created = instant(record["createdAt"].as_str().expect("createdAt"));
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let facets = list(&record["facets"])
        .iter()
        .flat_map(|facet| list(&facet["features"]))
        .collect::<Vec<_>>();
    let of_facets = facets.iter().filter_map(|feature| feature["tag"].as_str());
    let beside = list(&record["tags"]);
    let tags =
        of_facets.chain(beside.iter().filter_map(Value::as_str)).map(str::to_owned).collect();
    let region = event["region"].as_str().unwrap_or("ZZ").to_owned();
    let country = region.split('-').next().unwrap_or_default().to_owned();
    Made {
        arrival,
        event: if created > arrival + AHEAD_MAX { arrival } else { created },
        path: if country == region { vec![region] } else { vec![country, region] },
        langs: list(&record["langs"])
            .iter()
            .filter_map(|lang| Some(lang.as_str()?.split('-').next()?.to_lowercase()))
            .collect(),
        text: record["text"].as_str().unwrap_or_default().to_owned(),
        tags,
        line: line.to_owned(),
    }
}

/// World, country, first level, and each language once.
fn regions(made: &Made) -> BTreeSet<String> {
    let langs = made.langs.iter().map(|lang| format!("lang:{lang}"));
    let none = made.langs.is_empty().then(|| "lang:und".to_owned());
    made.path.iter().cloned().chain(["001".to_owned()]).chain(langs).chain(none).collect()
}

fn count(
    folder: &Folder,
    counted: &[(Id, Made)],
    totals: &BTreeMap<(String, i64), u64>,
    recount: &mut Recount,
) {
    let words = Words::of(folder, counted.iter().map(|(_, made)| made));
    let mut cells: BTreeMap<(String, String, i64), Vec<&str>> = BTreeMap::new();
    let mut written: BTreeMap<(String, String), Vec<(i64, &str)>> = BTreeMap::new();
    let mut tags: BTreeMap<(String, String, i64), u64> = BTreeMap::new();
    for ((author, _), made) in counted {
        let (topics, keys) = words.read(made);
        for topic in topics {
            for region in regions(made) {
                cells
                    .entry((topic.clone(), region.clone(), hour(made.event)))
                    .or_default()
                    .push(author);
                written.entry((topic.clone(), region)).or_default().push((made.event, author));
            }
        }
        let own = made.path.last().expect("never empty");
        for key in keys {
            *tags.entry((key, own.clone(), hour(made.event))).or_default() += 1;
        }
    }
    let distinct = |authors: &mut dyn Iterator<Item = &str>| {
        authors.map(str::to_owned).collect::<BTreeSet<String>>().len()
    };
    recount.counts.push_str("topic,region,pane_start,posts,authors,authors_24h,total_posts\n");
    for ((topic, region, pane), authors) in &cells {
        let day = pane + HOUR - DAY..pane + HOUR;
        let in_day = written[&(topic.clone(), region.clone())]
            .iter()
            .filter(|(event, _)| day.contains(event));
        let (posts, total) = (authors.len(), totals[&(region.clone(), *pane)]);
        let (authors, authors_24h) = (
            distinct(&mut authors.iter().copied()),
            distinct(&mut in_day.map(|(_, author)| *author)),
        );
        let _ = writeln!(
            recount.counts,
            "{topic},{region},{},{posts},{authors},{authors_24h},{total}",
            pane / SECOND
        );
    }
    recount.tag_counts.push_str("tag,region,pane_start,posts\n");
    for ((tag, region, pane), posts) in tags {
        let _ = writeln!(recount.tag_counts, "{tag},{region},{},{posts}", pane / SECOND);
    }
}

/// What texts and tags mean, as the program says, asked once for each.
struct Words {
    /// (text, language) → topics.
    topics: BTreeMap<(String, Option<String>), BTreeSet<String>>,
    /// A tag as written, or a part of one → its key.
    keys: BTreeMap<String, String>,
    /// Topic → the keys of its tags.
    of_topic: BTreeMap<String, BTreeSet<String>>,
}

impl Words {
    fn of<'a>(folder: &Folder, all: impl Iterator<Item = &'a Made>) -> Words {
        let mut questions: BTreeSet<(String, Option<String>)> = BTreeSet::new();
        let mut parts: BTreeSet<String> = BTreeSet::new();
        for made in all {
            questions.extend(questions_of(made));
            parts.extend(made.tags.iter().flat_map(|tag| runs(tag)));
            parts.extend(hashtags(&made.text).flat_map(runs));
        }
        let mut of_topic: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut hourly: BTreeSet<String> = BTreeSet::new();
        let entries = std::fs::read_dir(root().join("config/topics"))
            .expect("the topic files")
            .map(|entry| entry.expect("an entry").path());
        for path in entries.filter(|path| path.is_file()) {
            let file = std::fs::read_to_string(path).expect("text");
            let file: toml::Table = file.parse().expect("TOML");
            // A file may also hold nothing but rules of voice.
            for topic in file.get("topic").and_then(toml::Value::as_array).into_iter().flatten() {
                let id = topic["id"].as_str().expect("an id").to_owned();
                // Other kinds have panes of other lengths: no simulated post is about one.
                if !["symptom", "disease"].contains(&topic["kind"].as_str().expect("a kind")) {
                    continue;
                }
                hourly.insert(id.clone());
                // A topic may also be found by phrases alone.
                let lists = topic
                    .get("tags")
                    .and_then(toml::Value::as_table)
                    .into_iter()
                    .flat_map(|lists| lists.values());
                let tags = lists
                    .flat_map(|list| list.as_array().expect("tags"))
                    .map(|tag| tag.as_str().expect("a tag").to_owned());
                of_topic.insert(id, tags.collect());
            }
        }
        parts.extend(of_topic.values().flatten().cloned());

        let parts: Vec<String> = parts.into_iter().collect();
        let of_parts = ask(folder, parts.iter().map(|part| (format!("#{part}"), None)));
        // A run of digits alone is no hashtag and has no key.
        let key = |answer: &Value| answer["keys"][0].as_str().map(str::to_owned);
        let keys: BTreeMap<String, String> = parts
            .into_iter()
            .zip(&of_parts)
            .filter_map(|(part, answer)| Some((part, key(answer)?)))
            .collect();
        let of_topic = of_topic
            .into_iter()
            .map(|(topic, tags)| (topic, tags.iter().map(|tag| keys[tag].clone()).collect()))
            .collect();

        let questions: Vec<_> = questions.into_iter().collect();
        let answers = ask(folder, questions.iter().cloned());
        let strings = |value: &Value| -> BTreeSet<String> {
            value
                .as_array()
                .expect("a list")
                .iter()
                .map(|word| word.as_str().expect("a word").to_owned())
                .collect()
        };
        for ((text, _), answer) in questions.iter().zip(&answers) {
            let said: BTreeSet<String> = strings(&answer["tags"]);
            assert_eq!(said, hashtags(text).map(str::to_owned).collect(), "hashtags of {text:?}");
        }
        let topics: BTreeMap<_, _> = questions
            .into_iter()
            .zip(&answers)
            .map(|(question, answer)| (question, strings(&answer["topics"])))
            .collect();
        let found: BTreeSet<&String> = topics.values().flatten().collect();
        assert!(found.iter().all(|topic| hourly.contains(*topic)), "of another kind: {found:?}");
        Words { topics, keys, of_topic }
    }

    /// Topics, and the keys by which they were found.
    fn read(&self, made: &Made) -> (BTreeSet<String>, BTreeSet<String>) {
        let topics: BTreeSet<String> =
            questions_of(made).iter().flat_map(|question| self.topics[question].clone()).collect();
        let of_text: Vec<String> = hashtags(&made.text).map(str::to_owned).collect();
        let tags = if made.tags.is_empty() { &of_text } else { &made.tags };
        let found: BTreeSet<&String> =
            tags.iter().flat_map(|tag| runs(tag)).filter_map(|run| self.keys.get(&run)).collect();
        let keys = topics
            .iter()
            .flat_map(|topic| &self.of_topic[topic])
            .filter(|key| found.contains(key))
            .cloned()
            .collect();
        (topics, keys)
    }
}

/// A post's text under each of its languages. Its tags must be those of the text, so that the text
/// alone can be asked about.
fn questions_of(made: &Made) -> Vec<(String, Option<String>)> {
    let mut text = made.text.clone();
    if !made.tags.is_empty() {
        for tag in made.tags.iter().filter(|tag| !hashtags(&made.text).any(|found| found == **tag))
        {
            let _ = write!(text, " #{tag}");
        }
        let (of_post, of_text): (BTreeSet<&str>, BTreeSet<&str>) =
            (made.tags.iter().map(String::as_str).collect(), hashtags(&text).collect());
        assert_eq!(of_post, of_text, "tags beside the platform's own in {:?}", made.text);
    }
    if made.langs.is_empty() {
        return vec![(text, None)];
    }
    made.langs.iter().map(|lang| (text.clone(), Some(lang.clone()))).collect()
}

/// In simulated texts a blank or a line feed ends a hashtag.
fn hashtags(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\n'])
        .filter_map(|word| word.strip_prefix('#'))
        .map(|tag| tag.trim_end_matches([',', '.', ':', ';', '?']))
}

/// A tag whole, and every run of its parts: between capitals, digits and underscores.
fn runs(tag: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = '_';
    for c in tag.chars() {
        let border = (before.is_lowercase() && c.is_uppercase())
            || (before.is_ascii_digit() != c.is_ascii_digit())
            || c == '_';
        if border {
            parts.push(String::new());
        }
        if c != '_' {
            parts.last_mut().expect("never empty").push(c);
        }
        before = c;
    }
    parts.retain(|part| !part.is_empty());
    let mut runs = vec![tag.to_owned()];
    for first in 0..parts.len() {
        runs.extend((first..parts.len()).map(|last| parts[first..=last].concat()));
    }
    runs
}

fn ask(folder: &Folder, questions: impl Iterator<Item = (String, Option<String>)>) -> Vec<Value> {
    let mut input = String::new();
    for (text, lang) in questions {
        let question = match lang {
            Some(lang) => json!({"text": text, "lang": lang}),
            None => json!({"text": text}),
        };
        let _ = writeln!(input, "{question}");
    }
    let answers = folder.output_of(&["tags"], input.clone().into_bytes()).ends(0).stdout();
    let answers: Vec<Value> =
        answers.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect();
    assert_eq!(answers.len(), input.lines().count());
    answers
}

fn hour(instant: i64) -> i64 {
    instant.div_euclid(HOUR) * HOUR
}

/// `2026-01-05T00:28:06.531Z`, as simulated lines have it.
pub(crate) fn instant(written: &str) -> i64 {
    assert!(written.len() == 24 && written.ends_with('Z'), "{written}");
    let number = |range: std::ops::Range<usize>| written[range].parse::<i64>().expect("a number");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: i64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let days = years + lengths.iter().take(month as usize - 1).sum::<i64>() + day - 1;
    let seconds = ((days * 24 + number(11..13)) * 60 + number(14..16)) * 60 + number(17..19);
    seconds * SECOND + number(20..23) * 1000
}

/// Two texts are the same; else the first line in which they aren't.
#[track_caller]
pub(crate) fn assert_same(what: &str, left: &str, right: &str) {
    if left == right {
        return;
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (left.lines().collect(), right.lines().collect());
    let at = a.iter().zip(&b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    let differing =
        a.iter().collect::<BTreeSet<_>>().symmetric_difference(&b.iter().collect()).count();
    let (a_line, b_line) = (a.get(at).unwrap_or(&"(its end)"), b.get(at).unwrap_or(&"(its end)"));
    panic!(
        "{what}: line {} of {} and {}, {differing} lines differ\n  left: {a_line}\n right: \
            {b_line}",
        at + 1,
        a.len(),
        b.len()
    );
}
