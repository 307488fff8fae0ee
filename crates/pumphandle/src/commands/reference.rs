//! `reference`: numbers of others to compare with.

use std::fs::File;
use std::io::{Read, Write, stdin, stdout};

use anyhow::Context;

use super::Failure;
use crate::cli::ReferenceCommand;
use crate::config::Config;
use crate::near;
use crate::roles::stores;

/// Characters of a wrong value that a message quotes.
const QUOTED_CHARS_MAX: usize = 120;

pub(crate) fn run(config: &Config, command: &ReferenceCommand) -> Result<(), Failure> {
    let ReferenceCommand::Load { file } = command;
    let reader: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(stdin().lock()),
        _ => Box::new(
            File::open(file).with_context(|| format!("failed to open `{}`", file.display()))?,
        ),
    };
    let rows = warehouse::load_reference(&*stores::warehouse(config)?, reader, &|region| {
        known(config, region)
    })?;
    writeln!(stdout().lock(), "{rows} rows loaded")?;
    Ok(())
}

/// Rows of an unknown region would be loaded and never shown beside any count.
fn known(config: &Config, region: &str) -> Result<(), String> {
    if config.places.knows(region) {
        return Ok(());
    }
    let shown: String = region.chars().take(QUOTED_CHARS_MAX).collect();
    let hint = near::hint(
        near::region(&config.places.placing.atlas, region),
        "`pumphandle regions list` lists all",
    );
    Err(format!("there is no region `{shown}`; {hint}"))
}
