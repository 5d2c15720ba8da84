//! Data sets on disk.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::folders::{self, find_images, folders_in, images, is_folder};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const LAYOUT: &str = "train/good (and test/good, test/DEFECT, ground_truth/DEFECT), or good (and bad)";

/// The images of one category.
///
/// Read from the layout of MVTec AD (`train/good`, `test/good`, `test/DEFECT`, `ground_truth/DEFECT`), of which all but
/// `train/good` may be missing, or from a plain folder with `good` and, if there is one, `bad`: there all good images are
/// both trained on and tested, a model keeping scores of them by memory banks that have not seen them.
///
/// Images end in jpg, jpeg, png, bmp, tif or tiff, in any case; other and hidden files are passed over, and folders
/// inside these are not entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Good images to train on, by path.
    pub train: Vec<PathBuf>,
    /// Images to test, by path.
    pub test: Vec<Sample>,
}

/// One image to test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The image.
    pub path: PathBuf,
    /// The name of its folder: `good`, or the kind of defect.
    pub defect: String,
    /// Whether it has a defect.
    pub anomalous: bool,
    /// The image of its defective pixels (those that are not 0), where the data set has one.
    pub mask: Option<PathBuf>,
}

impl Dataset {
    /// Lists the images of the category in `path`, or in the folder `category` of `path`.
    ///
    /// # Errors
    /// A folder is missing, unreadable or without images; masks do not pair with the images.
    pub fn open(path: &Path, category: Option<&str>) -> Result<Self> {
        let folder = category_folder(path, category)?;
        if is_folder(&folder.join("train/good"))? {
            Self::mvtec(&folder)
        } else if is_folder(&folder.join("good"))? {
            Self::plain(&folder)
        } else {
            let missing = Error::format(folder.display(), "neither train/good nor good", LAYOUT);
            Err(match images(&folder)?.is_empty() {
                true => with_categories(missing, &folder),
                false => missing.hint(
                    "it holds photographs itself: put the good ones into a folder good in it, or, if these are the good \
                     ones, name the folder above",
                ),
            })
        }
    }

    /// As [`open`](Self::open), for the images to test: `test` of the first layout is enough, and those of `train` are not
    /// listed.
    ///
    /// # Errors
    /// As of [`open`](Self::open), or there is none to test.
    pub fn open_test(path: &Path, category: Option<&str>) -> Result<Self> {
        let folder = category_folder(path, category)?;
        let has = |name: &str| is_folder(&folder.join(name));
        let is_plain = has("good")? && has("bad")? && !has("train/good")?;
        let data = match has("test")? && !is_plain {
            true => Self { train: Vec::new(), test: mvtec_test(&folder)? },
            false => Self::open(path, category)?,
        };
        if data.test.is_empty() {
            return Err(Error::format(
                folder.display(),
                "no images to test",
                "test/good and test/DEFECT, or bad",
            ));
        }
        Ok(data)
    }

