//! `crisis`: begun beside a running program, counted in its polygon until its end, stopped; and
//! refused where it may not be.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::live;
use crate::program::{Done, Folder, LONG, until};

const DRESDEN: (f64, f64) = (51.05, 13.74);
const LEIPZIG: (f64, f64) = (51.34, 12.37);
const FEED: &str = "[web]\nlisten = \"127.0.0.1:0\"\n[[feeds]]\nname = \"posts\"\nkind = \
    \"file\"\npath = \"posts.ndjson\"\n";

fn polygon() -> Value {
    let ring = [[13.5, 50.9], [14.0, 50.9], [14.0, 51.2], [13.5, 51.2], [13.5, 50.9]];
    json!({"type": "Polygon", "coordinates": [ring]})
}

fn in_days(days: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
    (now + days * 86_400).to_string()
}

fn start(folder: &Folder, more: &[&str]) -> Done {
    let usual = [
        "crisis",
        "start",
        "--config",
        "run.toml",
        "--polygon",
        "elbe.geojson",
        "--reason",
        "the dyke broke",
        "--by",
        "duty",
    ];
    folder.output(&[&usual[..], more].concat())
}

fn flooded(n: i64, at: i64, (lat, lon): (f64, f64)) -> (i64, Value) {
    let text = "Pirna ist abgeschnitten #Hochwasser";
    (
        at,
        json!({"id": format!("f{at}-{n}"), "author": format!("cut off \
            {n}"), "created_at": at, "text": text, "lat": lat, "lon": lon}),
    )
}

/// Posts of a crisis topic by region.
fn counted(csv: &str) -> BTreeMap<String, u64> {
    let mut posts = BTreeMap::new();
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let of = |name: &str| {
        csv.lines()
            .next()
            .and_then(|head| head.split(',').position(|column| column == name))
            .expect("a column")
    };
    let (topic, region, count) = (of("topic"), of("region"), of("posts"));
    for row in rows.records().map(|row| row.expect("a row")).filter(|row| &row[topic] == "elbe") {
        *posts.entry(row[region].to_owned()).or_default() +=
            row[count].parse::<u64>().expect("a count");
    }
    posts
}

