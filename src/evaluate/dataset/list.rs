//! Data sets as lists: CSV files of photographs, labels and masks.

use super::{Dataset, Sample, folders, is_good};
use crate::error::{Error, Result};
use csv::ByteRecord;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const HEADER: &str = "path,label,mask[,split]";
const PARTS: [&str; 2] = ["train", "test"];

/// Which column is which.
struct Columns {
    path: usize,
    label: usize,
    mask: Option<usize>,
    split: Option<usize>,
}

/// Reads the list `path`.
pub(super) fn read_list(path: &Path) -> Result<Dataset> {
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, "read", &e))?;
    let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let malformed = |e: csv::Error| match e.into_kind() {
        csv::ErrorKind::Io(e) => Error::io(path, "read", &e),
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.map_or(0, |pos| pos.line());
            let expected = format!("{expected_len}, as the header has");
            Error::format(line_of(path, line), format!("{len} columns"), expected)
        }
        _ => Error::format(path.display(), "a damaged table", format!("CSV with the header {HEADER}")),
    };
    let mut data = Dataset::default();
    let header = rows.byte_headers().map_err(malformed)?.clone();
    let columns = Columns::find(path, &header, &mut data)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut good, mut other_parts, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    let mut row = ByteRecord::new();
    while rows.read_byte_record(&mut row).map_err(malformed)? {
        let place = line_of(path, row.position().map_or(0, csv::Position::line));
        let sample = parse_row(&columns, &row, folder).map_err(|e| e.within(&place))?;
        if !seen.insert(sample.path.clone()) {
            return Err(Error::format(
                place,
                format!("{} again", sample.path.display()),
                "each photograph once",
            ));
        }
        let part =
            columns.split.map(|at| String::from_utf8_lossy(row.get(at).unwrap_or_default()).into_owned());
        match part.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None if sample.anomalous => data.test.push(sample),
            None => good.push(sample),
            Some("test") => data.test.push(sample),
            Some("train") if sample.anomalous => {
                let found = format!("the label {:?} to train on", sample.defect);
                return Err(Error::format(place, found, "good"));
            }
            Some("train") => data.train.push(sample.path),
            Some(_) => other_parts.push(part.unwrap_or_default()),
        }
    }
    match data.test.is_empty() {
        true => data.train.extend(good.into_iter().map(|sample| sample.path)),
        false => data.train_and_test(good.into_iter()),
    }
    if !other_parts.is_empty() {
        let count = other_parts.len();
        other_parts.sort();
        other_parts.dedup();
        let names = folders::list(other_parts.into_iter());
        data.note(
            path,
            &format!(
                "{count} photographs of other splits than {} are not read ({names})",
                PARTS.join(" and ")
            ),
        );
    }
    Ok(data)
}

impl Columns {
    fn find(path: &Path, header: &ByteRecord, data: &mut Dataset) -> Result<Self> {
        let place =
            |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name.as_bytes()));
        let (Some(photograph), Some(label)) = (place("path"), place("label")) else {
            let found = header.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(",");
            return Err(Error::format(
                line_of(path, 1),
                format!("{found:?}"),
                format!("the header {HEADER}"),
            ));
        };
        let columns = Self { path: photograph, label, mask: place("mask"), split: place("split") };
        let known = [Some(columns.path), Some(columns.label), columns.mask, columns.split];
        let others = header.iter().enumerate().filter(|(at, _)| !known.contains(&Some(*at)));
        let others: Vec<_> = others.map(|(_, name)| String::from_utf8_lossy(name).into_owned()).collect();
        if !others.is_empty() {
            data.note(path, &format!("columns that are not read: {}", folders::list(others.into_iter())));
        }
        Ok(columns)
    }
}

