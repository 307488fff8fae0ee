//! How the rise behind an alert went: its peak, the latest judged window, and what it does now.

use crate::output::{Alert, AlertState};
use crate::time::Micros;

/// A judged window of an alert's series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub end: Micros,
    pub observed: u32,
    pub expected: Option<f64>,
    pub upperbound: Option<f64>,
    pub is_alarm: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Phase {
    Rising,
    Steady,
    Falling,
    /// The alert is closed or withdrawn.
    Ended,
}

impl Phase {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// The first of the windows with the largest count.
    pub peak: Point,
    pub latest: Point,
    pub phase: Phase,
    /// The end of the first of the latest windows that are not in alarm; none while it is in alarm.
    pub below_since: Option<Micros>,
}

impl Course {
    /// `windows`: those of the alert's length since it opened, by end; none where there is none.
    ///
    /// It rises or falls where the latest count differs from the one a window's length before by
    /// more than twice the standard error of the difference of two Poisson counts.
    pub fn of(alert: &Alert, windows: &[Point]) -> Option<Course> {
        let latest = *windows.last()?;
        let peak = windows
            .iter()
            .copied()
            .reduce(|peak, point| if point.observed > peak.observed { point } else { peak })?;
        let quiet = windows.iter().rev().take_while(|point| !point.is_alarm);
        let before = latest.end - alert.window_length;
        let before = windows.iter().rev().find(|point| point.end <= before);
        let phase = if alert.state == AlertState::Open {
            Phase::between(before.map_or(0, |point| point.observed), latest.observed)
        } else {
            Phase::Ended
        };
        Some(Course { peak, latest, phase, below_since: quiet.last().map(|point| point.end) })
    }
}

impl Phase {
    fn between(before: u32, now: u32) -> Phase {
        let (before, now) = (f64::from(before), f64::from(now));
        let error = (before + now).sqrt();
        match now - before {
            difference if difference > 2.0 * error => Phase::Rising,
            difference if difference < -2.0 * error => Phase::Falling,
            _ => Phase::Steady,
        }
    }
}
