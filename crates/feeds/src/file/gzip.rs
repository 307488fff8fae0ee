//! Gzip decoder for concatenated members and zero padding.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

pub(super) struct Gzip<R> {
    /// None only once everything has been read, or after an error.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(read: R) -> Gzip<R> {
        Gzip { member: Some(GzDecoder::new(read)) }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            self.member = match self.member.take() {
                Some(member) => next_member(member.into_inner())?,
                None => None,
            };
        }
        Ok(0)
    }
}

/// Passes padding over; none at the end.
fn next_member<R: BufRead>(mut read: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let buffered = match read.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            buffered => buffered?,
        };
        if buffered.is_empty() {
            return Ok(None);
        }
        let (padding, length) =
            (buffered.iter().take_while(|byte| **byte == 0).count(), buffered.len());
        read.consume(padding);
        if padding < length {
            return Ok(Some(GzDecoder::new(read)));
        }
    }
}
