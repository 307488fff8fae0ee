//! `alerts`: the loop from a terminal.

use std::io::{BufWriter, Write, stdout};

use warehouse::{AlertLine, AlertQuery};

use super::Failure;
use crate::cli::AlertsCommand;
use crate::config::Config;

pub(crate) fn run(config: &Config, command: &AlertsCommand) -> Result<(), Failure> {
    let warehouse = super::export::open(config)?;
    let mut out = BufWriter::new(stdout().lock());
    match command {
        AlertsCommand::List => {
            for entry in warehouse.alerts(&AlertQuery { limit: usize::MAX, ..AlertQuery::default() })? {
                serde_json::to_writer(&mut out, &AlertLine::from(&entry.alert))?;
                out.write_all(b"\n")?;
            }
        }
        AlertsCommand::Show { id } => {
            let Some(story) = warehouse.alert(id)? else {
                return Err(anyhow::anyhow!("no alert `{id}`").into());
            };
            for alert in &story.revisions {
                serde_json::to_writer(&mut out, &AlertLine::from(alert))?;
                out.write_all(b"\n")?;
            }
        }
    }
    out.flush()?;
    Ok(())
}
