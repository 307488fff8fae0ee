//! Counts of deliveries by channel: sent, failed, refused, waiting.
//!
//! The notifier sets them; metrics and health read them. Data only.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use notify::SendError;
use notify::dispatch::Waiting;
use record::Micros;
use record::time::SECOND;
use web::Metrics;

/// Of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Delivered {
    pub(crate) sent: u64,
    /// Tries that failed and are repeated.
    pub(crate) failed: u64,
    /// For good: by a recipient's mail server, or by a receiver that takes no more.
    pub(crate) refused: u64,
    pub(crate) waiting: u64,
    /// Since when the oldest that waits has waited.
    pub(crate) oldest: Option<Micros>,
}

#[derive(Debug, Default)]
pub(crate) struct Deliveries(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    channels: BTreeMap<&'static str, Delivered>,
    troubles: BTreeMap<String, String>,
}

impl Deliveries {
    /// By the name of the channel, of each with a subscription.
    pub(crate) fn channels(&self) -> BTreeMap<&'static str, Delivered> {
        self.state().channels.clone()
    }

    /// Subscriptions that get no messages, and why: a sentence each.
    pub(crate) fn troubles(&self) -> BTreeMap<String, String> {
        self.state().troubles.clone()
    }

    /// Shows all of it as metrics.
    pub(super) fn show(&self, metrics: &Metrics, now: Micros) {
        for (channel, counts) in self.channels() {
            for (result, count) in
                [("sent", counts.sent), ("failed", counts.failed), ("refused", counts.refused)]
            {
                let labels = [("channel", channel), ("result", result)];
                metrics
                    .counter(
                        "pumphandle_deliveries_total",
                        "Messages to subscribers, by what came of them.",
                        &labels,
                    )
                    .raise_to(count);
            }
            let gauge =
                |name, help, value| metrics.gauge(name, help, &[("channel", channel)]).set(value);
            let age = counts.oldest.map_or(0, |since| (now - since).max(0));
            gauge(
                "pumphandle_deliveries_waiting",
                "Messages that are due and not yet sent, by recipient.",
                counts.waiting as f64,
            );
            gauge(
                "pumphandle_deliveries_oldest_seconds",
                "For how long the oldest of them has waited.",
                age as f64 / SECOND as f64,
            );
        }
        let troubles = self.troubles().len() as f64;
        metrics
            .gauge(
                "pumphandle_subscriptions_troubled",
                "Subscriptions with a refused recipient or a failing channel.",
                &[],
            )
            .set(troubles);
    }

    pub(super) fn count(&self, channel: &'static str, result: &Result<(), SendError>) {
        let mut state = self.state();
        let counts = state.channels.entry(channel).or_default();
        match result {
            Ok(()) => counts.sent += 1,
            Err(SendError::Refused { .. } | SendError::Never { .. }) => counts.refused += 1,
            Err(SendError::Later { .. } | SendError::Deferred { .. }) => counts.failed += 1,
        }
    }

    /// Sets what waits now, by channel, and the troubles of subscriptions.
    pub(super) fn set_waiting(
        &self,
        waiting: &BTreeMap<&'static str, Waiting>,
        troubles: BTreeMap<String, String>,
    ) {
        let mut state = self.state();
        for counts in state.channels.values_mut() {
            (counts.waiting, counts.oldest) = (0, None);
        }
        for (channel, waiting) in waiting {
            let counts = state.channels.entry(channel).or_default();
            (counts.waiting, counts.oldest) = (waiting.count, waiting.oldest);
        }
        state.troubles = troubles;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves whole numbers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_by_channel_and_kind() {
        let deliveries = Deliveries::default();
        let refused = SendError::Refused { code: 550, why: "no".to_owned() };
        for result in
            [Ok(()), Err(refused), Err(SendError::Deferred { why: "later".to_owned() }), Ok(())]
        {
            deliveries.count("mail", &result);
        }
        let waiting = Waiting { count: 3, oldest: Some(7) };
        deliveries.set_waiting(&BTreeMap::from([("mail", waiting)]), BTreeMap::new());
        let mail = deliveries.channels()["mail"];
        assert_eq!(mail, Delivered { sent: 2, failed: 1, refused: 1, waiting: 3, oldest: Some(7) });
        deliveries.set_waiting(&BTreeMap::new(), BTreeMap::new());
        assert_eq!(deliveries.channels()["mail"], Delivered { waiting: 0, oldest: None, ..mail });
    }
}
