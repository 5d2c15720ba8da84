//! What photographs' files state, where whoever trains or predicts should know.

use patchcore::image::{DecodeOptions, Orientation, Photograph};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bits that cameras use of samples of 16 bits.
const CAMERA_BITS: [u8; 3] = [10, 12, 14];

/// Collects what photographs' files state.
#[derive(Default)]
pub struct FileReport {
    /// Photographs of each stated orientation, 1 to 8.
    orientations: BTreeMap<u8, u64>,
    /// Files of more pages than the one that was read, and the first of them.
    several_pages: u64,
    first_of_several_pages: PathBuf,
    /// Files of 16 bits a sample that do not state how many are used, and the largest sample in them.
    deep: u64,
    largest_sample: u16,
}

impl FileReport {
    pub fn add(&mut self, path: &Path, photograph: &Photograph) {
        *self.orientations.entry(photograph.orientation).or_default() += 1;
        if photograph.pages > 1 {
            if self.several_pages == 0 {
                self.first_of_several_pages = path.into();
            }
            self.several_pages += 1;
        }
        if let Some(largest) = photograph.largest_sample {
            self.deep += 1;
            self.largest_sample = self.largest_sample.max(largest);
        }
    }

    /// A line about each that is unusual, for photographs to train on that were read by `options`.
    pub fn notes(&self, options: &DecodeOptions) -> Vec<String> {
        let notes = [self.orientation_note(options.orientation), self.depth_note(options), self.page_note()];
        notes.into_iter().flatten().collect()
    }

    /// That more pages were not read, if there were any.
    pub fn page_note(&self) -> Option<String> {
        let several = super::counted(self.several_pages, "file");
        let first = self.first_of_several_pages.display();
        (self.several_pages > 0).then(|| {
            format!("{several} with more than one page or picture, such as {first}: only the first was read")
        })
    }

    /// That files state different orientations, if they are applied.
    pub fn orientation_note(&self, applied: Orientation) -> Option<String> {
        if self.orientations.len() < 2 || applied == Orientation::Ignore {
            return None;
        }
        let counts = self.orientations.iter().map(|(tag, count)| format!("{count} x {tag}"));
        Some(format!(
            "the photographs' files state different orientations ({}), by which they are turned: for a camera that does \
             not turn, train with --orientation ignore",
            counts.collect::<Vec<_>>().join(", ")
        ))
    }

    /// That samples look like those of fewer bits, if the number of bits was not given.
    fn depth_note(&self, options: &DecodeOptions) -> Option<String> {
        let fits = |bits: &&u8| u32::from(self.largest_sample) < 1 << **bits;
        let bits = CAMERA_BITS.iter().find(fits).filter(|_| self.deep > 0 && options.bit_depth.is_none())?;
        Some(format!(
            "no sample of {} of 16 bits is above {} of 65535, and the network sees dark pictures: for a camera that \
             writes {bits} bits, train with --bit-depth {bits}",
            super::counted(self.deep, "photograph"),
            self.largest_sample
        ))
    }
}
