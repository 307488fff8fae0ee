//! File feeds: paths, patterns, standard input.
//!
//! | arrives | form | what is lost |
//! |---|---|---|
//! | NDJSON | plain, gzip (many members and padding too) or Zstandard, recognised by the first bytes, not by the name | lines longer than the bound: given as their length and hash |
//! | a growing file (`follow`) | plain; compressed ones are read once | what a writer adds to a file after it was rotated away for longer than one look |
//!
//! Pull style and blocking: anyone who reads asks for the next batch of lines and decides when to
//! ask again. Line feeds and CRLF end lines, the last one needs neither, a byte order mark and
//! blank lines are skipped. A [`Cursor`] names the place after a line; reading on from it gives
//! exactly the lines after. Knows nothing of what lines say.

mod gzip;
mod lines;
pub mod looks;
mod running;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use record::Reject;
use thiserror::Error;

pub use crate::cursor::file::{Cursor, CursorError, Position};
use lines::{Lines, Step};
pub use running::start;
use source::{Head, Opened, Source};

use crate::line::Rejected;

/// The name of standard input, among paths and in cursors.
pub const STDIN: &str = "-";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSettings {
    /// Paths, patterns and `-`, read in this order; what a pattern matches is sorted by name.
    pub paths: Vec<String>,
    /// Read on as files grow, across rotation and truncation.
    pub follow: bool,
    pub line_bytes_max: usize,
    /// A batch ends once it holds as much.
    pub batch_bytes: usize,
}

impl FileSettings {
    pub fn new(paths: Vec<String>) -> FileSettings {
        FileSettings { paths, follow: false, line_bytes_max: 1 << 20, batch_bytes: 256 << 10 }
    }
}

#[derive(Debug, Error)]
pub enum FileError {
    #[error("`{pattern}` is no pattern of file names: {why}")]
    Pattern { pattern: String, why: &'static str },
    #[error("no file matches `{pattern}`")]
    NoFile { pattern: String },
    #[error("the file name `{name}` is not UTF-8")]
    Name { name: String },
    #[error("failed to open `{file}`")]
    Open { file: String, source: io::Error },
    #[error("`{file}` is cut off in the middle of its compressed data, after {lines} lines")]
    Truncated { file: String, lines: u64 },
    #[error("failed to read `{file}` after {lines} lines")]
    Read { file: String, lines: u64, source: io::Error },
}

/// Some lines of one file.
#[derive(Debug)]
pub struct Batch {
    file: Arc<str>,
    head: Head,
    /// The places reached in other files.
    others: Arc<[Position]>,
    bytes: Vec<u8>,
    lines: Vec<Found>,
}

/// A line within the bytes of a batch.
#[derive(Debug)]
struct Found {
    number: u64,
    /// Offset in the file after the line and its newline, of the uncompressed bytes.
    offset_after: u64,
    content: FoundContent,
}

#[derive(Debug)]
enum FoundContent {
    Range(usize, usize),
    TooLong { length: u64, hash: String, begins: Vec<u8> },
}

/// A line of a file.
#[derive(Debug)]
pub struct FileLine<'a> {
    pub content: Content<'a>,
    /// From 1.
    pub number: u64,
    batch: &'a Batch,
    offset_after: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// Without its newline; never blank.
    Bytes(&'a [u8]),
    TooLong {
        length: u64,
        hash: &'a str,
        /// Its first bytes.
        begins: &'a [u8],
    },
}

impl Batch {
    pub fn lines(&self) -> impl ExactSizeIterator<Item = FileLine<'_>> {
        self.lines.iter().map(|found| FileLine {
            content: match &found.content {
                FoundContent::Range(from, to) => Content::Bytes(&self.bytes[*from..*to]),
                FoundContent::TooLong { length, hash, begins } => {
                    Content::TooLong { length: *length, hash, begins }
                }
            },
            number: found.number,
            batch: self,
            offset_after: found.offset_after,
        })
    }

    /// Following a file that has not grown gives none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// As it was named, `-` for standard input.
    pub fn file(&self) -> &str {
        &self.file
    }
}

