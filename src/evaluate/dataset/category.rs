//! The test part of a category: folders of photographs, and those of masks beside them.

use super::{Dataset, Sample, folders, folders_in, is_folder, is_good};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the test part is called: by MVTec AD, and by MVTec AD 2.
const TESTS: [&str; 2] = ["test", "test_public"];
const MASKS: &str = "ground_truth";

/// The folder of the test part of the category in `folder`, if it is there.
pub(super) fn test_folder(folder: &Path) -> Result<Option<PathBuf>> {
    for name in TESTS {
        let tests = folder.join(name);
        if is_folder(&tests)? {
            return Ok(Some(tests));
        }
    }
    Ok(None)
}

impl Dataset {
    /// Adds the images in `tests` with their masks, of the category in `folder`.
    pub(super) fn read_test(&mut self, folder: &Path, tests: &Path) -> Result<()> {
        let outside = folder.join(MASKS);
        let masks = if is_folder(&outside)? { outside } else { tests.join(MASKS) };
        for kind in kinds(tests)? {
            self.read_kind(tests, &kind, &masks)?;
        }
        if self.test.is_empty() && !folders::images(tests)?.images.is_empty() {
            return Err(Error::format(tests.display(), "no images in folders", "test/good and test/DEFECT"));
        }
        self.note_unread(tests, &folders_in(tests)?)
    }

    /// Adds the images in `kind`, a folder of `tests`, with their masks from the folder of that name in
    /// `masks`.
    fn read_kind(&mut self, tests: &Path, kind: &Path, masks: &Path) -> Result<()> {
        let images = self.images(kind)?;
        let place = kind.strip_prefix(tests).unwrap_or(kind);
        let names: Vec<_> = place.iter().map(|name| name.to_string_lossy()).collect();
        let anomalous = !names.iter().any(|name| is_good(name));
        let mut masks_of = vec![Vec::new(); images.len()];
        if anomalous && is_folder(masks)? && !images.is_empty() {
            masks_of = self.pair(&images, kind, &mask_folder(masks, place)?)?;
        }
        let defect = names.join("/");
        let sample = |(path, masks)| Sample { path, defect: defect.clone(), anomalous, masks };
        self.test.extend(images.into_iter().zip(masks_of).map(sample));
        Ok(())
    }

    /// The masks of each image: `000.png`, `000_mask.png`, or all in the folder `000`, for `000.png`.
    fn pair(&mut self, images: &[PathBuf], kind: &Path, folder: &Path) -> Result<Vec<Vec<PathBuf>>> {
        let mismatch = |found: String| {
            let expected = format!("a mask for each of the {} images in {}", images.len(), kind.display());
            Error::format(folder.display(), found, expected).hint("without ground_truth no pixels are judged")
        };
        if !is_folder(folder)? {
            return Err(mismatch("no such folder".into()));
        }
        let mut by_stem: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for mask in self.images(folder)? {
            by_stem.entry(stem(&mask)).or_default().push(mask);
        }
        for inside in folders_in(folder)? {
            let masks = self.images(&inside)?;
            if !masks.is_empty() {
                by_stem.entry(name(&inside)).or_default().extend(masks);
            }
        }
        if by_stem.len() != images.len() {
            return Err(mismatch(format!("{} masks", by_stem.len())));
        }
        let find = |image: &PathBuf| {
            let stem = stem(image);
            by_stem.remove(&format!("{stem}_mask")).or_else(|| by_stem.remove(&stem)).ok_or_else(|| {
                let expected = format!("{stem}_mask.png or {stem}.png for {}", image.display());
                Error::format(folder.display(), "no mask of that name", expected)
            })
        };
        images.iter().map(find).collect()
    }
}

/// The folders of images in `tests` by path, also those in folders that only group others.
fn kinds(tests: &Path) -> Result<Vec<PathBuf>> {
    let mut kinds = Vec::new();
    let mut folders = folders_in(tests)?;
    folders.retain(|folder| *folder != tests.join(MASKS));
    while let Some(folder) = folders.pop() {
        folders.extend(folders::own_folders_in(&folder)?);
        kinds.push(folder);
    }
    kinds.sort();
    Ok(kinds)
}

/// Where the masks of the kind at `place` in the test part lie: at the same place in `masks`, or under its
/// name alone.
fn mask_folder(masks: &Path, place: &Path) -> Result<PathBuf> {
    let [same, alone] = [place, Path::new(place.file_name().unwrap_or_default())].map(|at| masks.join(at));
    Ok(if !is_folder(&same)? && is_folder(&alone)? { alone } else { same })
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
