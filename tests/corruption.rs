//! A damaged model file is refused; where the user turned checksums off, what opens gives a finite answer or
//! an error.

#![cfg(all(feature = "train", feature = "embedded-default"))]

mod support;

use patchcore::{Backbone, ErrorKind, OpenOptions, PatchCore, Result};
use patchcore::{Precision, SearchKind};
use support::model_bytes;
use support::sections::{assemble, sections, with_metadata};
use support::small::{answer, photograph};

const HEADER: usize = 32;
const ENTRY: usize = 40;

fn verified() -> OpenOptions {
    OpenOptions::default().max_bytes(1 << 20).max_pixels(1 << 14)
}

fn unverified() -> OpenOptions {
    verified().verify(false)
}

fn file(search: SearchKind) -> Vec<u8> {
    model_bytes(&support::small::model(search))
}

fn file_of_halves() -> Vec<u8> {
    let options = support::small::options(SearchKind::Pruned).bank_precision(Precision::Half);
    model_bytes(&support::small::train(&options, &[0, 1, 2].map(photograph)).unwrap())
}

/// A model of every search that this build has, and one of half precision.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("flat", file(SearchKind::Flat)),
        ("pruned", file(SearchKind::Pruned)),
        ("half", file_of_halves()),
        #[cfg(feature = "kdtree")]
        ("k-d tree", file(SearchKind::KdTree)),
    ]
}

/// Opens `file` and, if that is possible, predicts: whatever is not refused must be finite.
fn predict(options: OpenOptions, file: &[u8]) -> Result<Vec<u32>> {
    let answer = answer(&options.open_copy(file)?, &photograph(7))?;
    assert!(answer.iter().all(|&bits| f32::from_bits(bits).is_finite()));
    Ok(answer)
}

/// Puts the checksum of the header and the table right.
fn mend(file: &mut [u8]) {
    let count = u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
    file[28..32].fill(0);
    let end = (HEADER + count.saturating_mul(ENTRY)).min(file.len());
    let checksum = crc32fast::hash(&file[..end]);
    file[28..32].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn every_changed_byte_and_every_length_is_refused() {
    for (_, file) in files() {
        for at in 0..file.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = file.clone();
                damaged[at] ^= change;
                assert!(verified().open_copy(&damaged).is_err(), "byte {at} by {change:02x}");
            }
            for options in [verified(), unverified()] {
                assert!(options.open_copy(&file[..at]).is_err(), "cut to {at}");
            }
        }
        for more in [1, 64, 1000] {
            let longer = [&file[..], &vec![0; more]].concat();
            assert!(unverified().open_copy(&longer).is_err(), "{more} bytes more");
        }
    }
}

#[test]
fn without_checksums_a_changed_byte_gives_a_finite_answer_or_an_error() {
    // Every byte of the table, and every so many bytes of the rest of a large file.
    for ((kind, file), step) in files().into_iter().zip([1, 13, 13, 5]) {
        let table = HEADER + ENTRY * sections(&file).len();
        let mut answers = 0;
        for at in (0..table).chain((table..file.len()).step_by(step)) {
            let mut damaged = file.clone();
            damaged[at] ^= if at % 2 == 0 { 0xff } else { 0x40 };
            mend(&mut damaged);
            answers += usize::from(predict(unverified(), &damaged).is_ok());
        }
        assert!(answers > 0, "{kind}: nothing got past the header");
    }
}

#[test]
fn sizes_that_overflow_are_refused() {
    let file = file(SearchKind::Pruned);
    let count = sections(&file).len();
    let huge = [1 << 31, u64::from(u32::MAX), 1 << 62, i64::MAX as u64, u64::MAX - 63, u64::MAX];
    let places = (0..count).flat_map(|i| [HEADER + i * ENTRY + 16, HEADER + i * ENTRY + 24]);
    for place in places.chain([16]) {
        for value in huge {
            let mut damaged = file.clone();
            damaged[place..place + 8].copy_from_slice(&value.to_le_bytes());
            mend(&mut damaged);
            assert!(unverified().open_copy(&damaged).is_err(), "{value} at {place}");
        }
    }
    for number in [u32::MAX, 1 << 31, 65, count as u32 + 1, 0] {
        let mut damaged = file.clone();
        damaged[12..16].copy_from_slice(&number.to_le_bytes());
        mend(&mut damaged);
        assert!(unverified().open_copy(&damaged).is_err(), "{number} sections");
    }
}

