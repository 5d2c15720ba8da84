//! Files that appear whole or not at all.

use crate::error::{Error, Result};
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// Writes `path` by `content`, so that a crash or a power cut leaves the old file or the new one, never a
/// part.
///
/// If `path` is a link, its target is written. The new file keeps the permissions of the one it replaces, and
/// its owner and group as far as the system allows; else it has those of any new file.
///
/// # Errors
/// The folder cannot be written, `path` is not an ordinary file, or `content` fails; no trace is left then.
pub fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    content(&mut file).map_err(|e| Error::io(path, "write", &e))?;
    file.commit()
}

/// Fails where [`write`] would, before long work and not after it. Leaves no trace.
///
/// # Errors
/// As those of `write`.
pub fn check(path: &Path) -> Result<()> {
    AtomicFile::create(path).map(drop)
}

/// Longer chains of links are taken for a loop, as Linux does.
const MAX_LINKS: usize = 40;

/// A file under construction: beside its `target` until [`commit`](Self::commit), gone if dropped before.
pub struct AtomicFile {
    /// What the caller calls it.
    path: PathBuf,
    /// Where it will be: the end of the links at `path`.
    target: PathBuf,
    /// The file itself: errors of tempfile's own would name the temporary path.
    content: BufWriter<File>,
    temporary: TempPath,
}

impl AtomicFile {
    /// Starts the file that will be `path`.
    pub fn create(path: &Path) -> Result<Self> {
        let fail = |e: io::Error| Error::io(path, "create", &e);
        let target = follow_links(path).map_err(fail)?;
        // `file_name` sees no difference between `name` and `name/` or `name/.`, which can only be a folder.
        let name = target
            .file_name()
            .filter(|name| target.as_os_str().as_encoded_bytes().ends_with(name.as_encoded_bytes()));
        let name = name.ok_or_else(|| fail(io::ErrorKind::IsADirectory.into()))?;
        let replaced = target.metadata().ok();
        // Renaming over a device or a pipe would destroy it.
        if replaced.as_ref().is_some_and(|existing| !existing.is_file()) {
            return Err(fail(io::Error::other("it exists and is not an ordinary file")));
        }
        // Longer than the file's own name, which may be as long as a name can be: 255 bytes.
        let prefix: String = ['.'].into_iter().chain(name.to_string_lossy().chars().take(60)).collect();
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let place = folder(&target);
        let file = builder.tempfile_in(place).map_err(|e| match place.is_dir() {
            // The kind alone: the text would name the temporary file.
            true => fail(e.kind().into()),
            false => fail(io::Error::other(format!("there is no folder {}", place.display()))),
        })?;
        let (file, temporary) = file.into_parts();
        if let Some(replaced) = replaced {
            keep_permissions(&file, &replaced).map_err(fail)?;
        }
        let content = BufWriter::with_capacity(1 << 16, file);
        Ok(Self { path: path.into(), target, content, temporary })
    }

    /// Makes the file durable, then visible at its path.
    pub fn commit(self) -> Result<()> {
        let Self { path, target, content, temporary } = self;
        let fail = |e: io::Error| Error::io(&path, "write", &e);
        let file = content.into_inner().map_err(|e| fail(e.into_error()))?;
        file.sync_all().map_err(fail)?;
        temporary.persist(&target).map_err(|e| fail(e.error))?;
        sync_folder(folder(&target)).map_err(fail)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.content.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.content.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.seek(to)
    }
}

/// The end of the links at `path`, where there need not be a file yet.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = folder(&target).join(next),
            // It is no link, or nothing.
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("its links lead nowhere"))
}

/// Gives `file` the permissions of the one it will replace, and owner and group where that is allowed. In
/// another group the rights of the group are not its own, and lapse.
#[cfg(unix)]
fn keep_permissions(file: &File, replaced: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let (owner, group) = (replaced.uid(), replaced.gid());
    if fchown(file, Some(owner), Some(group)).is_err() {
        let _ = fchown(file, None, Some(group));
    }
    let rights = if file.metadata()?.gid() == group { 0o777 } else { 0o707 };
    file.set_permissions(fs::Permissions::from_mode(replaced.mode() & rights))
}