    /// The categories in `root`: its folders that have a `train/good`, by name.
    ///
    /// # Errors
    /// `root` is missing or unreadable, or a category's name is not UTF-8.
    pub fn categories(root: &Path) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for path in folders_in(root)? {
            if is_folder(&path.join("train/good"))? {
                let name = path.file_name().and_then(OsStr::to_str);
                let name = name.ok_or_else(|| Error::format(path.display(), "a name", "one in UTF-8"))?;
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Whether the test part has both good and defective images, so that thresholds can be set by it.
    pub fn has_both_classes(&self) -> bool {
        let defective = self.test.iter().filter(|sample| sample.anomalous).count();
        defective > 0 && defective < self.test.len()
    }

    /// All files of the data set: images and masks.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let tested = self.test.iter().flat_map(|sample| [&sample.path].into_iter().chain(&sample.mask));
        self.train.iter().chain(tested)
    }

    fn mvtec(folder: &Path) -> Result<Self> {
        Ok(Self { train: some_images(&folder.join("train/good"))?, test: mvtec_test(folder)? })
    }

    fn plain(folder: &Path) -> Result<Self> {
        let good = some_images(&folder.join("good"))?;
        let bad = folder.join("bad");
        if !is_folder(&bad)? {
            return Ok(Self { train: good, test: Vec::new() });
        }
        let defective = |path| Sample { path, defect: "bad".into(), anomalous: true, mask: None };
        let mut test: Vec<Sample> = images(&bad)?.into_iter().map(defective).collect();
        if test.is_empty() {
            let error = Error::format(bad.display(), "no images", "defective ones");
            return Err(error.hint("where there are none, remove the folder"));
        }
        let sample = |path: &PathBuf| Sample {
            path: path.clone(),
            defect: "good".into(),
            anomalous: false,
            mask: None,
        };
        test.extend(good.iter().map(sample));
        Ok(Self { train: good, test })
    }
}

fn category_folder(path: &Path, category: Option<&str>) -> Result<PathBuf> {
    let folder = category.map_or_else(|| path.to_path_buf(), |name| path.join(name));
    if is_folder(&folder)? {
        return Ok(folder);
    }
    let found = if folder.exists() { "a file" } else { "no such folder" };
    let missing = Error::format(folder.display(), found, "a folder of images");
    if category.is_some() && (is_folder(&path.join("train/good"))? || is_folder(&path.join("good"))?) {
        return Err(missing.hint(format!("{} is a category itself: name none in it", path.display())));
    }
    Err(with_categories(missing, path))
}

/// The images in `test`, if it is there.
fn mvtec_test(folder: &Path) -> Result<Vec<Sample>> {
    let (tests, masks) = (folder.join("test"), folder.join("ground_truth"));
    let mut test = Vec::new();
    if is_folder(&tests)? {
        for kind in folders_in(&tests)? {
            test.extend(samples(&kind, &masks)?);
        }
        if test.is_empty() && !images(&tests)?.is_empty() {
            return Err(Error::format(tests.display(), "no images in folders", "test/good and test/DEFECT"));
        }
    }
    Ok(test)
}

/// The images in `kind`, a folder of `test`, with their masks from the folder of that name in `masks`.
fn samples(kind: &Path, masks: &Path) -> Result<Vec<Sample>> {
    let images = images(kind)?;
    let defect = kind.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let anomalous = !defect.eq_ignore_ascii_case("good");
    let mut pairs: Vec<Option<PathBuf>> = vec![None; images.len()];
    if anomalous && is_folder(masks)? && !images.is_empty() {
        let masks = masks.join(kind.file_name().unwrap_or_default());
        pairs = pair(&images, kind, &masks)?.into_iter().map(Some).collect();
    }
    let sample = |(path, mask)| Sample { path, defect: defect.clone(), anomalous, mask };
    Ok(images.into_iter().zip(pairs).map(sample).collect())
}

/// The mask of each image: `000.png` or `000_mask.png` for `000.png`.
fn pair(images: &[PathBuf], kind: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mismatch = |found: String| {
        let expected = format!("a mask for each of the {} images in {}", images.len(), kind.display());
        Error::format(folder.display(), found, expected).hint("without ground_truth no pixels are judged")
    };
    if !is_folder(folder)? {
        return Err(mismatch("no such folder".into()));
    }
    let masks = folders::images(folder)?;
    if masks.len() != images.len() {
        return Err(mismatch(format!("{} masks", masks.len())));
    }
    let mut by_stem: BTreeMap<String, PathBuf> = masks.into_iter().map(|path| (stem(&path), path)).collect();
    let find = |image: &PathBuf| {
        let stem = stem(image);
        by_stem.remove(&format!("{stem}_mask")).or_else(|| by_stem.remove(&stem)).ok_or_else(|| {
            let expected = format!("{stem}_mask.png or {stem}.png for {}", image.display());
            Error::format(folder.display(), "no mask of that name", expected)
        })
    };
    images.iter().map(find).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The images in `folder`, of which there must be one.
fn some_images(folder: &Path) -> Result<Vec<PathBuf>> {
    let images = images(folder)?;
    if images.is_empty() {
        let expected = format!("at least one ({})", folders::EXTENSIONS.join(", "));
        let error = Error::format(folder.display(), "no images", expected);
        return Err(match find_images(folder) {
            Ok(deeper) if !deeper.is_empty() => error.hint("those in folders inside it are not taken"),
            _ => error,
        });
    }
    Ok(images)
}

/// Adds to `error` which categories `root` has, if it is a folder of categories.
fn with_categories(error: Error, root: &Path) -> Error {
    match Dataset::categories(root) {
        Ok(names) if !names.is_empty() => {
            error.hint(format!("name one of the categories there: {}", names.join(", ")))
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Makes a file of no content for each of `names`, with its folders.
    fn tree(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, []).unwrap();
        }
        root
    }

    fn names(root: &Path, paths: &[PathBuf]) -> Vec<String> {
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        paths.iter().map(name).collect()
    }

    fn open(root: &tempfile::TempDir) -> Result<Dataset> {
        Dataset::open(root.path(), None)
    }

    fn message(root: &tempfile::TempDir) -> String {
        let message = open(root).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn mvtec_layout() {
        let root = tree(&[
            "nut/train/good/010.PNG",
            "nut/train/good/002.jpg",
            "nut/train/good/.hidden.png",
            "nut/train/good/notes.txt",
            "nut/train/good/deeper/000.png",
            "nut/test/good/000.png",
            "nut/test/bent/000.png",
            "nut/test/bent/001.png",
            "nut/ground_truth/bent/000_mask.png",
            "nut/ground_truth/bent/001.png",
            "readme.txt",
        ]);
        let data = Dataset::open(root.path(), Some("nut")).unwrap();
        assert_eq!(names(root.path(), &data.train), ["nut/train/good/002.jpg", "nut/train/good/010.PNG"]);
        let test: Vec<_> =
            data.test.iter().map(|s| (s.defect.as_str(), s.anomalous, s.mask.is_some())).collect();
        assert_eq!(test, [("bent", true, true), ("bent", true, true), ("good", false, false)]);
        let inside = Dataset::open(&root.path().join("nut"), Some("nut")).unwrap_err().to_string();
        assert!(inside.ends_with("nut is a category itself: name none in it)"), "{inside}");
        let masks: Vec<_> = data.test.iter().filter_map(|s| s.mask.clone()).collect();
        let expected = ["nut/ground_truth/bent/000_mask.png", "nut/ground_truth/bent/001.png"];
        assert_eq!(names(root.path(), &masks), expected);
        assert_eq!(Dataset::open(&root.path().join("nut"), None).unwrap(), data);
        assert_eq!(Dataset::categories(root.path()).unwrap(), ["nut"]);
    }

    #[test]
    fn train_alone_and_test_without_masks_are_enough() {
        let data = open(&tree(&["train/good/0.png"])).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (1, 0));
        let data = open(&tree(&["train/good/0.png", "test/odd/0.png"])).unwrap();
        assert!(data.test[0].anomalous && data.test[0].mask.is_none());
        let data = open(&tree(&["train/good/0.png", "test/Good/0.png"])).unwrap();
        assert!(!data.test[0].anomalous);
        let root = tree(&["train/good/0.png"]);
        fs::create_dir_all(root.path().join("test/good")).unwrap();
        assert!(open(&root).unwrap().test.is_empty());
    }

    #[test]
    fn to_test_no_training_images_are_needed() {
        let root = tree(&["test/good/0.png", "test/odd/0.png", "test/odd/1.png"]);
        let data = Dataset::open_test(root.path(), None).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (0, 3));
        assert!(open(&root).is_err());
        let data = Dataset::open_test(tree(&["good/0.png", "bad/0.png"]).path(), None).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (1, 1));
        // What `open` trains on and tests in a plain folder, whatever else lies there.
        let data = Dataset::open_test(tree(&["good/0.png", "bad/0.png", "test/new/0.png"]).path(), None);
        assert_eq!(data.unwrap().test[0].defect, "bad");
        let data = Dataset::open_test(tree(&["good/0.png", "test/bad/0.png"]).path(), None);
        assert_eq!(data.unwrap().test.len(), 1);
        let message = Dataset::open_test(tree(&["train/good/0.png"]).path(), None).unwrap_err().to_string();
        assert!(message.contains("found no images to test"), "{message}");
    }

