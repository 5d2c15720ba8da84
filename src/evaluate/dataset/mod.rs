//! Data sets on disk.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

mod category;
mod list;

use super::folders::{self, find_images, folders_in, is_folder};
use crate::error::{Error, Result, Setting, place};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const LAYOUT: &str = "train/good (and test/good, test/DEFECT, ground_truth/DEFECT), or good (and bad), or good photographs alone";
/// What folders and labels of good parts are called, in any case.
const GOOD: [&str; 3] = ["good", "ok", "normal"];

/// The images of one category.
///
/// It is read from folders or from a list:
/// - the layout of MVTec AD (`train/good`, `test/good`, `test/DEFECT`, `ground_truth/DEFECT`), of which all
///   but `train/good` may be missing. Kinds of defects may lie deeper (`test/defects/chip`), the test part
///   may be called `test_public`, masks may lie in its `ground_truth`, and a folder of masks in the place of
///   one marks what any of them marks;
/// - a plain folder with `good` and, if there is one, `bad`. With `bad` all good images are both trained on
///   and tested: a model keeps scores of them by memory banks that have not seen them;
/// - a folder of good photographs alone;
/// - a list, `NAME.csv`, with the header `path,label,mask[,split]`: a label is `good` or the defect's name,
///   or empty where the mask decides, which then marks nothing on good parts; a split is `train` or `test`,
///   and without that column good images are used as in a plain folder; paths are relative to the list.
///
/// `ok` and `normal` mean `good`, in any case.
///
/// Images are known by their first bytes or by their names (jpg, jpeg, png, bmp, tif, tiff). Hidden files and
/// those that end in `.tmp` or `.part` are passed over; what else is, is noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// Good images to train on, by path; in the order of a list.
    pub train: Vec<PathBuf>,
    /// Images to test, by path; in the order of a list.
    pub test: Vec<Sample>,
    /// What was passed over, each in one line.
    pub notes: Vec<String>,
}

/// One image to test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The image.
    pub path: PathBuf,
    /// The name of its folder or its label: `good`, or the kind of defect.
    pub defect: String,
    /// Whether it has a defect.
    pub anomalous: bool,
    /// The images of its defective pixels (those that are not 0 in any of them), where the data set has them.
    pub masks: Vec<PathBuf>,
}

impl Dataset {
    /// Lists the images of the category in `path`, or in the folder `category` of `path`; `path` may be a
    /// list.
    ///
    /// # Errors
    /// A folder is missing, unreadable or without images; masks do not pair with the images; a list is
    /// damaged or names files that are not there.
    pub fn open(path: &Path, category: Option<&str>) -> Result<Self> {
        let data = match is_list(path, category)? {
            true => list::read_list(path)?,
            false => Self::read_folder(path, category)?,
        };
        if data.train.is_empty() {
            return Err(Error::format(path.display(), "no good photographs to train on", "at least one"));
        }
        Ok(data)
    }

