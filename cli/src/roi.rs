//! The part of photographs that counts, from the masks of `--roi` and `--ignore`.

use patchcore::image::{DecodeOptions, Mask, decode_mask};
use patchcore::{Error, ModelInfo, Result};
use std::path::PathBuf;

/// Which part of photographs counts.
#[derive(clap::Args)]
pub struct RoiArguments {
    /// A mask of the photographs' size or aspect: only what it marks, by any value but 0, is learned and
    /// scored. The model keeps it
    #[arg(long, value_name = "MASK.png")]
    roi: Option<PathBuf>,
    /// A mask of what does not count, such as a clamp or a label
    #[arg(long, value_name = "MASK.png")]
    ignore: Option<PathBuf>,
}

impl RoiArguments {
    /// The files of both masks.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.roi.iter().chain(&self.ignore)
    }

    /// Marks the pixels inside `--roi` that `--ignore` does not mark; `None` without either.
    ///
    /// # Errors
    /// A mask cannot be read, their sizes differ, or nothing is left.
    pub fn read(&self, options: &DecodeOptions) -> Result<Option<Mask>> {
        let read = |path: &PathBuf| decode_mask(path, options);
        let (roi, ignore) =
            (self.roi.as_ref().map(read).transpose()?, self.ignore.as_ref().map(read).transpose()?);
        let mut mask = match (roi, &ignore) {
            (Some(roi), _) => roi,
            (None, Some(ignore)) => Mask { data: vec![true; ignore.data.len()], ..*ignore },
            (None, None) => return Ok(None),
        };
        if let Some(ignore) = ignore {
            if (ignore.width, ignore.height) != (mask.width, mask.height) {
                let found = format!("{}x{}", ignore.width, ignore.height);
                let expected = format!("{}x{}, the size of the mask of --roi", mask.width, mask.height);
                return Err(Error::argument("--ignore", found, expected));
            }
            mask.data.iter_mut().zip(&ignore.data).for_each(|(inside, ignored)| *inside &= !ignored);
        }
        Ok(Some(mask))
    }
}

/// How much of a photograph counts, where that is not all.
pub fn describe(info: ModelInfo<'_>) -> Option<String> {
    let share = info.roi_share();
    (share < 1.0).then(|| format!("{:.0} % of a photograph counts; the rest is not looked at", 100.0 * share))
}
