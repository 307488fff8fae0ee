use std::collections::BTreeSet;

use record::FeedSetting;
use record::kind::Kind;
use record::time::{DAY, HOUR, MINUTE, WEEK, parse_span};

use super::sections::*;
use super::units::{display_duration, display_size, parse_size};
use super::*;

/// A folder with `pumphandle.toml` and further files, and what `load` makes of them.
fn load_files(
    config: &str,
    files: &[(&str, &str)],
    sets: &[&str],
    environment: &[(&str, &str)],
) -> Result<Config, Vec<Diagnostic>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pumphandle.toml");
    std::fs::write(&path, config).unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    load(
        Some(&path),
        &sets,
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

fn good(config: &str) -> Config {
    load_files(config, &[], &[], &[]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn problems(config: &str) -> Vec<Diagnostic> {
    load_files(config, &[], &[], &[]).err().unwrap_or_default()
}

#[test]
fn a_duration_shown_is_read_again_as_the_same() {
    let mut span = 1_i64;
    while span < 30_000 * DAY {
        for span in [span * 1_000, span * 1_000 / MINUTE * MINUTE] {
            assert_eq!(
                parse_span(&display_duration(span)),
                Some(span),
                "{}",
                display_duration(span)
            );
        }
        span = span * 3 + 7;
        if span > 30_000 * DAY / 1_000 {
            break;
        }
    }
    let shown =
        [36 * HOUR, 24 * HOUR, 48 * HOUR, 7 * DAY, 30 * DAY, 90 * MINUTE, 0].map(display_duration);
    assert_eq!(shown, ["36h", "24h", "48h", "7d", "30d", "1h30m", "0s"]);
}

#[test]
fn sizes_are_decimal_or_binary_or_bare_bytes() {
    let read = [
        ("64MiB", 64 << 20),
        ("1GB", 1_000_000_000),
        ("1 KiB", 1024),
        ("512", 512),
        ("0B", 0),
        ("3kB", 3000),
    ];
    for (text, bytes) in read {
        assert_eq!(parse_size(text), Some(bytes), "{text}");
    }
    for text in ["", "MiB", "-1KiB", "1.5GiB", "1Mib", "1 megabyte", "99999999999TiB", "1GiB2"] {
        assert_eq!(parse_size(text), None, "{text}");
    }
    assert_eq!([1 << 30, 1000, 1 << 44].map(display_size), ["1GiB", "1000B", "16TiB"]);
}

#[test]
fn the_defaults_are_in_order_and_are_what_the_engine_takes_for_granted() {
    let config = good("");
    assert_eq!(config.warnings, []);
    let settings = config.settings();
    let plain = Settings::default();
    assert_eq!(
        (settings.lateness, settings.horizon, settings.pane),
        (plain.lateness, plain.horizon, plain.pane)
    );
    assert_eq!((settings.windows, settings.author_epoch), (plain.windows, plain.author_epoch));
    assert_eq!(settings.detect.floors, plain.detect.floors);
    assert_eq!(
        (settings.detect.guardband, settings.detect.coverage),
        (plain.detect.guardband, plain.detect.coverage)
    );
    assert_eq!(settings.partitions, 4);
    assert_eq!(settings.feeds, [FeedSetting::new("bluesky", true)]);
    assert!(
        settings.topics.iter().any(|topic| topic.id == "influenza" && topic.kind == Kind::Disease)
    );
    assert!(!settings.lexicon.is_empty());
}

#[test]
fn every_default_key_has_a_sentence_above_it() {
    let lines: Vec<&str> = DEFAULT.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let key = line.split(" = ").next().unwrap_or_default().trim_start_matches("# ");
        let is_key = line.contains(" = ")
            && !key.is_empty()
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if is_key {
            let above = lines[index - 1];
            assert!(
                above.starts_with("# ") && above.ends_with('.'),
                "line {}: `{key}` has no sentence above it",
                index + 1
            );
        }
    }
}

#[test]
fn the_keys_that_are_commented_out_are_known_too() {
    let text: String = DEFAULT
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|rest| rest.starts_with("path =") || rest.starts_with("follow ="))
                .unwrap_or(line)
                .to_owned()
                + "\n"
        })
        .collect();
    let file_feed = text.replace("\"jetstream\"", "\"file\"");
    let kept: String = file_feed
        .lines()
        .filter(|line| {
            !["urls", "    \"wss", "]", "collections", "wire", "rewind", "idle"]
                .iter()
                .any(|start| line.starts_with(start))
        })
        .map(|line| line.to_owned() + "\n")
        .collect();
    let unknown: Vec<Diagnostic> =
        problems(&kept).into_iter().filter(|problem| problem.message.contains("unknown")).collect();
    assert_eq!(unknown, []);
}

