//! Lock of a data folder for one process; the kernel releases it when the process ends.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use fs4::{FileExt, TryLockError};

use super::sqlite::{self, io_failed};
use crate::JournalError;

pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would leave it to a child process that is just being started and has not
        // yet closed its copy.
        let _ = FileExt::unlock(&self.0);
    }
}

impl Lock {
    pub(super) fn take(folder: &Path) -> Result<Lock, JournalError> {
        let path = folder.join("lock");
        let failed = |error| io_failed(&path, "lock", error);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(sqlite::PRIVATE)
            .open(&path)
            .map_err(failed)?;
        match FileExt::try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // The holder may be about to write it; then it is just another process.
                let read = file.read_to_string(&mut pid);
                return Err(JournalError::Locked {
                    folder: folder.to_owned(),
                    pid: read.ok().and_then(|_| pid.trim().parse().ok()),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Without room for the pid the lock still holds.
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        match written.map_err(failed) {
            Ok(()) | Err(JournalError::DiskFull { .. }) => Ok(Lock(file)),
            Err(error) => Err(error),
        }
    }
}
