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
    pub fn of(alert: &Alert, windows: &[Point]) -> Option<Course> {
        let latest = *windows.last()?;
        let quiet = windows.iter().rev().take_while(|point| !point.is_alarm);
        let phase = if alert.state == AlertState::Open {
            Phase::of(windows, latest, alert.window_length)
        } else {
            Phase::Ended
        };
        Some(Course {
            peak: highest(windows.iter())?,
            latest,
            phase,
            below_since: quiet.last().map(|point| point.end),
        })
    }
}

impl Phase {
    /// Counts differ where they do by more than twice the standard error of the difference of two
    /// Poisson counts. It falls where the latest is below the highest window that overlaps it or
    /// below the one a length before, and rises where it is above that one and in alarm.
    fn of(windows: &[Point], latest: Point, length: Micros) -> Phase {
        let is_overlapping = |point: &&Point| point.end > latest.end - length;
        let recent = highest(windows.iter().filter(is_overlapping)).unwrap_or(latest);
        let before = windows.iter().rev().find(|point| !is_overlapping(point));
        let before = before.map_or(0, |point| point.observed);
        if is_above(recent.observed, latest.observed) || is_above(before, latest.observed) {
            Phase::Falling
        } else if latest.is_alarm && is_above(latest.observed, before) {
            Phase::Rising
        } else {
            Phase::Steady
        }
    }
}

fn is_above(one: u32, other: u32) -> bool {
    let (one, other) = (f64::from(one), f64::from(other));
    one - other > 2.0 * (one + other).sqrt()
}

/// The first of those with the largest count.
fn highest<'a>(windows: impl Iterator<Item = &'a Point>) -> Option<Point> {
    windows.copied().reduce(|peak, point| if point.observed > peak.observed { point } else { peak })
}
