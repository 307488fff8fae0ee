//! Snapshots of stages in the stream `state`: written, found and restored.
//!
//! Called by the driver; retention reads the positions. A stage resumes from its newest complete
//! snapshot. Decides nothing about when one is due.
//!
//! ```text
//! owner/STAGE/PARTITION                      the position of this claim is the owner's epoch
//! manifest/STAGE/PARTITION/POSITION/EPOCH    names chunks of its epoch
//! chunk/STAGE/PARTITION/EPOCH/HASH
//! ```

use std::collections::BTreeSet;
use std::time::Instant;

use journal::{Journal, Stream};
use record::Position;
use surveillance::Manifest;
use surveillance::snapshot::ChunkName;

use super::stage::SnapshotsWritten;
use super::{Context, Stage, retry};

/// Bytes that are appended or put in one call, about.
pub(super) const WRITE_BYTES: usize = 4 << 20;

/// A stage that this process has claimed.
pub(super) struct Claimed<S> {
    pub(super) stage: S,
    /// The position of the claim, in digits that sort as it does.
    epoch: String,
    /// The end of its input has been reported.
    pub(super) ended: bool,
    /// Whether it resumes from a snapshot.
    pub(super) restored: bool,
    pub(super) written: SnapshotsWritten,
}

fn manifest_prefix<S: Stage>(partition: u32) -> String {
    format!("manifest/{}/{partition}/", S::NAME)
}

fn chunk_prefix<S: Stage>(partition: u32) -> String {
    format!("chunk/{}/{partition}/", S::NAME)
}

fn chunk_key<S: Stage>(partition: u32, epoch: &str, name: &ChunkName) -> String {
    format!("{}{epoch}/{}", chunk_prefix::<S>(partition), blake3::Hash::from_bytes(*name).to_hex())
}

