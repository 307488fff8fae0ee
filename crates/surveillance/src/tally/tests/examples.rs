//! Each rule of counting as posts in and a table out.
//!
//! A line is `post ID AUTHOR TIME [PLACE] [TOPIC[:VOICE]]… [arrives=TIME] [lang=…] [key=…]
//! [overlay=…] [alias=N] [filtered]`, `edit` likewise, `delete ID AUTHOR TIME`, `delete alias=N
//! TIME`, `remove AUTHOR TIME` or `tick TIME`. Times are of Sunday 2026-11-22, or of another day of
//! that November as `25T09:00`. Every example is also counted by the naive recount.

use expect_test::{Expect, expect};
use record::{
    AccountAge, FeedSetting, FeedTick, Flags, Meaning, Place, Provenance, Span, Tag, Tick,
    TopicSetting, Voice,
};

use super::*;

const DAY: Micros = 24 * HOUR;
pub(super) const NOVEMBER: Micros = 20_758 * DAY;

fn check(show: &[&str], input: &str, expected: Expect) {
    expected.assert_eq(&table(show, input));
}

/// The lines of the table that begin with one of `show`.
fn table(show: &[&str], input: &str) -> String {
    let log = read(input);
    let mut tally = Tally::new(0);
    let mut fold = Fold::default();
    for (position, record) in (0..).zip(&log) {
        let mut frames = Vec::new();
        tally.apply(position, record, &mut frames);
        frames.iter().for_each(|frame| fold.apply(frame).unwrap());
    }
    let mut told = fold.recount();
    let mut expected = naive::recount(&log);
    if tally.handled().after_final == 0 {
        let watermark = tally.watermark().unwrap_or_default();
        told.windows.retain(|key, _| key.2 <= watermark);
        expected.windows.retain(|key, _| key.2 <= watermark);
        equal(&told, &expected).unwrap();
    }
    let all = lines(&told, tally.handled());
    let shown: Vec<String> =
        all.into_iter().filter(|line| show.iter().any(|prefix| line.starts_with(prefix))).collect();
    shown.join("\n") + "\n"
}

pub(super) fn settings() -> Settings {
    let topic = |id: &str, kind: Kind| TopicSetting {
        id: id.to_owned(),
        name: id.to_owned(),
        kind,
        pane: kind.pane(),
        windows: kind.windows().to_vec(),
    };
    Settings {
        topics: vec![
            topic("flu", Kind::Disease),
            topic("hiv", Kind::Sensitive),
            topic("quake", Kind::Crisis),
            topic("rumour", Kind::Narrative),
        ],
        feeds: vec![FeedSetting::new("file", true)],
        author_epoch: 30 * DAY,
        ..Settings::default()
    }
}

/// The log of an example: settings, its lines, a day and a half of clock beyond them, the end.
fn read(input: &str) -> Vec<Record> {
    let mut log = vec![Record::Settings(settings())];
    let lines = || {
        input
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default().trim())
            .filter(|line| !line.is_empty())
    };
    for line in lines() {
        log.push(match line.strip_prefix("tick ") {
            Some(time) => tick(read_time(time)),
            None => Record::Post(read_post(line)),
        });
    }
    let last =
        naive::posts(&log).map(|post| post.arrival.max(post.event_time)).max().unwrap_or(NOVEMBER);
    log.push(tick(last + 8 * DAY));
    log.push(Record::End);
    log
}

fn tick(at: Micros) -> Record {
    let claim = FeedTick {
        feed: "file".to_owned(),
        epoch: 1,
        from: NOVEMBER,
        reached: at,
        span: Span::Covered,
        ended: false,
    };
    Record::Tick(Tick { settings: 1, at, feeds: vec![claim] })
}

pub(super) fn read_time(text: &str) -> Micros {
    let (day, time) = text.split_once('T').unwrap_or(("22", text));
    let parts: Vec<f64> = time.split(':').map(|part| part.parse().unwrap()).collect();
    let seconds = parts[0] * 3600.0 + parts[1] * 60.0 + parts.get(2).copied().unwrap_or(0.0);
    NOVEMBER + (day.parse::<Micros>().unwrap() - 1) * DAY + (seconds * 1e6) as Micros
}

fn show_time(instant: Micros) -> String {
    let text = record::time::display(instant);
    if text.starts_with("2026-11-22") { text[11..16].to_owned() } else { text[8..16].to_owned() }
}