impl FileLine<'_> {
    pub fn file(&self) -> &str {
        &self.batch.file
    }

    /// The place after this line.
    pub fn cursor(&self) -> Cursor {
        let (head_bytes, head) = self.batch.head.print();
        let at = Position {
            file: self.batch.file.clone(),
            offset: self.offset_after,
            line: self.number,
            head_bytes,
            head,
        };
        Cursor { others: self.batch.others.clone(), at }
    }

    /// Its first bytes, for [`looks::hint`].
    pub fn begins(&self) -> &[u8] {
        match &self.content {
            Content::Bytes(bytes) => bytes,
            Content::TooLong { begins, .. } => begins,
        }
    }

    /// The record of this line being set aside; of the line itself it holds a hash.
    pub fn reject(&self, feed: &str, rejected: &Rejected) -> Reject {
        let (length, hash) = match &self.content {
            Content::Bytes(bytes) => (bytes.len() as u64, hash_of(blake3::hash(bytes))),
            Content::TooLong { length, hash, .. } => (*length, (*hash).to_owned()),
        };
        Reject {
            feed: feed.to_owned(),
            reason: rejected.reason,
            place: self.file().to_owned(),
            line: self.number,
            length,
            hash,
            detail: rejected.detail.clone().into_owned(),
        }
    }
}

/// What is stored of a line that is set aside.
pub fn hash(line: &[u8]) -> String {
    hash_of(blake3::hash(line))
}

/// The first 16 hex digits.
pub(crate) fn hash_of(hash: blake3::Hash) -> String {
    hash.to_hex().as_str()[..16].to_owned()
}

/// Reads the lines of files, batch by batch.
pub struct FileReader {
    settings: FileSettings,
    files: Vec<Tail>,
    /// The file that the next lines come from.
    current: usize,
    bytes_read: Arc<AtomicU64>,
    bytes_total: u64,
    /// Given after the lines before it.
    failed: Option<FileError>,
}

/// A file and how far it has been read.
struct Tail {
    file: Arc<str>,
    /// Where lines have been given up to.
    offset: u64,
    line: u64,
    state: State,
}

enum State {
    /// Not opened yet; a position is checked against what the file begins with.
    Waiting(Option<Position>),
    Open(Box<Open>),
    /// Read to its end; how it began.
    Done(Head),
}

struct Open {
    source: Source,
    lines: Lines,
    /// The path has been seen to be another file by now.
    rotated: bool,
    /// What is left of it is read, then the file that the path names.
    leaving: bool,
}

/// What the end of a followed file means.
enum AtEnd {
    Wait,
    /// Nothing will be added to it any more.
    Finish,
}

impl FileReader {
    /// Opens for reading from the start, or from a cursor that an earlier reading gave.
    pub fn open(settings: FileSettings, from: Option<&Cursor>) -> Result<FileReader, FileError> {
        let names = expand(&settings)?;
        if !settings.follow {
            for name in names.iter().filter(|name| *name != STDIN) {
                fs::metadata(name)
                    .map_err(|source| FileError::Open { file: name.clone(), source })?;
            }
        }
        let bytes_total =
            names.iter().filter_map(|name| fs::metadata(name).ok()).map(|found| found.len()).sum();
        let mut reader = FileReader {
            settings,
            files: Vec::new(),
            current: 0,
            bytes_read: Arc::default(),
            bytes_total,
            failed: None,
        };
        let last = from.and_then(|from| names.iter().position(|name| **name == *from.at.file));
        for (i, name) in names.into_iter().enumerate() {
            let position = from.and_then(|from| from.of(&name)).cloned();
            let state = match (position, last) {
                (Some(position), _) => State::Waiting(Some(position)),
                // Files are read one after another: those before the cursor's are done.
                (None, Some(last)) if i < last && !reader.settings.follow => {
                    State::Done(Head::default())
                }
                (None, _) => State::Waiting(None),
            };
            reader.files.push(Tail { file: name.into(), offset: 0, line: 0, state });
        }
        Ok(reader)
    }

    /// Reads whatever `read` gives, as if it were standard input.
    pub fn of(
        read: impl Read + Send + 'static,
        settings: FileSettings,
    ) -> Result<FileReader, FileError> {
        let bytes_read = Arc::new(AtomicU64::new(0));
        let opened = Source::stream(read, bytes_read.clone())
            .map_err(|source| FileError::Open { file: STDIN.to_owned(), source })?;
        let state = State::Open(Box::new(Open {
            source: opened.source,
            lines: Lines::new(settings.line_bytes_max, true),
            rotated: false,
            leaving: false,
        }));
        let files = vec![Tail { file: STDIN.into(), offset: 0, line: 0, state }];
        Ok(FileReader { settings, files, current: 0, bytes_read, bytes_total: 0, failed: None })
    }

