//! Files to write, checked before the work.

use patchcore::{Error, Result};
use std::path::Path;

/// Fails where `path`, the value of `flag`, could not be written, or is one of `inputs`.
pub fn check(flag: &str, path: &Path, inputs: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<()> {
    if let Ok(place) = path.canonicalize()
        && inputs.into_iter().any(|input| input.as_ref().canonicalize().is_ok_and(|input| input == place))
    {
        return Err(Error::argument(flag, path.display(), "another file than the one that is read"));
    }
    patchcore::internals::atomic::check(path)
}
