//! `simulate`: a seeded made-up stream of posts to standard output.

use std::io::{BufWriter, Write, stdout};

use simulation::{Plan, World, WorldOptions};

use super::Failure;
use crate::cli::{Happening, Simulate};

pub(crate) fn run(args: &Simulate) -> Result<(), Failure> {
    let mut options = match args.days {
        Some(days) if days > 0.0 && days.is_finite() && days <= 3650.0 => {
            WorldOptions::posts_over(args.posts, days)
        }
        Some(days) => {
            return Err(Failure::usage(
                format!("`--days {days}` is not a number of days"),
                "give a positive number up to 3650",
            ));
        }
        None => WorldOptions::posts(args.posts),
    };
    let plan = match args.events {
        Happening::All => Plan::All,
        Happening::Nothing => Plan::Nothing,
        Happening::Platform => Plan::Platform,
    };
    options.events = plan.events(&options);
    let mut world = World::new(args.seed, options);
    let mut out = BufWriter::with_capacity(1 << 16, stdout().lock());
    let mut line = String::new();
    while world.next_line(&mut line).is_some() {
        line.push('\n');
        out.write_all(line.as_bytes())?;
    }
    out.flush()?;
    Ok(())
}
