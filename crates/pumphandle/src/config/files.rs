//! Files that the configuration names: found by paths and patterns, read as text.
//!
//! Between the reader of keys and the readers of topics, regions, populations and subscriptions.
//! Knows no content.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use record::diagnostic::{Diagnostic, Place};

use super::reader::{Read, Section};
use super::units::display_size;

const FILES_MAX: usize = 10_000;

pub(super) struct TextFile {
    pub(super) name: String,
    pub(super) text: String,
}

impl Section<'_> {
    /// The place of the first path or pattern of a list, and the texts of all files they name;
    /// those that can't be read are noted. `extension` is the usual one of such files.
    pub(super) fn files(
        &mut self,
        key: &str,
        extension: &str,
        bytes_max: u64,
    ) -> Read<(Option<Place>, Vec<TextFile>)> {
        let patterns =
            self.texts_of(key, |pattern, place| Ok((pattern.to_owned(), place.clone())))?;
        let first = patterns.first().map(|(_, place)| place.clone());
        let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
        for (pattern, place) in patterns {
            let paths = match find_files(&pattern, key, self.base(&place)) {
                Ok(paths) => paths,
                Err((message, hint)) => {
                    self.error(&place, &message, &hint);
                    continue;
                }
            };
            for path in paths.into_iter().filter(|path| seen.insert(path.clone())) {
                let name = path.display().to_string();
                match read_text(&path, bytes_max, &format!("`{name}`"), &place) {
                    Ok(text) => files.push(TextFile { name, text }),
                    Err(error) => {
                        let hint = match path.is_dir() {
                            true => format!("write `{name}/*.{extension}` for the files in it"),
                            false => "paths in a configuration file are relative to its folder"
                                .to_owned(),
                        };
                        self.reader.note(error.or_hint(hint));
                    }
                }
            }
        }
        Ok((first, files))
    }

    /// A path; none if the text is empty.
    pub(super) fn optional_path(&mut self, key: &str) -> Read<Option<PathBuf>> {
        let written = self.optional(key, |path, place| Ok((path.to_owned(), place.clone())))?;
        Ok(written.map(|(path, place)| self.resolve(&place, &path)))
    }

    /// The path of a file that must exist, which is not read here; none if the text is empty.
    pub(super) fn existing_file(&mut self, key: &str, hint: &str) -> Read<Option<PathBuf>> {
        let Some(path) = self.optional_path(key)? else { return Ok(None) };
        if !path.is_file() {
            let message = format!("no file `{}` for `{key}`", path.display());
            return Err(self.error(&self.place_of(key), &message, hint));
        }
        Ok(Some(path))
    }
}

/// The files that a path or a pattern names, sorted; or a message and a hint.
fn find_files(pattern: &str, key: &str, base: &Path) -> Result<Vec<PathBuf>, (String, String)> {
    if !pattern.contains(['*', '?', '[']) {
        return Ok(vec![base.join(pattern)]);
    }
    // The folder is no part of the pattern, whatever characters its name has.
    let in_folder = match Path::new(pattern).is_absolute() || base.as_os_str().is_empty() {
        true => pattern.to_owned(),
        false => format!("{}/{pattern}", glob::Pattern::escape(&base.to_string_lossy())),
    };
    let found = glob::glob(&in_folder).map_err(|error| {
        (format!("bad pattern `{pattern}` for `{key}`"), error.msg.to_lowercase())
    })?;
    let paths: Result<Vec<PathBuf>, _> = found.take(FILES_MAX + 1).collect();
    let mut paths = paths.map_err(|error| {
        let why = error.error().kind();
        (format!("a folder of `{pattern}` can't be read: {why}"), "see who may read it".to_owned())
    })?;
    if paths.len() > FILES_MAX {
        let message = format!("`{pattern}` matches more than {FILES_MAX} files for `{key}`");
        return Err((message, "join small files".to_owned()));
    }
    if paths.is_empty() {
        let folder = match base.as_os_str().is_empty() {
            true => "the working directory".to_owned(),
            false => format!("`{}`, the folder of the configuration file", base.display()),
        };
        let message = format!("no file matches `{pattern}` for `{key}`");
        return Err((message, format!("they are looked for in {folder}")));
    }
    paths.sort();
    Ok(paths)
}

/// The files of one extension in a folder that need not exist, sorted.
pub(super) fn in_folder(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    paths.sort();
    paths
}

/// The texts of files, which messages call `what`, and an error for each that can't be read.
pub(super) fn read_all(
    paths: &[PathBuf],
    bytes_max: u64,
    what: &str,
    hint: &str,
) -> (Vec<TextFile>, Vec<Diagnostic>) {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.display().to_string();
        match read_text(path, bytes_max, what, &Place::WholeFile { file: name.clone() }) {
            Ok(text) => files.push(TextFile { name, text }),
            Err(error) => errors.push(error.or_hint(hint)),
        }
    }
    (files, errors)
}

/// A text file of bounded length, without a byte order mark. An error calls it `what`, and is at
/// `place`, where the file was named.
pub(super) fn read_text(
    path: &Path,
    bytes_max: u64,
    what: &str,
    place: &Place,
) -> Result<String, Diagnostic> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes)).map_err(
        |error| {
            let why = match error.kind() {
                io::ErrorKind::NotFound => "no such file".to_owned(),
                kind => kind.to_string(),
            };
            Diagnostic::new(place, format!("failed to read {what}: {why}"))
        },
    )?;
    if bytes.len() as u64 > bytes_max {
        let message = format!("{what} is longer than {}", display_size(bytes_max));
        return Err(
            Diagnostic::new(place, message).hint("no such file is; see what was named there")
        );
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        Diagnostic::at(&path.display().to_string(), line, "bytes that are no UTF-8")
            .hint("save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
