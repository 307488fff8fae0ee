//! Export files: a table is written to a file without a name first, then sent as fast as the client
//! reads it.
//!
//! No query is open while a client reads, so a slow one holds back neither the warehouse's log nor
//! other queries.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;

/// A longer export is refused; `from` and `to` make it shorter.
pub(crate) const BYTES_MAX: u64 = 2 << 30;
const PIECE_BYTES: usize = 64 << 10;

/// What has been written, and the number of bytes.
#[derive(Debug)]
pub(crate) struct Spool {
    file: BufWriter<File>,
    length: u64,
}

impl Spool {
    /// Makes a file in the folder and removes its name: it ends with the process, however that
    /// ends.
    pub(crate) fn new(folder: &Path) -> io::Result<Spool> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = folder.join(format!("export-{name}.tmp"));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Spool { file: BufWriter::with_capacity(PIECE_BYTES, file), length: 0 })
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The body of the answer; the permit is given back when the client has read it, or has gone.
    pub(crate) fn into_body(self, permit: OwnedSemaphorePermit) -> io::Result<Body> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let reading = (file, permit);
        Ok(Body::from_stream(stream::unfold(Some(reading), async |reading| {
            let (mut file, permit) = reading?;
            let piece = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; PIECE_BYTES];
                file.read(&mut piece).map(|read| {
                    piece.truncate(read);
                    (piece, file)
                })
            });
            match piece.await.map_err(io::Error::other).and_then(|piece| piece) {
                Ok((piece, _)) if piece.is_empty() => None,
                Ok((piece, file)) => Some((Ok(Bytes::from(piece)), Some((file, permit)))),
                Err(error) => Some((Err(error), None)),
            }
        })))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.length + bytes.len() as u64 > BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
