//! Landed: counts, verdicts and alerts in tables.
