//! Places the lines of standard input as profiles, for trying things out by hand.
#![allow(clippy::print_stdout, reason = "a tool run by hand")]

use atlas::{Atlas, Meaning};

fn main() {
    let atlas = Atlas::new();
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let located = atlas.locate_text(&line, Meaning::AuthorHome);
        let flags: Vec<&str> = located.flags.names().collect();
        println!(
            "{line}\t{}\t{:.2}\t{}\t{}",
            located.region,
            located.confidence,
            flags.join(" "),
            located.reason.map_or("", |reason| reason.name())
        );
    }
}
