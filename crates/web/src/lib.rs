//! Seen: HTTP API and pages.
//!
//! Last room of the flow: whoever looks at the project looks through here. Reads the warehouse by
//! its [`warehouse::Reading`] port, and the numbers of the other rooms by the [`Metrics`] that the
//! binary hands in, with a listener and the wish to stop.
//! Changes nothing itself (what people decide goes out by [`Changes`]), has no clock of its own
//! ("now" is the newest event that has landed), and knows no stream and no detector.
//! Everything shown came from strangers at some point: JSON only, and the page sets text, never
//! markup.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use warehouse::Reading;

mod metrics;
pub use metrics::{Counter, Gauge, Metrics};

mod monitor;
pub use monitor::{Health, serve_monitor};

mod words;
pub use words::Words;

mod problem;

mod access;
pub use access::{
    Access, Holder, PROXY_SECRET_HEADER, ROLE_HEADER, Role, StartLink, TokenHash, Tokens,
    USER_HEADER,
};

mod limits;

mod connections;

mod spool;

mod guard;

mod page;

mod api;
mod session;

mod routes;

mod server;
pub use server::serve;

/// The code of a known topic or region that a text may mean, such as `influenza` for `flu`.
pub type Suggest = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What the binary adds to `/readyz`.
pub type ReadyCheck = Arc<dyn Fn() -> Readiness + Send + Sync>;

/// Conditions of the process; none where all is well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// What this process, or a restart of it, can mend: not ready.
    pub failing: Vec<Reason>,
    /// What works with less, and no restart would help: ready all the same.
    pub degraded: Vec<Reason>,
}

/// A condition; everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reason {
    /// Its kind, as in `pumphandle_degraded{reason="…"}`.
    pub what: String,
    /// What it is about, such as a feed; may be empty.
    pub subject: String,
    pub detail: String,
}

/// A change of an alert that somebody asks for. Whoever takes it writes it into the stream of
/// alerts and reads it back before it answers, so that an answer holds: [`record::Refused::Stale`]
/// where another change was faster.
#[derive(Debug)]
pub struct Change {
    pub alert: String,
    pub change: record::AlertChange,
    /// Who asks, as the server knows them; never what they say of themselves.
    pub actor: String,
    pub answer: tokio::sync::oneshot::Sender<Result<record::AlertEvent, record::Refused>>,
}

/// Where changes go; what waits there is bounded.
pub type Changes = tokio::sync::mpsc::Sender<Change>;

/// What somebody wants of the book of subscriptions.
#[derive(Debug)]
pub enum SubscriptionWish {
    List,
    /// Makes or changes one; `after` is the revision that was looked at, 0 for a new one.
    Set {
        name: String,
        after: u32,
        subscription: serde_json::Value,
    },
    Remove {
        name: String,
        after: u32,
    },
    /// Sends a test to all its recipients.
    Test {
        name: String,
    },
}

/// A wish, who has it, and where the answer goes.
#[derive(Debug)]
pub struct SubscriptionRequest {
    pub wish: SubscriptionWish,
    pub actor: String,
    pub answer: tokio::sync::oneshot::Sender<Result<SubscriptionAnswer, SubscriptionRefused>>,
}

/// All subscriptions as they are after the wish; of a test its outcomes only.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SubscriptionAnswer {
    pub subscriptions: Vec<StoredSubscription>,
    pub tested: Vec<Tested>,
}

/// What became of a test at one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// A mail address, the host of a webhook, the address of a feed.
    pub recipient: String,
    pub outcome: TestOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestOutcome {
    Accepted,
    Refused {
        code: u16,
        why: String,
    },
    /// It never came to the recipient, or may pass.
    Failed {
        why: String,
    },
}

/// How a subscription's messages fare.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Recipients that were refused last.
    pub refused: Vec<RecipientRefused>,
    /// Why nothing goes out at present, and since when.
    pub failing: Option<(String, record::Micros)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRefused {
    pub address: String,
    pub code: u16,
    pub why: String,
    pub at: record::Micros,
}

/// Somebody wants an author erased: a DID, or `SOURCE:ID`.
#[derive(Debug)]
pub struct ErasureRequest {
    pub author: String,
    pub actor: String,
    pub answer: tokio::sync::oneshot::Sender<Result<Erased, ErasureRefused>>,
}

/// What an erasure takes back, and until when copies live.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    pub author: String,
    pub at: record::Micros,
    pub posts: u64,
    pub topics: u64,
    pub cells: u64,
    /// Posts of hours that are final, whose counts stand.
    pub older: u64,
    /// When retention has deleted the last record of theirs.
    pub log_until: record::Micros,
    /// When no state of the engine holds a pseudonym or sampled post of theirs.
    pub state_until: record::Micros,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureRefused {
    Invalid(String),
    Failed(String),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredSubscription {
    pub name: String,
    /// Whether it stands in a file, where alone it can be changed.
    pub of_file: bool,
    pub revision: u32,
    pub by: String,
    pub at: Option<record::Micros>,
    /// The alerts that it covers, with the state of their delivery.
    pub alerts: Vec<AlertDelivery>,
    pub delivery: Delivery,
    /// What it says, without secrets.
    pub subscription: serde_json::Value,
}

/// The delivery of an alert to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertDelivery {
    pub alert: String,
    pub state: DeliveryState,
    /// When it was sent, or before when it will not be.
    pub at: record::Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Sent,
    AtOnce,
    /// It found no room among those sent at once, or is doubtful, or all of the subscription's go
    /// so.
    Digest,
    /// Its channel took nothing for days.
    GivenUp,
}

