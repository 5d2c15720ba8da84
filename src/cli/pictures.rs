//! Heat maps, overlays and masks as files.

use crate::detector::{PatchCore, Prediction};
use crate::error::{Error, Result};
use crate::image::{HeatMap, Picture};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Where pictures go: the layout of the photographs below their common folder is kept.
pub struct PictureFolder {
    folder: PathBuf,
    common: PathBuf,
    written: HashSet<PathBuf>,
}

impl PictureFolder {
    /// The folder is made; `photographs` are all that will be drawn.
    pub fn new(folder: &Path, photographs: &[PathBuf]) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", &e))?;
        let parents = photographs.iter().map(|p| p.parent().unwrap_or(Path::new("")));
        let common = parents.map(Path::to_path_buf).reduce(|a, b| shared(&a, &b)).unwrap_or_default();
        Ok(Self { folder: folder.into(), common, written: HashSet::new() })
    }

    /// Writes the pictures of one photograph.
    pub fn write(
        &mut self,
        path: &Path,
        picture: &Picture,
        model: &PatchCore,
        prediction: &Prediction<'_>,
    ) -> Result<()> {
        let stem = self.stem(path)?;
        let (height, width) = (prediction.map_height, prediction.map_width);
        let calibration = model.calibration();
        let mut map = prediction.map.to_vec();
        calibration.normalize_map(&mut map);
        let mask: Vec<bool> =
            prediction.map.iter().map(|&value| calibration.is_anomalous_pixel(value)).collect();
        let heat = HeatMap::new(&map, &mask, height, width)?;
        heat.colors()?.save_png(&with_suffix(&stem, "-heat.png"))?;
        heat.overlay(&picture.frame(), model.information().preprocess())?
            .save_png(&with_suffix(&stem, "-overlay.png"))?;
        heat.mask()?.save_png(&with_suffix(&stem, "-mask.png"))
    }

    fn stem(&mut self, path: &Path) -> Result<PathBuf> {
        let relative = path.strip_prefix(&self.common).unwrap_or(path);
        let mut stem = self.folder.join(relative.with_extension(""));
        if !self.written.insert(stem.clone()) {
            // 000.png and 000.jpg in one folder
            stem = self.folder.join(relative);
        }
        if let Some(parent) = stem.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, "create", &e))?;
        }
        Ok(stem)
    }
}

/// The longest path that both begin with.
fn shared(a: &Path, b: &Path) -> PathBuf {
    a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

fn with_suffix(stem: &Path, suffix: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_the_layout_below_the_common_folder() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["set/test/good/000.png", "set/test/scratch/000.png", "set/test/scratch/000.jpg"]
            .map(PathBuf::from);
        let mut output = PictureFolder::new(folder.path(), &paths).unwrap();
        let stems: Vec<_> = paths.iter().map(|p| output.stem(p).unwrap()).collect();
        let expected = ["good/000", "scratch/000", "scratch/000.jpg"].map(|s| folder.path().join(s));
        assert_eq!(stems, expected);
    }
}
