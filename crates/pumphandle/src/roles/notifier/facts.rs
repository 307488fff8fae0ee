//! Facts of the warehouse for dispatch, queried by a role of their own.
//!
//! A warehouse that is unreachable delays no message: dispatch goes on with the last answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::dispatch::{Facts, Growth};
use record::{Alert, AlertEvent};
use warehouse::{Reading, WarehouseError};

use crate::runtime::{Context, Progress, Role};

const QUERY_EVERY: Duration = Duration::from_secs(30);
/// How often it is looked whether the first query is requested.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Exchange between the notifier and the role that queries.
#[derive(Default)]
pub(super) struct Exchange(Mutex<State>);

#[derive(Default)]
struct State {
    snoozed: Option<Vec<(Alert, Vec<AlertEvent>)>>,
    facts: Option<Arc<Facts>>,
}

impl Exchange {
    /// The last answer; empty if the first query failed, none before it.
    pub(super) fn facts(&self) -> Option<Arc<Facts>> {
        self.state().facts.clone()
    }

    /// Sets the snoozed alerts whose growth is queried; with none nothing is queried.
    pub(super) fn request(&self, snoozed: Option<Vec<(Alert, Vec<AlertEvent>)>>) {
        self.state().snoozed = snoozed;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each field is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queries the warehouse from time to time.
pub(super) struct Inquiry<'a> {
    pub(super) warehouse: &'a dyn Reading,
    pub(super) exchange: Arc<Exchange>,
    pub(super) began: Instant,
}

impl Role for Inquiry<'_> {
    fn turn(&mut self, _context: &Context) -> anyhow::Result<Progress> {
        let snoozed = self.exchange.state().snoozed.clone();
        let Some(snoozed) = snoozed else { return Ok(Progress::Idle(LOOK_EVERY)) };
        let before = self.exchange.facts().unwrap_or_default();
        let facts = match self.query(&snoozed, &before) {
            Ok(facts) => Arc::new(facts),
            Err(error) => {
                tracing::debug!(%error, "the warehouse can't be queried, messages go without its \
                    facts");
                before
            }
        };
        self.exchange.state().facts = Some(facts);
        Ok(Progress::Idle(QUERY_EVERY))
    }
}

impl Inquiry<'_> {
    fn query(
        &self,
        snoozed: &[(Alert, Vec<AlertEvent>)],
        before: &Facts,
    ) -> Result<Facts, WarehouseError> {
        let mut growths = BTreeMap::new();
        for (alert, events) in snoozed {
            let judged = warehouse::woken(self.warehouse, alert, events)?;
            growths.extend(judged.map(|judged| {
                let growth = Growth {
                    window_end: judged.end,
                    observed: judged.observed,
                    expected: judged.expected,
                    upperbound: judged.upperbound,
                };
                ((alert.id.clone(), events.len()), growth)
            }));
        }
        let heads = self.warehouse.heads()?;
        let coverage = self.warehouse.coverage()?;
        let latest = self.warehouse.latest()?;
        let uptime = self.began.elapsed();
        let known = before.latest.filter(|(instant, _)| Some(*instant) == latest);
        Ok(Facts {
            series: heads.into_iter().map(|head| (head.topic, head.region)).collect(),
            seen: coverage.iter().map(|feed| feed.share).reduce(f64::min),
            latest: known.or(latest.map(|latest| (latest, uptime))),
            growths,
        })
    }
}
