//! Warehouse: counts, verdicts and alerts in tables.
//!
//! The last stage of the log: every row is an absolute value with a version, so writing one twice,
//! or an older one late, changes nothing. Two ports, [`Landing`] (rows in, with the positions they
//! were read up to) and [`Reading`] (what pages and commands ask), and their implementations:
//! [`Local`], a SQLite file, and `clickhouse::ClickHouse`, a server. One [`contract`] suite holds
//! for every implementation. Knows records and tables; does not know streams, clocks, detectors or
//! callers.

mod error;
pub use error::{Cause, WarehouseError};

mod deadline;
pub use deadline::Deadline;

mod tables;
pub use tables::{TABLES, Table};

mod port;
pub use port::{
    AlertEntry, AlertQuery, AlertStory, Cell, Export, FeedCoverage, Format, Judged, JudgedQuery,
    Landing, Placed, Progress, Published, Reading, Reference, Series, SeriesHead, SeriesQuery,
    TopicOverview, Voices, Warehouse,
};

mod line;
pub use line::{AlertLine, Share};

mod why;
pub use why::{Excluded, Hold, WhyNot, why_not};

mod course;
pub use course::course;

mod woken;
pub use woken::woken;

mod reference;
pub use reference::{ReferenceError, RegionCheck, load_reference};

mod lines;

mod local;
pub use local::Local;

#[cfg(feature = "clickhouse")]
pub mod clickhouse;

#[cfg(any(test, feature = "contract"))]
pub mod contract;
