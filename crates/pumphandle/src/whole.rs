//! A file that is there whole or not at all: written beside itself, then renamed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// For its owner's eyes only.
pub(crate) const SECRET: u32 = 0o600;
/// For whoever the process lets read what it makes.
pub(crate) const PLAIN: u32 = 0o666;

/// Writes a file and makes its folder; a kill leaves what was there before, and at most a `.part` beside it.
pub(crate) fn write(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut beside = OsString::from(file);
    beside.push(".part");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&beside, file)?;
    // On some file systems the new name is not durable before its folder is: a power cut would bring the old file back.
    match file.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder }) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