#[test]
fn a_crisis_begun_beside_a_running_program_is_counted_at_its_next_start_and_stopped() {
    let folder = Folder::new();
    folder.write("elbe.geojson", polygon().to_string());
    let lines = live::quiet(|_| json!({"lat": LEIPZIG.0, "lon": LEIPZIG.1}));
    let last = lines.iter().map(|(at, _)| *at).max().unwrap();
    folder.write("posts.ndjson", live::in_order(lines));
    folder.write("run.toml", format!("{FEED}follow = true\n"));
    let mut running = folder.start(&["run", "--config", "run.toml"]);
    let (page, posts) = (running.page(), 18.0 * 24.0 * 20.0);
    until(LONG, "all to be read", || {
        running.metric("pumphandle_posts_read_total").filter(|read| *read == posts)
    });
    until(LONG, "a word of the posts", || {
        let warehouse = folder.output(&[
            "export",
            "--config",
            "run.toml",
            "--table",
            "denominators",
            "--format",
            "ndjson",
        ]);
        warehouse.stdout().contains("\"DE\"").then_some(())
    });

    // 480 placed posts a day, all by coordinates, of 84 million people; 560,000 of them live there.
    let asked = format!("web.listen={page}");
    let done = start(
        &folder,
        &[
            "--topic",
            "flood",
            "--until",
            &in_days(10),
            "--inhabitants",
            "560000",
            "--tag",
            "#Elbeflut",
            "--set",
            &asked,
        ],
    );
    let (said, warned) = (done.stdout(), done.stderr());
    done.ends(0);
    assert!(said.contains("crisis `elbe`") && said.contains("about 3."), "{said}");
    assert!(said.contains("their share with coordinates"), "{said}");
    assert!(warned.contains("fewer than ten located posts per day"), "{warned}");
    running.signal("TERM");
    running.ends(0);

    let listed =
        folder.output(&["crisis", "list", "--json", "--config", "run.toml"]).ends(0).stdout();
    let listed: Value = serde_json::from_str(&listed).expect("one line");
    assert_eq!(
        (&listed["id"], &listed["region"], &listed["state"]),
        (&json!("elbe"), &json!("x:elbe"), &json!("watched"))
    );
    folder.output(&["check", "--config", "run.toml"]).ends(0);
    let later = folder
        .output(&["check", "--config", "run.toml", "--today", "2099-01-01"])
        .ends(64)
        .stdout();
    assert!(
        later.contains("crisis `elbe` ended at") && later.contains("pumphandle crisis stop elbe"),
        "{later}"
    );

    // With the log free, what it holds itself is asked: the same number.
    let again = start(
        &folder,
        &["--topic", "smoke", "--until", &in_days(1), "--inhabitants", "5600000", "--id", "second"],
    );
    let said = again.stdout();
    again.ends(0);
    assert!(said.contains("about 3") && said.contains("in the log"), "{said}");

    // Thirty accounts in one pane of five minutes, twelve of them outside; and ten in a later pane,
    // who are too few to be told of.
    let border = (last / 300 + 100) * 300;
    let mut flood: Vec<(i64, Value)> = (0..18).map(|n| flooded(n, border + n, DRESDEN)).collect();
    flood.extend((18..30).map(|n| flooded(n, border + n, LEIPZIG)));
    flood.extend((0..10).map(|n| flooded(n, border + 600 + n, DRESDEN)));
    let mut growing = OpenOptions::new().append(true).open(folder.file("posts.ndjson")).unwrap();
    growing.write_all(live::in_order(flood).as_bytes()).unwrap();
    folder.write("run.toml", FEED);
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    let export = || {
        folder.output(&["export", "--config", "run.toml", "--table", "v_counts"]).ends(0).stdout()
    };
    // The polygon of the second is a region of every topic.
    let expected = [("001", 30), ("DE", 30), ("DE-SN", 30), ("x:elbe", 18), ("x:second", 18)]
        .map(|(region, posts)| (region.to_owned(), posts));
    let mut found = counted(&export());
    found.remove("lang:und");
    assert_eq!(found, expected.into());

    folder
        .output(&[
            "crisis",
            "stop",
            "elbe",
            "--reason",
            "water is back",
            "--by",
            "duty",
            "--config",
            "run.toml",
        ])
        .ends(0);
    folder
        .output(&["crisis", "stop", "second", "--reason", "no fire", "--config", "run.toml"])
        .ends(0);
    assert_eq!(folder.output(&["crisis", "list", "--config", "run.toml"]).ends(0).stdout(), "");
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    let audit = folder.read("data/crises/audit.ndjson");
    let audit: Vec<Value> =
        audit.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let did: Vec<(&str, &str)> = audit
        .iter()
        .map(|line| (line["did"].as_str().unwrap(), line["crisis"].as_str().unwrap()))
        .collect();
    assert_eq!(did, [("start", "elbe"), ("start", "second"), ("stop", "elbe"), ("stop", "second")]);
    assert_eq!((&audit[0]["by"], &audit[0]["reason"]), (&json!("duty"), &json!("the dyke broke")));
    assert!(audit[0]["words"].as_array().unwrap().contains(&json!("Elbeflut")));
}

