//! Where a training keeps its patches: in memory or, past a bound, in a file without a name.

use crate::coreset::zeros;
use crate::error::{Error, Result};
use crate::model_file::map::as_bytes;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The patches of all training images, image after image.
pub(super) struct PatchStore {
    dim: usize,
    image_rows: usize,
    /// A hash of each image's patches, by which copies are found.
    hashes: Vec<u64>,
    kept: Kept,
}

enum Kept {
    Memory(Vec<Vec<f32>>),
    Spool(Spool),
}

impl PatchStore {
    /// For images of `image_rows` patches of `dim` values.
    pub fn new(image_rows: usize, dim: usize) -> Self {
        Self { dim, image_rows, hashes: Vec::new(), kept: Kept::Memory(Vec::new()) }
    }

    /// Adds the patches of an image.
    ///
    /// # Errors
    /// Memory or the disk is full.
    pub fn add(&mut self, patches: &[f32]) -> Result<()> {
        debug_assert_eq!(patches.len(), self.image_rows * self.dim);
        match &mut self.kept {
            Kept::Memory(images) => {
                let mut image = zeros("training features", patches.len())?;
                image.copy_from_slice(patches);
                images.push(image);
            }
            Kept::Spool(spool) => spool.write(place(self.hashes.len(), patches.len()), patches)?,
        }
        let mut hash = DefaultHasher::new();
        hash.write(as_bytes(patches));
        self.hashes.push(hash.finish());
        Ok(())
    }

    /// From now on keeps the patches in a temporary file in `folder` that is gone when the process is,
    /// however it ends.
    ///
    /// # Errors
    /// The file cannot be made, or the disk is full; the patches are then kept where they were.
    pub fn spool(&mut self, folder: &Path) -> Result<()> {
        if let Kept::Memory(images) = &self.kept {
            let mut spool = Spool::new(folder)?;
            for (i, image) in images.iter().enumerate() {
                spool.write(place(i, image.len()), image)?;
            }
            self.kept = Kept::Spool(spool);
        }
        Ok(())
    }

    pub fn images(&self) -> usize {
        self.hashes.len()
    }

    /// All images, copies of one another together, each in the order of being added.
    pub fn distinct(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut known = HashMap::new();
        for (image, hash) in self.hashes.iter().enumerate() {
            let group = *known.entry(hash).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Vec::new());
            }
            groups[group].push(image);
        }
        groups
    }

    /// Patches an image.
    pub fn image_rows(&self) -> usize {
        self.image_rows
    }

    /// Values a patch.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Patches of all images.
    pub fn rows(&self) -> usize {
        self.images() * self.image_rows
    }

    /// The patches of one image, read into `buffer` if they are not in memory.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn image<'a>(&'a self, image: usize, buffer: &'a mut Vec<f32>) -> Result<&'a [f32]> {
        match &self.kept {
            Kept::Memory(images) => Ok(&images[image]),
            Kept::Spool(spool) => {
                buffer.resize(self.image_rows * self.dim, 0.0);
                spool.read(place(image, buffer.len()), buffer)?;
                Ok(buffer)
            }
        }
    }

    /// The patches `rows`, in their order.
    ///
    /// # Errors
    /// Memory runs out, or the file cannot be read.
    pub fn gather(&self, rows: &[usize]) -> Result<Vec<f32>> {
        let mut out = zeros("memory bank", rows.len() * self.dim)?;
        // In the order of the file, each image once.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_unstable_by_key(|&place| rows[place]);
        let mut buffer = Vec::new();
        for places in order.chunk_by(|&a, &b| rows[a] / self.image_rows == rows[b] / self.image_rows) {
            let image = self.image(rows[places[0]] / self.image_rows, &mut buffer)?;
            for &place in places {
                let patch = &image[rows[place] % self.image_rows * self.dim..][..self.dim];
                out[place * self.dim..][..self.dim].copy_from_slice(patch);
            }
        }
        Ok(out)
    }
}

/// Numbers in a file that has no name any more.
struct Spool {
    file: File,
    folder: PathBuf,
}