#[test]
fn the_command_line_wins_over_the_environment_over_the_file_over_the_defaults() {
    let file = "[panes]\nlateness = \"3m\"\nhorizon = \"30h\"\nlength = \"15m\"\n";
    let environment = [
        ("PUMPHANDLE__PANES__LATENESS", "4m"),
        ("PUMPHANDLE__PANES__HORIZON", "31h"),
        ("PATH", "/bin"),
        ("PUMPHANDLE_OTHER", "x"),
    ];
    let config = load_files(file, &[], &["panes.lateness=5m", "panes.lateness=6m"], &environment)
        .unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(
        config.panes,
        Panes {
            length: 15 * MINUTE,
            windows: vec![DAY, WEEK],
            lateness: 6 * MINUTE,
            horizon: 31 * HOUR
        }
    );
}

#[test]
fn lists_tables_and_whole_feeds_can_be_set_from_outside() {
    let sets = [
        "panes.windows=12h,24h",
        "detect.params.alpha=0.01",
        "detect.floors.ratio=2",
        r#"feeds=[{name = "a", kind = "file", path = ["-", "b.ndjson"], follow = true}]"#,
        "feeds.a.filtered=true",
        "limits.memory-max=256MiB",
        "topics.segment=false",
    ];
    let config = load_files("", &[], &sets, &[]).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(config.panes.windows, [12 * HOUR, 24 * HOUR]);
    assert_eq!(config.detect.params, [("alpha".to_owned(), "0.01".to_owned())]);
    assert_eq!(config.limits.memory_max, 256 << 20);
    assert!(!config.topics.segment);
    let kind = FeedKind::File { paths: vec!["-".to_owned(), "b.ndjson".to_owned()], follow: true };
    assert_eq!(config.feeds, [Feed { name: "a".to_owned(), whole: false, kind }]);
}

#[test]
fn files_are_relative_to_the_file_that_names_them_and_to_the_working_directory_elsewhere() {
    let topic = "[[topic]]\nid = \"cough\"\nkind = \"symptom\"\nname = \"Cough\"\ntags = { en = \
        [\"cough\"] }\n";
    let text = "[topics]\nfiles = [\"cough.toml\"]\n[[feeds]]\nname = \"a\"\nkind = \"file\"\npath \
        = \"posts.ndjson\"\nfollow = true\n[journal]\ndata = \"kept\"\n";
    let config = load_files(text, &[("cough.toml", topic)], &[], &[])
        .unwrap_or_else(|problems| panic!("{problems:#?}"));
    let folder = config.file.as_ref().and_then(|file| file.parent()).unwrap();
    let FeedKind::File { paths, .. } = &config.feeds[0].kind else { panic!("a file feed") };
    assert_eq!(*paths, [folder.join("posts.ndjson").display().to_string()]);
    assert_eq!(config.journal.data, Path::new("kept"));
    assert_eq!(config.topics.lexicon.topics().len(), 1);
    let outside =
        load_files(text, &[("cough.toml", topic)], &["topics.files=nowhere-at-all.toml"], &[])
            .err()
            .unwrap();
    assert_eq!(outside.len(), 1, "{outside:#?}");
}

