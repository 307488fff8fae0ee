//! Ports of the warehouse: writing results, and querying them.
//!
//! Calls block; asynchronous callers use a thread that may wait.

use std::io::Write;

use record::kind::Kind;
use record::{Alert, AlertEvent, Micros, Position, Reason, Record, Settings, Stage};

use crate::error::WarehouseError;

/// The next position to read of one partition of a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Progress {
    pub stream: String,
    pub partition: u32,
    pub next: Position,
}

/// Of one series and region, the number of the period that begins on a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    pub series: String,
    pub region: String,
    /// Midnight, UTC.
    pub date: Micros,
    pub value: f64,
    pub unit: String,
    pub source: String,
}

/// Rows in.
pub trait Landing: Send + Sync {
    /// Writes rows and the positions that they were read up to: a kill anywhere neither loses nor
    /// doubles.
    /// A store without transactions writes the positions last, so that rows may stand without them,
    /// which writing again doesn't change.
    ///
    /// Counts, tag counts, totals, coverage, window counts, verdicts, alerts and alert events land,
    /// and the latest settings;
    /// other records have no table and pass by. Of two values of one thing the higher version
    /// holds. Alert events have no version:
    /// they hold in the order of their stream, each only if it was made against the events before
    /// it, as in [`record::AlertFold`].
    fn write(&self, rows: &[Record], progress: &[Progress]) -> Result<(), WarehouseError>;

    /// Where reading continues, sorted by stream and partition.
    fn progress(&self) -> Result<Vec<Progress>, WarehouseError>;

    /// Deletes cells, totals, coverage and window counts of panes that began, and verdicts of
    /// windows that ended, before an instant;
    /// returns how many rows. Window counts that end within a UTC day go with the verdicts. A store
    /// that does so on its own deletes none.
    fn delete_before(
        &self,
        _cells: Option<Micros>,
        _verdicts: Option<Micros>,
    ) -> Result<u64, WarehouseError> {
        Ok(0)
    }

    /// Writes numbers to compare with; of two of one series, region and date the one written last
    /// holds.
    fn write_reference(&self, rows: &[Reference]) -> Result<(), WarehouseError>;
}

/// What pages and commands ask.
pub trait Reading: Send + Sync {
    /// A real query: the answer is whether tables can be read.
    fn ready(&self) -> Result<(), WarehouseError>;

    /// The settings that landed last.
    fn settings(&self) -> Result<Option<Settings>, WarehouseError>;

    /// The newest event time that any landed count includes.
    fn latest(&self) -> Result<Option<Micros>, WarehouseError>;

    /// Every series with a landed count, by topic and region.
    fn heads(&self) -> Result<Vec<SeriesHead>, WarehouseError>;

    fn series(&self, query: &SeriesQuery) -> Result<Series, WarehouseError>;

    /// The latest revision of each alert, last fired first.
    fn alerts(&self, query: &AlertQuery) -> Result<Vec<AlertEntry>, WarehouseError>;

    /// An alert with all its revisions, first to last.
    fn alert(&self, id: &str) -> Result<Option<AlertStory>, WarehouseError>;

    /// The latest pane of each feed, by feed.
    fn coverage(&self) -> Result<Vec<FeedCoverage>, WarehouseError>;

    /// The latest end of a window judged other than early.
    fn closed_until(&self) -> Result<Option<Micros>, WarehouseError>;

    /// Of many series at once the latest verdict at each of some ends, by topic, region, end,
    /// length and method: what a map shows.
    fn judged(&self, query: &JudgedQuery) -> Result<Vec<Placed>, WarehouseError>;

    /// The panes of every feed that begin at or after an instant, by feed and start.
    fn coverage_since(&self, from: Micros) -> Result<Vec<FeedCoverage>, WarehouseError>;