impl Spool {
    fn new(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder)
            .map_err(|e| Error::io(folder, "create a temporary file for training features in", &e))?;
        Ok(Self { file, folder: folder.into() })
    }

    /// Writes values to `place`, over what a write that failed has left there.
    fn write(&mut self, place: SeekFrom, values: &[f32]) -> Result<()> {
        let written = self.file.seek(place).and_then(|_| self.file.write_all(as_bytes(values)));
        written.map_err(|e| Error::io(&self.folder, "write training features to a temporary file in", &e))
    }

    /// Reads the values at `place`.
    fn read(&self, place: SeekFrom, out: &mut [f32]) -> Result<()> {
        let mut bytes = vec![0; size_of_val(out)];
        let mut fill = || -> io::Result<()> {
            let mut file = &self.file;
            file.seek(place)?;
            file.read_exact(&mut bytes)
        };
        fill().map_err(|e| Error::io(&self.folder, "read training features from a temporary file in", &e))?;
        let (numbers, _) = bytes.as_chunks();
        out.iter_mut().zip(numbers).for_each(|(to, &number)| *to = f32::from_ne_bytes(number));
        Ok(())
    }
}

/// Where image `image` of `values` numbers each lies: beyond the addresses of 32 bits as well.
fn place(image: usize, values: usize) -> SeekFrom {
    SeekFrom::Start(image as u64 * values as u64 * size_of::<f32>() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(seed: usize) -> Vec<f32> {
        (0..6).map(|i| (seed * 10 + i) as f32).collect()
    }

    fn store(spooled_after: usize, folder: &Path) -> PatchStore {
        let mut store = PatchStore::new(3, 2);
        for i in 0..4 {
            if i == spooled_after {
                store.spool(folder).unwrap();
            }
            store.add(&image(i)).unwrap();
        }
        store
    }

    #[test]
    fn memory_and_file_give_the_same_rows_whenever_it_is_spooled() {
        let folder = tempfile::tempdir().unwrap();
        for spooled_after in [0, 2, 9] {
            let store = store(spooled_after, folder.path());
            assert_eq!((store.images(), store.rows()), (4, 12));
            let mut buffer = Vec::new();
            for i in [3, 0, 2] {
                assert_eq!(store.image(i, &mut buffer).unwrap(), image(i));
            }
            assert_eq!(store.gather(&[11, 0, 4, 0]).unwrap(), [34.0, 35.0, 0.0, 1.0, 12.0, 13.0, 0.0, 1.0]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let _store = store(1, folder.path());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_and_a_file_that_takes_nothing_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let message = PatchStore::new(1, 1).spool(&missing).unwrap_err().to_string();
        assert!(message.contains("missing"), "{message}");
        let path = folder.path().join("file");
        std::fs::write(&path, "").unwrap();
        let mut spool = Spool { file: File::open(&path).unwrap(), folder: folder.path().into() };
        assert!(spool.write(place(0, 1), &[1.0]).is_err());
        assert!(spool.read(place(0, 1), &mut [0.0]).is_err());
    }
    #[test]
    fn after_a_write_that_failed_the_images_before_and_after_it_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(1, folder.path());
        let Kept::Spool(spool) = &mut store.kept else { panic!("spooled") };
        // Half an image, as a full disk leaves.
        spool.write(place(4, 6), &[f32::NAN; 3]).unwrap();
        store.add(&image(4)).unwrap();
        for i in 0..5 {
            assert_eq!(store.image(i, &mut Vec::new()).unwrap(), image(i));
        }
    }

    #[test]
    fn copies_are_one_image() {
        let mut store = PatchStore::new(3, 2);
        for seed in [5, 6, 5, 7, 5, 6] {
            store.add(&image(seed)).unwrap();
        }
        assert_eq!(store.distinct(), [vec![0, 2, 4], vec![1, 5], vec![3]]);
    }

    #[test]
    fn what_cannot_be_spooled_stays_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(9, folder.path());
        assert!(store.spool(&folder.path().join("missing")).is_err());
        assert_eq!(store.image(3, &mut Vec::new()).unwrap(), image(3));
    }
}