    #[test]
    fn plain_folder() {
        let good: Vec<String> = (0..11).map(|i| format!("good/{i:02}.bmp")).collect();
        let mut files: Vec<&str> = good.iter().map(String::as_str).collect();
        let data = open(&tree(&files)).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (11, 0));
        files.push("bad/x.tif");
        let root = tree(&files);
        let data = open(&root).unwrap();
        let test: Vec<_> = data.test.iter().map(|s| s.path.clone()).collect();
        assert_eq!(names(root.path(), &test), ["bad/x.tif", "good/04.bmp", "good/09.bmp"]);
        assert_eq!(data.test.iter().map(|s| s.anomalous).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(data.train.len(), 9);
    }

    #[test]
    fn wrong_layouts_say_what_was_expected() {
        let empty = tree(&["a.txt"]);
        assert!(message(&empty).contains("neither train/good nor good"), "{}", message(&empty));
        assert!(message(&tree(&["train/good/a.txt"])).contains("no images, expected at least one (jpg"));
        assert!(message(&tree(&["good/a/0.png"])).contains("(those in folders inside it are not taken)"));
        let no_bad = message(&tree(&["good/0.png", "bad/readme"]));
        assert!(no_bad.ends_with(
            "bad: found no images, expected defective ones (where there are none, remove the folder)"
        ));
        assert!(message(&tree(&["0.png"])).contains("(it holds photographs itself: "));
        assert!(message(&tree(&["train/good/0.png", "test/0.png"])).contains("test/good and test/DEFECT"));
        let missing = Dataset::open(&empty.path().join("none"), None).unwrap_err().to_string();
        assert!(missing.contains("none: found no such folder"), "{missing}");
        let file = Dataset::open(&empty.path().join("a.txt"), None).unwrap_err().to_string();
        assert!(file.contains("a.txt: found a file"), "{file}");
        assert!(Dataset::categories(&empty.path().join("none")).is_err());
    }