#[test]
fn panes_and_windows_of_a_topic_belong_to_its_kind() {
    let topics: String = Kind::ALL
        .iter()
        .map(|kind| {
            format!(
                "[[topic]]\nid = \"a-{0}\"\nkind = \"{0}\"\nname = \"{0}\"\ntags = {{ \
            any = [\"{0}\"] }}\n",
                kind.name()
            )
        })
        .collect();
    // A crisis is about a polygon, for a while.
    let crisis = "crisis = { region = \"x:flood\", inhabitants = 20_000, from = \
        \"2026-01-05T00:00:00Z\", until = \"2026-01-20T00:00:00Z\", reason = \"a flood\", by = \
        \"duty\" }\n";
    let topics = topics.replace("kind = \"crisis\"\n", &format!("kind = \"crisis\"\n{crisis}"));
    let polygon = "{\"type\": \"FeatureCollection\", \"features\": [{\"type\": \"Feature\", \
        \"properties\": {\"code\": \"x:flood\"}, \
                   \"geometry\": {\"type\": \"Polygon\", \"coordinates\": [[[13, 50], [14, 50], \
                   [14, 51], [13, 51], [13, 50]]]}}]}";
    let config = "[topics]\nfiles = [\"t.toml\"]\n[panes]\nlength = \"10m\"\nwindows = \
        [\"12h\"]\n[atlas]\nregions = [\"flood.geojson\"]\n";
    let settings = load_files(config, &[("t.toml", &topics), ("flood.geojson", polygon)], &[], &[])
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
        .settings();
    assert_eq!(settings.topics.len(), Kind::ALL.len());
    for topic in &settings.topics {
        let ours = matches!(topic.kind, Kind::Symptom | Kind::Disease);
        let (pane, windows) = if ours {
            (10 * MINUTE, vec![12 * HOUR])
        } else {
            (topic.kind.pane(), topic.kind.windows().to_vec())
        };
        assert_eq!((topic.pane, &topic.windows), (pane, &windows), "{}", topic.id);
    }
}

const FLU: &str = "[[topic]]\nid = \"flu\"\nkind = \"disease\"\nname = \"Flu\"\ntags = { any = \
    [\"flu\"], fr = [\"grippe\"] }\nphrases = { en = [\"the flu\"] }\n";
const COUGH: &str = "[[topic]]\nid = \"cough\"\nkind = \"symptom\"\nname = \"Cough\"\ntags = { en \
    = [\"cough\"] }\n";

fn meaning_of(files: &[(&str, &str)], sets: &[&str]) -> (String, Settings) {
    let config = load_files("[topics]\nfiles = [\"*.t\"]\n", files, sets, &[])
        .unwrap_or_else(|problems| panic!("{problems:#?}"));
    (config.topics.meaning.clone(), config.settings())
}

#[test]
fn files_that_mean_the_same_have_the_same_hash_however_they_are_written() {
    let (meaning, settings) = meaning_of(&[("a.t", FLU), ("b.t", COUGH)], &[]);
    let rewritten = FLU.replace("any = [\"flu\"], fr = [\"grippe\"]", "de = [\"Grippe\", \"FLU\"]");
    let (same, same_settings) =
        meaning_of(&[("x.t", &format!("# Joined.\n{COUGH}\n{rewritten}"))], &[]);
    assert_eq!(meaning, same);
    assert!(settings.same_meaning(&same_settings));
}

#[test]
fn what_decides_a_topic_changes_the_hash() {
    let mut seen = BTreeSet::new();
    let variants = [
        FLU.to_owned(),
        FLU.replace("grippe", "gripe"),
        FLU.replace("en = [", "de = ["),
        FLU.replace("the flu", "a flu"),
        FLU.replace("disease", "symptom"),
        FLU.replace("id = \"flu\"", "id = \"influenza\""),
        format!("{FLU}exclude = {{ tags = [\"birdflu\"] }}\n"),
        format!("{FLU}exclude = {{ phrases = [\"birdflu\"] }}\n"),
        format!("{FLU}{COUGH}"),
    ];
    for variant in &variants {
        assert!(seen.insert(meaning_of(&[("a.t", variant)], &[]).0), "{variant}");
    }
    assert!(seen.insert(meaning_of(&[("a.t", FLU)], &["topics.segment=false"]).0));
}

