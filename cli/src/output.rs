//! Files to write: checked before the work, and whose they are.

use patchcore::{Error, Result};
use std::path::Path;

/// Whose the file `--out` was before it was replaced, and what its rights were.
pub struct Replaced(Option<Ownership>);

/// Owner, group, and rights.
#[derive(PartialEq, Eq)]
struct Ownership(u32, u32, u32);

impl Replaced {
    /// Looks at `path`.
    pub fn at(path: &Path) -> Self {
        Self(ownership(path))
    }

    /// Reports that `path`, which was written since, has another owner, group or other rights.
    pub fn report_change(self, path: &Path) {
        let (Some(before), Some(after)) = (self.0, ownership(path)) else { return };
        if before == after {
            return;
        }
        let shown = |Ownership(owner, group, rights): Ownership| {
            format!("owner {owner}, group {group}, mode {rights:o}")
        };
        super::tell(format!(
            "note: {}: has {} and not {} as the file it replaced: the system does not allow that",
            path.display(),
            shown(after),
            shown(before)
        ));
    }
}

#[cfg(unix)]
fn ownership(path: &Path) -> Option<Ownership> {
    use std::os::unix::fs::MetadataExt;
    let file = path.metadata().ok()?;
    Some(Ownership(file.uid(), file.gid(), file.mode() & 0o777))
}

#[cfg(not(unix))]
fn ownership(_: &Path) -> Option<Ownership> {
    None
}

/// Fails where `path`, the value of `flag`, could not be written, or is one of `inputs`.
pub fn check(flag: &str, path: &Path, inputs: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<()> {
    if let Ok(place) = path.canonicalize()
        && inputs.into_iter().any(|input| input.as_ref().canonicalize().is_ok_and(|input| input == place))
    {
        return Err(Error::argument(flag, path.display(), "another file than the one that is read"));
    }
    patchcore::internals::atomic::check(path)
}