impl DeliveryState {
    pub fn name(self) -> &'static str {
        match self {
            DeliveryState::Sent => "sent",
            DeliveryState::AtOnce => "at-once",
            DeliveryState::Digest => "digest",
            DeliveryState::GivenUp => "given-up",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionRefused {
    Unknown,
    /// Another was faster.
    Stale,
    /// Every mistake.
    Invalid(String),
    Failed(String),
}

/// An alert in words, the same as in messages.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, schemars::JsonSchema)]
pub struct AlertText {
    /// What an official reads first.
    pub sentence: String,
    /// How the rise went on; none where no window since was judged.
    pub course_text: Option<String>,
    /// Context: voices, places, coverage.
    pub rest: String,
    /// How often chance alone would cause it; none until it has been measured.
    pub rarity: Option<String>,
    /// Why its numbers are less certain than usual.
    pub doubt: Option<String>,
    /// What to check, the most important first.
    pub checks: Vec<String>,
}

/// The language and time zone of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// `en`, `fr`, `es` or `de`.
    pub language: &'static str,
    /// An IANA name; UTC where it is unknown.
    pub zone: String,
}

/// Puts an alert into words, with its course where that is known.
pub type Describe = Arc<
    dyn Fn(&record::Alert, Option<&record::alerts::Course>, &Reader) -> AlertText + Send + Sync,
>;

/// Where feeds stand as files, and whether the text of one is for everybody.
#[derive(Debug, Clone)]
pub struct Feeds {
    pub folder: PathBuf,
    pub is_public: fn(&str) -> bool,
}

/// What the binary hands in.
#[derive(Clone)]
pub struct Web {
    pub warehouse: Arc<dyn Reading>,
    pub metrics: Arc<Metrics>,
    /// Whether the posts are made up: said wherever data shows.
    pub simulated: bool,
    /// Names by which the server may be called, beside `localhost` and the address it listens on.
    pub hosts: Vec<String>,
    /// What regions are called, beside the countries and languages that are known here: a code,
    /// then a language, then its name.
    pub region_names: BTreeMap<String, BTreeMap<String, String>>,
    /// What topics are called in other languages than their files': an id, then a language, then
    /// its name.
    pub topic_names: BTreeMap<String, BTreeMap<String, String>>,
    /// Campaigns and the days of every year that they are about, as topic files write them.
    pub campaigns: BTreeMap<String, Vec<String>>,
    pub ready: Option<ReadyCheck>,
    /// None: alerts can only be looked at.
    pub changes: Option<Changes>,
    /// Where subscriptions are requested; none where no stream is at hand.
    pub subscriptions: Option<tokio::sync::mpsc::Sender<SubscriptionRequest>>,
    /// Where erasures are requested; none where there are no keys.
    pub erasures: Option<tokio::sync::mpsc::Sender<ErasureRequest>>,
    pub feeds: Option<Feeds>,
    pub describe: Describe,
    pub version: String,
    /// Who may see and do what.
    pub access: Access,
    /// Questions that one address may ask a minute; half of them at once.
    pub requests_a_minute: u32,
    /// API requests answered at once; further ones get 503.
    pub requests_at_once: usize,
    /// Connections of one address; trusted proxies are exempt, and their clients' requests are
    /// counted instead.
    pub connections_per_address: usize,
    /// How long the head of a request may take, and how long a connection may stay open without a
    /// request.
    pub head_max: Duration,
    /// How long the body of a request may take.
    pub body_max: Duration,
    /// How long a query of the warehouse may take before it is interrupted.
    pub query_max: Duration,
    /// Where exports are written before they are sent.
    pub spool: PathBuf,
    /// What an unknown topic may mean.
    pub suggest_topic: Suggest,
    /// What an unknown region may mean.
    pub suggest_region: Suggest,
}

impl Web {
    pub fn new(warehouse: Arc<dyn Reading>) -> Web {
        Web {
            warehouse,
            metrics: Arc::new(Metrics::default()),
            simulated: false,
            hosts: Vec::new(),
            region_names: BTreeMap::new(),
            topic_names: BTreeMap::new(),
            campaigns: BTreeMap::new(),
            ready: None,
            changes: None,
            subscriptions: None,
            erasures: None,
            feeds: None,
            describe: Arc::new(|_, _, _| AlertText::default()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            access: Access::default(),
            requests_a_minute: 1_200,
            requests_at_once: 64,
            connections_per_address: 64,
            head_max: Duration::from_secs(10),
            body_max: Duration::from_secs(10),
            query_max: Duration::from_secs(20),
            spool: std::env::temp_dir(),
            suggest_topic: Arc::new(|_| None),
            suggest_region: Arc::new(|_| None),
        }
    }

    /// Whether anything can be done about an alert here.
    pub(crate) fn can_change(&self) -> bool {
        self.changes.is_some()
    }
}
