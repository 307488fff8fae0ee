//! Recomputation of an alert from its stored grounds, as proof of its numbers.
//!
//! Knows an alert and the parameters of its method; asks no store and no log.

use record::{Alert, Grounds, PastWindow};
use thiserror::Error;

use crate::detectors::{Judgement, Method, judge_last};
use crate::watch;

/// Most windows between the oldest of a baseline and the judged one.
const WINDOWS_MAX: i64 = 10_000;

/// Why an alert can't be computed again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecomputeError {
    /// It was raised before baselines were stored with alerts.
    #[error("nothing is stored with the alert that it could be computed from")]
    NoBaseline,
    /// The windows of its baseline don't lie a whole number of windows before its own.
    #[error(
        "the baseline that is stored with the alert is none of its window's: a window ends at {end}"
    )]
    Spacing {
        /// End of the window that doesn't fit.
        end: i64,
    },
    /// Its method, or one of the method's parameters, is unknown here.
    #[error("method `{method}`: {why}")]
    Method {
        /// As stored.
        method: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Judges the alert's window by its method, from its baseline: windows that were left out of it are
/// left out again.
pub fn recompute(alert: &Alert, params: &[(String, String)]) -> Result<Judgement, RecomputeError> {
    if let Some(judgement) = watch::recompute(&alert.grounds, alert.window_end, alert.observed) {
        return Ok(judgement);
    }
    let Grounds { baseline, .. } = &*alert.grounds;
    let method = Method::parse(&alert.method, params).map_err(|why| RecomputeError::Method {
        method: alert.method.clone(),
        why: why.to_string(),
    })?;
    let oldest =
        baseline.iter().map(|window| window.end).min().ok_or(RecomputeError::NoBaseline)?;
    let place = |end: i64| {
        let back = alert.window_end - end;
        let fits = alert.window_length > 0
            && back > 0
            && back % alert.window_length == 0
            && back / alert.window_length <= WINDOWS_MAX;
        if fits {
            Ok((back / alert.window_length) as usize)
        } else {
            Err(RecomputeError::Spacing { end })
        }
    };
    let mut counts: Vec<Option<f64>> = vec![None; place(oldest)?];
    let length = counts.len();
    for PastWindow { end, observed, .. } in baseline {
        counts[length - place(*end)?] = Some(f64::from(*observed));
    }
    counts.push(Some(f64::from(alert.observed)));
    Ok(judge_last(&method, &counts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::time::DAY;
    use record::{AlertState, Explanation, Stage, Version};

    fn alert(baseline: Vec<PastWindow>, observed: u32) -> Alert {
        Alert {
            id: "a".into(),
            revision: 0,
            topic: "flu".into(),
            topic_name: "Influenza".into(),
            region: "DE".into(),
            regions: vec!["DE".into()],
            opened_at: 99 * DAY,
            fired_at: 100 * DAY,
            window_end: 100 * DAY,
            window_length: DAY,
            stage: Stage::Final,
            state: AlertState::Open,
            severity: 1,
            observed,
            posts: observed,
            population: 0,
            expected: 0.0,
            upperbound: 0.0,
            recurrence: None,
            method: "eears".into(),
            coverage: 1.0,
            explanation: Explanation::default(),
            version: Version(1),
            grounds: Box::new(Grounds { baseline, ..Grounds::default() }),
        }
    }

    fn windows(counts: &[Option<u32>]) -> Vec<PastWindow> {
        let window = |(back, count): (i64, &Option<u32>)| {
            count.map(|observed| PastWindow { end: (100 - back) * DAY, observed, exposure: 1.0 })
        };
        let mut windows: Vec<PastWindow> =
            (1..).zip(counts.iter().rev()).filter_map(window).collect();
        windows.reverse();
        windows
    }

    #[test]
    fn gaps_stay_gaps() {
        for past in [
            vec![Some(4), Some(2), Some(9), Some(3), Some(1), Some(6), Some(2)],
            vec![Some(50), Some(40), Some(4), None, Some(9), Some(3), None, Some(6), Some(2)],
            vec![Some(7), Some(5), Some(6), None],
        ] {
            let mut counts: Vec<Option<f64>> =
                past.iter().map(|count| count.map(f64::from)).collect();
            counts.push(Some(31.0));
            let straight = judge_last(&Method::parse("eears", &[]).unwrap(), &counts);
            assert_eq!(recompute(&alert(windows(&past), 31), &[]), Ok(straight));
            assert_eq!(straight.alarm, Some(true));
        }
    }

    #[test]
    fn what_cannot_be_computed_again_says_why() {
        assert_eq!(recompute(&alert(Vec::new(), 3), &[]), Err(RecomputeError::NoBaseline));
        let mut odd = windows(&[Some(1), Some(2), Some(3)]);
        odd[1].end += 1;
        assert!(matches!(recompute(&alert(odd, 3), &[]), Err(RecomputeError::Spacing { .. })));
        let later = vec![PastWindow { end: 100 * DAY, observed: 1, exposure: 1.0 }];
        assert!(matches!(recompute(&alert(later, 3), &[]), Err(RecomputeError::Spacing { .. })));
        let unknown = Alert { method: "oracle".into(), ..alert(windows(&[Some(1)]), 3) };
        assert!(
            recompute(&unknown, &[]).unwrap_err().to_string().contains("unknown method `oracle`")
        );
    }
}