#[cfg(not(unix))]
fn keep_permissions(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Makes a new name survive a power cut, which only Unix needs and not every folder can: one that may not be
/// listed is not opened, and some file systems sync none. The old file or the new one is whole either way.
fn sync_folder(folder: &Path) -> io::Result<()> {
    let Ok(folder) = File::open(folder) else { return Ok(()) };
    match folder.sync_all() {
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_the_old_file_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        fs::write(&path, "old and longer").unwrap();
        write(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["model"]);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        fs::write(&path, "old").unwrap();
        let error = write(&path, |out| {
            out.write_all(&[0; 1 << 17])?;
            Err(io::Error::other("no more"))
        });
        assert!(error.unwrap_err().to_string().ends_with("model: cannot write: no more"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        check(&path).unwrap();
        assert_eq!(names(dir.path()), ["model"]);
    }

    #[test]
    fn folders_and_missing_folders_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(write(dir.path(), |_| Ok(())).is_err());
        assert!(write(Path::new(""), |_| Ok(())).is_err());
        assert!(write(&dir.path().join("missing/model"), |_| Ok(())).is_err());
        for name in ["model/", "model/.", "model/./"] {
            let message = check(&dir.path().join(name)).unwrap_err().to_string();
            assert!(message.contains("cannot create"), "{message}");
        }
        let message = check(&dir.path().join("missing/model")).unwrap_err().to_string();
        assert!(
            message.ends_with(&format!("there is no folder {}", dir.path().join("missing").display())),
            "{message}"
        );
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn names_may_be_as_long_as_a_file_system_has_them() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a".repeat(255), "\u{1f527}".repeat(63)] {
            write(&dir.path().join(&name), |out| out.write_all(b"x")).unwrap();
            assert!(dir.path().join(name).is_file());
        }
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_any_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
        write(&ours, |out| out.write_all(b"x")).unwrap();
        fs::write(&plain, "x").unwrap();
        assert_eq!(ours.metadata().unwrap().permissions(), plain.metadata().unwrap().permissions());
    }

    #[cfg(unix)]
    #[test]
    fn the_permissions_of_a_file_that_is_replaced_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        fs::write(&path, "old").unwrap();
        for mode in [0o600, 0o640, 0o664, 0o444] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            write(&path, |out| out.write_all(b"new")).unwrap();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, mode);
        }
    }

    #[cfg(unix)]
    #[test]
    fn owner_and_group_of_a_file_that_is_replaced_are_kept_where_that_is_allowed() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        if chown(&path, Some(12_345), Some(12_346)).is_err() {
            println!("skipped: only root gives files away");
            return;
        }
        write(&path, |out| out.write_all(b"new")).unwrap();
        let found = path.metadata().unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (12_345, 12_346, 0o660));
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_and_their_target_is_written() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("line")).unwrap();
        symlink("line/current", at("model")).unwrap();
        symlink(at("line/7"), at("line/current")).unwrap();
        for content in ["first", "second"] {
            write(&at("model"), |out| out.write_all(content.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(at("line/7")).unwrap(), content);
        }
        assert!(at("model").is_symlink() && at("line/current").is_symlink());
        assert_eq!(names(dir.path()).len() + names(&at("line")).len(), 4);
        symlink("loop", at("loop")).unwrap();
        let message = check(&at("loop")).unwrap_err().to_string();
        assert!(message.ends_with("loop: cannot create: its links lead nowhere"), "{message}");
        symlink("line", at("folder")).unwrap();
        assert!(check(&at("folder")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_refused() {
        let error = write(Path::new("/dev/null"), |_| Ok(())).unwrap_err().to_string();
        assert_eq!(error, "/dev/null: cannot create: it exists and is not an ordinary file");
    }
}
