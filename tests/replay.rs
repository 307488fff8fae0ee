//! `replay`: exact counts of files, in any order and wrapping; the same as live; and what it makes
//! of bad input.

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
    let done = folder
        .output(&["replay", fixture.to_str().unwrap(), "--counts", "-", "--rejects", "r.csv"])
        .ends(0);
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
    for (name, third) in
        ["b.ndjson", "c.ndjson", "a.ndjson"].iter().zip(lines.chunks(lines.len().div_ceil(3)))
    {
        folder.write(name, third.join("\r\n"));
    }
    same("in three files, with carriage returns", &["a.ndjson", "b.ndjson", "c.ndjson"]);

    let mut gz = flate2::write::GzEncoder::new(
        File::create(folder.file("posts.gz")).unwrap(),
        flate2::Compression::fast(),
    );
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
    let parts = [
        by_hand.unequal,
        by_hand.late,
        by_hand.clamped,
        by_hand.deleted,
        by_hand.removed,
        by_hand.deleted_before,
    ];
    assert!(parts.iter().all(|part| *part > 0), "{by_hand:?}");

    replayed(&folder, &["posts.ndjson", "--as-live"]).ends(0);
    assert_same("counts as live", &folder.read("c.csv"), &by_hand.counts);
    assert_same("tag counts as live", &folder.read("t.csv"), &by_hand.tag_counts);
}