    /// Bytes read of the files, and their sizes when they were found, compressed as they are.
    pub fn progress(&self) -> (u64, u64) {
        (self.bytes_read.load(Ordering::Relaxed), self.bytes_total)
    }

    /// The next lines, at most so many; none once everything has been read.
    ///
    /// When following, an empty batch means that nothing is new: ask again later. After an error
    /// reading continues with the next file.
    pub fn next_batch(&mut self, lines_max: usize) -> Result<Option<Batch>, FileError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut idle = 0;
        while idle < self.files.len() {
            let index = self.current % self.files.len();
            self.current = index;
            let batch = self.read_file(index, lines_max.max(1));
            match batch {
                Ok(batch) if !batch.is_empty() => return Ok(Some(batch)),
                Ok(_) => {
                    if let Some(error) = self.failed.take() {
                        self.current += 1;
                        return Err(error);
                    }
                }
                Err(error) => {
                    self.files[index].state = State::Done(Head::default());
                    self.current += 1;
                    return Err(error);
                }
            }
            idle += 1;
            self.current += 1;
        }
        if !self.settings.follow {
            return Ok(None);
        }
        self.look_for_files()?;
        let nothing = Batch {
            file: "".into(),
            head: Head::default(),
            others: Arc::new([]),
            bytes: Vec::new(),
            lines: Vec::new(),
        };
        Ok(Some(nothing))
    }

    /// Patterns may match more by now.
    fn look_for_files(&mut self) -> Result<(), FileError> {
        let known = self.files.iter().map(|tail| tail.file.to_string()).collect::<BTreeSet<_>>();
        for name in expand(&self.settings)? {
            if !known.contains(&name) {
                self.files.push(Tail {
                    file: name.into(),
                    offset: 0,
                    line: 0,
                    state: State::Waiting(None),
                });
            }
        }
        Ok(())
    }

    fn read_file(&mut self, index: usize, lines_max: usize) -> Result<Batch, FileError> {
        let others = match self.settings.follow {
            true => self.positions_but(index),
            false => Arc::new([]),
        };
        let tail = &mut self.files[index];
        let mut batch = Batch {
            file: tail.file.clone(),
            head: Head::default(),
            others,
            bytes: Vec::new(),
            lines: Vec::new(),
        };
        if !tail.ready(&self.settings, &self.bytes_read)? {
            return Ok(batch);
        }
        loop {
            let ended = tail.take_lines(&mut batch, lines_max, self.settings.batch_bytes);
            let State::Open(open) = &mut tail.state else { return Ok(batch) };
            batch.head = open.source.head().clone();
            if ended {
                tail.leave();
                return Ok(batch);
            }
            // What is there is given before more is waited for: a pipe may be silent for hours.
            if !batch.is_empty() {
                return Ok(batch);
            }
            match open.lines.fill(&mut open.source) {
                Ok(0) if self.settings.follow && open.source.follows() => match tail.at_end()? {
                    AtEnd::Wait => return Ok(batch),
                    AtEnd::Finish => {}
                },
                Ok(0) => open.lines.finish(),
                Ok(_) => {}
                Err(source) => {
                    let (file, lines) = (tail.file.to_string(), tail.line);
                    let cut =
                        open.source.compressed() && source.kind() == io::ErrorKind::UnexpectedEof;
                    tail.leave();
                    self.failed = Some(if cut {
                        FileError::Truncated { file, lines }
                    } else {
                        FileError::Read { file, lines, source }
                    });
                    return Ok(batch);
                }
            }
        }
    }

    fn positions_but(&self, index: usize) -> Arc<[Position]> {
        let others = self.files.iter().enumerate().filter(|(i, _)| *i != index);
        others.filter_map(|(_, tail)| tail.position()).collect()
    }
}

impl Tail {
    /// Moves lines that have been read into the batch; true at the end of the file.
    fn take_lines(&mut self, batch: &mut Batch, lines_max: usize, bytes_max: usize) -> bool {
        let State::Open(open) = &mut self.state else { return false };
        while batch.lines.len() < lines_max && batch.bytes.len() < bytes_max {
            let (content, length) = match open.lines.next() {
                Step::Line { bytes, length } => {
                    let from = batch.bytes.len();
                    let is_blank = crate::line::is_blank(bytes);
                    if !is_blank {
                        batch.bytes.extend_from_slice(bytes);
                    }
                    let content = FoundContent::Range(from, batch.bytes.len());
                    ((!is_blank).then_some(content), length)
                }
                Step::TooLong { content, length, hash, begins } => {
                    let hash = hash_of(hash);
                    (Some(FoundContent::TooLong { length: content, hash, begins }), length)
                }
                Step::More => return false,
                Step::End => return true,
            };
            self.line += 1;
            self.offset += length;
            if let Some(content) = content {
                let (number, offset_after) = (self.line, self.offset);
                batch.lines.push(Found { number, offset_after, content });
            }
        }
        false
    }