/// What a row of the list in `folder` says.
fn parse_row(columns: &Columns, row: &ByteRecord, folder: &Path) -> Result<Sample> {
    let cell = |at: usize| row.get(at).unwrap_or_default();
    let existing = |cell: &[u8]| -> Result<PathBuf> {
        let path = folder.join(file_name(cell)?);
        match path.metadata() {
            Ok(file) if file.is_file() => Ok(path),
            Ok(_) => Err(Error::format(path.display(), "a folder", "a file")),
            Err(e) => Err(Error::io(&path, "read", &e)),
        }
    };
    if cell(columns.path).is_empty() {
        return Err(Error::format("path", "nothing", "a photograph"));
    }
    let path = existing(cell(columns.path))?;
    let mask = columns.mask.map(cell).filter(|cell| !cell.is_empty()).map(existing).transpose()?;
    let label = String::from_utf8_lossy(cell(columns.label)).into_owned();
    let anomalous = if label.is_empty() { marks_something(mask.as_deref())? } else { !is_good(&label) };
    let defect = match (anomalous, label.is_empty()) {
        (false, _) => "good".into(),
        (true, true) => "bad".into(),
        (true, false) => label,
    };
    Ok(Sample { path, defect, anomalous, masks: mask.into_iter().collect() })
}

/// Whether the mask of a photograph without a label marks a defect.
#[cfg(feature = "decode")]
fn marks_something(mask: Option<&Path>) -> Result<bool> {
    let expected = "good or the name of the defect, or a mask that shows it";
    let mask = mask.ok_or_else(|| Error::format("label", "nothing", expected))?;
    Ok(crate::image::decode_mask(mask, &crate::image::DecodeOptions::default())?.data.contains(&true))
}

#[cfg(not(feature = "decode"))]
fn marks_something(_: Option<&Path>) -> Result<bool> {
    Err(Error::format("label", "nothing", "good or the name of the defect: this build decodes no masks"))
}

/// A name as the file system has it, which need not be UTF-8 on Unix.
#[cfg(unix)]
fn file_name(cell: &[u8]) -> Result<&OsStr> {
    Ok(std::os::unix::ffi::OsStrExt::from_bytes(cell))
}

#[cfg(not(unix))]
fn file_name(cell: &[u8]) -> Result<&OsStr> {
    let name = std::str::from_utf8(cell);
    name.map(OsStr::new).map_err(|_| Error::format("path", cell.escape_ascii(), "UTF-8"))
}

