//! What is set aside can be listed and tried again; numbers of others can be loaded; a page can be
//! asked whether it is ready.

use crate::program::{Folder, LONG, until};
use crate::recount::assert_same;
use crate::run::{exported, replayed};

const RUN: &str = r#"
    [web]
    listen = "127.0.0.1:0"
    [[feeds]]
    name = "posts"
    kind = "file"
    path = "posts.ndjson"
"#;

fn posts(folder: &Folder) {
    let deep = r#"{"id":"2","author":"b","created_at":1767571210,"tags":["flu"],"region":"DE","more":[[[[[[[[[[]]]]]]]]]]}"#;
    let lines = [
        r#"{"id":"1","author":"a","created_at":1767571200,"tags":["flu"],"region":"DE"}"#,
        deep,
        r#"{"id":"3","author":"c","created_at":1767571220,"#,
        r#"{"id":"4","author":"d","created_at":1767571230,"tags":["flu"],"region":"DE"}"#,
    ];
    folder.write("posts.ndjson", lines.join("\n") + "\n");
    folder.write("run.toml", RUN);
}

#[test]
fn a_line_that_a_limit_kept_out_is_taken_once_the_limit_is_raised() {
    let folder = Folder::new();
    posts(&folder);
    let mut running = folder.start(&["run", "--config", "run.toml", "--set", "limits.depth=8"]);
    until(LONG, "all to be read", || running.log().contains("read to its end").then_some(()));
    running.signal("TERM");
    running.ends(0);

    let list = folder.output(&["rejects", "list", "--config", "run.toml"]).ends(0).stdout();
    let rows: Vec<&str> = list.lines().collect();
    assert_eq!(rows[0], "feed,place,line,reason,length,hash,detail");
    assert_eq!(rows.len(), 3, "{list}");
    assert!(
        rows[1].contains("posts.ndjson,2,depth,") && rows[2].contains("posts.ndjson,3,"),
        "{list}"
    );

    let said = folder.output(&["rejects", "replay", "--config", "run.toml"]).ends(0).stdout();
    assert!(said.starts_with("1 taken, 1 rejected again, 0 not found as they were"), "{said}");
    // Nothing is counted twice, however often it is tried.
    folder.output(&["rejects", "replay", "--config", "run.toml"]).ends(0);
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    assert_same("tried again", &exported(&folder), &replayed(&folder));
    let ended = folder.output(&["rejects", "replay", "--config", "run.toml"]).ends(64).stderr();
    assert!(ended.starts_with("error: the log is closed") && ended.contains("hint: "), "{ended}");
}

#[test]
fn a_line_that_was_edited_since_is_left_alone() {
    let folder = Folder::new();
    posts(&folder);
    let mut running = folder.start(&["run", "--config", "run.toml", "--set", "limits.depth=8"]);
    until(LONG, "all to be read", || running.log().contains("read to its end").then_some(()));
    running.signal("TERM");
    running.ends(0);
    folder.write("posts.ndjson", "{}\n{}\n{}\n{}\n");
    let said = folder.output(&["rejects", "replay", "--config", "run.toml"]).ends(0).stdout();
    assert!(said.starts_with("0 taken, 0 rejected again, 2 not found as they were"), "{said}");
}

#[test]
fn case_series_are_loaded_whole_or_not_at_all() {
    let folder = Folder::new();
    posts(&folder);
    folder.output(&["run", "--config", "run.toml", "--until-drained"]).ends(0);
    folder.write(
        "cases.csv",
        "series,region,date,value\nilinet,US,2026-01-05,2.5\nilinet,US,2026-01-12,much\n",
    );
    let load = || folder.output(&["reference", "load", "cases.csv", "--config", "run.toml"]);
    let said = load().ends(1).stderr();
    assert!(said.contains("line 3, `value`"), "{said}");
    folder.write(
        "cases.csv",
        "series,region,date,value\nilinet,US,2026-01-05,2.5\nilinet,US,2026-01-12,3\n",
    );
    for _ in 0..2 {
        assert_eq!(load().ends(0).stdout(), "2 rows loaded\n");
    }
    let rows =
        folder.output(&["export", "--config", "run.toml", "--table", "reference"]).ends(0).stdout();
    assert_eq!(rows.lines().count(), 3, "{rows}");
}

#[test]
fn a_page_is_healthy_while_it_is_there() {
    let folder = Folder::new();
    posts(&folder);
    let mut running = folder.start(&["run", "--config", "run.toml"]);
    let address = running.page();
    until(LONG, "the page", || running.get("/readyz"));
    folder.output(&["health", &address]).ends(0);
    folder.output(&["health", "--set", &format!("web.listen={address}")]).ends(0);
    running.signal("TERM");
    running.ends(0);
    let gone = folder.output(&["health", &address]).ends(1).stderr();
    assert!(gone.starts_with(&format!("error: failed to ask `http://{address}/readyz`")), "{gone}");
}
