//! `alerts`: the loop from a terminal.

pub(super) mod ack;
mod heard;
mod recompute;

use std::io::{BufWriter, Write, stdout};

use journal::{Journal, Stream};
use record::{Alert, AlertFold, Record};
use warehouse::{AlertLine, AlertQuery, Hold};

use super::Failure;
use crate::cli::AlertsCommand;
use crate::config::Config;
use crate::drive::each_retained;
use crate::roles::stores;

pub(crate) fn run(config: &Config, command: &AlertsCommand) -> Result<(), Failure> {
    match command {
        AlertsCommand::List { log: true } => return list_log(&*stores::journal(config)?),
        AlertsCommand::Ack(args) => return ack::run(config, args),
        AlertsCommand::WhyNot { topic, region } => return why_not(config, topic, region),
        AlertsCommand::Recompute { id } => return recompute::run(config, id),
        AlertsCommand::List { .. } | AlertsCommand::Show { .. } => {}
    }
    let warehouse = super::export::open(config)?;
    let mut out = BufWriter::new(stdout().lock());
    match command {
        AlertsCommand::List { .. } => {
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
        AlertsCommand::WhyNot { .. } | AlertsCommand::Recompute { .. } | AlertsCommand::Ack(_) => {}
    }
    out.flush()?;
    Ok(())
}

fn why_not(config: &Config, topic: &str, region: &str) -> Result<(), Failure> {
    let why = warehouse::why_not(&*super::export::open(config)?, topic, region)?;
    if let [hold @ Hold::NothingYet] = why.holds.as_slice() {
        return Err(Failure::usage(hold.to_string(), "run `pumphandle run` first"));
    }
    if let [hold @ (Hold::UnknownTopic { .. } | Hold::UnknownRegion { .. })] = why.holds.as_slice() {
        return Err(Failure::usage(format!("`{topic}` in `{region}`: {hold}"), String::new()));
    }
    let mut out = stdout().lock();
    write!(out, "{why}")?;
    if let Some(alert) = &why.alert {
        for line in heard::lines(config, &alert.id, topic, region)? {
            writeln!(out, "budget:    {line}")?;
        }
    }
    Ok(())
}

/// Alerts are kept in their stream for ever, and stand there as soon as they are fired.
fn list_log(journal: &dyn Journal) -> Result<(), Failure> {
    let mut fold = AlertFold::default();
    each_retained(journal, Stream::Alerts, 0, |record| {
        match record {
            Record::Alert(alert) => fold.apply(alert),
            Record::AlertEvent(event) => fold.apply_event(event),
            _ => false,
        };
        Ok::<(), Failure>(())
    })?;
    let mut alerts: Vec<&Alert> = fold.alerts().collect();
    alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.fired_at), &alert.id));
    let mut out = BufWriter::new(stdout().lock());
    for alert in alerts {
        serde_json::to_writer(&mut out, &AlertLine::from(alert))?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}
