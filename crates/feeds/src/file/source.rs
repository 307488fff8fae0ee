//! Opened files, plain or compressed, recognised by their first bytes.

use std::fs::{self, File};
use std::io::{self, BufReader, Cursor as Memory, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::gzip::Gzip;
use crate::cursor::file::Position;

/// So many first bytes tell one file from another.
const HEAD_BYTES: usize = 256;
const BUFFER_BYTES: usize = 128 << 10;

/// The first bytes of a file as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head(Arc<Vec<u8>>);

impl Head {
    /// How many they are, and their hash.
    pub(super) fn print(&self) -> (u16, u64) {
        (u16::try_from(self.0.len()).unwrap_or(u16::MAX), hash_of(&self.0))
    }
}

fn hash_of(head: &[u8]) -> u64 {
    blake3::hash(head).as_bytes()[..8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

pub(super) struct Opened {
    pub(super) source: Source,
    /// Whether it is the file that the position is in.
    pub(super) resumed: bool,
}

pub(super) struct Source {
    input: Input,
    head: Head,
}

enum Input {
    /// A plain file, which can be followed.
    Plain(Counted<File>),
    /// Standard input, plain.
    Stream(Box<dyn Read + Send>),
    Compressed(Box<dyn Read + Send>),
}

impl Source {
    pub(super) fn file(
        path: &Path,
        position: Option<&Position>,
        bytes_read: Arc<AtomicU64>,
    ) -> io::Result<Opened> {
        let mut file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let head = read_head(&mut file, HEAD_BYTES)?;
        let resume = position.filter(|position| {
            let begins = head.get(..usize::from(position.head_bytes));
            begins.is_some_and(|begins| hash_of(begins) == position.head)
        });
        let offset = resume.map_or(0, |position| position.offset);
        let compression = Compression::of(&head);
        let mut counted = Counted { inner: file, bytes_read };
        let input = match compression {
            None => {
                let length = counted.inner.metadata()?.len();
                // Shorter than what was read of it: it was written again.
                let offset = if offset > length { 0 } else { offset };
                counted.inner.seek(SeekFrom::Start(offset))?;
                counted.bytes_read.fetch_add(offset, Ordering::Relaxed);
                let resumed = resume.is_some() && offset > 0;
                return Ok(Opened {
                    source: Source { input: Input::Plain(counted), head: Head(Arc::new(head)) },
                    resumed,
                });
            }
            Some(compression) => {
                counted.inner.seek(SeekFrom::Start(0))?;
                let mut decoded = compression.decoder(counted)?;
                // Compressed data has no offsets: what was read before is read again and left.
                io::copy(&mut decoded.by_ref().take(offset), &mut io::sink())?;
                Input::Compressed(decoded)
            }
        };
        Ok(Opened {
            source: Source { input, head: Head(Arc::new(head)) },
            resumed: resume.is_some(),
        })
    }

    pub(super) fn stream(
        mut read: impl Read + Send + 'static,
        bytes_read: Arc<AtomicU64>,
    ) -> io::Result<Opened> {
        let mut first = Vec::new();
        // What is fewer than a magic number is plain.
        read.by_ref().take(4).read_to_end(&mut first)?;
        let compression = Compression::of(&first);
        let whole = Counted { inner: Memory::new(first).chain(read), bytes_read };
        let input = match compression {
            None => Input::Stream(Box::new(whole)),
            Some(compression) => Input::Compressed(compression.decoder(whole)?),
        };
        Ok(Opened { source: Source { input, head: Head::default() }, resumed: false })
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn compressed(&self) -> bool {
        matches!(self.input, Input::Compressed(_))
    }

    /// Whether more may come later.
    pub(super) fn follows(&self) -> bool {
        matches!(self.input, Input::Plain(_))
    }

    /// Whether the open file was cut and written again. Its head may also have grown, which is
    /// noted.
    pub(super) fn was_rewritten(&mut self) -> io::Result<bool> {
        let Input::Plain(Counted { inner: file, .. }) = &mut self.input else { return Ok(false) };
        let at = file.stream_position()?;
        if file.metadata()?.len() < at {
            return Ok(true);
        }
        let head = read_head(file, HEAD_BYTES)?;
        file.seek(SeekFrom::Start(at))?;
        if !head.starts_with(&self.head.0) {
            return Ok(true);
        }
        if head.len() > self.head.0.len() {
            self.head = Head(Arc::new(head));
        }
        Ok(false)
    }

    /// Whether the path names another file than the open one.
    pub(super) fn was_replaced(&self, path: &Path) -> bool {
        let Input::Plain(Counted { inner: file, .. }) = &self.input else { return false };
        match (fs::metadata(path).ok(), file.metadata().ok()) {
            (Some(named), Some(open)) => !same_file(&named, &open),
            _ => false,
        }
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.input {
            Input::Plain(file) => file.read(into),
            Input::Stream(stream) | Input::Compressed(stream) => stream.read(into),
        }
    }
}

#[cfg(unix)]
fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Elsewhere a replaced file is noticed by its length or its head.
#[cfg(not(unix))]
fn same_file(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

/// Leaves the file after the bytes that were read.
fn read_head(file: &mut File, bytes: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(bytes);
    file.seek(SeekFrom::Start(0))?;
    file.take(bytes as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[derive(Clone, Copy)]
enum Compression {
    Gzip,
    Zstandard,
}

impl Compression {
    fn of(head: &[u8]) -> Option<Compression> {
        match head {
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstandard),
            // A frame to be skipped may stand first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstandard),
            _ => None,
        }
    }

    fn decoder(self, read: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        let buffered = BufReader::with_capacity(BUFFER_BYTES, read);
        Ok(match self {
            Compression::Gzip => Box::new(Gzip::new(buffered)),
            Compression::Zstandard => Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?),
        })
    }
}

/// Counts what goes through: progress is measured on files as they are stored.
struct Counted<R> {
    inner: R,
    bytes_read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
