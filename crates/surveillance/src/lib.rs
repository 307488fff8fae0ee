//! The engine: tally, watch, baselines, alarms, alerts; pure.

pub mod detectors;
