//! The program from outside: its commands, files and signals, and nothing of its inside.
//!
//! One binary for all of it. Each test has a folder of its own and free ports; nothing sleeps for a fixed time, whatever is
//! waited for has a deadline, and every process that is started ends with its test.

#[path = "parts/clickhouse.rs"]
mod clickhouse;
mod cluster;
mod config;
mod conformance;
mod crisis;
mod demo;
mod detect;
mod evaluate;
mod live;
mod notify;
mod places;
mod program;
mod public;
mod quiet;
mod recount;
mod rejects;
mod replay;
mod run;
mod sources;
mod tidy;
mod topics;
mod websocket;
mod why;
