//! `replay`: exact counts of files, in any order and wrapping; the same as live; and what it makes of bad input.

use std::fs::File;
use std::io::Write;

use simulation::Random;

use crate::program::{Done, Folder, root, simulate, skip};
use crate::recount::{assert_same, recount};

#[test]
fn every_golden_event_is_understood() {
    let fixture = root().join("../shared/fixtures/jetstream_v1_golden.jsonl");
    if !fixture.is_file() {
        return skip("no `../shared/fixtures/jetstream_v1_golden.jsonl` beside the checkout");
    }
    let folder = Folder::new();
    let done = folder.output(&["replay", fixture.to_str().unwrap(), "--counts", "-", "--rejects", "r.csv"]).ends(0);
    assert_eq!(folder.read("r.csv"), "file,line,reason,length,hash,detail\n");
    assert_eq!(done.stdout(), "topic,region,pane_start,posts,authors,authors_24h,total_posts\n");
    assert_eq!((done.summed("lines"), done.summed("posts"), done.summed("rejected")), (10, 1, 0));
}

#[test]
fn the_same_posts_count_the_same_in_any_order_and_wrapping() {
    let folder = Folder::new();
    simulate(&folder, "posts.ndjson", &["--posts", "100000", "--seed", "1"]);
    let (counts, tag_counts) = counted(&folder, &["posts.ndjson"]);
    assert!(counts.lines().count() > 1000 && tag_counts.lines().count() > 1000);
    let same = |what: &str, files: &[&str]| {
        let (again, tags_again) = counted(&folder, files);
        assert_same(what, &counts, &again);
        assert_same(what, &tag_counts, &tags_again);
    };
    same("once more", &["posts.ndjson"]);

    let text = folder.read("posts.ndjson");
    let mut lines: Vec<&str> = text.lines().collect();
    shuffle(&mut lines, 7);
    folder.write("shuffled.ndjson", lines.join("\n"));
    same("shuffled, without a newline at the end", &["shuffled.ndjson"]);
    for (name, third) in ["b.ndjson", "c.ndjson", "a.ndjson"].iter().zip(lines.chunks(lines.len().div_ceil(3))) {
        folder.write(name, third.join("\r\n"));
    }
    same("in three files, with carriage returns", &["a.ndjson", "b.ndjson", "c.ndjson"]);

    let mut gz = flate2::write::GzEncoder::new(File::create(folder.file("posts.gz")).unwrap(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    gz.finish().unwrap();
    same("gz", &["posts.gz"]);
    folder.write("posts.ndjson.zst", zstd::stream::encode_all(text.as_bytes(), 1).unwrap());
    same("zst", &["posts.ndjson.zst"]);

    let args = ["replay", "-", "--counts", "-", "--tag-counts", "t.csv"];
    let done = folder.output_of(&args, text.clone().into_bytes()).ends(0);
    assert_same("from standard input, to standard output", &counts, &done.stdout());
    assert_same("from standard input", &tag_counts, &folder.read("t.csv"));
    let done = folder.output_of(&args, std::fs::read(folder.file("posts.gz")).unwrap()).ends(0);
    assert_same("gz from standard input", &counts, &done.stdout());
}

#[test]
fn a_recount_by_hand_comes_to_the_same_and_so_does_as_live() {
    let folder = Folder::new();
    simulate(&folder, "posts.ndjson", &["--posts", "10000", "--days", "3"]);
    let by_hand = recount(&folder, &folder.read("posts.ndjson"));
    let plain = replayed(&folder, &["posts.ndjson"]).ends(0);
    assert_same("counts", &folder.read("c.csv"), &by_hand.counts);
    assert_same("tag counts", &folder.read("t.csv"), &by_hand.tag_counts);
    for (name, number) in [
        ("posts", by_hand.posts),
        ("duplicates", by_hand.duplicates),
        ("late", by_hand.late),
        ("clamped", by_hand.clamped),
        ("edits", by_hand.edits),
        ("rejected", 0),
        ("after_final", 0),
    ] {
        assert_eq!(plain.summed(name), number, "{name}");
    }
    // The stream has everything in it that the rules speak of.
    let parts = [by_hand.unequal, by_hand.late, by_hand.clamped, by_hand.deleted, by_hand.removed, by_hand.deleted_before];
    assert!(parts.iter().all(|part| *part > 0), "{by_hand:?}");

    replayed(&folder, &["posts.ndjson", "--as-live"]).ends(0);
    assert_same("counts as live", &folder.read("c.csv"), &by_hand.counts);
    assert_same("tag counts as live", &folder.read("t.csv"), &by_hand.tag_counts);
}

#[test]
fn final_verdicts_as_live_are_those_of_plain() {
    let folder = Folder::new();
    // Six weeks, so that there are baselines and both lengths of windows.
    simulate(&folder, "posts.ndjson", &["--posts", "60000", "--days", "42", "--seed", "4"]);
    let finals = |args: &[&str]| {
        folder.output(&[&["replay", "posts.ndjson", "--verdicts", "v.csv", "--counts", "c.csv"], args].concat()).ends(0);
        let verdicts = folder.read("v.csv");
        let stage = |line: &&str| line.split(',').nth(5) == Some("final");
        (verdicts.lines().filter(stage).collect::<Vec<_>>().join("\n"), folder.read("c.csv"))
    };
    let (plain, plain_counts) = finals(&[]);
    let (live, live_counts) = finals(&["--as-live"]);
    let alarms = plain.lines().filter(|line| line.split(',').nth(10) == Some("1")).count();
    assert!(alarms > 0 && plain.contains(",604800,") && plain.contains(",86400,"), "{alarms} alarms");
    assert_same("final verdicts", &plain, &live);
    assert_same("counts", &plain_counts, &live_counts);
}

/// `--counts` and `--tag-counts` of these files.
fn counted(folder: &Folder, files: &[&str]) -> (String, String) {
    replayed(folder, files).ends(0);
    (folder.read("c.csv"), folder.read("t.csv"))
}

fn replayed(folder: &Folder, files: &[&str]) -> Done {
    folder.output(&[&["replay", "--counts", "c.csv", "--tag-counts", "t.csv"], files].concat())
}

fn shuffle(lines: &mut [&str], seed: u64) {
    let mut random = Random::new(seed);
    for last in (1..lines.len()).rev() {
        lines.swap(last, random.below(last as u64 + 1) as usize);
    }
}
