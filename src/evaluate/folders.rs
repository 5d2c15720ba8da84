//! Images in folders. What cannot be looked at is never taken for missing: a photograph that is passed over in silence looks
//! like one that was inspected.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the names of images end in, in any case.
pub(super) const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "tif", "tiff"];

/// What is in a folder.
struct Entry {
    path: PathBuf,
    /// Links are not followed.
    kind: FileType,
}

/// The images in `folder` and in the folders inside it, by path. Links to folders are not followed.
///
/// # Errors
/// A folder cannot be read.
pub fn find_images(folder: &Path) -> Result<Vec<PathBuf>> {
    find_images_where_readable(folder, &mut Err)
}

/// As [`find_images`]; a folder inside that cannot be read is passed over if `unreadable` says so.
pub fn find_images_where_readable(
    folder: &Path,
    unreadable: &mut dyn FnMut(Error) -> Result<()>,
) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(inside) = folders.pop() {
        let entries = match entries(&inside) {
            Err(error) if inside != folder => {
                unreadable(error)?;
                continue;
            }
            entries => entries?,
        };
        for entry in entries {
            if entry.kind.is_dir() {
                folders.push(entry.path);
            } else if entry.is_image() {
                found.push(entry.path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The images in `folder`, by path.
pub(super) fn images(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().filter(Entry::is_image).map(|entry| entry.path).collect())
}

/// The folders in `folder`, and links to folders, by path.
pub(super) fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for Entry { path, kind } in entries(folder)? {
        if kind.is_dir() || kind.is_symlink() && is_folder(&path)? {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// Whether there is a folder, or a link to one, at `path`.
///
/// # Errors
/// The operating system does not tell.
pub(super) fn is_folder(path: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(e) => Err(Error::io(path, "look at", &e)),
    }
}

impl Entry {
    /// Whether it has the name of an image and may be one. A link that leads nowhere may: who decodes it will tell.
    fn is_image(&self) -> bool {
        let extension = self.path.extension().and_then(OsStr::to_str).unwrap_or_default();
        EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
            && match self.kind.is_symlink() {
                true => fs::metadata(&self.path).map_or(true, |target| target.is_file()),
                false => self.kind.is_file(),
            }
    }
}

/// What is in `folder`, by path, without hidden files.
fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let read = |e: std::io::Error| Error::io(folder, "list", &e);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(Entry { path: entry.path(), kind: entry.file_type().map_err(read)? });
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_is_what_it_leads_to_and_an_image_where_it_leads_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("0.png"), []).unwrap();
        symlink("0.png", at("1.png")).unwrap();
        symlink("missing.png", at("2.png")).unwrap();
        symlink("self.png", at("self.png")).unwrap();
        symlink(root.path(), at("up.png")).unwrap();
        symlink(root.path(), at("folder/up")).unwrap();
        let expected: Vec<PathBuf> = ["0.png", "1.png", "2.png", "self.png"].map(at).into();
        assert_eq!(images(root.path()).unwrap(), expected);
        assert_eq!(find_images(root.path()).unwrap(), expected);
        assert_eq!(folders_in(root.path()).unwrap_err().kind(), crate::ErrorKind::Io);
        fs::remove_file(at("self.png")).unwrap();
        assert_eq!(folders_in(root.path()).unwrap(), ["folder", "up.png"].map(at));
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_called_missing() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::write(at("file"), []).unwrap();
        for name in ["missing", "missing/inside", "file", "file/inside"] {
            assert!(!is_folder(&at(name)).unwrap(), "{name}");
        }
        symlink("loop", at("loop")).unwrap();
        let message = is_folder(&at("loop/inside")).unwrap_err().to_string();
        assert!(message.contains("loop/inside: cannot look at: "), "{message}");
    }
}