    /// As [`open`](Self::open), for the images to test: `test` of the first layout is enough, and those of
    /// `train` are not listed.
    ///
    /// # Errors
    /// As of [`open`](Self::open), or there is none to test.
    pub fn open_test(path: &Path, category: Option<&str>) -> Result<Self> {
        if is_list(path, category)? {
            let data = list::read_list(path)?;
            return match data.test.is_empty() {
                true => Err(Error::format(
                    path.display(),
                    "no photographs to test",
                    "some of split test or a defect",
                )),
                false => Ok(data),
            };
        }
        let folder = category_folder(path, category)?;
        let is_plain = find_good(&folder)?.is_some()
            && is_folder(&folder.join("bad"))?
            && find_good(&folder.join("train"))?.is_none();
        let mut data = Self::default();
        match category::test_folder(&folder)? {
            Some(tests) if !is_plain => data.read_test(&folder, &tests)?,
            _ => data = Self::read_folder(path, category)?,
        }
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
            if find_good(&path.join("train"))?.is_some() {
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
        let tested = self.test.iter().flat_map(|sample| [&sample.path].into_iter().chain(&sample.masks));
        self.train.iter().chain(tested)
    }

    fn read_folder(path: &Path, category: Option<&str>) -> Result<Self> {
        let folder = category_folder(path, category)?;
        let mut data = Self::default();
        if let Some(good) = find_good(&folder.join("train"))? {
            data.train = data.some_images(&good)?;
            data.note_unread(&folder.join("train"), &[good])?;
            if let Some(tests) = category::test_folder(&folder)? {
                data.read_test(&folder, &tests)?;
            }
            let read = ["train", "test", "test_public", "ground_truth"].map(|name| folder.join(name));
            data.note_unread(&folder, &read)?;
        } else if let Some(good) = find_good(&folder)? {
            data.read_plain(&folder, &good)?;
        } else {
            data.train = data.images(&folder)?;
            if data.train.is_empty() {
                let missing = Error::format(folder.display(), "neither train/good nor good", LAYOUT);
                return Err(with_categories(missing, &folder));
            }
            data.note_folders(&folder, &folders_in(&folder)?);
        }
        Ok(data)
    }

    fn read_plain(&mut self, folder: &Path, good: &Path) -> Result<()> {
        let bad = folder.join("bad");
        self.note_unread(folder, &[good.into(), bad.clone()])?;
        let good = self.some_images(good)?;
        if !is_folder(&bad)? {
            self.train = good;
            return Ok(());
        }
        let defective = |path| Sample { path, defect: "bad".into(), anomalous: true, masks: Vec::new() };
        self.test = self.images(&bad)?.into_iter().map(defective).collect();
        if self.test.is_empty() {
            let error = Error::format(bad.display(), "no images", "defective ones");
            return Err(error.hint("where there are none, remove the folder"));
        }
        let sound = |path| Sample { path, defect: "good".into(), anomalous: false, masks: Vec::new() };
        self.train_and_test(good.into_iter().map(sound));
        Ok(())
    }

    /// Trains on the `good` samples and tests them: of photographs that it has learned from, a model keeps
    /// scores by memory banks that have not seen them.
    fn train_and_test(&mut self, good: impl Iterator<Item = Sample>) {
        for sample in good {
            self.train.push(sample.path.clone());
            self.test.push(sample);
        }
    }

    /// The images in `folder`; notes its other files.
    fn images(&mut self, folder: &Path) -> Result<Vec<PathBuf>> {
        let found = folders::images(folder)?;
        self.notes.extend(found.note(folder));
        Ok(found.images)
    }

    /// The images in `folder`, of which there must be one. Folders inside it are not entered.
    fn some_images(&mut self, folder: &Path) -> Result<Vec<PathBuf>> {
        let images = self.images(folder)?;
        if images.is_empty() {
            let error =
                Error::format(folder.display(), "no images", format!("at least one ({})", folders::FORMATS));
            return Err(match find_images(folder) {
                Ok(deeper) if !deeper.is_empty() => error.hint("those in folders inside it are not taken"),
                _ => error,
            });
        }
        self.note_folders(folder, &folders_in(folder)?);
        Ok(images)
    }

    /// Notes folders and photographs in `folder` that are not in those `read`.
    fn note_unread(&mut self, folder: &Path, read: &[PathBuf]) -> Result<()> {
        let mut others = folders_in(folder)?;
        others.retain(|other| !read.contains(other));
        self.note_folders(folder, &others);
        match folders::images(folder)?.images.len() {
            0 => {}
            1 => self.note(folder, "1 photograph beside its folders is not read"),
            count => self.note(folder, &format!("{count} photographs beside its folders are not read")),
        }
        Ok(())
    }

    fn note_folders(&mut self, folder: &Path, unread: &[PathBuf]) {
        let names = unread.iter().map(|path| path.file_name().unwrap_or_default().to_string_lossy().into());
        let names = folders::list(names);
        match unread.len() {
            0 => {}
            1 => self.note(folder, &format!("the folder {names} is not read")),
            _ => self.note(folder, &format!("the folders {names} are not read")),
        }
    }

    fn note(&mut self, subject: &Path, text: &str) {
        self.notes.push(place(format_args!("{}: {text}", subject.display())));
    }
}

/// Whether `name` is that of good parts.
fn is_good(name: &str) -> bool {
    GOOD.iter().any(|good| name.eq_ignore_ascii_case(good))
}

/// The folder of good parts in `folder`, if both are there.
fn find_good(folder: &Path) -> Result<Option<PathBuf>> {
    let usual = folder.join("good");
    if is_folder(&usual)? {
        return Ok(Some(usual));
    }
    if !is_folder(folder)? {
        return Ok(None);
    }
    let is_named_good = |path: &PathBuf| path.file_name().and_then(OsStr::to_str).is_some_and(is_good);
    Ok(folders_in(folder)?.into_iter().find(is_named_good))
}

/// Whether `path` is a list and not a folder.
fn is_list(path: &Path, category: Option<&str>) -> Result<bool> {
    let is_list =
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) && !is_folder(path)?;
    match category {
        Some(category) if is_list => {
            let expected = format!("none with the list {}", path.display());
            Err(Error::wrong_setting(Setting::Category, format!("{category:?}"), expected))
        }
        _ => Ok(is_list),
    }
}