    /// All posts of whole feeds in panes that begin in `[from, to)`, of each region that has any.
    fn totals(
        &self,
        regions: &[String],
        from: Micros,
        to: Micros,
    ) -> Result<Vec<(String, u64)>, WarehouseError>;

    /// Who spoke in panes of a series that begin in `[from, to)`.
    fn voices(
        &self,
        topic: &str,
        region: &str,
        from: Micros,
        to: Micros,
    ) -> Result<Voices, WarehouseError>;

    /// What the public may see, of days that begin at or after an instant, by topic, region and
    /// day: of some topics, and of one region or of all.
    fn published(
        &self,
        topics: &[String],
        region: Option<&str>,
        from: Micros,
    ) -> Result<Vec<Published>, WarehouseError>;

    /// Numbers to compare a region with, by series and date.
    fn references(&self, region: &str) -> Result<Vec<Reference>, WarehouseError>;

    /// Writes a table or view, rows sorted by their columns in order (text by bytes, numbers by
    /// value); returns how many rows.
    ///
    /// CSV: header, LF, RFC 4180, NULL as an empty field. Text that strangers or people typed (see
    /// [`crate::Table::guarded`]) gets a leading `'` there when it starts with `=`, `+`, `-`, `@`,
    /// a tab or a return, so that no spreadsheet runs it; no column of counts is touched, and
    /// NDJSON never is.
    fn export(&self, export: &Export, out: &mut dyn Write) -> Result<u64, WarehouseError>;

    /// Each topic with what is known of it, by id: those of the settings, and those that only have
    /// counts.
    fn topics(&self) -> Result<Vec<TopicOverview>, WarehouseError> {
        let settings = self.settings()?;
        let mut topics: Vec<TopicOverview> = settings
            .iter()
            .flat_map(|settings| &settings.topics)
            .map(|topic| TopicOverview {
                name: Some(topic.name.clone()),
                kind: Some(topic.kind),
                pane_length: topic.pane,
                ..TopicOverview::of(&topic.id)
            })
            .collect();
        topics.sort_by(|one, other| one.topic.cmp(&other.topic));
        topics.dedup_by(|one, other| one.topic == other.topic);
        for head in self.heads()? {
            let at = topics
                .binary_search_by(|topic| topic.topic.as_str().cmp(&head.topic))
                .unwrap_or_else(|at| {
                    topics.insert(
                        at,
                        TopicOverview {
                            pane_length: head.pane_length,
                            ..TopicOverview::of(&head.topic)
                        },
                    );
                    at
                });
            topics[at].add(&head);
        }
        let open = AlertQuery { open: Some(true), limit: usize::MAX, ..AlertQuery::default() };
        for entry in self.alerts(&open)? {
            if let Ok(at) =
                topics.binary_search_by(|topic| topic.topic.as_str().cmp(&entry.alert.topic))
            {
                topics[at].open_alerts += 1;
            }
        }
        Ok(topics)
    }

    /// Regions with counts, sorted, each with its level.
    fn regions(&self) -> Result<Vec<(String, i8)>, WarehouseError> {
        let mut regions: Vec<_> =
            self.heads()?.into_iter().map(|head| (head.region, head.level)).collect();
        regions.sort();
        regions.dedup_by(|one, other| one.0 == other.0);
        Ok(regions)
    }
}

/// Both sides.
pub trait Warehouse: Landing + Reading {}

impl<T: Landing + Reading> Warehouse for T {}

/// A series that has counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesHead {
    pub topic: String,
    pub region: String,
    pub level: i8,
    pub pane_length: Micros,
    /// Start of the first and of the latest pane with a count.
    pub first: Micros,
    pub latest: Micros,
    /// The newest event time counted in the latest pane.
    pub newest: Micros,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicOverview {
    pub topic: String,
    pub name: Option<String>,
    pub kind: Option<Kind>,
    pub pane_length: Micros,
    /// How many regions have counts.
    pub regions: u32,
    pub first: Option<Micros>,
    pub newest: Option<Micros>,
    pub open_alerts: u32,
}

