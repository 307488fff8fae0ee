//! Watch as a driver runs it: one record after the other, and what it says.

use std::collections::BTreeMap;

use record::*;

use crate::Watch;
use crate::snapshot::{ChunkName, Manifest};
use crate::watch::{Mode, WatchError};

pub(crate) fn run(mode: Mode, tallies: &[Record]) -> Result<Vec<Record>, WatchError> {
    let mut watch = Watch::new(mode);
    let mut out = Vec::new();
    for (position, record) in (0..).zip(tallies) {
        watch.apply(position, record, &mut out)?;
    }
    Ok(out)
}

/// The same without its version, which is the position that made it.
pub(crate) fn unversioned(record: &Record) -> Record {
    let mut record = record.clone();
    match &mut record {
        Record::Count(count) => count.version = Version::default(),
        Record::TagCount(count) => count.version = Version::default(),
        Record::Total(total) => total.version = Version::default(),
        Record::Coverage(row) => row.version = Version::default(),
        Record::WindowCount(count) => count.version = Version::default(),
        Record::PublicCount(count) => count.version = Version::default(),
        Record::Verdict(verdict) => verdict.version = Version::default(),
        Record::Alert(alert) => alert.version = Version::default(),
        _ => {}
    }
    record
}

/// A store of snapshots.
#[derive(Default)]
pub(crate) struct Store {
    chunks: BTreeMap<ChunkName, Vec<u8>>,
}

impl Store {
    pub(crate) fn put(&mut self, watch: &mut Watch) -> Manifest {
        let snapshot = watch.snapshot();
        self.chunks.extend(snapshot.fresh);
        Manifest::decode(&snapshot.manifest.encode()).unwrap()
    }

    pub(crate) fn get(&self, manifest: &Manifest) -> Watch {
        let chunks: Vec<Vec<u8>> =
            manifest.chunks.iter().map(|name| self.chunks[name].clone()).collect();
        Watch::restore(manifest, &chunks).unwrap()
    }
}
