//! Health of this process: what a restart would mend, and what works with less.
//!
//! Roles and the supervisor report conditions; `/readyz`, the page, the metrics and the notifier
//! read them. Knows no threshold and no clock: whoever reports a condition decides when it holds.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use web::{Metrics, Readiness, Reason};

/// What a condition means for whoever runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// It works with less; a restart would not help. `/readyz` stays 200.
    Degraded,
    /// This process, or a restart of it, can mend it. `/readyz` is 503.
    Failing,
}

/// The kinds of conditions: the values of `reason` in `pumphandle_degraded`. Of each there can be
/// several, a subject each.
pub(crate) mod condition {
    /// A feed is connected and brings no event, or nothing for longer than its rate explains.
    /// Subject: the feed.
    pub(crate) const FEED_SILENT: &str = "feed-silent";
    /// A feed has ended with an error. Subject: the feed.
    pub(crate) const FEED_FAILED: &str = "feed-failed";
    /// A source's stamps, or the watermark, are behind the clock. Subject: the feed, or empty.
    pub(crate) const LAG: &str = "lag";
    /// Wall clock and monotonic clock, or ours and a source's, disagree.
    pub(crate) const CLOCK: &str = "clock";
    /// A mail server, or a recipient, refuses mail. Subject: the subscription.
    pub(crate) const MAIL_REFUSED: &str = "mail-refused";
    /// No room is left on the disk.
    pub(crate) const DISK_FULL: &str = "disk-full";
    /// A stage has not read records that are older than two days. Subject: the stage.
    pub(crate) const BACKLOG: &str = "backlog";
    /// The token file can't be read: nobody can sign in.
    pub(crate) const TOKEN_FILE: &str = "token-file";
    /// Rows can't be written to the warehouse.
    pub(crate) const LANDING: &str = "landing";
    /// Ticks are written, and no frame follows them. Severe: a restart may help.
    pub(crate) const NO_FRAMES: &str = "no-frames";
    /// A role has ended before it was stopped. Severe. Subject: the role.
    pub(crate) const ROLE_ENDED: &str = "role-ended";

    /// Shown in metrics from the start, as 0.
    pub(crate) const ALL: [&str; 11] = [
        FEED_SILENT,
        FEED_FAILED,
        LAG,
        CLOCK,
        MAIL_REFUSED,
        DISK_FULL,
        BACKLOG,
        TOKEN_FILE,
        LANDING,
        NO_FRAMES,
        ROLE_ENDED,
    ];
}

/// What holds now, by kind and subject.
#[derive(Debug, Default)]
pub(crate) struct Health {
    conditions: Mutex<BTreeMap<(&'static str, String), Condition>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    severity: Severity,
    /// For people, without paths or secrets: `/readyz` shows it to everybody.
    detail: String,
}

impl Health {
    /// Reports that a condition holds, with a detail that may change while it does. Its begin is
    /// logged.
    pub(crate) fn report(
        &self,
        severity: Severity,
        what: &'static str,
        subject: &str,
        detail: impl Into<String>,
    ) {
        let condition = Condition { severity, detail: detail.into() };
        let mut conditions = self.held();
        match conditions.get_mut(&(what, subject.to_owned())) {
            Some(known) => *known = condition,
            None => {
                tracing::warn!(what, subject, detail = condition.detail, "{}", severity.begins());
                conditions.insert((what, subject.to_owned()), condition);
            }
        }
    }

    pub(crate) fn degraded(&self, what: &'static str, subject: &str, detail: impl Into<String>) {
        self.report(Severity::Degraded, what, subject, detail);
    }

    pub(crate) fn failing(&self, what: &'static str, subject: &str, detail: impl Into<String>) {
        self.report(Severity::Failing, what, subject, detail);
    }

    /// Reports that a condition holds no more. Its end is logged.
    pub(crate) fn clear(&self, what: &'static str, subject: &str) {
        if self.held().remove(&(what, subject.to_owned())).is_some() {
            tracing::info!(what, subject, "condition ended");
        }
    }

    /// Reports or clears.
    pub(crate) fn set(
        &self,
        severity: Severity,
        what: &'static str,
        subject: &str,
        detail: Option<String>,
    ) {
        match detail {
            Some(detail) => self.report(severity, what, subject, detail),
            None => self.clear(what, subject),
        }
    }

    /// For `/readyz` and the page.
    pub(crate) fn readiness(&self) -> Readiness {
        let conditions = self.held();
        let of = |severity| {
            conditions.iter().filter(move |(_, condition)| condition.severity == severity)
        };
        let reason = |((what, subject), condition): (&(&'static str, String), &Condition)| Reason {
            what: (*what).to_owned(),
            subject: subject.clone(),
            detail: condition.detail.clone(),
        };
        Readiness {
            failing: of(Severity::Failing).map(reason).collect(),
            degraded: of(Severity::Degraded).map(reason).collect(),
        }
    }

    /// The degraded conditions, by name and subject, with a detail each: what those with a
    /// heartbeat are sent.
    pub(crate) fn lasting(&self) -> BTreeMap<String, String> {
        let named = |reason: Reason| {
            let name = if reason.subject.is_empty() {
                reason.what
            } else {
                format!("{} {}", reason.what, reason.subject)
            };
            (name, reason.detail)
        };
        self.readiness().degraded.into_iter().map(named).collect()
    }

    /// Sets `pumphandle_degraded`, a series for each kind.
    pub(crate) fn show(&self, metrics: &Metrics) {
        let conditions = self.held();
        for what in condition::ALL {
            let count = conditions.keys().filter(|(kind, _)| *kind == what).count();
            metrics
                .gauge(
                    "pumphandle_degraded",
                    "Conditions under which the program works with less, or fails, by kind.",
                    &[("reason", what)],
                )
                .set(count as f64);
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<(&'static str, String), Condition>> {
        // A panic elsewhere leaves whole conditions.
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Severity {
    fn begins(self) -> &'static str {
        match self {
            Severity::Degraded => "degraded",
            Severity::Failing => "failing",
        }
    }
}

#[cfg(test)]
mod tests {
    use web::Metrics;

    use super::{Health, condition};

    #[test]
    fn a_condition_holds_until_it_is_cleared() {
        let health = Health::default();
        health.degraded(condition::FEED_SILENT, "bluesky", "no event for 3 min");
        health.degraded(condition::FEED_SILENT, "bluesky", "no event for 4 min");
        health.degraded(condition::FEED_SILENT, "other", "no event for 2 min");
        health.failing(condition::NO_FRAMES, "", "no frame for 5 min");
        let readiness = health.readiness();
        let details: Vec<&str> =
            readiness.degraded.iter().map(|reason| reason.detail.as_str()).collect();
        assert_eq!(details, ["no event for 4 min", "no event for 2 min"]);
        assert_eq!(readiness.failing.len(), 1);
        let metrics = Metrics::default();
        health.show(&metrics);
        assert!(metrics.render().contains("pumphandle_degraded{reason=\"feed-silent\"} 2\n"));
        assert!(metrics.render().contains("pumphandle_degraded{reason=\"mail-refused\"} 0\n"));
        health.clear(condition::FEED_SILENT, "bluesky");
        health.clear(condition::FEED_SILENT, "other");
        health.clear(condition::NO_FRAMES, "");
        health.show(&metrics);
        assert!(metrics.render().contains("pumphandle_degraded{reason=\"feed-silent\"} 0\n"));
        assert!(health.readiness().failing.is_empty() && health.readiness().degraded.is_empty());
    }
}