fn line_of(path: &Path, line: u64) -> String {
    format!("{}: line {line}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// A folder with a list of this content, and empty photographs of these names.
    fn listed(content: &str, photographs: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("deeper")).unwrap();
        photographs.iter().for_each(|name| fs::write(root.path().join(name), []).unwrap());
        fs::write(root.path().join("list.csv"), content).unwrap();
        root
    }

    fn open(root: &tempfile::TempDir) -> Result<Dataset> {
        Dataset::open(&root.path().join("list.csv"), None)
    }

    fn message(content: &str, photographs: &[&str]) -> String {
        let root = listed(content, photographs);
        let message = open(&root).unwrap_err().to_string();
        message.replace(&format!("{}/", root.path().display()), "")
    }

    #[test]
    fn photographs_labels_and_masks_are_relative_to_the_list() {
        let content = "\u{feff}path,label,mask,split\r\na.png,good,,train\r\ndeeper/b.png,GOOD,,test\r\n\
                       \"c,d.png\",\"a \"\"chip\"\"\", m.png,Test\r\ne.png,scratch,,test\r\nf.png,good,,val\r\n";
        let root = listed(content, &["a.png", "deeper/b.png", "c,d.png", "m.png", "e.png", "f.png"]);
        let data = open(&root).unwrap();
        assert_eq!(data.train, [root.path().join("a.png")]);
        let test: Vec<_> = data
            .test
            .iter()
            .map(|s| (s.path.clone(), s.defect.as_str(), s.anomalous, s.masks.len()))
            .collect();
        let at = |name: &str| root.path().join(name);
        let expected = [
            (at("deeper/b.png"), "good", false, 0),
            (at("c,d.png"), "a \"chip\"", true, 1),
            (at("e.png"), "scratch", true, 0),
        ];
        assert_eq!(test, expected);
        let [note] = &data.notes[..] else { panic!("{:?}", data.notes) };
        assert!(
            note.ends_with("list.csv: 1 photographs of other splits than train and test are not read (val)")
        );
    }

    #[test]
    fn without_a_split_good_photographs_beside_defective_ones_are_trained_on_and_tested() {
        let names: Vec<String> = (0..11).map(|i| format!("{i}.png")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rows = |label: &str| {
            let rows = names[1..].iter().map(|name| format!("{name},ok\n")).collect::<String>();
            format!("Path,Label\n0.png,{label}\n{rows}")
        };
        let data = open(&listed(&rows("chip"), &names)).unwrap();
        let test: Vec<_> = data.test.iter().map(|s| s.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!((data.train.len(), test.len(), &test[..2]), (10, 11, &["0.png", "1.png"][..]));
        let data = open(&listed(&rows("good"), &names)).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (11, 0));
    }

    #[cfg(feature = "decode")]
    #[test]
    fn a_mask_decides_where_there_is_no_label() {
        let root = listed("path,label,mask\na.png,,black.png\nb.png,,white.png\n", &["a.png", "b.png"]);
        for (name, value) in [("black.png", 0), ("white.png", 255)] {
            let picture = crate::image::Picture::from_rgb(8, 8, vec![value; 8 * 8 * 3]).unwrap();
            picture.save_png(&root.path().join(name)).unwrap();
        }
        let data = open(&root).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (1, 2));
        assert_eq!((data.test[0].defect.as_str(), data.test[0].anomalous), ("bad", true));
        let nothing = message("path,label\na.png,\n", &["a.png"]);
        assert!(nothing.starts_with("list.csv: line 2: label: found nothing, expected good"), "{nothing}");
    }

    #[test]
    fn what_is_wrong_with_a_list_is_named_with_its_line() {
        for (content, expected) in [
            (
                "path;label\n",
                "list.csv: line 1: found \"path;label\", expected the header path,label,mask[,split]",
            ),
            ("", "list.csv: line 1: found \"\", expected the header"),
            (
                "path,label\na.png,good,x\n",
                "list.csv: line 2: found 3 columns, expected 2, as the header has",
            ),
            ("path,label\n,good\n", "list.csv: line 2: path: found nothing, expected a photograph"),
            ("path,label\na.png,good\nnone.png,good\n", "list.csv: line 3: none.png: cannot read: "),
            ("path,label\ndeeper,good\n", "list.csv: line 2: deeper: found a folder, expected a file"),
            ("path,label\na.png,good\na.png,good\n", "list.csv: line 3: found a.png again, expected each"),
            (
                "path,label,split\na.png,chip,train\n",
                "list.csv: line 2: found the label \"chip\" to train on",
            ),
            ("path,label\na.png,chip\n", "list.csv: found no good photographs to train on"),
        ] {
            let found = message(content, &["a.png"]);
            assert!(found.starts_with(expected), "{found}");
        }
        let root = listed("path,label\na.png,good\n", &["a.png"]);
        let error = Dataset::open(&root.path().join("list.csv"), Some("nut")).unwrap_err().to_string();
        assert!(error.starts_with("category: found \"nut\", expected none with the list"), "{error}");
        let error = Dataset::open_test(&root.path().join("list.csv"), None).unwrap_err().to_string();
        assert!(error.contains("found no photographs to test"), "{error}");
    }

    proptest! {
        #[test]
        fn a_list_of_any_content_is_read_or_refused_in_one_line(
            parts in prop::collection::vec(prop::sample::select(PARTS_OF_LISTS), 0..40),
            other in prop::collection::vec(any::<u8>(), 0..20),
            at in 0usize..40,
        ) {
            let root = listed("", &["a.png"]);
            let mut parts = parts;
            parts.insert(at.min(parts.len()), &other);
            fs::write(root.path().join("list.csv"), parts.concat()).unwrap();
            if let Err(error) = open(&root) {
                prop_assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }

    /// What a list consists of, and more of what a damaged one may hold.
    const PARTS_OF_LISTS: &[&[u8]] = &[
        b"path,label,mask,split\n",
        b"path,label\r\n",
        b"a.png,good\n",
        b"a.png,,a.png,test\n",
        b"a.png",
        b",",
        b"\"",
        b"\n",
        b"\0",
        b"deeper",
        b"train",
        b"\xff",
        b"\xef\xbb\xbf",
    ];

    #[cfg(target_os = "linux")]
    #[test]
    fn names_need_not_be_utf_8() {
        use std::os::unix::ffi::OsStrExt;
        let root = tempfile::tempdir().unwrap();
        let name = OsStr::from_bytes(b"st\xf6rung.png");
        fs::write(root.path().join(name), []).unwrap();
        fs::write(root.path().join("list.csv"), b"path,label\nst\xf6rung.png,good\n").unwrap();
        assert_eq!(open(&root).unwrap().train, [root.path().join(name)]);
    }
}
