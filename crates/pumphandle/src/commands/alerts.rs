//! `alerts`: the loop from a terminal.

pub(super) mod ack;
mod deliveries;
mod recompute;

use std::io::{BufWriter, Write, stdout};

use journal::{Journal, Stream};
use record::{Alert, AlertEvent, AlertFold, Record};
use warehouse::{AlertQuery, Hold};

use super::{Failure, quoted};
use crate::cli::AlertsCommand;
use crate::config::Config;
use crate::near;
use crate::printer::{self, Sentences};
use crate::roles::stores;
use crate::runtime::each_retained;

pub(crate) fn run(config: &Config, command: &AlertsCommand) -> Result<(), Failure> {
    match command {
        AlertsCommand::List { log: true, json } => {
            list_log(&*stores::journal(config)?, config, *json)
        }
        AlertsCommand::List { json, .. } => list(config, *json),
        AlertsCommand::Show { id, json } => show(config, id, *json),
        AlertsCommand::Ack(args) => ack::run(config, args),
        AlertsCommand::WhyNot { topic, region } => why_not(config, topic, region),
        AlertsCommand::Recompute { id } => recompute::run(config, id),
    }
}

fn list(config: &Config, json: bool) -> Result<(), Failure> {
    let warehouse = super::export::open(config)?;
    let mut out = BufWriter::new(stdout().lock());
    let mut lines = Lines::new(config, json);
    for entry in warehouse.alerts(&AlertQuery { limit: usize::MAX, ..AlertQuery::default() })? {
        lines.write(&entry.alert, &entry.events, &mut out)?;
    }
    lines.end("no alerts", &mut out)?;
    Ok(out.flush()?)
}

fn show(config: &Config, id: &str, json: bool) -> Result<(), Failure> {
    let warehouse = super::export::open(config)?;
    let Some(story) = warehouse.alert(id)? else {
        return Err(anyhow::anyhow!("no alert `{id}`").into());
    };
    let mut out = BufWriter::new(stdout().lock());
    let mut lines = Lines::new(config, json);
    for alert in &story.revisions {
        lines.write(alert, &story.events, &mut out)?;
    }
    if let (Some(sentences), Some(last)) = (&lines.sentences, story.revisions.last()) {
        let course = warehouse::course(&*warehouse, last)?;
        for line in sentences.details(last, course.as_ref()) {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(out.flush()?)
}

/// Alerts as this run prints them.
struct Lines {
    sentences: Option<Sentences>,
    count: usize,
}

impl Lines {
    fn new(config: &Config, json: bool) -> Lines {
        Lines { sentences: printer::is_for_people(json).then(|| Sentences::of(config)), count: 0 }
    }

    fn write(
        &mut self,
        alert: &Alert,
        events: &[AlertEvent],
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        self.count += 1;
        match &self.sentences {
            Some(sentences) => writeln!(out, "{}", sentences.listed(alert, events))?,
            None => printer::write_json(alert, out)?,
        }
        Ok(())
    }

    /// A person who sees nothing can't know that it is all.
    fn end(&self, nothing: &str, out: &mut impl Write) -> Result<(), Failure> {
        if self.sentences.is_some() && self.count == 0 {
            writeln!(out, "{nothing}")?;
        }
        Ok(())
    }
}

fn why_not(config: &Config, topic: &str, region: &str) -> Result<(), Failure> {
    let why = warehouse::why_not(&*super::export::open(config)?, topic, region)?;
    if let [hold @ Hold::NothingYet] = why.holds.as_slice() {
        return Err(Failure::usage(hold.to_string(), "run `pumphandle run` first"));
    }
    if let [Hold::UnknownTopic { .. }] = why.holds.as_slice() {
        let hint = near::hint(
            near::topic(&config.topics.lexicon, topic),
            "`pumphandle topics list` names all that are watched",
        );
        return Err(Failure::usage(format!("no topic `{}` is watched", quoted(topic)), hint));
    }
    let is_unknown = matches!(why.holds.as_slice(), [Hold::UnknownRegion { .. }]);
    // A language that nobody writes in has no posts; `lang:Bavarian` is none.
    let is_unknown = is_unknown
        || (!config.places.knows(&why.region) && matches!(why.holds.as_slice(), [Hold::NoPosts]));
    if is_unknown {
        let hint = near::hint(
            near::region(&config.places.placing.atlas, region),
            "`pumphandle regions list` names all that are known",
        );
        return Err(Failure::usage(format!("there is no region `{}`", quoted(region)), hint));
    }
    let mut out = stdout().lock();
    write!(out, "{why}")?;
    if let Some(alert) = &why.alert {
        for line in deliveries::lines(config, &alert.id, topic, region)? {
            writeln!(out, "budget:    {line}")?;
        }
    }
    Ok(())
}

/// Alerts are retained in their stream without limit, from the moment they fire.
fn list_log(journal: &dyn Journal, config: &Config, json: bool) -> Result<(), Failure> {
    let mut fold = AlertFold::default();
    each_retained(journal, Stream::Alerts, 0, |record| {
        match record {
            Record::Alert(alert) => fold.apply(alert),
            Record::AlertEvent(event) => fold.apply_event(event),
            _ => false,
        };
        Ok::<(), Failure>(())
    })?;
    let mut alerts: Vec<_> = fold.entries().collect();
    alerts.sort_by_key(|(alert, _)| (std::cmp::Reverse(alert.fired_at), &alert.id));
    let mut lines = Lines::new(config, json);
    let mut out = BufWriter::new(stdout().lock());
    for (alert, events) in alerts {
        lines.write(alert, events, &mut out)?;
    }
    lines.end("no alerts", &mut out)?;
    out.flush()?;
    Ok(())
}
