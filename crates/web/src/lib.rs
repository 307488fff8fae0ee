//! Seen: HTTP API and pages.
