//! What the tests of several modules use.

use std::path::{Path, PathBuf};

/// A file of the shared folder that is next to the checkout; says so where there is none.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os("PUMPHANDLE_SHARED").map(PathBuf::from);
    let beside =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared"));
    let found =
        named.into_iter().chain(beside).map(|folder| folder.join(name)).find(|path| path.exists());
    if found.is_none() {
        println!("skipped: no `shared/{name}` beside the checkout; set PUMPHANDLE_SHARED");
    }
    found
}
