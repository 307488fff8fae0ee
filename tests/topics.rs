//! What counts, from outside: `tags` and `topics`, what they make of bad input, and which tags a
//! topic lacks.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::{Value, json};

use crate::conformance;
use crate::program::{Folder, skip};

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn tags(folder: &Folder, input: impl Into<Vec<u8>>) -> Vec<Value> {
    lines(&folder.output_of(&["tags"], input.into()).ends(0).stdout())
}

#[test]
fn all_hashtag_cases_of_the_public_suite_pass_through_tags() {
    let Some(cases) = conformance::cases() else {
        return skip("the source of `egg-mode-text` isn't in the registry's folder");
    };
    let input: String =
        cases.iter().map(|(text, _)| json!({ "text": text }).to_string() + "\n").collect();
    let answers = tags(&Folder::new(), input);
    assert_eq!(answers.len(), cases.len());
    for ((text, expected), answer) in cases.iter().zip(&answers) {
        assert_eq!(answer["tags"], json!(expected), "{text}");
    }
}

#[test]
fn the_flu_is_found_in_four_scripts_and_not_in_fluffy() {
    let input = "{\"text\":\"#GRIPPE2026 #fluffy #インフルエンザ #إنفلونزا #Fièvre\"}\n";
    let said = Folder::new().output_of(&["tags"], input.into()).ends(0).stdout();
    expect![[r#"
        {"tags":["GRIPPE2026","fluffy","インフルエンザ","إنفلونزا","Fièvre"],"keys":["grippe2026","fluffy","インフルエンザ","انفلونزا","fievre"],"topics":["influenza","fever"],"voice":"other"}
    "#]]
    .assert_eq(&said);
}

#[test]
fn an_explanation_names_each_match_and_the_voice() {
    let folder = Folder::new();
    let text = "J'ai de la fièvre et je tousse #grippe";
    let said = folder.output(&["topics", "explain", text]).ends(0).stdout();
    expect![[r#"
        tag #grippe: key `grippe`
          `grippe` whole: counts for influenza
        phrase "fièvre" at 11..18 (fr): counts for fever
        phrase "de la fièvre" at 5..18 (fr): counts for fever
        phrase "je tousse" at 22..31 (fr): counts for cough
        phrase "grippe" at 33..39 (fr): counts for influenza
        voice "J'ai" at 0..4 (fr): own
        voice "je tousse" at 22..31 (fr): own
        counts for influenza, voice self
        counts for fever, voice self
        counts for cough, voice self
    "#]]
    .assert_eq(&said);
    assert_eq!(
        folder.output_of(&["topics", "explain", "-"], format!("{text}\n").into()).ends(0).stdout(),
        said
    );

    let explained: Value = serde_json::from_str(
        &folder.output(&["topics", "explain", text, "--json"]).ends(0).stdout(),
    )
    .unwrap();
    let counted = json!([
        { "topic": "influenza", "voice": "self" }, { "topic": "fever", "voice": "self" }, { "topic": "cough", "voice": "self" },
    ]);
    assert_eq!(explained["topics"], counted);
    assert_eq!(
        explained["tags"][0]["matches"][0],
        json!({ "key": "grippe", "topic": "influenza", "how": "whole", "effect": "counts" })
    );
    // What the post states decides: it isn't English.
    let said = folder.output(&["topics", "explain", text, "--lang", "en"]).ends(0).stdout();
    assert!(
        said.ends_with("counts for influenza, voice other\n") && !said.contains("phrase"),
        "{said}"
    );
    // The platform's tags stand for those of the text.
    let said = folder.output(&["topics", "explain", "#flu", "--tag", "cough"]).ends(0).stdout();
    assert!(said.contains("counts for cough") && !said.contains("influenza"), "{said}");
    assert_eq!(
        folder.output(&["topics", "explain", "nothing"]).ends(0).stdout(),
        "counts for no topic\n"
    );
}

#[test]
fn topics_are_listed_and_shown() {
    let folder = Folder::new();
    let listed = lines(&folder.output(&["topics", "list", "--json"]).ends(0).stdout());
    let plain = folder.output(&["topics", "list"]).ends(0).stdout();
    assert!(plain.starts_with("topic ") && plain.lines().count() == listed.len() + 1, "{plain}");
    for kind in ["symptom", "disease", "narrative", "sensitive", "patient", "campaign"] {
        assert!(listed.iter().any(|topic| topic["kind"] == kind), "{kind}");
    }
    for topic in &listed {
        let id = topic["id"].as_str().unwrap();
        assert!(plain.lines().any(|line| line.split_whitespace().next() == Some(id)), "{id}");
    }
    let shown: Value = serde_json::from_str(
        &folder.output(&["topics", "show", "influenza", "--json"]).ends(0).stdout(),
    )
    .unwrap();
    assert!(shown["tags"]["fr"].as_array().unwrap().contains(&json!("grippe")), "{shown}");
    assert_eq!((&shown["pane"], &shown["windows"]), (&json!("1h"), &json!(["24h", "7d"])));
    let shown = folder.output(&["topics", "show", "hiv-aids"]).ends(0).stdout();
    assert!(
        shown.contains(
            "kind sensitive, counted by 7d, judged over 7d, from 20 accounts on, by \
        country and world only"
        ),
        "{shown}"
    );
    let said = folder.output(&["topics", "show", "influenzza"]).ends(64).stderr();
    assert_eq!(said, "error: no topic `influenzza`\nhint: did you mean `influenza`?\n");
    folder.output(&["topics"]).ends(64);
    folder.output(&["topics", "lits"]).ends(64);
}

#[test]
fn every_subcommand_of_topics_has_help_with_an_example() {
    let folder = Folder::new();
    for command in ["list", "show", "lint", "explain", "emerging"] {
        let help = folder.output(&["topics", command, "--help"]).ends(0).stdout();
        assert!(
            help.contains("\nExample") && help.contains(&format!("pumphandle topics {command}")),
            "{help}"
        );
    }
}

const SLIPS: &str = r#"
[[topic]]
id = "a"
kind = "campaign"
name = "A"
tags = { any = ["rage", "a_week"] }

[[topic]]
id = "b"
kind = "campaign"
name = "B"
tags = { any = ["AWeek"] }
"#;

#[test]
fn lint_is_clean_on_what_is_shipped_and_tells_slips() {
    let folder = Folder::new();
    let said = folder.output(&["topics", "lint"]).ends(0).stdout();
    assert!(said.starts_with("ok: no doubtful definitions in "), "{said}");
    assert_eq!(folder.output(&["topics", "lint", "--json"]).ends(0).stdout(), "");

    folder.write("slips.toml", SLIPS);
    let done = folder.output(&["topics", "lint", "slips.toml"]).ends(1);
    expect![[r#"
        warning: tag `rage` of `a` is a common word (en), in `slips.toml`, line 6
        hint: say more precisely what is meant
        warning: tag `rage` of `a` is a common word (fr), in `slips.toml`, line 6
        hint: say more precisely what is meant
    "#]]
    .assert_eq(&done.stdout());
    assert_eq!(done.stderr(), "error: doubtful definitions: 2 places\n");
    let found = lines(&folder.output(&["topics", "lint", "slips.toml", "--json"]).ends(1).stdout());
    assert_eq!((&found[0]["file"], &found[0]["line"]), (&json!("slips.toml"), &json!(6)));

    // What can't be read at all is told as `check` tells it.
    folder.write("broken.toml", SLIPS.replace("kind = \"campaign\"", "kind = \"campain\""));
    let said = folder.output(&["topics", "lint", "slips.toml", "broken.toml"]).ends(64).stderr();
    assert!(
        said.contains("error: unknown kind `campain`") && said.contains("`broken.toml`, line 4"),
        "{said}"
    );
    let said = folder.output(&["topics", "lint", "nowhere.toml"]).ends(64).stderr();
    assert!(
        said.starts_with(
            "error: failed to read the topics: no such file, in `nowhere.toml`\nhint: "
        ),
        "{said}"
    );
}

#[test]
fn a_review_that_is_due_is_a_problem() {
    let folder = Folder::new();
    folder.output(&["check", "--today", "2026-11-22"]).ends(0);
    let said = folder.output(&["check", "--today", "2099-01-01"]).ends(64).stdout();
    assert!(
        said.contains("was to be reviewed by ") && said.contains("\nhint: read https://"),
        "{said}"
    );
    folder.output(&["check", "--today", "tomorrow"]).ends(64);
}

#[test]
fn own_topic_files_are_read_with_the_rules_of_voice_that_are_compiled_in() {
    let folder = Folder::new();
    let flu =
        "[[topic]]\nid = \"flu\"\nkind = \"disease\"\nname = \"Flu\"\ntags = { any = [\"flu\"] }\n";
    folder.write("flu.toml", flu);
    folder.write("own.toml", "[topics]\nfiles = [\"flu.toml\"]\n");
    let voice = |text: &str| {
        let input = json!({ "text": text, "lang": "en" }).to_string();
        let done = folder.output_of(&["--config", "own.toml", "tags"], input.into_bytes()).ends(0);
        lines(&done.stdout())[0]["voice"].as_str().unwrap().to_owned()
    };
    assert_eq!(voice("I have a fever, I caught it again #flu"), "self");
    // Rules of their own for a language stand instead.
    folder.write("flu.toml", format!("{flu}\n[[voice]]\nlang = \"en\"\nown = [\"woe is me\"]\n"));
    assert_eq!(voice("I have a fever, I caught it again #flu"), "other");
    assert_eq!(voice("woe is me #flu"), "self");
}

#[test]
fn tags_are_told_as_often_as_they_are_written_and_keys_once() {
    let folder = Folder::new();
    let answer = &tags(&folder, "{\"text\":\"#flu #FLU #flu #İn #ın #hiv #HIVTest\"}")[0];
    assert_eq!(
        (&answer["tags"], &answer["keys"]),
        (&json!(["flu", "FLU", "flu", "İn", "ın"]), &json!(["flu", "in"]))
    );
    // Sensitive ones are in no list; the topic is told to whoever has the text.
    assert_eq!(answer["topics"], json!(["influenza", "hiv-aids"]));
}

// --- bad input ---

#[test]
fn whatever_a_text_holds_is_read() {
    let folder = Folder::new();
    let answers = tags(
        &folder,
        [
            // Half a pair, the other half, both in the wrong order, a good pair; a NUL.
            br#"{"text":"a\ud800 #flu\udfff #cough\ude00\ud83d \ud83e\udd12#fever\u0000#chills"}"#
                .as_slice(),
            b"\n\n",
            // Bytes that are no UTF-8.
            b"{\"text\":\"#flu\xff\xfe #cough\xc3\"}\n",
            // Right-to-left override, isolates and marks stand beside a tag, never in it.
            "{\"text\":\"\u{202e}#flu\u{202c} \u{2067}#cough\u{2069} \u{200f}#fever\u{200e}\"}\n"
                .as_bytes(),
        ]
        .concat(),
    );
    let found: Vec<&Value> = answers.iter().map(|answer| &answer["keys"]).collect();
    assert_eq!(
        found,
        [
            &json!(["flu", "cough", "fever", "chills"]),
            &json!(["flu", "cough"]),
            &json!(["flu", "cough", "fever"])
        ]
    );
    let said = folder.output_of(&["tags"], "{\"text\":\"#flu\"}\nno json\n".into()).ends(1);
    assert!(
        said.stderr().starts_with("error: line 2 of standard input is not `{\"text\":…}`"),
        "{}",
        said.stderr()
    );
}

#[test]
fn tags_beyond_the_bounds_are_dropped_and_counted() {
    let folder = Folder::new();
    let many: String = (0..100_000).map(|n| format!("#tag{n} ")).collect();
    let long = format!("#{} #{} #flu", "é".repeat(10_000), "F".repeat(10_000));
    let megabyte = "J'ai de la fièvre #aB1_ ".repeat(41_000);
    assert!(megabyte.len() > 1_000_000 && many.len() > 900_000);
    let texts = [&many, &long, &megabyte];
    let input: String =
        texts.iter().map(|text| json!({ "text": text }).to_string() + "\n").collect();
    let start = Instant::now();
    let answers = tags(&folder, input);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let counts: Vec<(usize, u64)> = answers
        .iter()
        .map(|answer| {
            (answer["tags"].as_array().unwrap().len(), answer["dropped"].as_u64().unwrap_or(0))
        })
        .collect();
    assert_eq!(counts, [(256, 100_000 - 256), (1, 2), (256, 0)]);
    assert_eq!(
        (&answers[1]["topics"], &answers[2]["topics"]),
        (&json!(["influenza"]), &json!(["fever"]))
    );

    // The same as posts, by text and by the platform's tags.
    let hundred_thousand: Vec<String> = (0..100_000).map(|n| format!("t{n}")).collect();
    let mut posts = String::new();
    for (id, text) in texts.iter().enumerate() {
        let _ = writeln!(
            posts,
            "{}",
            json!({ "id": id.to_string(), "author": "a", "created_at": "2026-11-01T00:00:00Z", "text": text })
        );
    }
    let tagged = json!({ "id": "t", "author": "a", "created_at": "2026-11-01T00:00:00Z", "tags": hundred_thousand });
    let _ = writeln!(posts, "{tagged}");
    let too_long = json!({ "id": "l", "author": "a", "created_at": "2026-11-01T00:00:00Z", "text": "#flu ".repeat(300_000) });
    let _ = writeln!(posts, "{too_long}");
    folder.write("posts.ndjson", posts);
    let done = folder.output(&["replay", "posts.ndjson", "--tag-counts", "-"]).ends(0);
    assert_eq!((done.summed("posts"), done.summed("rejected")), (4, 1));
    assert_eq!(done.summed("tags_dropped"), (100_000 - 256) + 2 + (100_000 - 256));
    assert_eq!(done.stdout(), "tag,region,pane_start,posts\nflu,ZZ,1793491200,1\n");

    let done = folder
        .output_of(&["tags"], json!({ "text": "#flu ".repeat(300_000) }).to_string().into_bytes())
        .ends(1);
    assert_eq!(done.stderr(), "error: line 1 of standard input is longer than 1048576 bytes\n");
}

// --- emerging tags ---

struct Posts(String, usize);

impl Posts {
    /// A post of each of `accounts` on a day of November.
    fn crowd(&mut self, accounts: std::ops::Range<u32>, day: u32, text: &str) {
        for account in accounts {
            self.1 += 1;
            let (id, author, created_at) =
                (self.1.to_string(), account.to_string(), format!("2026-11-{day:02}T12:00:00Z"));
            let _ = writeln!(
                self.0,
                "{}",
                json!({ "id": id, "author": author, "created_at": created_at, "text": text, "langs": ["en"] })
            );
        }
    }
}

#[test]
fn tags_that_people_put_beside_a_topic_emerge() {
    let folder = Folder::new();
    let mut posts = Posts(String::new(), 0);
    posts.crowd(0..12, 2, "#flu #XBB9 #monday #FluSeason #birdlife");
    posts.crowd(0..9, 2, "#flu #nine");
    posts.crowd(0..30, 2, "#flu #syphilis #beside");
    posts.crowd(0..30, 2, "#hiv #secretclinic");
    posts.crowd(20..32, 20, "#cough #kloof2026");
    posts.crowd(100..400, 2, "#monday #cat");
    // One account can't do it alone, however loud.
    (0..200).for_each(|_| posts.crowd(7..8, 3, "#flu #buynow"));
    // Twenty have said so once, and deleted it.
    posts.crowd(40..60, 4, "#flu #regret");
    for id in posts.1 - 19..=posts.1 {
        let _ = writeln!(
            posts.0,
            "{}",
            json!({ "id": id.to_string(), "author": (40 + id - (posts.1 - 19)).to_string(), "created_at": "2026-11-05T00:00:00Z", "op": "delete" })
        );
    }
    folder.write("posts.ndjson", &posts.0);

    let said = folder.output(&["topics", "emerging", "posts.ndjson"]).ends(0);
    let table = "topic,tag,accounts,topic_accounts,tag_accounts,all_accounts,lift\n";
    let cough = "cough,kloof2026,12,12,12,324,27.00\n";
    let flu = "influenza,birdlife,12,12,12,324,27.00\ninfluenza,xbb9,12,12,12,324,27.00\n";
    assert_eq!(said.stdout(), format!("{table}{cough}{flu}"));

    let reversed: Vec<&str> = posts.0.lines().rev().collect();
    folder.write("reversed.ndjson", reversed.join("\n"));
    assert_eq!(
        folder.output(&["topics", "emerging", "reversed.ndjson"]).ends(0).stdout(),
        said.stdout()
    );
    let twice = folder.output(&["topics", "emerging", "posts.ndjson", "reversed.ndjson"]).ends(0);
    assert_eq!(twice.stdout(), said.stdout(), "duplicates");

    let of_one = folder
        .output(&["topics", "emerging", "--topic", "influenza", "posts.ndjson"])
        .ends(0)
        .stdout();
    assert_eq!(of_one, format!("{table}{flu}"));
    let late = folder
        .output(&["topics", "emerging", "--from", "2026-11-10", "--lift-min", "1", "posts.ndjson"])
        .ends(0)
        .stdout();
    assert_eq!(late, format!("{table}cough,kloof2026,12,12,12,12,1.00\n"));
    let json = lines(
        &folder
            .output(&["topics", "emerging", "--topic", "cough", "--json", "posts.ndjson"])
            .ends(0)
            .stdout(),
    );
    let cough = json!({ "topic": "cough", "tag": "kloof2026", "accounts": 12, "topic_accounts": 12, "tag_accounts": 12, "all_accounts": 324, "lift": 27.0 });
    assert_eq!(json, [cough]);

    let refused = folder
        .output(&["topics", "emerging", "--topic", "hiv-aids", "posts.ndjson"])
        .ends(64)
        .stderr();
    assert!(refused.starts_with("error: `hiv-aids` is sensitive"), "{refused}");
    folder.output(&["topics", "emerging"]).ends(64);
    folder.output(&["topics", "emerging", "--lift-min", "0.5", "posts.ndjson"]).ends(64);
    folder.output(&["topics", "emerging", "--from", "soon", "posts.ndjson"]).ends(64);
    folder.output(&["topics", "emerging", "nowhere.ndjson"]).ends(1);
}

#[test]
fn tags_emerge_from_the_retained_stream_as_from_the_file() {
    let folder = Folder::new();
    let mut posts = Posts(String::new(), 0);
    posts.crowd(0..15, 2, "#flu #XBB9");
    posts.crowd(0..15, 3, "#cough #kloof");
    posts.crowd(100..200, 2, "#cat");
    folder.write("posts.ndjson", &posts.0);
    folder.write(
        "run.toml",
        "[web]\nlisten = \"127.0.0.1:0\"\n[[feeds]]\nname = \"posts\"\nkind = \
        \"file\"\npath = \"posts.ndjson\"\n",
    );
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    let of_file = folder.output(&["topics", "emerging", "posts.ndjson"]).ends(0).stdout();
    assert_eq!(of_file.lines().count(), 3, "{of_file}");
    assert_eq!(
        folder.output(&["--config", "run.toml", "topics", "emerging", "--log"]).ends(0).stdout(),
        of_file
    );
    let nothing = folder
        .output(&["topics", "emerging", "--log", "--set", "journal.data=nowhere"])
        .ends(64)
        .stderr();
    assert!(nothing.starts_with("error: no data folder"), "{nothing}");
}

#[test]
fn a_hashtag_added_later_is_counted_in_the_retained_stream() {
    let folder = Folder::new();
    let mut posts = Posts(String::new(), 0);
    posts.crowd(0..15, 2, "#flu #birdlife");
    posts.crowd(20..27, 2, "#xbb9 again");
    posts.crowd(30..33, 3, "nothing but a nasty grip");
    posts.crowd(100..110, 2, "#cat");
    folder.write("posts.ndjson", &posts.0);
    let flu = |tags: &str| {
        let phrases = "phrases = { en = [\"nasty grip\"] }";
        format!(
            "[[topic]]\nid = \"flu\"\nkind = \"disease\"\nname = \"Flu\"\ntags = {{ any = [{tags}] \
                }}\n{phrases}\n"
        )
    };
    folder.write("flu.toml", flu("\"flu\""));
    let feed = "[[feeds]]\nname = \"posts\"\nkind = \"file\"\npath = \"posts.ndjson\"\n";
    folder.write(
        "run.toml",
        format!("[topics]\nfiles = [\"flu.toml\"]\n[web]\nlisten = \"127.0.0.1:0\"\n{feed}"),
    );
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);

    let counts = |args: &[&str]| {
        folder
            .output(&[&["--config", "run.toml", "replay", "--counts", "-"], args].concat())
            .ends(0)
            .stdout()
    };
    let before = counts(&["--log"]);
    let bats = "\n[[topic]]\nid = \"bats\"\nkind = \"disease\"\nname = \"Bats\"\ntags = { any = \
        [\"birdlife\"] }\n";
    folder.write("flu.toml", flu("\"flu\", \"xbb9\"") + bats);
    assert_eq!(counts(&["--log"]), before, "what was decided stays decided");
    let anew = counts(&["--log", "--topics-anew"]);
    assert_eq!(anew, counts(&["posts.ndjson"]));
    assert!(
        anew.contains("bats,001,1793620800,15,15,15,32\n")
            && anew.contains("flu,001,1793620800,22,22,22,32\n"),
        "{anew}"
    );
    folder.output(&["replay", "posts.ndjson", "--topics-anew"]).ends(64);
}
