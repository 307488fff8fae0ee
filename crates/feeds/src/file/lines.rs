//! Line splitter with bounded memory.

use std::io::{self, Read};

use memchr::memchr;

/// Read at once; also how much a line may exceed its bound before that is noticed.
const CHUNK_BYTES: usize = 128 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) struct Lines {
    line_bytes_max: usize,
    buffer: Vec<u8>,
    /// Where the next line starts in the buffer.
    start: usize,
    /// Up to where no newline was found.
    searched: usize,
    /// A line beyond the bound, of which this much has gone by.
    skipping: Option<Skipped>,
    finished: bool,
    /// The next line is the first of its file.
    first: bool,
}

struct Skipped {
    begins: Vec<u8>,
    length: u64,
    hasher: Box<blake3::Hasher>,
}

pub(super) enum Step<'a> {
    /// A line without its newline, and the length with it.
    Line { bytes: &'a [u8], length: u64 },
    /// Length without and with its newline, and its first bytes.
    TooLong { content: u64, length: u64, hash: blake3::Hash, begins: Vec<u8> },
    /// Nothing until the buffer has been filled again.
    More,
    /// Nothing any more.
    End,
}

impl Lines {
    pub(super) fn new(line_bytes_max: usize, first: bool) -> Lines {
        Lines {
            line_bytes_max,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            skipping: None,
            finished: false,
            first,
        }
    }

    /// Reads a chunk; returns its length, 0 at the end.
    pub(super) fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        let filled = self.buffer.len();
        self.buffer.resize(filled + CHUNK_BYTES, 0);
        let read = loop {
            match from.read(&mut self.buffer[filled..]) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
        read
    }

    /// There is no more to read: what is left is the last line.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    pub(super) fn next(&mut self) -> Step<'_> {
        let newline =
            memchr(b'\n', &self.buffer[self.searched..]).map(|found| self.searched + found);
        let (end, after) = match newline {
            Some(newline) => (newline, newline + 1),
            None if self.finished
                && (self.start < self.buffer.len() || self.skipping.is_some()) =>
            {
                (self.buffer.len(), self.buffer.len())
            }
            None if self.finished => return Step::End,
            None => {
                self.searched = self.buffer.len();
                self.skip_if_too_long();
                return Step::More;
            }
        };
        let piece = self.start..end;
        let length = (after - self.start) as u64;
        self.start = after;
        self.searched = after;
        let first = std::mem::take(&mut self.first);
        if let Some(Skipped { begins, length: before, mut hasher }) = self.skipping.take() {
            hasher.update(&self.buffer[piece.clone()]);
            return Step::TooLong {
                content: before + piece.len() as u64,
                length: before + length,
                hash: hasher.finalize(),
                begins,
            };
        }
        let bytes = &self.buffer[piece];
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        // A byte order mark is no part of the first line.
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).filter(|_| first).unwrap_or(bytes);
        if bytes.len() > self.line_bytes_max {
            return Step::TooLong {
                content: bytes.len() as u64,
                length,
                hash: blake3::hash(bytes),
                begins: beginning(bytes),
            };
        }
        Step::Line { bytes, length }
    }

    /// Of a line that is already too long only its hash and length are stored.
    fn skip_if_too_long(&mut self) {
        let piece = &self.buffer[self.start..];
        // A byte order mark before it and a carriage return after it are no part of it.
        if self.skipping.is_none() && piece.len() <= self.line_bytes_max + BYTE_ORDER_MARK.len() + 1
        {
            return;
        }
        let begins = beginning(piece);
        let skipped = self.skipping.get_or_insert_with(|| Skipped {
            begins,
            length: 0,
            hasher: Box::new(blake3::Hasher::new()),
        });
        skipped.hasher.update(piece);
        skipped.length += piece.len() as u64;
        self.buffer.clear();
        self.start = 0;
        self.searched = 0;
    }
}

/// So much of a line that is too long is shown as a hint at what the file contains.
fn beginning(line: &[u8]) -> Vec<u8> {
    line[..line.len().min(64)].to_vec()
}
