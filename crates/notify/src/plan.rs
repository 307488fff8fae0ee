//! Plans when an alert is sent to a subscriber: at once, after quiet hours, or with the digest.
//!
//! A subscription has so many tokens a week, refilled evenly, at most two at a time. An alert that
//! takes one is sent at once; without one it waits for the digest, ranked there. Alerts rarer than
//! once a year, and topics marked `always`, need no token. Doubtful alerts always wait.

use record::time::WEEK;
use record::{Alert, Micros};
use serde::{Deserialize, Serialize};

use crate::subscription::{Subscription, When};

/// Tokens that accumulate at most.
pub const BURST: u32 = 2;
/// Days.
const RARE: f64 = 365.25;

/// The unspent tokens of a subscription, in microseconds of refilling, so that nothing is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    credit: Micros,
    at: Micros,
}

impl Budget {
    /// Full.
    pub fn new(a_week: u32, at: Micros) -> Budget {
        Budget { credit: Budget::cost(a_week) * Micros::from(BURST), at }
    }

    /// How long one token takes to refill.
    fn cost(a_week: u32) -> Micros {
        WEEK.div_euclid(Micros::from(a_week.max(1)))
    }

    /// Takes a token if there is one.
    pub fn take(&mut self, a_week: u32, now: Micros) -> bool {
        let cost = Budget::cost(a_week);
        // A clock that is set back refills nothing, and no time is counted twice afterwards.
        let passed = (now - self.at).max(0);
        self.at = self.at.max(now);
        self.credit = self.credit.saturating_add(passed).min(cost * Micros::from(BURST));
        let is_there = a_week > 0 && self.credit >= cost;
        if is_there {
            self.credit -= cost;
        }
        is_there
    }
}

/// When an alert is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Planned {
    /// Not before this instant: now, or when the quiet hours are over.
    AtOnce { from: Micros },
    /// With the digest that leaves then.
    Digest { at: Micros },
}

/// Whether an alert needs no token.
pub fn is_pressing(subscription: &Subscription, alert: &Alert) -> bool {
    subscription.always.contains(&alert.topic) || alert.recurrence.is_some_and(|days| days > RARE)
}

/// Plans an alert that the subscription covers, when it is first received.
pub fn plan(
    subscription: &Subscription,
    alert: &Alert,
    budget: &mut Budget,
    now: Micros,
) -> Planned {
    if alert.waits_for_digest() {
        return Planned::Digest { at: next_digest(subscription, now) };
    }
    if subscription.always.contains(&alert.topic) {
        return Planned::AtOnce { from: now };
    }
    let at_once = is_pressing(subscription, alert)
        || (subscription.when == When::AtOnce && budget.take(subscription.a_week, now));
    if at_once {
        Planned::AtOnce { from: after_quiet(subscription, now) }
    } else {
        Planned::Digest { at: next_digest(subscription, now) }
    }
}

/// When the time begins after which an unacknowledged alert is sent to deputies: when it fired, not
/// when it was delivered; but not before it was to be sent, in quiet hours or with a digest.
pub fn escalates_from(subscription: &Subscription, alert: &Alert, planned: Planned) -> Micros {
    match planned {
        Planned::AtOnce { .. } if subscription.always.contains(&alert.topic) => alert.fired_at,
        Planned::AtOnce { .. } => after_quiet(subscription, alert.fired_at),
        Planned::Digest { at } => at.max(alert.fired_at),
    }
}

/// Now, or the end of the present quiet hours.
pub fn after_quiet(subscription: &Subscription, now: Micros) -> Micros {
    let Some(quiet) = subscription.quiet else { return now };
    let is_quiet = quiet.contains(subscription.zone.local(now).minute);
    if is_quiet { subscription.zone.next(now, quiet.to, None) } else { now }
}

/// When the digest after `now` leaves.
pub fn next_digest(subscription: &Subscription, now: Micros) -> Micros {
    let weekday =
        if subscription.when == When::Weekly { Some(subscription.digest_day) } else { None };
    subscription.zone.next(now, subscription.digest_at, weekday)
}

#[cfg(test)]
mod tests;
