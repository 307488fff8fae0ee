//! `reference`: numbers of others to compare with.

use std::fs::File;
use std::io::{Read, Write, stdin, stdout};

use anyhow::Context;

use super::Failure;
use crate::cli::ReferenceCommand;
use crate::config::Config;
use crate::roles::stores;

pub(crate) fn run(config: &Config, command: &ReferenceCommand) -> Result<(), Failure> {
    let ReferenceCommand::Load { file } = command;
    let reader: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(stdin().lock()),
        _ => Box::new(File::open(file).with_context(|| format!("failed to open `{}`", file.display()))?),
    };
    let rows = warehouse::load_reference(&*stores::warehouse(config)?, reader)?;
    writeln!(stdout().lock(), "{rows} rows loaded")?;
    Ok(())
}
