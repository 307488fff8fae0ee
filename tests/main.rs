//! The program from outside: its commands, files and signals, and nothing of its inside.
//!
//! One binary for all of it. Each test has a folder of its own and free ports; nothing sleeps for a
//! fixed time, whatever is waited for has a deadline, and every process that is started ends with
//! its test.

mod bounds;
#[path = "parts/clickhouse.rs"]
mod clickhouse;
mod cluster;
mod config;
mod conformance;
mod crisis;
mod days;
mod demo;
mod detect;
mod effects;
mod evaluate;
mod live;
mod monitoring;
mod notify;
mod places;
mod privacy;
mod program;
mod public;
mod quiet;
mod recount;
mod rejects;
mod replay;
mod run;
mod sources;
mod supervision;
mod tidy;
mod topics;
mod web;
mod websocket;
mod why;