#[test]
fn what_is_posted_after_the_end_of_a_crisis_is_not_counted_for_it() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.file("data/crises")).unwrap();
    let feature =
        json!({"type": "Feature", "properties": {"code": "x:elbe"}, "geometry": polygon()});
    folder.write(
        "data/crises/elbe.geojson",
        json!({"type": "FeatureCollection", "features": [feature]}).to_string(),
    );
    let topic = |until: &str| {
        format!(
            "[[topic]]\nid = \"elbe\"\nkind = \"crisis\"\nname = \"Elbe\"\ntags = {{ any = \
                [\"hochwasser\"] }}\n[topic.crisis]\nregion = \"x:elbe\"\n\
             inhabitants = 20_000\nfrom = \"2026-01-05T00:00:00Z\"\nuntil = \"{until}\"\nreason = \
             \"a flood\"\nby = \"duty\"\n"
        )
    };
    folder.write("data/crises/elbe.toml", topic("2026-01-20T00:00:00Z"));
    // 2026-01-20T00:00:00Z
    let end = 1_768_867_200;
    let posts = (0..40).map(|n| flooded(n, end - 20 + n, DRESDEN)).collect();
    folder.write("posts.ndjson", live::in_order(posts));
    let replayed =
        || counted(&folder.output(&["replay", "posts.ndjson", "--counts", "-"]).ends(0).stdout());
    assert_eq!(replayed().get("x:elbe"), Some(&20));
    folder.write("data/crises/elbe.toml", topic("2026-01-21T00:00:00Z"));
    assert_eq!(replayed().get("x:elbe"), Some(&40));
    // A polygon that is gone, and more than thirty days, are told before anything runs.
    std::fs::remove_file(folder.file("data/crises/elbe.geojson")).unwrap();
    let said = folder.output(&["check"]).ends(64).stdout();
    assert!(said.contains("crisis `elbe` is about `x:elbe`, which no polygon has"), "{said}");
    folder.write("data/crises/elbe.toml", topic("2026-02-05T00:00:00Z"));
    let said = folder.output(&["check"]).ends(64).stdout();
    assert!(
        said.contains("a crisis of at most 30 days") && said.contains("elbe.toml`, line 6"),
        "{said}"
    );
}

#[test]
fn what_is_no_crisis_is_refused_and_leaves_nothing_behind() {
    let folder = Folder::new();
    folder.write("run.toml", FEED);
    folder.write("posts.ndjson", "");
    folder.write("elbe.geojson", polygon().to_string());
    let cross = [[13.5, 50.9], [14.0, 51.2], [14.0, 50.9], [13.5, 51.2], [13.5, 50.9]];
    folder.write("cross.geojson", json!({"type": "Polygon", "coordinates": [cross]}).to_string());
    folder.write("line.geojson", json!({"type": "LineString", "coordinates": cross}).to_string());
    folder.write(
        "words.toml",
        "[[topic]]\nid = \"w\"\nkind = \"symptom\"\nname = \"W\"\ntags = { any = [\"cough\"] }\n",
    );
    let soon = in_days(10);
    let good = ["--topic", "flood", "--inhabitants", "20000", "--until", &soon];
    let far = in_days(31);
    let refused: [(&[&str], &str); 9] = [
        (&["--topic", "flood", "--until", &soon], "at least 10000 people"),
        (&["--topic", "flood", "--inhabitants", "9999", "--until", &soon], "--inhabitants 120000"),
        (
            &["--topic", "flood", "--inhabitants", "20000", "--until", &far],
            "a crisis of at most 30 days",
        ),
        (
            &["--topic", "flood", "--inhabitants", "20000", "--until", "2026-01-01"],
            "a crisis of at most 30 days",
        ),
        (
            &["--topic", "earthquake", "--inhabitants", "20000", "--until", &soon],
            "one of smoke, flood, heat, contaminated-water",
        ),
        (
            &["--topic", "words.toml", "--inhabitants", "20000", "--until", &soon],
            "is not one topic of the kind `crisis`",
        ),
        (&[&good[..], &["--tag", "#Flood"]].concat(), "is a common word"),
        (&[&good[..], &["--id", "influenza"]].concat(), "topic `influenza` already exists"),
        (&[&good[..], &["--id", "Elbe!"]].concat(), "is not a valid crisis id"),
    ];
    for (args, why) in refused {
        let done = start(&folder, args);
        let said = done.stderr();
        done.ends(64);
        assert!(said.contains(why), "{args:?}: {said}");
    }
    for (polygon, why) in [
        ("cross.geojson", "crosses itself"),
        ("line.geojson", "contains no polygon"),
        ("none.geojson", "cannot be read"),
    ] {
        let usual =
            ["crisis", "start", "--config", "run.toml", "--reason", "a test", "--polygon", polygon];
        let done = folder.output(&[&usual[..], &good[..]].concat());
        let said = done.stderr();
        done.ends(64);
        assert!(said.contains(why), "{polygon}: {said}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.file("data/crises"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(folder.output(&["crisis", "list"]).ends(0).stdout(), "");
    let done = start(&folder, &good);
    let (said, warned) = (done.stdout(), done.stderr());
    done.ends(0);
    assert!(
        said.contains("nothing has been counted yet") && warned.contains("no estimate"),
        "{said}{warned}"
    );
}