impl TopicOverview {
    fn of(topic: &str) -> TopicOverview {
        TopicOverview {
            topic: topic.to_owned(),
            name: None,
            kind: None,
            pane_length: 0,
            regions: 0,
            first: None,
            newest: None,
            open_alerts: 0,
        }
    }

    fn add(&mut self, head: &SeriesHead) {
        self.regions += 1;
        self.first = Some(self.first.map_or(head.first, |first| first.min(head.first)));
        self.newest = self.newest.max(Some(head.newest));
    }
}

/// Which part of which series, `[from, to)`: panes by their start, windows by their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesQuery {
    pub topic: String,
    pub region: String,
    pub from: Micros,
    pub to: Micros,
    /// At most this many panes, and as many verdicts: the latest ones.
    pub limit: usize,
    /// Only windows of this length, and no panes.
    pub only: Option<Micros>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// By start; a pane without a row had no post, or was not seen.
    pub panes: Vec<Cell>,
    /// By end, then length, then method; of each the latest verdict.
    pub verdicts: Vec<Judged>,
    /// Whether there was more than the limit.
    pub cut: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub start: Micros,
    pub length: Micros,
    pub posts: u32,
    pub authors: u32,
    pub authors_24h: Option<u32>,
    pub authors_self: u32,
    pub total_posts: u64,
    pub last: bool,
}

/// A verdict, without the series that it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub end: Micros,
    pub length: Micros,
    pub method: String,
    pub stage: Stage,
    pub observed: u32,
    pub population: u64,
    pub expected: Option<f64>,
    pub upperbound: Option<f64>,
    pub pvalue: Option<f64>,
    pub alarm: Option<bool>,
    pub reason: Option<Reason>,
    pub coverage: f64,
    /// What is expected lies in here with 95 %.
    pub expected_low: Option<f64>,
    pub expected_high: Option<f64>,
    /// The smallest rise, as a multiple of what is expected, that would be in alarm with 80 %.
    pub detectable_rise: Option<f64>,
    pub provisional: bool,
}

/// Which windows of which series.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JudgedQuery {
    /// Topic and region.
    pub series: Vec<(String, String)>,
    pub ends: Vec<Micros>,
    /// Of this length only.
    pub length: Option<Micros>,
}

/// A verdict with the series that it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    pub topic: String,
    pub region: String,
    pub judged: Judged,
}

/// Sums over panes: an account counts in each that it posted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Voices {
    pub posts: u64,
    pub authors: u64,
    pub authors_self: u64,
    /// Posts that link to news.
    pub news: u64,
}

/// A published day of a topic in a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub topic: String,
    pub region: String,
    pub level: i8,
    /// The day's start.
    pub day: Micros,
    /// Rounded; none where it is withheld.
    pub accounts: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertQuery {
    pub topic: Option<String>,
    pub region: Option<String>,
    /// Only those open, or only those that are not.
    pub open: Option<bool>,
    /// Fired at or after.
    pub from: Option<Micros>,
    /// Only what follows an alert that fired then and has this id: the next page.
    pub after: Option<(Micros, String)>,
    pub limit: usize,
}

impl Default for AlertQuery {
    fn default() -> AlertQuery {
        AlertQuery { topic: None, region: None, open: None, from: None, after: None, limit: 200 }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlertEntry {
    pub alert: Alert,
    pub events: Vec<AlertEvent>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlertStory {
    /// Never empty.
    pub revisions: Vec<Alert>,
    pub events: Vec<AlertEvent>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FeedCoverage {
    pub feed: String,
    pub pane_start: Micros,
    pub pane_length: Micros,
    /// 0 to 1.
    pub share: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    pub table: String,
    /// `[from, to)` of the table's time column.
    pub from: Option<Micros>,
    pub to: Option<Micros>,
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Ndjson,
}
