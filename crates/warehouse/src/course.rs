//! The windows of an alert's series since it opened, from its verdicts.

use record::alerts::{Course, Point};
use record::{Alert, Micros, Reason};

use crate::error::WarehouseError;
use crate::port::{Judged, Reading, SeriesQuery};

/// Eight weeks of hourly windows, and some.
const VERDICTS_MAX: usize = 2_000;

/// The peak, the latest window and the phase of an alert; none where no window was judged.
///
/// Windows of which too little was seen are left out. A course that is longer than what is read
/// begins later.
pub fn course(warehouse: &dyn Reading, alert: &Alert) -> Result<Option<Course>, WarehouseError> {
    let query = SeriesQuery {
        topic: alert.topic.clone(),
        region: alert.region.clone(),
        from: alert.opened_at,
        to: Micros::MAX,
        limit: VERDICTS_MAX,
        only: Some(alert.window_length),
    };
    let is_its = |judged: &Judged| {
        judged.length == alert.window_length
            && judged.method == alert.method
            && judged.end >= alert.opened_at.saturating_add(alert.window_length)
            && judged.reason != Some(Reason::Coverage)
    };
    let windows: Vec<Point> = warehouse
        .series(&query)?
        .verdicts
        .iter()
        .filter(|judged| is_its(judged))
        .map(|judged| Point {
            end: judged.end,
            observed: judged.observed,
            expected: judged.expected,
            upperbound: judged.upperbound,
            is_alarm: judged.alarm == Some(true),
        })
        .collect();
    Ok(Course::of(alert, &windows))
}

#[cfg(test)]
mod tests;