#[test]
fn sections_are_told_by_name_and_must_have_their_size() {
    for (_, file) in files() {
        let whole = sections(&file);
        let expected = predict(verified(), &file).unwrap();
        assert!(assemble(&whole) == file, "this test writes what the library writes");
        let mut turned = whole.clone();
        turned.reverse();
        assert!(predict(verified(), &assemble(&turned)).unwrap() == expected, "the order says nothing");
        for i in 0..whole.len() {
            let name = whole[i].0;
            // What the choice of the search was based on is a note, of any length.
            let free = name == "search.estimate";
            let mut without = whole.clone();
            without.remove(i);
            let answer = predict(verified(), &assemble(&without));
            assert!(answer.is_err() || answer.unwrap() == expected, "without {name}");
            for j in 0..i {
                let mut swapped = whole.clone();
                (swapped[i].1, swapped[j].1) = (whole[j].1.clone(), whole[i].1.clone());
                // With checksums to fit, which no damage has, only sections of one length can be taken for
                // each other.
                let refused = predict(verified(), &assemble(&swapped)).is_err();
                assert!(refused || whole[i].1.len() == whole[j].1.len(), "{name} and {}", whole[j].0);
            }
            let exact = whole[i].1.len();
            let others = [0, 1, exact.saturating_sub(1), exact + 1, exact + 64];
            for length in others.into_iter().filter(|&length| length != exact) {
                let mut resized = whole.clone();
                resized[i].1.resize(length, 0);
                let refused = verified().open_copy(&assemble(&resized)).is_err();
                assert!(refused || free, "{name} of {length} bytes");
            }
        }
    }
}

/// Swaps the first `count` bytes at the places `a` and `b`.
fn swap(file: &mut [u8], [a, b]: [usize; 2], count: usize) {
    (0..count).for_each(|i| file.swap(a + i, b + i));
}

#[test]
fn sections_that_changed_places_are_refused() {
    for (_, file) in files() {
        let word = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
        let entries: Vec<usize> = (0..sections(&file).len()).map(|i| HEADER + i * ENTRY).collect();
        for (i, &a) in entries.iter().enumerate() {
            for &b in &entries[..i] {
                let mut renamed = file.clone();
                swap(&mut renamed, [a, b], 16);
                for options in [verified(), unverified()] {
                    assert!(options.open_copy(&renamed).is_err(), "names at {a} and {b}");
                }
                let mut moved = file.clone();
                swap(&mut moved, [word(a + 16), word(b + 16)], word(a + 24).min(word(b + 24)));
                assert!(moved == file || verified().open_copy(&moved).is_err(), "contents of {a} and {b}");
            }
        }
    }
}

#[test]
fn numbers_that_are_none_are_refused_in_the_bank_and_harmless_beside_it() {
    let patterns = [(f32::NAN, 0x7e00u16), (f32::INFINITY, 0x7c00), (f32::NEG_INFINITY, 0xfc00)];
    let mut refused = std::collections::BTreeSet::new();
    for (kind, file) in files() {
        let whole = sections(&file);
        for (i, (name, content)) in whole.iter().enumerate().filter(|(_, (name, _))| *name != "metadata") {
            for (pattern, half) in patterns {
                let bytes = match *name {
                    "search.numbers" | "search.axes.off" | "search.kdtree" => {
                        f64::from(pattern).to_le_bytes().to_vec()
                    }
                    "bank.half" => half.to_le_bytes().to_vec(),
                    _ => pattern.to_le_bytes().to_vec(),
                };
                for at in [0, content.len() / 2, content.len().saturating_sub(bytes.len())] {
                    let at = at / bytes.len() * bytes.len();
                    let mut planted = whole.clone();
                    let Some(place) = planted[i].1.get_mut(at..at + bytes.len()) else { continue };
                    place.copy_from_slice(&bytes);
                    let planted = assemble(&planted);
                    let found = predict(verified(), &planted);
                    let expected = match *name {
                        "bank" | "bank.half" => "memory bank: found",
                        "bank.rounding" => "section bank.rounding: found",
                        _ => "",
                    };
                    if !expected.is_empty() {
                        let message = found.unwrap_err().to_string();
                        assert!(message.contains(expected), "{kind}: {message}");
                        refused.insert(*name);
                    }
                    let _ = predict(unverified(), &planted);
                }
            }
        }
    }
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), ["bank", "bank.half", "bank.rounding"]);
}

