//! A file that is there whole or not at all: written beside itself, then renamed; and folders that
//! are their owner's alone.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// For its owner's eyes only.
pub(crate) const SECRET: u32 = 0o600;
/// For whoever the process lets read what it makes.
pub(crate) const PLAIN: u32 = 0o666;

const PRIVATE_FOLDER: u32 = 0o700;

/// Writes a file and makes its folder; a kill leaves what was there before, and at most a `.part`
/// beside it.
pub(crate) fn write(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        if mode == SECRET { make_folder(folder)? } else { fs::create_dir_all(folder)? }
    }
    let mut beside = OsString::from(file);
    beside.push(".part");
    let mut out =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    if mode == SECRET {
        // One that a kill left there may have been made by another umask.
        out.set_permissions(Permissions::from_mode(SECRET))?;
    }
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&beside, file)?;
    // Else a power cut may undo the renaming.
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes a folder for its owner alone; those above it are made as usual.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        fs::create_dir_all(above)?;
    }
    fs::DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder)
}

/// Takes the rights of group and others away from a file, or a folder and all in it, and returns
/// from how many files and folders it did. Links are not followed.
pub(crate) fn tighten(path: &Path) -> io::Result<usize> {
    let mut changed = tighten_one(path)?;
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        for entry in fs::read_dir(path)? {
            changed += tighten(&entry?.path())?;
        }
    }
    Ok(changed)
}

/// The same without what is in a folder.
pub(crate) fn tighten_one(path: &Path) -> io::Result<usize> {
    // A file of a running program may go at any time.
    let or_gone =
        |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(0) } else { Err(error) };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return or_gone(error),
    };
    let wanted = if metadata.is_dir() { PRIVATE_FOLDER } else { SECRET };
    let is_ours = metadata.is_dir() || metadata.is_file();
    if !is_ours || metadata.permissions().mode() & 0o077 == 0 {
        return Ok(0);
    }
    fs::set_permissions(path, Permissions::from_mode(wanted)).map(|()| 1).or_else(or_gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_folder_is_tightened_with_all_in_it_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("streams")).unwrap();
        fs::write(data.join("streams/posts"), "x").unwrap();
        fs::write(folder.path().join("beside"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path().join("beside"), data.join("link")).unwrap();
        let set =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        set(&data, 0o755);
        set(&data.join("streams"), 0o750);
        set(&data.join("streams/posts"), 0o644);
        set(&folder.path().join("beside"), 0o644);
        assert_eq!(tighten(&data).unwrap(), 3);
        assert_eq!(
            (mode(&data), mode(&data.join("streams")), mode(&data.join("streams/posts"))),
            (0o700, 0o700, 0o600)
        );
        assert_eq!((mode(&folder.path().join("beside")), tighten(&data).unwrap()), (0o644, 0));
        assert_eq!(tighten(&data.join("nothing")).unwrap(), 0);
    }
}