    #[test]
    fn a_root_names_its_categories() {
        let root = tree(&["nut/train/good/0.png", "bolt/train/good/0.png", "other/0.png"]);
        assert!(
            message(&root).ends_with("(name one of the categories there: bolt, nut)"),
            "{}",
            message(&root)
        );
        let message = Dataset::open(root.path(), Some("screw")).unwrap_err().to_string();
        assert!(
            message.contains("screw: found no such folder") && message.contains("bolt, nut"),
            "{message}"
        );
    }

    #[test]
    fn masks_that_do_not_pair_are_named() {
        let test = ["train/good/0.png", "test/bent/000.png", "test/bent/001.png"];
        let with = |masks: &[&str]| message(&tree(&[&test[..], masks].concat()));
        assert!(
            with(&["ground_truth/bent/000_mask.png"])
                .contains("found 1 masks, expected a mask for each of the 2")
        );
        let odd = with(&["ground_truth/bent/000_mask.png", "ground_truth/bent/002_mask.png"]);
        assert!(odd.contains("expected 001_mask.png or 001.png"), "{odd}");
        let missing = with(&["ground_truth/other/000_mask.png"]);
        assert!(missing.contains("bent: found no such folder, expected a mask for each"), "{missing}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_need_not_be_utf_8_but_for_those_of_categories() {
        use std::os::unix::ffi::OsStrExt;
        let root = tempfile::tempdir().unwrap();
        let odd = OsStr::from_bytes(b"st\xf6rung");
        let at = |names: [&OsStr; 4]| root.path().join(names.iter().collect::<PathBuf>());
        for names in [["train", "good", "0.png"], ["test", "?", "0.png"], ["ground_truth", "?", "0.png"]] {
            let names = names.map(|name| if name == "?" { odd } else { OsStr::new(name) });
            let path = at([odd, names[0], names[1], names[2]]);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, []).unwrap();
        }
        assert!(Dataset::open(&root.path().join(odd), None).unwrap().test[0].mask.is_some());
        let message = Dataset::categories(root.path()).unwrap_err().to_string();
        assert!(message.contains("expected one in UTF-8"), "{message}");
    }
}