/// A post of nobody about nothing, from nowhere.
pub(super) fn plain() -> Post {
    Post {
        settings: 1,
        feed: 0,
        op: Op::Create,
        id: PostId::NONE,
        alias: None,
        author: None,
        author_before: None,
        event_time: 0,
        arrival: 0,
        places: vec![Place {
            path: "ZZ".to_owned(),
            meaning: Meaning::AuthorHome,
            provenance: Provenance::Given,
            confidence: 100,
        }],
        overlays: Vec::new(),
        langs: Vec::new(),
        tags: Vec::new(),
        topics: Vec::new(),
        link_domain: None,
        simhash: 0,
        account_age: AccountAge::Unknown,
        flags: Flags::default(),
        sealed_link: None,
    }
}

pub(super) fn read_post(line: &str) -> Post {
    let mut post = plain();
    let mut words = line.split_whitespace();
    post.op = match words.next().unwrap() {
        "post" => Op::Create,
        "edit" => Op::Edit,
        "delete" => Op::Delete,
        "remove" => Op::Remove,
        other => panic!("what is `{other}`?"),
    };
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<String>>();
    let mut keys = Vec::new();
    let mut author = None;
    for word in words {
        match word.split_once('=') {
            Some(("arrives", time)) => post.arrival = read_time(time),
            Some(("lang", langs)) => post.langs = list(langs),
            Some(("key", of)) => keys = list(of),
            Some(("overlay", codes)) => post.overlays = list(codes),
            Some(("alias", alias)) => post.alias = alias.parse().ok(),
            Some(other) => panic!("what is `{other:?}`?"),
            None if word == "filtered" => post.flags.filtered = true,
            None if word.parse::<u64>().is_ok() => {
                // Prints go up with ids.
                let id: u128 = word.parse().unwrap();
                post.id = PostId(id << 64 | id);
            }
            None if word.contains(':') && word.as_bytes()[0].is_ascii_digit() => {
                post.event_time = read_time(word)
            }
            None if word.as_bytes()[0].is_ascii_uppercase() => {
                post.places[0].path = word.to_owned()
            }
            None if author.is_none() && post.event_time == 0 => author = Some(word),
            None => {
                let (id, voice) = word.split_once(':').unwrap_or((word, "other"));
                let voice = match voice {
                    "own" => Voice::Own,
                    "news" => Voice::News,
                    _ => Voice::Other,
                };
                post.topics.push(TopicMatch { id: id.to_owned(), voice, keys: Vec::new() });
            }
        }
    }
    post.topics.iter_mut().for_each(|hit| hit.keys = keys.clone());
    post.tags = keys.iter().map(|key| Tag { key: key.clone(), written: key.clone() }).collect();
    if post.arrival == 0 {
        post.arrival = post.event_time;
    }
    // The key changes with the epoch, and for a week after it the one before is there too.
    let epoch = Epoch::of(post.event_time, 30 * DAY);
    let name = |epoch: Epoch| {
        author.map(|author| record::pseudonym::Key::new([epoch.0 as u8; 32]).author("test", author))
    };
    post.author = name(epoch);
    post.author_before =
        name(epoch.before()).filter(|_| post.event_time < epoch.start(30 * DAY) + 7 * DAY);
    post
}

fn lines(told: &Recount, handled: Handled) -> Vec<String> {
    let mut lines = Vec::new();
    let numbers = |numbers: &[(&str, u32)]| {
        let some: Vec<String> =
            numbers.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name}={n}")).collect();
        some.join(" ")
    };
    for ((topic, region, pane), cell) in &told.cells {
        let values = numbers(&[
            ("posts", cell.posts),
            ("authors", cell.authors),
            ("self", cell.authors_self),
            ("news", cell.posts_news),
            ("filtered", cell.posts_filtered),
            ("authors-filtered", cell.authors_filtered),
        ]);
        lines.push(format!("cell {topic} {region} {} {values}", show_time(*pane)));
    }
    for ((topic, region, end, length), window) in &told.windows {
        let values = numbers(&[
            ("authors", window.authors),
            ("self", window.authors_self),
            ("filtered", window.authors_filtered),
        ]);
        lines.push(format!(
            "window {topic} {region} {}h to {} {values}",
            length / HOUR,
            show_time(*end)
        ));
    }
    for ((key, region, pane), posts) in &told.tags {
        lines.push(format!("tag {key} {region} {} posts={posts}", show_time(*pane)));
    }
    for ((region, pane, length), total) in &told.totals {
        lines.push(format!(
            "total {region} {} {}m posts={}",
            show_time(*pane),
            length / MINUTE,
            total.posts
        ));
    }
    for ((topic, region, pane), sample) in &told.samples {
        let posts: Vec<String> = sample
            .iter()
            .map(|post| format!("{} by the author of {}", post.print, post.alike))
            .collect();
        lines.push(format!("sample {topic} {region} {}: {}", show_time(*pane), posts.join(", ")));
    }
    lines.push(format!("late {}", handled.late));
    lines.push(format!("after final {}", handled.after_final));
    lines
}