#[test]
fn a_user_and_password_are_refused_wherever_a_url_stands_and_never_shown() {
    let urls = ["wss://u:hunter2@host/x", "u:hunter2@host", "https://hunter2@host"];
    for url in urls {
        let text = format!(
            "[warehouse]\nurl = \"{url}\"\n[[feeds]]\nname = \"a\"\nkind = \"jetstream\"\nurls = \
                [\"{url}\"]\n"
        );
        let problems = problems(&text);
        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert!(
            problems.iter().all(|problem| !problem.to_string().contains("hunter2")),
            "{problems:#?}"
        );
    }
}

#[test]
fn urls_of_every_honest_form_are_taken() {
    let urls = [
        "ws://127.0.0.1:6008/subscribe",
        "wss://host",
        "wss://[::1]:8080/x",
        "ws://[::1]",
        "wss://host.example/a/b",
    ];
    for url in urls {
        let found = problems(&format!(
            "[[feeds]]\nname = \"a\"\nkind = \"jetstream\"\nurls = [\"{url}\"]\n"
        ));
        assert_eq!(found, [], "{url}");
    }
}

/// Whatever is done to a good file, the answer is a configuration or problems that name a line
/// which exists.
#[test]
fn no_mutated_file_is_worse_than_a_list_of_problems() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % below.max(1)
    };
    let pieces = [
        "[",
        "]",
        "[[",
        "\"",
        "'",
        "=",
        "\n",
        "\r\n",
        "\u{0}",
        "-1",
        "9e999",
        "1979-05-27",
        "{",
        "}",
        "feeds",
        "true",
        "ü",
        ".",
        "#",
        "\"\"\"",
    ];
    for _ in 0..400 {
        let mut text: Vec<char> = DEFAULT.chars().collect();
        for _ in 0..=random(4) {
            let at = random(text.len());
            match random(3) {
                0 => drop(text.drain(at..(at + random(40)).min(text.len()))),
                1 => text.splice(at..at, pieces[random(pieces.len())].chars()).for_each(drop),
                _ => text.truncate(at.max(1)),
            }
        }
        let text: String = text.into_iter().collect();
        let lines = text.matches('\n').count() + 1;
        for problem in problems(&text.replace("\"topics/*.toml\"", "\"nowhere.toml\"")) {
            match &problem.place {
                Place::File { line, .. } => {
                    assert!((1..=lines).contains(line), "{problem}\n{text}")
                }
                Place::WholeFile { .. } => {}
                place => panic!("{place:?} of {problem}\n{text}"),
            }
        }
    }
}

/// A file of the largest size, of whatever is read one by one, must not hold up whoever runs
/// `check`.
#[test]
fn a_file_as_large_as_can_be_is_answered_soon() {
    let feeds = "[[feeds]]\nnome = 1\n".repeat(45_000);
    let found = problems(&feeds);
    assert!(
        found.iter().any(|problem| problem.message.starts_with("45000 times `[[feeds]]`")),
        "{:#?}",
        found.first()
    );
    let numbered = |line: fn(usize) -> String| (0..40_000).map(line).collect::<String>();
    assert_eq!(
        problems(&format!("[detect.params]\n{}", numbered(|n| format!("p{n} = 1\n")))).len(),
        1
    );
    assert_eq!(
        problems(&format!("[panes]\n{}", numbered(|n| format!("p{n} = 1\n")))).len(),
        40_000
    );
    assert_eq!(problems(&"#".repeat(1 << 21)).len(), 1);
}
