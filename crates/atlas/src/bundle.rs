//! The world bundle: one file with the regions, their borders and their names, made by
//! `examples/build_bundle.rs`.
//!
//! Magic, data version, then sections of deflated bytes; each section is unpacked when it is first
//! needed.
//! Knows the file's form; does not know how it is used.

use std::io::Read;

use flate2::read::DeflateDecoder;

pub const MAGIC: &[u8; 8] = b"PHATLAS1";
/// The sections of a bundle in their order.
pub const REGIONS: usize = 0;
pub const ARCS: usize = 1;
pub const NAMES: usize = 2;
pub const SECTIONS: usize = 3;
/// A section unpacks to no more than this.
const SECTION_BYTES_MAX: u64 = 128 << 20;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("not a bundle of the atlas, or one of another format")]
    Magic,
    #[error("the bundle is damaged: {0}")]
    Damaged(&'static str),
}

/// A bundle file, still packed.
#[derive(Debug, Clone)]
pub struct Bundle<'a> {
    pub version: &'a str,
    sections: [&'a [u8]; SECTIONS],
}

impl<'a> Bundle<'a> {
    pub fn new(file: &'a [u8]) -> Result<Bundle<'a>, BundleError> {
        let rest = file.strip_prefix(MAGIC).ok_or(BundleError::Magic)?;
        let mut reader = Reader::new(rest);
        let version = std::str::from_utf8(reader.bytes_with_length()?)
            .map_err(|_| BundleError::Damaged("version"))?;
        let mut sections = [&rest[..0]; SECTIONS];
        for section in &mut sections {
            *section = reader.bytes_with_length()?;
        }
        Ok(Bundle { version, sections })
    }

    pub fn section(&self, number: usize) -> Result<Vec<u8>, BundleError> {
        let mut unpacked = Vec::with_capacity(self.sections[number].len() * 3);
        DeflateDecoder::new(self.sections[number])
            .take(SECTION_BYTES_MAX)
            .read_to_end(&mut unpacked)
            .map_err(|_| BundleError::Damaged("a section doesn't unpack"))?;
        Ok(unpacked)
    }
}

/// Reads whole numbers of seven bits a byte, and runs of bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn number(&mut self) -> Result<u64, BundleError> {
        let mut number = 0_u64;
        for shift in (0..63).step_by(7) {
            let (byte, rest) =
                self.rest.split_first().ok_or(BundleError::Damaged("it ends too soon"))?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(BundleError::Damaged("a number is too long"))
    }

    /// A number with its sign in the lowest bit.
    pub fn signed(&mut self) -> Result<i64, BundleError> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], BundleError> {
        let (bytes, rest) =
            self.rest.split_at_checked(length).ok_or(BundleError::Damaged("it ends too soon"))?;
        self.rest = rest;
        Ok(bytes)
    }

    pub fn bytes_with_length(&mut self) -> Result<&'a [u8], BundleError> {
        let length = self.number()? as usize;
        self.bytes(length)
    }
}

/// Writes what `Reader` reads.
#[derive(Debug, Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    pub fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    pub fn bytes_with_length(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }
}
