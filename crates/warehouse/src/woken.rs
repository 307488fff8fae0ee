//! Whether a snoozed alert has grown to what should wake people.
//!
//! An alert is told anew when its stage, region or weight changes, not at every count: so that it
//! has doubled may stand in the verdicts of its series alone.

use record::{Alert, AlertEvent, AlertState, Micros};

use crate::error::WarehouseError;
use crate::port::{Judged, Reading, SeriesQuery};

/// Verdicts looked at: more than a snooze has hours.
const VERDICTS_MAX: usize = 5_000;

/// The latest window that has outgrown the snooze of an open alert; none where nothing is snoozed,
/// or nothing has grown so much.
pub fn woken(
    warehouse: &dyn Reading,
    alert: &Alert,
    events: &[AlertEvent],
) -> Result<Option<Judged>, WarehouseError> {
    let Some((at, snooze)) = events.last().and_then(|event| Some((event.at, event.snooze?))) else {
        return Ok(None);
    };
    if alert.state != AlertState::Open {
        return Ok(None);
    }
    // A window that was open when it was snoozed may have grown since.
    let from = at - alert.window_length;
    let query = SeriesQuery {
        topic: alert.topic.clone(),
        region: alert.region.clone(),
        from,
        to: Micros::MAX,
        limit: VERDICTS_MAX,
        only: Some(alert.window_length),
    };
    let found = warehouse.series(&query)?.verdicts.into_iter().rev().find(|judged| {
        let is_its = judged.length == alert.window_length && judged.method == alert.method;
        is_its
            && judged.end >= alert.window_end
            && judged.expected.is_some_and(|expected| snooze.is_outgrown(judged.observed, expected))
    });
    Ok(found)
}

#[cfg(test)]
mod tests;