fn category_folder(path: &Path, category: Option<&str>) -> Result<PathBuf> {
    let folder = category.map_or_else(|| path.to_path_buf(), |name| path.join(name));
    if is_folder(&folder)? {
        return Ok(folder);
    }
    let found = if folder.exists() { "a file" } else { "no such folder" };
    let missing = Error::format(folder.display(), found, "a folder of images");
    if category.is_some() && (find_good(&path.join("train"))?.is_some() || find_good(path)?.is_some()) {
        return Err(missing.hint(format!("{} is a category itself: name none in it", path.display())));
    }
    Err(with_categories(missing, path))
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
            data.test.iter().map(|s| (s.defect.as_str(), s.anomalous, !s.masks.is_empty())).collect();
        assert_eq!(test, [("bent", true, true), ("bent", true, true), ("good", false, false)]);
        let inside = Dataset::open(&root.path().join("nut"), Some("nut")).unwrap_err().to_string();
        assert!(inside.ends_with("nut is a category itself: name none in it)"), "{inside}");
        let masks: Vec<_> = data.test.iter().flat_map(|s| s.masks.clone()).collect();
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
        assert!(data.test[0].anomalous && data.test[0].masks.is_empty());
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
        assert_eq!((data.train.len(), data.test.len()), (1, 2));
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
        assert_eq!(names(root.path(), &test[..3]), ["bad/x.tif", "good/00.bmp", "good/01.bmp"]);
        assert_eq!(data.test.iter().filter(|sample| sample.anomalous).count(), 1);
        assert_eq!((data.train.len(), data.test.len()), (11, 12));
    }

    #[test]
    fn wrong_layouts_say_what_was_expected() {
        let empty = tree(&["a.txt"]);
        assert!(message(&empty).contains("neither train/good nor good"), "{}", message(&empty));
        assert!(message(&tree(&["train/good/a.txt"])).contains("no images, expected at least one (PNG"));
        assert!(message(&tree(&["good/a/0.png"])).contains("(those in folders inside it are not taken)"));
        let no_bad = message(&tree(&["good/0.png", "bad/readme"]));
        assert!(no_bad.ends_with(
            "bad: found no images, expected defective ones (where there are none, remove the folder)"
        ));
        let alone = open(&tree(&["0.png", "1.png"])).unwrap();
        assert_eq!((alone.train.len(), alone.test.len()), (2, 0));
        assert!(message(&tree(&["train/good/0.png", "test/0.png"])).contains("test/good and test/DEFECT"));
        let missing = Dataset::open(&empty.path().join("none"), None).unwrap_err().to_string();
        assert!(missing.contains("none: found no such folder"), "{missing}");
        let file = Dataset::open(&empty.path().join("a.txt"), None).unwrap_err().to_string();
        assert!(file.contains("a.txt: found a file"), "{file}");
        assert!(Dataset::categories(&empty.path().join("none")).is_err());
    }

    /// Kind, whether it is a defect, and the number of masks of each image to test.
    fn tested(data: &Dataset) -> Vec<(&str, bool, usize)> {
        data.test.iter().map(|s| (s.defect.as_str(), s.anomalous, s.masks.len())).collect()
    }

    #[test]
    fn kinds_of_defects_may_lie_deeper_with_their_masks() {
        let root = tree(&[
            "train/good/0.png",
            "test/good/0.png",
            "test/good/monday/0.png",
            "test/defects/chip/0.png",
            "test/defects/scratch/0.png",
            "ground_truth/defects/chip/0_mask.png",
            "ground_truth/scratch/0.png",
        ]);
        let data = open(&root).unwrap();
        let good = ("good", false, 0);
        let expected =
            [("defects/chip", true, 1), ("defects/scratch", true, 1), good, ("good/monday", false, 0)];
        assert_eq!(tested(&data), expected);
        assert!(data.notes.is_empty(), "{:?}", data.notes);
        assert_eq!(Dataset::open_test(root.path(), None).unwrap().test, data.test);
    }

    #[test]
    fn other_data_sets_are_read_as_they_come() {
        let ad2 = open(&tree(&[
            "train/good/0.png",
            "test_public/good/0.png",
            "test_public/bad/0.png",
            "test_public/ground_truth/bad/0_mask.png",
        ]));
        assert_eq!(tested(&ad2.unwrap()), [("bad", true, 1), ("good", false, 0)], "MVTec AD 2");
        let loco = open(&tree(&[
            "train/good/0.png",
            "test/good/0.png",
            "test/logical_anomalies/0.png",
            "test/logical_anomalies/1.png",
            "ground_truth/logical_anomalies/0/000.png",
            "ground_truth/logical_anomalies/0/001.png",
            "ground_truth/logical_anomalies/1/000.png",
        ]));
        let (two, one) = (("logical_anomalies", true, 2), ("logical_anomalies", true, 1));
        assert_eq!(tested(&loco.unwrap()), [("good", false, 0), two, one], "MVTec LOCO");
        let btad =
            tree(&["01/train/ok/0.bmp", "01/test/ok/1.bmp", "01/test/ko/2.bmp", "01/ground_truth/ko/2.png"]);
        let data = Dataset::open(btad.path(), Some("01")).unwrap();
        assert_eq!((data.train.len(), tested(&data)), (1, vec![("ko", true, 1), ("ok", false, 0)]), "BTAD");
        assert_eq!(Dataset::categories(btad.path()).unwrap(), ["01"]);
        assert_eq!(open(&tree(&["Normal/0.png", "Normal/1.png"])).unwrap().train.len(), 2);
    }

    #[test]
    fn what_is_passed_over_is_noted() {
        let root = tree(&[
            "train/good/0.png",
            "train/good/1.webp",
            "train/good/2.webp",
            "train/good/deeper/0.png",
            "train/good/.hidden",
            "train/good/3.png.part",
            "train/bad/0.png",
            "train/0.png",
            "test/good/0.png",
            "test/odd/0.png",
            "test/1.png",
            "test/2.png",
            "validation/good/0.png",
            "test_private/0.png",
            "licence.txt",
        ]);
        let notes = open(&root).unwrap().notes;
        let starts = [
            "train/good: passed over 2 files that are not photographs of a known format (2 .webp), such as",
            "train/good: the folder deeper is not read",
            "train: the folder bad is not read",
            "train: 1 photograph beside its folders is not read",
            "test: 2 photographs beside its folders are not read",
        ];
        let last = format!("{}: the folders test_private, validation are not read", root.path().display());
        assert_eq!(notes.len(), starts.len() + 1, "{notes:#?}");
        for (note, start) in notes.iter().zip(starts) {
            assert!(note.starts_with(&format!("{}/{start}", root.path().display())), "{note}");
        }
        assert_eq!(*notes.last().unwrap(), last);
        let plain = open(&tree(&["good/0.png", "scratch/0.png"])).unwrap().notes;
        assert!(plain.len() == 1 && plain[0].ends_with(": the folder scratch is not read"), "{plain:?}");
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
        assert!(Dataset::open(&root.path().join(odd), None).unwrap().test[0].masks.len() == 1);
        let message = Dataset::categories(root.path()).unwrap_err().to_string();
        assert!(message.contains("expected one in UTF-8"), "{message}");
    }
}