#[test]
fn a_post_counts_for_its_region_what_stands_above_it_and_its_overlays() {
    check(
        &["cell", "total"],
        "
        post 1 ann 09:05 DE/DE-BE flu lang=de,en overlay=x:flood
        post 2 bob 09:10 flu
        ",
        expect![[r#"
            cell flu 001 09:00 posts=2 authors=2
            cell flu DE 09:00 posts=1 authors=1
            cell flu DE-BE 09:00 posts=1 authors=1
            cell flu ZZ 09:00 posts=1 authors=1
            cell flu lang:de 09:00 posts=1 authors=1
            cell flu lang:en 09:00 posts=1 authors=1
            cell flu lang:und 09:00 posts=1 authors=1
            cell flu x:flood 09:00 posts=1 authors=1
            total 001 09:00 60m posts=2
            total 001 09:05 5m posts=1
            total 001 09:10 5m posts=1
            total DE 09:00 60m posts=1
            total DE 09:05 5m posts=1
            total DE-BE 09:00 60m posts=1
            total DE-BE 09:05 5m posts=1
            total ZZ 09:00 60m posts=1
            total ZZ 09:10 5m posts=1
            total lang:de 09:00 60m posts=1
            total lang:de 09:05 5m posts=1
            total lang:en 09:00 60m posts=1
            total lang:en 09:05 5m posts=1
            total lang:und 09:00 60m posts=1
            total lang:und 09:10 5m posts=1
            total x:flood 09:00 60m posts=1
            total x:flood 09:05 5m posts=1
        "#]],
    );
}

#[test]
fn an_author_counts_once_in_a_pane_and_once_in_a_window() {
    check(
        &[
            "cell flu 001",
            "window flu 001 24h to 10:00",
            "window flu 001 24h to 23T09",
            "window flu 001 24h to 23T1",
        ],
        "
        post 1 ann 09:05 flu
        post 2 ann 09:06 flu:own
        post 3 ann 10:30 flu
        post 4 bob 10:31 flu:news
        ",
        expect![[r#"
            cell flu 001 09:00 posts=2 authors=1 self=1
            cell flu 001 10:00 posts=2 authors=2 news=1
            window flu 001 24h to 10:00 authors=1 self=1
            window flu 001 24h to 23T09:00 authors=2 self=1
            window flu 001 24h to 23T10:00 authors=2
        "#]],
    );
}

#[test]
fn of_unequal_records_of_a_post_the_least_counts_whichever_comes_first() {
    let least = "post 1 ann 09:05 DE flu arrives=09:06";
    let later = "post 1 ann 09:05 FR flu arrives=09:07";
    let place = "post 1 ann 09:05 FR flu arrives=09:06";
    let show = ["cell flu", "total"];
    for order in [[place, later, least], [later, place, least]] {
        assert_eq!(
            table(&show, &order.join("\n")),
            table(&show, &[least, later, place].join("\n"))
        );
    }
    check(
        &show,
        &[least, later, place].join("\n"),
        expect![[r#"
        cell flu 001 09:00 posts=1 authors=1
        cell flu DE 09:00 posts=1 authors=1
        cell flu lang:und 09:00 posts=1 authors=1
        total 001 09:00 60m posts=1
        total 001 09:05 5m posts=1
        total DE 09:00 60m posts=1
        total DE 09:05 5m posts=1
        total lang:und 09:00 60m posts=1
        total lang:und 09:05 5m posts=1
    "#]],
    );
}

#[test]
fn a_post_that_comes_later_than_the_horizon_is_late_and_in_nothing_else() {
    check(
        &["cell flu 001", "total 001", "late"],
        "
        post 1 ann 09:05 flu arrives=23T21:05
        post 2 bob 09:05 flu arrives=23T21:05:00.000001
        post 3 cyd 09:05 flu arrives=09:05
        post 3 cyd 09:05 flu arrives=25T09:05   // a late record of a post that counts
        ",
        expect![[r#"
            cell flu 001 09:00 posts=2 authors=2
            total 001 09:00 60m posts=2
            total 001 09:05 5m posts=2
            late 2
        "#]],
    );
}

#[test]
fn a_deleted_post_leaves_everything_but_the_denominator_whichever_comes_first() {
    check(
        &["cell flu 001", "window flu 001 24h to 10:00", "tag", "total 001"],
        "
        post 1 ann 09:05 flu key=flu
        delete 1 ann 09:30
        delete 2 bob 09:31
        post 2 bob 09:05 flu key=flu
        post 3 cyd 09:06 flu key=flu alias=7
        delete alias=7 09:40
        post 4 dan 09:07 flu key=flu
        ",
        expect![[r#"
            cell flu 001 09:00 posts=1 authors=1
            window flu 001 24h to 10:00 authors=1
            tag flu ZZ 09:00 posts=1
            total 001 09:00 60m posts=4
            total 001 09:05 5m posts=4
        "#]],
    );
}

#[test]
fn a_deletion_after_the_horizon_changes_nothing_and_an_id_made_again_stays_deleted() {
    check(
        &["cell flu 001"],
        "
        post 1 ann 09:00 flu
        delete 1 ann 23T21:00:00.000001
        post 2 bob 09:00 flu
        delete 2 bob 23T21:00
        post 3 cyd 11:00 flu
        delete 3 cyd 11:30
        post 3 cyd 12:00 flu
        ",
        expect![[r#"
            cell flu 001 09:00 posts=1 authors=1
        "#]],
    );
}

#[test]
fn an_account_that_goes_takes_its_earlier_posts_along_and_no_later_ones() {
    check(
        &["cell flu 001"],
        "
        remove ann 10:00
        post 1 ann 09:00 flu
        post 2 ann 10:00 flu                    // not before
        post 3 ann 09:30 flu arrives=11:00      // made before, but read from the source after
        post 4 bob 09:00 flu
        ",
        expect![[r#"
            cell flu 001 09:00 posts=2 authors=2
            cell flu 001 10:00 posts=1 authors=1
        "#]],
    );
}

#[test]
fn an_edit_changes_no_count_and_makes_no_post() {
    check(
        &["cell", "total 001", "tag"],
        "
        post 1 ann 09:00 DE flu
        edit 1 ann 09:30 FR flu key=flu
        edit 2 bob 09:30 FR flu key=flu
        ",
        expect![[r#"
            cell flu 001 09:00 posts=1 authors=1
            cell flu DE 09:00 posts=1 authors=1
            cell flu lang:und 09:00 posts=1 authors=1
            total 001 09:00 5m posts=1
            total 001 09:00 60m posts=1
        "#]],
    );
}

#[test]
fn posts_of_filtered_feeds_are_counted_apart() {
    check(
        &["cell flu 001", "window flu 001 24h to 10:00", "tag", "total 001", "sample flu 001"],
        "
        post 1 ann 09:00 flu key=flu
        post 2 ann 09:01 flu key=flu filtered
        post 3 bob 09:02 flu key=flu filtered
        ",
        expect![[r#"
            cell flu 001 09:00 posts=1 authors=1 filtered=2 authors-filtered=2
            window flu 001 24h to 10:00 authors=1 filtered=2
            tag flu ZZ 09:00 posts=1
            total 001 09:00 5m posts=1
            total 001 09:00 60m posts=1
            sample flu 001 09:00: 1 by the author of 1
        "#]],
    );
}

#[test]
fn a_tag_counts_once_a_post_in_the_posts_own_region_and_never_a_sensitive_one() {
    check(
        &["tag"],
        "
        post 1 ann 09:00 DE/DE-BE flu rumour key=flu,grippe
        post 2 bob 09:59 DE/DE-BE flu key=flu
        post 3 cyd 09:10 flu hiv key=prep
        post 4 dan 09:20 unheard-of key=flu
        ",
        expect![[r#"
            tag flu DE-BE 09:00 posts=2
            tag grippe DE-BE 09:00 posts=1
        "#]],
    );
}

#[test]
fn tally_tells_only_the_levels_that_a_kind_allows_and_no_sample_of_what_it_withholds() {
    check(
        &["cell", "sample"],
        "
        post 1 ann 09:00 DE/DE-BE hiv rumour quake lang=de overlay=x:flood
        ",
        expect![[r#"
            cell hiv 001 16T00:00 posts=1 authors=1
            cell hiv DE 16T00:00 posts=1 authors=1
            cell quake 001 09:00 posts=1 authors=1
            cell quake DE 09:00 posts=1 authors=1
            cell quake DE-BE 09:00 posts=1 authors=1
            cell quake lang:de 09:00 posts=1 authors=1
            cell quake x:flood 09:00 posts=1 authors=1
            cell rumour 001 00:00 posts=1 authors=1
            cell rumour DE 00:00 posts=1 authors=1
            cell rumour lang:de 00:00 posts=1 authors=1
        "#]],
    );
}

#[test]
fn after_a_change_of_keys_a_window_counts_authors_by_the_key_of_its_beginning() {
    // The epoch changes at 2026-12-03T00:00.
    check(
        &[
            "cell flu 001",
            "window flu 001 24h to 03T0",
            "window flu 001 24h to 03T23",
            "window flu 001 24h to 04",
        ],
        "
        post 1 ann 32T23:30 flu
        post 2 ann 33T00:30 flu
        post 3 bob 33T01:30 flu
        ",
        expect![[r#"
            cell flu 001 02T23:00 posts=1 authors=1
            cell flu 001 03T00:00 posts=1 authors=1
            cell flu 001 03T01:00 posts=1 authors=1
            window flu 001 24h to 03T00:00 authors=1
            window flu 001 24h to 03T01:00 authors=1
            window flu 001 24h to 03T02:00 authors=2
            window flu 001 24h to 03T03:00 authors=2
            window flu 001 24h to 03T04:00 authors=2
            window flu 001 24h to 03T05:00 authors=2
            window flu 001 24h to 03T06:00 authors=2
            window flu 001 24h to 03T07:00 authors=2
            window flu 001 24h to 03T08:00 authors=2
            window flu 001 24h to 03T09:00 authors=2
            window flu 001 24h to 03T23:00 authors=2
            window flu 001 24h to 04T00:00 authors=2
            window flu 001 24h to 04T01:00 authors=1
        "#]],
    );
}

#[test]
fn a_crisis_has_denominators_of_five_minutes() {
    check(
        &["cell quake 001", "total 001"],
        "
        post 1 ann 09:04:59 quake
        post 2 bob 09:05 quake
        post 3 cyd 09:06
        ",
        expect![[r#"
            cell quake 001 09:00 posts=1 authors=1
            cell quake 001 09:05 posts=1 authors=1
            total 001 09:00 5m posts=1
            total 001 09:00 60m posts=3
            total 001 09:05 5m posts=2
        "#]],
    );
}

#[test]
fn what_comes_after_final_is_counted_as_such_only() {
    check(
        &["cell flu 001", "total 001", "late", "after final"],
        "
        post 1 ann 09:05 flu
        tick 23T22:00
        post 2 bob 09:06 flu arrives=23T20:00
        post 3 cyd 10:00 flu arrives=23T20:00
        delete 1 ann 23T20:00
        ",
        expect![[r#"
            cell flu 001 09:00 posts=1 authors=1
            cell flu 001 10:00 posts=1 authors=1
            total 001 09:00 60m posts=1
            total 001 09:05 5m posts=1
            total 001 10:00 5m posts=1
            total 001 10:00 60m posts=1
            late 0
            after final 1
        "#]],
    );
}

#[test]
fn a_sample_numbers_authors_within_its_cell() {
    check(
        &["sample flu 001"],
        "
        post 3 ann 09:01 flu
        post 1 bob 09:02 flu
        post 2 ann 09:03 flu
        post 4 ann 10:03 flu
        ",
        expect![[r#"
            sample flu 001 09:00: 1 by the author of 1, 2 by the author of 2, 3 by the author of 2
            sample flu 001 10:00: 4 by the author of 4
        "#]],
    );
}
