//! The word: every record of every stream, in memory and on the wire.
//!
//! First room of the house: it depends on nothing of ours and everything else speaks it.
//! Here are region codes, the folding of text into keys, time and its panes, the rules that belong
//! to a topic's kind, the records themselves, their binary form, and the fold of alerts.
//! It decides nothing: no counting, no judging, no clock, no IO.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod time;

pub mod region;

pub mod language;

pub mod text;

pub mod lines;

pub mod diagnostic;

pub mod document;

pub mod kind;

pub mod pseudonym;

pub mod policy;

pub mod reason;
pub use reason::Reason;

pub mod public;

mod post;
pub use post::{
    AccountAge, Author, Flags, Meaning, Op, Place, Post, PostId, Provenance, Tag, TopicMatch, Voice,
};

mod log;
pub use log::{
    Coverage, Exclusion, FRAME_PART_BYTES, FeedTick, Frame, Handled, Lift, PaneChange, Sampled,
    SeriesChange, Span, Step, TagChange, Tick, TotalChange, WindowChange,
};

mod settings;
pub use settings::{DetectSettings, FeedSetting, Floors, Settings, TopicSetting};

mod output;
pub use output::{
    Alert, AlertEvent, AlertState, Count, CoverageRow, Explanation, Grounds, Handling, Milestones,
    Outcome, PastWindow, PublicCount, Reject, RejectReason, Snooze, Stage, Suspect, TagCount,
    Total, Verdict, Version, WindowCount,
};

pub mod alerts;
pub use alerts::{AlertChange, AlertFold, Refused};

pub mod wire;
pub use wire::Record;

pub use time::Micros;

/// The position of a record in one partition of a stream.
pub type Position = u64;
