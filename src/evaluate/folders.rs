//! Images in folders. What cannot be looked at is never taken for missing: a photograph that is passed over
//! in silence looks like one that was inspected.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use crate::error::{Error, Result, place};
use crate::image::FileFormat;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileType};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// What the names of images mostly end in, in any case.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "tif", "tiff"];
/// The formats that [`begins_as_image`] knows, for messages.
pub(super) const FORMATS: &str = "PNG, JPEG, BMP, TIFF, WebP, PNM";
/// What the names of files end in that are still being written, in any case.
const UNFINISHED: [&str; 2] = ["tmp", "part"];
/// As many kinds and names as a note lists.
const MOST_LISTED: usize = 5;

/// What is in a folder.
struct Entry {
    path: PathBuf,
    /// Links are not followed.
    kind: FileType,
}

/// The files of a folder, but for hidden ones and those that end in `.tmp` or `.part`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundImages {
    /// Images, by path: files that begin as one or have the name of one, so that a damaged photograph is an
    /// error for who decodes it.
    pub images: Vec<PathBuf>,
    /// The others, by path.
    pub passed_over: Vec<PathBuf>,
}

impl FoundImages {
    /// A line about the files in `folder` that were passed over, if there are any.
    pub fn note(&self, folder: &Path) -> Option<String> {
        let first = self.passed_over.first()?;
        let files = match self.passed_over.len() {
            1 => format!("passed over {}, which is not a photograph of a known format", first.display()),
            count => format!(
                "passed over {count} files that are not photographs of a known format ({}), such as {}",
                kinds(&self.passed_over),
                first.display()
            ),
        };
        Some(place(format_args!("{}: {files}", folder.display())))
    }

    fn add(&mut self, entry: Entry) {
        if entry.is_image() {
            self.images.push(entry.path);
        } else if entry.is_file() {
            self.passed_over.push(entry.path);
        }
    }

    fn sort(&mut self) {
        self.images.sort();
        self.passed_over.sort();
    }
}

/// How many of `files` have which extension, the most frequent first.
fn kinds(files: &[PathBuf]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for file in files {
        let extension = file.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
        *counts.entry(extension.unwrap_or_else(|| "without an extension".into())).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().map(|(kind, count)| (count, kind)).collect();
    counts.sort_by_key(|&(count, _)| std::cmp::Reverse(count));
    list(counts.iter().map(|(count, kind)| format!("{count} {kind}")))
}

/// `a, b, c`, and how many more there are.
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    let listed = items.iter().take(MOST_LISTED).cloned().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(MOST_LISTED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

/// The images in `folder` and in the folders inside it, by path, known by their first bytes or by their
/// names. Other and hidden files, and those that end in `.tmp` or `.part`, are passed over. Links to folders
/// are not followed.
///
/// # Errors
/// A folder cannot be read.
pub fn find_images(folder: &Path) -> Result<Vec<PathBuf>> {
    find_images_where_readable(folder, &mut Err).map(|found| found.images)
}

/// As [`find_images`], with the other files; a folder inside that cannot be read is passed over if
/// `unreadable` says so.
pub fn find_images_where_readable(
    folder: &Path,
    unreadable: &mut dyn FnMut(Error) -> Result<()>,
) -> Result<FoundImages> {
    let mut found = FoundImages::default();
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
            match entry.kind.is_dir() {
                true => folders.push(entry.path),
                false => found.add(entry),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The files in `folder`.
pub(super) fn images(folder: &Path) -> Result<FoundImages> {
    let mut found = FoundImages::default();
    entries(folder)?.into_iter().for_each(|entry| found.add(entry));
    Ok(found)
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

/// The folders in `folder`, by path. Links are not followed.
pub(super) fn own_folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let folders = entries(folder)?.into_iter().filter(|entry| entry.kind.is_dir());
    Ok(folders.map(|entry| entry.path).collect())
}

impl Entry {
    /// Whether it may be an image. A link that leads nowhere may if its name says so: who decodes it will
    /// report it.
    fn is_image(&self) -> bool {
        if has_extension(&self.path, &EXTENSIONS) {
            return self.is_file() || self.kind.is_symlink() && fs::metadata(&self.path).is_err();
        }
        self.is_file() && begins_as_image(&self.path)
    }

    /// Whether it is a file, or a link to one.
    fn is_file(&self) -> bool {
        match self.kind.is_symlink() {
            true => fs::metadata(&self.path).is_ok_and(|target| target.is_file()),
            false => self.kind.is_file(),
        }
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    extensions.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Whether the file begins as a photograph that can be decoded.
fn begins_as_image(path: &Path) -> bool {
    let mut start = Vec::new();
    let head = FileFormat::HEAD_BYTES as u64;
    let read = File::open(path).and_then(|file| file.take(head).read_to_end(&mut start));
    read.is_ok() && FileFormat::of(&start).is_some()
}

/// What is in `folder`, by path, without hidden and unfinished files.
fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let read = |e: std::io::Error| Error::io(folder, "list", &e);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden && !has_extension(&entry.path(), &UNFINISHED) {
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
        assert_eq!(images(root.path()).unwrap().images, expected);
        assert_eq!(find_images(root.path()).unwrap(), expected);
        assert_eq!(folders_in(root.path()).unwrap_err().kind(), crate::ErrorKind::Io);
        fs::remove_file(at("self.png")).unwrap();
        assert_eq!(folders_in(root.path()).unwrap(), ["folder", "up.png"].map(at));
    }

    #[test]
    fn images_are_known_by_their_first_bytes_or_their_names() {
        let root = tempfile::tempdir().unwrap();
        let bmp = b"BM\x36\0\x03\0\0\0\0\0\x36\0\0\0\x28\0\0\0";
        for (name, content) in [
            ("a.JPE", &b"\xff\xd8\xff\xe0"[..]),
            ("b.jfif", b"\xff\xd8\xff\xe1"),
            ("c", b"\x89PNG\r\n\x1a\n"),
            ("d.dib", bmp),
            ("e.dat", b"II+\0\x08\0\0\0"),
            ("f.png", b""),
            ("g.jpg.part", b"\xff\xd8\xff\xe0"),
            ("h.TMP", b"\xff\xd8\xff\xe0"),
            (".i.jpg", b"\xff\xd8\xff\xe0"),
            ("j.txt", b"BMW"),
            ("k.webp", b"RIFF"),
            ("l.webp", b""),
            ("m.webp", b"RIFF\0\0\0\0WEBPVP8 "),
            ("n.ppm", b"P6\n256 256\n255\n"),
            ("notes", b"hello"),
        ] {
            fs::write(root.path().join(name), content).unwrap();
        }
        let names = |paths: &[PathBuf]| -> Vec<String> {
            paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().into()).collect()
        };
        let found = images(root.path()).unwrap();
        assert_eq!(
            names(&found.images),
            ["a.JPE", "b.jfif", "c", "d.dib", "e.dat", "f.png", "m.webp", "n.ppm"]
        );
        assert_eq!(names(&found.passed_over), ["j.txt", "k.webp", "l.webp", "notes"]);
        assert_eq!(find_images_where_readable(root.path(), &mut Err).unwrap(), found);
        let note = found.note(Path::new("good")).unwrap();
        let expected = "good: passed over 4 files that are not photographs of a known format (2 .webp, 1 .txt, 1 \
                        without an extension), such as ";
        assert!(note.starts_with(expected) && note.ends_with("j.txt"), "{note}");
        assert_eq!(FoundImages::default().note(Path::new("good")), None);
        assert_eq!(list((0..7).map(|i| i.to_string())), "0, 1, 2, 3, 4 and 2 more");
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
