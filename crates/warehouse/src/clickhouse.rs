//! ClickHouse warehouse for clusters, over the HTTP interface.
//!
//! Rows arrive as absolute values with versions in tables that keep the highest one; queries use
//! FINAL, so that merges do not affect results. Rows are checked against the columns of the table
//! on their way in and out. The ports block: requests run on one thread of our own, and the caller
//! waits for it, whatever it runs on itself. Every call is tried once;
//! [`WarehouseError::try_again`] says whether trying again may help, and the caller decides when.
//! Knows one database and its public one; knows nothing of replicas or shards, which are the
//! server's.

use std::fmt;
use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

use clickhouse::error::Error;
use clickhouse::{Client, Compression};
use tokio::runtime::Runtime;

use crate::deadline;
use crate::error::WarehouseError;

mod schema;
pub use schema::RegionRow;

mod rows;

mod land;

mod history;

mod ask;

mod export;

/// Where it is, as whom, and how much it keeps.
#[derive(Clone, PartialEq, Eq)]
pub struct ClickHouseSettings {
    /// The address of the HTTP interface, without user and password.
    pub url: String,
    pub database: String,
    /// The database that the public may read.
    pub public_database: String,
    pub user: String,
    pub password: String,
    /// Retention of rows of panes and windows, in whole days; alerts and public counts stay for
    /// ever.
    pub cells_retention: Option<Duration>,
    /// Retention of verdicts, and of window counts that don't end with a UTC day.
    pub verdicts_retention: Option<Duration>,
    /// How long a call may take.
    pub answer_max: Duration,
}

impl Default for ClickHouseSettings {
    fn default() -> ClickHouseSettings {
        ClickHouseSettings {
            url: "http://127.0.0.1:8123".to_owned(),
            database: "pumphandle".to_owned(),
            public_database: "public".to_owned(),
            user: "default".to_owned(),
            password: String::new(),
            cells_retention: None,
            verdicts_retention: None,
            answer_max: Duration::from_secs(60),
        }
    }
}

/// Without the password.
impl fmt::Debug for ClickHouseSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ClickHouseSettings")
            .field("url", &self.url)
            .field("database", &self.database)
            .field("public_database", &self.public_database)
            .field("user", &self.user)
            .field("cells_retention", &self.cells_retention)
            .field("verdicts_retention", &self.verdicts_retention)
            .field("answer_max", &self.answer_max)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct ClickHouse {
    settings: ClickHouseSettings,
    /// What messages call it: address and database.
    place: String,
    server: Server,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
}

/// The client, which has no `Debug` and holds the password.
#[derive(Clone)]
struct Server(Client);

impl fmt::Debug for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Server")
    }
}

