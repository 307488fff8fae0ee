//! `alerts recompute`: an alert's numbers again, beside those that were stored.

use std::io::{Write, stdout};

use anyhow::{Context, anyhow};
use record::time::display;

use crate::commands::Failure;
use crate::config::Config;

/// Relative difference above which two numbers aren't the same.
const TOLERANCE: f64 = 1e-9;

pub(super) fn run(config: &Config, id: &str) -> Result<(), Failure> {
    let warehouse = super::super::export::open(config)?;
    let story = warehouse.alert(id)?.ok_or_else(|| anyhow!("no alert `{id}`"))?;
    let alert = story.revisions.last().ok_or_else(|| anyhow!("no alert `{id}`"))?;
    let params = warehouse.settings()?.map(|settings| settings.detect.params).unwrap_or_default();
    let again = surveillance::recompute(alert, &params)
        .with_context(|| format!("alert `{id}` cannot be recomputed"))?;
    let mut out = stdout().lock();
    writeln!(out, "alert {id}, revision {}: {} in {}", alert.revision, alert.topic, alert.region)?;
    writeln!(
        out,
        "window:     {} s to {} ({})",
        alert.window_length / record::time::SECOND,
        display(alert.window_end),
        alert.stage.name()
    )?;
    writeln!(out, "method:     {}", alert.method)?;
    let baseline: Vec<String> =
        alert.grounds.baseline.iter().map(|window| window.observed.to_string()).collect();
    writeln!(out, "baseline:   {} windows: {}", baseline.len(), baseline.join(" "))?;
    writeln!(out, "observed:   {}", alert.observed)?;
    let mut differs = false;
    for (name, stored, again) in [
        ("expected:  ", Some(alert.expected), again.expected),
        ("upperbound:", Some(alert.upperbound), again.upperbound),
        (
            "pvalue:    ",
            alert.grounds.pvalue,
            again.pvalue.filter(|_| alert.grounds.pvalue.is_some()),
        ),
    ] {
        let text =
            |number: Option<f64>| number.map_or("none".to_owned(), |number| number.to_string());
        let same = match (stored, again) {
            (Some(one), Some(two)) => (one - two).abs() <= TOLERANCE * one.abs().max(two.abs()),
            (one, two) => one == two,
        };
        differs |= !same;
        writeln!(
            out,
            "{name} {} stored, {} recomputed{}",
            text(stored),
            text(again),
            if same { "" } else { ": DIFFERENT" }
        )?;
    }
    if differs {
        let why = match alert.stage {
            record::Stage::Early => {
                "the alert is early: its bound was set when its window opened, and late posts may \
                    have changed the baseline"
            }
            _ => "were the detector's parameters changed?",
        };
        return Err(anyhow!("alert `{id}` differs from its recomputation; {why}").into());
    }
    writeln!(out, "the same")?;
    Ok(())
}