fn size(height: u64, width: u64) -> Vec<u8> {
    [height.to_le_bytes(), width.to_le_bytes()].concat()
}

#[test]
fn a_record_that_asks_for_much_is_refused_before_memory_is_taken() {
    let file = file(SearchKind::Flat);
    let input = size(32, 32);
    for (height, width, kind) in [
        (160, 160, ErrorKind::Limit),
        (8192, 8192, ErrorKind::Limit),
        (16385, 32, ErrorKind::Format),
        (u64::MAX, u64::MAX, ErrorKind::Format),
        (0, 32, ErrorKind::Format),
        (31, 64, ErrorKind::Format),
    ] {
        let error = verified().open_copy(&with_metadata(&file, &input, &size(height, width))).unwrap_err();
        assert_eq!(error.kind(), kind, "{height}x{width}: {error}");
    }
    let error = verified().max_pixels(1023).open_copy(&file).unwrap_err();
    assert_eq!(
        error.to_string(),
        "model in memory: network input: found 32x32, expected at most 1023 pixels (OpenOptions::max_pixels is the limit)"
    );
    let short = verified().max_bytes(file.len() as u64 - 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    std::fs::write(&path, &file).unwrap();
    for error in
        [short.open_copy(&file).err(), short.open_reader("reader", &file[..]).err(), short.open(&path).err()]
    {
        assert_eq!(error.unwrap().kind(), ErrorKind::Limit);
    }
    // What never ends is read as far as its header goes.
    let endless =
        verified().open_reader("reader", std::io::Read::chain(&file[..], std::io::repeat(0))).err().unwrap();
    assert!(endless.to_string().contains(&format!("found {} bytes", file.len() + 1)), "{endless}");
    #[cfg(target_os = "linux")]
    assert_eq!(short.open("/dev/zero").err().unwrap().kind(), ErrorKind::Format);
}

#[test]
fn infinite_thresholds_and_ranges_are_refused() {
    let model = support::small::model(SearchKind::Flat);
    let file = model_bytes(&model);
    let image = model.calibration().image;
    for number in [image.threshold, image.max] {
        let (from, to) = (number.to_le_bytes(), f32::INFINITY.to_le_bytes());
        let error = verified().open_copy(&with_metadata(&file, &from, &to)).unwrap_err();
        assert!(error.to_string().contains("calibration: found inf"), "{error}");
        // Whereas NaN stands for what is unknown.
        let unknown = with_metadata(&file, &from, &f32::NAN.to_le_bytes());
        assert!(predict(verified(), &unknown).is_ok());
    }
}

#[test]
fn weights_that_are_damaged_are_refused() {
    let narrow = patchcore::Architecture::named("resnet18_narrow").unwrap();
    let options = support::small::options(SearchKind::Flat);
    let images = [0, 1].map(|seed| {
        let gray = photograph(seed).into_iter().flat_map(|value| [value; 3]).collect();
        patchcore::image::Picture::from_rgb(support::small::SIDE, support::small::SIDE, gray)
    });
    let model = PatchCore::train(&Backbone::pseudo_random(&narrow), &options, images).unwrap();
    let file = model_bytes(&model);
    let open = |file: &[u8]| unverified().max_bytes(1 << 30).open_copy(file);
    assert!(open(&file).is_ok());
    let whole = sections(&file);
    let at = whole.iter().position(|(name, _)| *name == "weights").unwrap();
    let length = whole[at].1.len();
    for (place, bytes) in [(0, f32::NAN.to_le_bytes()), (length / 8 * 4, [1; 4]), (length - 4, [0x80; 4])] {
        let mut damaged = whole.clone();
        damaged[at].1[place..place + 4].copy_from_slice(&bytes);
        let error = open(&assemble(&damaged)).unwrap_err().to_string();
        let expected = if place == 0 { "NaN or infinity, expected finite numbers" } else { "weights" };
        assert!(error.contains(expected), "at {place}: {error}");
    }
    for shorter in [length - 4, length + 4, 0] {
        let mut damaged = whole.clone();
        damaged[at].1.resize(shorter, 0);
        assert!(open(&assemble(&damaged)).is_err(), "{shorter} bytes");
    }
}