fn epoch_of_manifest(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

fn epoch_of_chunk(key: &str) -> &str {
    key.rsplit('/').nth(1).unwrap_or_default()
}

/// The position from which a stage needs its input: that of the snapshot that it would resume from,
/// 0 where there is none.
pub(crate) fn snapshot_position<S: Stage>(
    journal: &dyn Journal,
    partition: u32,
) -> anyhow::Result<Position> {
    let manifests = retry(|| journal.keys(Stream::State, &manifest_prefix::<S>(partition)))?;
    // The newest may be incomplete: then the stage resumes from an older one.
    let position = |key: &String| {
        key.rsplit('/').nth(1).and_then(|position| position.parse().ok()).unwrap_or(0)
    };
    Ok(manifests.iter().map(position).min().unwrap_or(0))
}

/// Claims the stage and restores its newest complete snapshot; without one it begins fresh.
pub(super) fn claim<S: Stage>(journal: &dyn Journal, fresh: S) -> anyhow::Result<Claimed<S>> {
    let partition = fresh.partition();
    let claim = (
        format!("owner/{}/{partition}", S::NAME),
        Some(std::process::id().to_string().into_bytes()),
    );
    let claimed = retry(|| journal.put(Stream::State, std::slice::from_ref(&claim)))?;
    let epoch = format!("{:020}", claimed.first().copied().unwrap_or(0));
    let written = SnapshotsWritten { bytes: 0, at: Instant::now() };
    let mut seen = Vec::new();
    loop {
        let mut manifests =
            retry(|| journal.keys(Stream::State, &manifest_prefix::<S>(partition)))?;
        manifests.sort();
        for key in manifests.iter().rev() {
            if let Some((stage, chunks)) = restore(journal, key, partition)? {
                // An earlier owner may continue to delete its own.
                let copies = chunks
                    .into_iter()
                    .map(|(name, bytes)| (chunk_key::<S>(partition, &epoch, &name), Some(bytes)));
                put_all(journal, copies, &Context::default())?;
                return Ok(Claimed { stage, epoch, ended: false, restored: true, written });
            }
            tracing::warn!(key, "incomplete snapshot passed over");
        }
        if manifests == seen {
            return Ok(Claimed { stage: fresh, epoch, ended: false, restored: false, written });
        }
        // They may have been replaced in between.
        seen = manifests;
    }
}

impl<S: Stage> Claimed<S> {
    /// Writes chunks, then the manifest that names them, then deletes what this owner and earlier
    /// ones no longer need: a kill between any two leaves the last complete snapshot in place. No
    /// owner deletes what a later one has written or names a chunk of another; so one that was
    /// thought dead and wakes, even between two of these steps, harms no snapshot.
    ///
    /// Returns false, without a manifest, if the time for it is over.
    pub(super) fn write_snapshot(
        &mut self,
        journal: &dyn Journal,
        context: &Context,
    ) -> anyhow::Result<bool> {
        let Claimed { stage, epoch, written, .. } = self;
        let partition = stage.partition();
        if context.is_overdue() {
            return Ok(false);
        }
        let snapshot = stage.snapshot();
        let manifest = snapshot.manifest.encode();
        let bytes =
            manifest.len() + snapshot.fresh.iter().map(|(_, chunk)| chunk.len()).sum::<usize>();
        let chunks = snapshot
            .fresh
            .into_iter()
            .map(|(name, chunk)| (chunk_key::<S>(partition, epoch, &name), Some(chunk)));
        if !put_all(journal, chunks, context)? {
            return Ok(false);
        }
        let key = format!("{}{:020}/{epoch}", manifest_prefix::<S>(partition), stage.next());
        retry(|| journal.put(Stream::State, &[(key.clone(), Some(manifest.clone()))]))?;
        *written = SnapshotsWritten { bytes: written.bytes + bytes as u64, at: Instant::now() };
        let chunks = snapshot.manifest.chunks.iter();
        let named = chunks.map(|name| chunk_key::<S>(partition, epoch, name)).collect();
        delete_replaced::<S>(journal, partition, epoch, &key, &named)?;
        Ok(true)
    }
}

/// Deletes manifests and chunks of this owner and earlier ones, except those of a snapshot.
fn delete_replaced<S: Stage>(
    journal: &dyn Journal,
    partition: u32,
    epoch: &str,
    manifest: &str,
    chunks: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let manifests = retry(|| journal.keys(Stream::State, &manifest_prefix::<S>(partition)))?;
    if manifests.iter().any(|other| epoch_of_manifest(other) > epoch) {
        tracing::warn!(stage = S::NAME, partition, "another process has gone on from here");
    }
    let old_manifests =
        manifests.into_iter().filter(|old| old != manifest && epoch_of_manifest(old) <= epoch);
    let old_chunks = retry(|| journal.keys(Stream::State, &chunk_prefix::<S>(partition)))?
        .into_iter()
        .filter(|old| !chunks.contains(old) && epoch_of_chunk(old) <= epoch);
    let deletions: Vec<(String, Option<Vec<u8>>)> =
        old_manifests.chain(old_chunks).map(|old| (old, None)).collect();
    if !deletions.is_empty() {
        retry(|| journal.put(Stream::State, &deletions))?;
    }
    Ok(())
}

/// Puts chunks, a few mebibytes a call; false as soon as there is no time left.
fn put_all(
    journal: &dyn Journal,
    chunks: impl Iterator<Item = (String, Option<Vec<u8>>)>,
    context: &Context,
) -> anyhow::Result<bool> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for chunk in chunks {
        bytes += chunk.1.as_ref().map_or(0, Vec::len);
        batch.push(chunk);
        if bytes >= WRITE_BYTES {
            retry(|| journal.put(Stream::State, &batch))?;
            (batch, bytes) = (Vec::new(), 0);
            if context.is_overdue() {
                return Ok(false);
            }
        }
    }
    if !batch.is_empty() {
        retry(|| journal.put(Stream::State, &batch))?;
    }
    Ok(true)
}

/// A restored stage and the chunks of its snapshot.
type Restored<S> = (S, Vec<(ChunkName, Vec<u8>)>);

/// None if some chunks are missing.
fn restore<S: Stage>(
    journal: &dyn Journal,
    key: &str,
    partition: u32,
) -> anyhow::Result<Option<Restored<S>>> {
    let Some(bytes) = retry(|| journal.get(Stream::State, key))? else { return Ok(None) };
    let manifest = Manifest::decode(&bytes)?;
    let mut chunks = Vec::with_capacity(manifest.chunks.len());
    for name in &manifest.chunks {
        let key = chunk_key::<S>(partition, epoch_of_manifest(key), name);
        let Some(chunk) = retry(|| journal.get(Stream::State, &key))? else { return Ok(None) };
        chunks.push(chunk);
    }
    let stage = S::restore(&manifest, &chunks)?;
    Ok(Some((stage, manifest.chunks.into_iter().zip(chunks).collect())))
}