impl ClickHouse {
    /// Reaches the server as the user; the database needn't exist yet, see [`ClickHouse::migrate`]
    /// and [`ClickHouse::check_schema`].
    pub fn connect(settings: ClickHouseSettings) -> Result<ClickHouse, WarehouseError> {
        let address = settings.url.trim_end_matches('/');
        let host = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['@', '?', '#', '/'])) {
            let shown = address.rsplit('@').next().unwrap_or_default().to_owned();
            return Err(WarehouseError::Address { address: shown });
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("warehouse")
            .enable_all()
            .build()
            .map_err(|source| WarehouseError::Thread { source })?;
        let client = Client::default()
            .with_url(address)
            .with_user(&settings.user)
            .with_password(&settings.password)
            .with_compression(Compression::Lz4);
        let place = format!("{address}/{}", settings.database);
        let server = Server(client.clone().with_database(&settings.database));
        let warehouse = ClickHouse { settings, place, server, runtime: Some(runtime) };
        warehouse.run("reach", async move { client.query("SELECT 1").execute().await })?;
        Ok(warehouse)
    }

    /// Runs requests on our thread and waits for them, at most `answer_max`.
    fn run<T, F>(&self, doing: &'static str, requests: F) -> Result<T, WarehouseError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (sender, answer) = mpsc::sync_channel(1);
        let deadline = deadline::current();
        let after = deadline.as_ref().map_or(self.settings.answer_max, |deadline| {
            deadline.remaining().min(self.settings.answer_max)
        });
        let runtime = self.runtime.as_ref().expect("there is a runtime until it is dropped");
        runtime.spawn(async move {
            // The receiver waits below, so that it is there.
            let _ = sender.send(tokio::time::timeout(after, requests).await);
        });
        match answer.recv() {
            Ok(Ok(done)) => done.map_err(|source| self.failed(doing, source)),
            Ok(Err(_)) => Err(WarehouseError::TimedOut { place: self.place.clone(), after }),
            Err(source) => Err(WarehouseError::Statement {
                doing,
                place: self.place.clone(),
                source: source.into(),
            }),
        }
    }

    /// At the deadline of this thread the server stops a query on its own, also one whose
    /// connection is gone.
    fn client(&self) -> Client {
        let client = self.server.0.clone();
        match deadline::current() {
            Some(deadline) => client.with_setting(
                "max_execution_time",
                deadline.remaining().as_secs().max(1).to_string(),
            ),
            None => client,
        }
    }

    fn failed(&self, doing: &'static str, source: Error) -> WarehouseError {
        let (place, user) = (self.place.clone(), self.settings.user.clone());
        match source {
            Error::TimedOut => WarehouseError::TimedOut { place, after: self.settings.answer_max },
            Error::Network(_) => WarehouseError::Unreachable { place, source: source.into() },
            Error::BadResponse(ref text) => match Answer::parse(text) {
                Answer::NoRoom => WarehouseError::DiskFull { place, source: source.into() },
                Answer::ReadOnly => WarehouseError::ReadOnly { place },
                Answer::NoSchema => {
                    WarehouseError::OlderSchema { place, found: 0, known: schema::known() }
                }
                Answer::Refused => WarehouseError::Refused { place, user, source: source.into() },
                Answer::Forbidden => {
                    WarehouseError::Forbidden { doing, place, user, source: source.into() }
                }
                Answer::NotNow => WarehouseError::Unready { place, source: source.into() },
                Answer::Else => WarehouseError::Statement { doing, place, source: source.into() },
            },
            // A reply that was cut in the middle looks like this too; what is truly amiss shows
            // again.
            Error::NotEnoughData | Error::Decompression(_) => {
                WarehouseError::Unready { place, source: source.into() }
            }
            Error::SchemaMismatch(_)
            | Error::DataFormat(_)
            | Error::InvalidUtf8Encoding(_)
            | Error::Custom(_) => WarehouseError::Row { place, why: source.to_string() },
            _ => WarehouseError::Statement { doing, place, source: source.into() },
        }
    }

    fn misread(&self, why: impl fmt::Display) -> WarehouseError {
        WarehouseError::Row { place: self.place.clone(), why: why.to_string() }
    }
}

/// A runtime may not wait for its threads where it is dropped on a thread of another one; ours has
/// nothing left to do.
impl Drop for ClickHouse {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What an error of the server means to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    NoRoom,
    ReadOnly,
    NoSchema,
    Refused,
    Forbidden,
    NotNow,
    Else,
}

impl Answer {
    /// By the number in `Code: 243. DB::Exception: …`, or by the HTTP status where a proxy answered
    /// instead of the server.
    fn parse(text: &str) -> Answer {
        // Several codes represent a failed write, and only the text for its cause.
        if text.contains("No space left on device") {
            return Answer::NoRoom;
        }
        let digits = |text: &str| {
            text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>().ok()
        };
        match text.find("Code: ").and_then(|at| digits(&text[at + "Code: ".len()..])) {
            // NOT_ENOUGH_SPACE
            Some(243) => Answer::NoRoom,
            // READONLY
            Some(164) => Answer::ReadOnly,
            // UNKNOWN_TABLE, UNKNOWN_DATABASE
            Some(60 | 81) => Answer::NoSchema,
            // UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED
            Some(192..=194 | 516) => Answer::Refused,
            // ACCESS_DENIED
            Some(497) => Answer::Forbidden,
            // TIMEOUT_EXCEEDED, TOO_SLOW, DNS_ERROR, QUOTA_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES,
            // SOCKET_TIMEOUT, NETWORK_ERROR, ABORTED, MEMORY_LIMIT_EXCEEDED, TABLE_IS_READ_ONLY
            // (its replica has lost its keeper), TOO_MANY_PARTS, ALL_CONNECTION_TRIES_FAILED,
            // TOO_FEW_LIVE_REPLICAS, UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE,
            // UNKNOWN_STATUS_OF_INSERT, QUERY_WAS_CANCELLED, SYSTEM_ERROR, CANNOT_SCHEDULE_TASK,
            // DEADLOCK_AVOIDED, ALL_REPLICAS_LOST, SERVER_OVERLOADED, KEEPER_EXCEPTION
            Some(
                159 | 160 | 198 | 201 | 202 | 209 | 210 | 236 | 241 | 242 | 252 | 279 | 285 | 286
                | 319 | 394 | 425 | 439 | 473 | 415 | 745 | 999,
            ) => Answer::NotNow,
            Some(_) => Answer::Else,
            None => match digits(text) {
                Some(408 | 429 | 502..=504) => Answer::NotNow,
                Some(401) => Answer::Refused,
                _ => Answer::Else,
            },
        }
    }
}

#[cfg(test)]
mod tests;