    /// Opens the file if that has not happened; false where there is nothing to read.
    fn ready(
        &mut self,
        settings: &FileSettings,
        bytes_read: &Arc<AtomicU64>,
    ) -> Result<bool, FileError> {
        let State::Waiting(position) = &self.state else {
            return Ok(matches!(self.state, State::Open(_)));
        };
        let opened = if *self.file == *STDIN {
            // What was piped in before is gone: reading starts with what comes.
            Source::stream(io::stdin(), bytes_read.clone())
        } else {
            Source::file(Path::new(&*self.file), position.as_ref(), bytes_read.clone())
        };
        match opened {
            Ok(Opened { source, resumed }) => {
                (self.offset, self.line) = position
                    .as_ref()
                    .filter(|_| resumed)
                    .map_or((0, 0), |position| (position.offset, position.line));
                self.state = State::Open(Box::new(Open {
                    source,
                    lines: Lines::new(settings.line_bytes_max, self.offset == 0),
                    rotated: false,
                    leaving: false,
                }));
                Ok(true)
            }
            Err(source) if settings.follow && source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(FileError::Open { file: self.file.to_string(), source }),
        }
    }

    /// A followed file has no more at the moment: looks whether it is still the one that its path
    /// names.
    fn at_end(&mut self) -> Result<AtEnd, FileError> {
        let State::Open(open) = &mut self.state else { return Ok(AtEnd::Wait) };
        let rewritten = open.source.was_rewritten();
        let failed =
            |source| FileError::Read { file: self.file.to_string(), lines: self.line, source };
        if rewritten.map_err(failed)? {
            // What was left of the line in hand is gone with the file.
            self.restart();
            return Ok(AtEnd::Wait);
        }
        let replaced = open.source.was_replaced(Path::new(&*self.file));
        // One more look before the old file is left: its writer may still have it open.
        if replaced && open.rotated {
            open.leaving = true;
            open.lines.finish();
            return Ok(AtEnd::Finish);
        }
        open.rotated = replaced;
        Ok(AtEnd::Wait)
    }

    /// Everything of the open file has been given.
    fn leave(&mut self) {
        match &self.state {
            State::Open(open) if open.leaving => self.restart(),
            State::Open(open) => self.state = State::Done(open.source.head().clone()),
            State::Waiting(_) | State::Done(_) => {}
        }
    }

    fn restart(&mut self) {
        self.state = State::Waiting(None);
        (self.offset, self.line) = (0, 0);
    }

    /// The place reached, if there is any.
    fn position(&self) -> Option<Position> {
        let head = match &self.state {
            State::Waiting(position) => return position.clone(),
            State::Open(open) => open.source.head(),
            State::Done(head) => head,
        };
        let (head_bytes, head) = head.print();
        Some(Position {
            file: self.file.clone(),
            offset: self.offset,
            line: self.line,
            head_bytes,
            head,
        })
    }
}

/// The files that the settings name, each once.
fn expand(settings: &FileSettings) -> Result<Vec<String>, FileError> {
    let mut names: Vec<String> = Vec::new();
    for path in &settings.paths {
        let is_pattern = path.contains(['*', '?', '[']) && !Path::new(path).exists();
        if !is_pattern {
            if !names.contains(path) {
                names.push(path.clone());
            }
            continue;
        }
        let matches = glob::glob(path)
            .map_err(|err| FileError::Pattern { pattern: path.clone(), why: err.msg })?;
        let mut found = BTreeSet::new();
        for entry in matches.flatten().filter(|entry| entry.is_file()) {
            let name = entry
                .to_str()
                .ok_or_else(|| FileError::Name { name: entry.to_string_lossy().into_owned() })?;
            found.insert(name.to_owned());
        }
        if found.is_empty() && !settings.follow {
            return Err(FileError::NoFile { pattern: path.clone() });
        }
        names.extend(found.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
