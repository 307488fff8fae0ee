//! Classic judge: a detector that compares a series with its own past.
//!
//! Called by [`super::Judge`]. The detectors are in [`crate::detectors`].

use record::{Grounds, PastWindow};

use super::{Assessment, Baselines, SeriesAt};
use crate::detectors::{Judgement, Method, judge_last};
use crate::watch::series::Bound;

pub(super) fn judge(method: &Method, at: &SeriesAt, baselines: &mut Baselines) -> Assessment {
    let ends = baselines.ends(at, 0);
    let length = at.ledger.window_length(at.key, at.series, &ends);
    let past = at.past(length, ends.of_length(length));
    let judgement = judge_count(method, past, at.observed(length));
    // Only what is raised is ever computed again.
    let grounds = match judgement.alarm {
        Some(true) => ground(at, &judgement, baselines),
        _ => Grounds::default(),
    };
    Assessment { length, judgement, grounds, recurrence: None, chart: at.series.chart }
}

pub(super) fn bound(method: &Method, at: &SeriesAt, baselines: &mut Baselines) -> Bound {
    let ends = baselines.ends(at, 0);
    let length = at.ledger.window_length(at.key, at.series, &ends);
    let judgement = judge_count(method, at.past(length, ends.of_length(length)), 0);
    Bound {
        length,
        expected: judgement.expected.unwrap_or(0.0),
        upperbound: judgement.upperbound,
        fired: false,
    }
}

/// What a judgement rests on, so that it can be computed again.
pub(super) fn ground(at: &SeriesAt, judgement: &Judgement, baselines: &mut Baselines) -> Grounds {
    let ends = baselines.ends(at, 0);
    let length = at.ledger.window_length(at.key, at.series, &ends);
    let ends = ends.of_length(length);
    let used = ends.iter().zip(at.past(length, ends));
    let baseline: Vec<PastWindow> = used
        .filter_map(|((end, _), value)| Some((*end, value?)))
        .map(|(end, value)| PastWindow { end, observed: value as u32, exposure: 1.0 })
        .collect();
    Grounds {
        pvalue: judgement.pvalue,
        baseline_from: baseline.first().map(|window| window.end - length),
        baseline_to: baseline.last().map(|window| window.end),
        reason: judgement.reason,
        baseline,
        ..Grounds::default()
    }
}

pub(super) fn expected(method: &Method, past: Vec<Option<f64>>) -> f64 {
    judge_count(method, past, 0).expected.unwrap_or(0.0)
}

/// Judges a count against the past of its series.
fn judge_count(method: &Method, mut past: Vec<Option<f64>>, observed: u32) -> Judgement {
    past.push(Some(f64::from(observed)));
    judge_last(method, &past)
}