#[test]
fn final_verdicts_as_live_are_those_of_plain() {
    let folder = Folder::new();
    // Six weeks, so that there are baselines and both lengths of windows.
    simulate(&folder, "posts.ndjson", &["--posts", "10000", "--days", "42", "--seed", "4"]);
    let finals = |args: &[&str]| {
        folder
            .output(
                &[&["replay", "posts.ndjson", "--verdicts", "v.csv", "--counts", "c.csv"], args]
                    .concat(),
            )
            .ends(0);
        let verdicts = folder.read("v.csv");
        let stage = |line: &&str| line.split(',').nth(5) == Some("final");
        (verdicts.lines().filter(stage).collect::<Vec<_>>().join("\n"), folder.read("c.csv"))
    };
    let (plain, plain_counts) = finals(&[]);
    let (live, live_counts) = finals(&["--as-live"]);
    let alarms = plain.lines().filter(|line| line.split(',').nth(10) == Some("1")).count();
    assert!(
        alarms > 0 && plain.contains(",604800,") && plain.contains(",86400,"),
        "{alarms} alarms"
    );
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

#[test]
fn bad_input_is_a_counted_reason_or_a_clear_error() {
    let post = |more: &str| {
        format!(
            r##"{{"id":"1","author":"a","created_at":"2026-01-05T09:30:00Z","text":"#flu"{more}}}"##
        )
    };
    let good = post(",\"region\":\"DE-BE\"");
    let years = [
        "-9999", "-0001", "0000", "0001", "1969", "1999", "2100", "9999", "10000", "99999",
        "+99999",
    ];
    let years = years
        .map(|year| {
            format!(r#"{{"id":"{year}","author":"a","created_at":"{year}-06-01T00:00:00Z"}}"#)
        })
        .join("\n");
    let many_tags = format!(
        r#","tags":["flu"{}]"#,
        (0..100_000).map(|tag| format!(",\"t{tag}\"")).collect::<String>()
    );
    let lines: [(Vec<u8>, &[&str]); 13] = [
        (good.as_bytes()[..40].to_vec(), &["json"]),
        (b"{\"id\":\"1\",\"author\":\"\xff\",\"created_at\":1767605400}".to_vec(), &["utf8"]),
        (format!("{{\"id\":\"{}\"}}", "x".repeat(10 << 20)).into(), &["length"]),
        ("[".repeat(1_000_000).into(), &["depth"]),
        ("{\"a\":".repeat(1_000_000).into(), &["length"]),
        ("{\"a\":".repeat(200_000).into(), &["depth"]),
        (years.into(), &["time-range"; 11]),
        (br#"{"id":"1","author":"a","created_at":"yesterday"}"#.to_vec(), &["time"]),
        (br#"{"id":"1","author":"a"}"#.to_vec(), &["time"]),
        (br#"{"id":1,"author":"a","created_at":1767605400}"#.to_vec(), &["field"]),
        (b"\0".to_vec(), &["json"]),
        (b"7".to_vec(), &["shape"]),
        (post(&many_tags).into(), &[]),
    ];
    let folder = Folder::new();
    for (line, reasons) in lines {
        // What stands behind a bad line is read all the same.
        folder.write("bad.ndjson", [line.as_slice(), b"\n", good.as_bytes()].concat());
        for mode in [&[] as &[&str], &["--as-live"]] {
            let done = folder
                .output(
                    &[&["replay", "bad.ndjson", "--counts", "-", "--rejects", "r.csv"], mode]
                        .concat(),
                )
                .ends(0);
            let shown = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
            let found: Vec<csv::StringRecord> = csv::Reader::from_path(folder.file("r.csv"))
                .unwrap()
                .records()
                .map(Result::unwrap)
                .collect();
            assert_eq!(found.iter().map(|row| &row[2]).collect::<Vec<_>>(), reasons, "{shown}");
            assert_eq!(done.summed("rejected"), reasons.len() as u64, "{shown}");
            assert_eq!(done.summed("posts"), 1, "{shown}");
            assert!(!folder.read("r.csv").contains("yesterday"), "a reject shows what stood there");
        }
    }
    let later = r#"{"id":"2","author":"a","created_at":1767605401}"#;
    folder.write("two.ndjson", format!("{}\n{later}", post(&many_tags)));
    let counts = folder.output(&["replay", "two.ndjson", "--counts", "-"]).ends(0).stdout();
    assert!(
        counts.contains("influenza,ZZ,1767603600,1,1,1,2\n"),
        "the first of many tags counts: {counts}"
    );
}

#[test]
fn files_that_can_t_be_read_are_told_and_the_others_are_counted() {
    let folder = Folder::new();
    let lines: String = (0..20_000)
        .map(|n| {
            format!("{{\"id\":\"{n}\",\"author\":\"a\",\"created_at\":{}}}\n", 1_767_605_400 + n)
        })
        .collect();
    folder.write("good.ndjson", &lines);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(lines.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    folder.write("cut.gz", &gz[..gz.len() / 2]);
    let zst = zstd::stream::encode_all(lines.as_bytes(), 1).unwrap();
    folder.write("cut.zst", &zst[..zst.len() / 2]);
    folder.write("empty.ndjson", "");
    std::fs::create_dir(folder.file("folder")).unwrap();

    let said =
        |args: &[&str], code| folder.output(&[&["replay"], args].concat()).ends(code).stderr();
    let error = |args: &[&str]| {
        let said = said(args, 1);
        let found = said.lines().find(|line| line.starts_with("error: ")).map(str::to_owned);
        found.unwrap_or_else(|| panic!("no error: {said}"))
    };
    assert!(
        error(&["cut.gz"])
            .starts_with("error: `cut.gz` is cut off in the middle of its compressed data, after ")
    );
    assert!(
        error(&["cut.zst"]).starts_with(
            "error: `cut.zst` is cut off in the middle of its compressed data, after "
        )
    );
    assert_eq!(error(&["folder"]), "error: failed to open `folder`: is a directory");
    assert_eq!(
        error(&["good.ndjson", "missing.ndjson"]),
        "error: failed to open `missing.ndjson`: No such file or directory (os error 2)"
    );
    folder.write("kept.csv", "of yesterday");
    error(&["missing.ndjson", "--counts", "kept.csv"]);
    assert_eq!(folder.read("kept.csv"), "of yesterday", "a mistyped input costs no output");
    assert!(
        error(&["good.ndjson", "--counts", "nowhere/c.csv"])
            .starts_with("error: failed to create `nowhere/c.csv`: ")
    );
    assert!(error(&["*.none"]).contains("*.none"));
    // The error is told last; what could be read was counted.
    let done = folder.output(&["replay", "cut.gz", "good.ndjson", "empty.ndjson"]).ends(1);
    assert_eq!(done.summed("posts"), 20_000);
    assert!(said(&["empty.ndjson"], 0).contains("lines=0"));
}

#[test]
fn a_post_on_the_very_hour_counts_even_where_nothing_follows() {
    let folder = Folder::new();
    let post = |id: u32, at: &str| {
        format!(
            "{{\"id\":\"{id}\",\"author\":\"a\",\"created_at\":\"2026-01-05T{at}Z\",\"text\":\"#flu\",\"region\":\"DE\"}}\n"
        )
    };
    for mode in [&[] as &[&str], &["--as-live"]] {
        for before in ["", &post(1, "08:00:00"), &post(1, "08:59:59.999999")] {
            folder.write("posts.ndjson", format!("{before}{}", post(2, "09:00:00")));
            let counts = folder
                .output(&[&["replay", "posts.ndjson", "--counts", "-"], mode].concat())
                .ends(0)
                .stdout();
            assert!(
                counts.contains("influenza,DE,1767603600,1,1,1,1\n"),
                "{mode:?} after {before:?}: {counts}"
            );
        }
    }
}

#[test]
fn a_gap_of_ninety_years_is_replayed_at_once() {
    let folder = Folder::new();
    let post = |id: u32, at: &str| {
        format!(
            "{{\"id\":\"{id}\",\"author\":\"{id}\",\"created_at\":\"{at}\",\"text\":\"#flu\",\"region\":\"DE\"}}\n"
        )
    };
    let lines = [
        post(1, "2009-01-05T09:10:00Z"),
        post(2, "2009-01-06T10:10:00Z"),
        post(3, "2099-01-05T09:20:00Z"),
    ];
    folder.write("posts.ndjson", lines.concat());
    let begun = std::time::Instant::now();
    for mode in [&[] as &[&str], &["--as-live"]] {
        let args =
            [&["replay", "posts.ndjson", "--counts", "-", "--verdicts", "v.csv"], mode].concat();
        let counts = folder.output(&args).ends(0).stdout();
        for start in [1_231_146_000, 1_231_236_000, 4_071_286_800_u64] {
            // In the order of arrival a line so far ahead of those before it is set aside.
            let is_counted = mode.is_empty() || start < 4_000_000_000;
            assert_eq!(
                counts.contains(&format!("influenza,DE,{start},1,1,1,1\n")),
                is_counted,
                "{mode:?}: {counts}"
            );
        }
        let verdicts = folder.read("v.csv").lines().count();
        assert!((100..20_000).contains(&verdicts), "{verdicts}");
    }
    // Hours that nobody posted in are 789,000.
    assert!(begun.elapsed().as_secs() < 120, "{:?}", begun.elapsed());
}

#[test]
fn plain_replay_stops_at_its_bound_of_memory_with_a_hint() {
    let folder = Folder::new();
    simulate(&folder, "posts.ndjson", &["--posts", "100000"]);
    let said = folder
        .output(&["replay", "posts.ndjson", "--counts", "c.csv", "--memory-max", "20MiB"])
        .ends(1)
        .stderr();
    assert!(
        said.contains("error: stopped after ") && said.contains(" MiB held, more than 20 MiB"),
        "{said}"
    );
    assert!(said.contains("hint: raise `--memory-max`, or take `--as-live`"), "{said}");
    let said = folder.output(&["replay", "posts.ndjson", "--memory-max", "much"]).ends(64).stderr();
    assert!(said.contains("error: `--memory-max much` is not a size\nhint: "), "{said}");
}

#[test]
fn usage_that_makes_no_sense_ends_with_64() {
    let folder = Folder::new();
    folder.write("posts.ndjson", "");
    let two =
        folder.output(&["replay", "posts.ndjson", "--counts", "-", "--tag-counts", "-"]).ends(64);
    assert_eq!(
        two.stderr(),
        "error: only one output can go to standard output\nhint: give the others a file name\n"
    );
    assert_eq!(two.stdout(), "");
    for args in [
        &["replay"] as &[&str],
        &["replay", "posts.ndjson", "--count", "-"],
        &["replay", "--log", "--as-live"],
        &["reply"],
    ] {
        folder.output(args).ends(64);
    }
}

#[test]
fn without_input_outputs_are_their_headers() {
    let folder = Folder::new();
    folder.write("empty.ndjson", "");
    let outputs = [
        "--counts",
        "c",
        "--tag-counts",
        "t",
        "--verdicts",
        "v",
        "--alerts",
        "a",
        "--rejects",
        "r",
    ];
    folder.output(&[&["replay", "empty.ndjson"], &outputs[..]].concat()).ends(0);
    let all: String = ["c", "t", "v", "a", "r"]
        .map(|name| format!("{name}: {}\n", folder.read(name).trim_end()))
        .concat();
    expect_test::expect![[r#"
        c: topic,region,pane_start,posts,authors,authors_24h,total_posts
        t: tag,region,pane_start,posts
        v: topic,region,window_end,window_seconds,method,stage,observed,expected,upperbound,pvalue,alarm,reason
        a: 
        r: file,line,reason,length,hash,detail
    "#]]
    .assert_eq(&all);
}
