//! Photographs, banks and data sets at the edges: every number that comes out is finite, or said to be
//! undefined.

#![cfg(all(feature = "train", feature = "decode", feature = "embedded-default"))]

mod support;

use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage};
use patchcore::SearchKind;
use patchcore::image::{Frame, Limits, Picture, PixelFormat};
use patchcore::score::CalibrationSource;
use patchcore::{ErrorKind, OpenOptions, Session};
use std::io::Cursor;
use std::path::Path;
use support::small::{SIDE, answer, photograph};

type Pattern = fn(usize, usize) -> u8;

/// Pictures without texture, and with the finest there is.
const PATTERNS: [(&str, Pattern); 6] = [
    ("black", |_, _| 0),
    ("gray", |_, _| 100),
    ("white", |_, _| 255),
    ("rows", |_, y| if y % 2 == 0 { 255 } else { 0 }),
    ("columns", |x, _| if x % 2 == 0 { 255 } else { 0 }),
    ("one pixel", |x, y| if (x, y) == (7, 9) { 255 } else { 0 }),
];

fn draw(pattern: Pattern) -> Vec<u8> {
    (0..SIDE * SIDE).map(|i| pattern(i % SIDE, i / SIDE)).collect()
}

/// That a score and its map are distances.
fn assert_finite(what: &str, bits: &[u32]) {
    for number in bits.iter().map(|&bits| f32::from_bits(bits)) {
        assert!((0.0..=f32::MAX).contains(&number), "{what}: {number}");
    }
}

fn searches() -> Vec<SearchKind> {
    vec![
        SearchKind::Flat,
        SearchKind::Pruned,
        SearchKind::Auto,
        #[cfg(feature = "kdtree")]
        SearchKind::KdTree,
    ]
}

#[test]
fn pictures_without_texture_train_and_are_scored() {
    for (trained, pattern) in PATTERNS {
        let images = vec![draw(pattern); 3];
        // Room for each patch of the three that are alike.
        let options = support::small::options(SearchKind::Auto).coreset_ratio(0.5);
        let model = support::small::train(&options, &images).unwrap();
        for (scored, pattern) in PATTERNS {
            let found = answer(&model, &draw(pattern)).unwrap();
            assert_finite(&format!("{scored} by a model of {trained}"), &found);
            if scored == trained {
                assert_eq!(f32::from_bits(found[0]), 0.0, "{trained}: what was trained on is good");
            }
        }
    }
}

#[test]
fn a_bank_of_duplicates_is_searched_alike_by_every_search() {
    let mut options = support::small::options(SearchKind::Flat);
    options.coreset_ratio = 1.0;
    for images in [vec![draw(|_, _| 90); 4], vec![photograph(1), photograph(1), photograph(2)]] {
        let answers: Vec<_> = searches()
            .into_iter()
            .map(|search| {
                options.search = search;
                let model = support::small::train(&options, &images).unwrap();
                [answer(&model, &photograph(5)).unwrap(), answer(&model, &images[0]).unwrap()]
            })
            .collect();
        answers.iter().for_each(|answer| assert_finite("duplicates", &answer[0]));
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[test]
fn one_photograph_is_enough_for_a_model_without_thresholds() {
    let model = support::small::train(&support::small::options(SearchKind::Auto), &[photograph(1)]).unwrap();
    assert_eq!(model.calibration().source, CalibrationSource::None);
    let mut session = Session::new(&model, 1).unwrap();
    let pixels = photograph(9);
    let found = session.predict(&support::small::frame(&pixels)).unwrap();
    assert!(found.score.is_finite());
    assert_eq!((found.normalized_score, found.decision), (None, patchcore::Decision::NoThreshold));
}

#[test]
fn a_network_whose_values_overflow_gives_an_error() {
    let mut options = support::small::options(SearchKind::Flat);
    options.preprocess.std = [1e-38; 3];
    let error = support::small::train(&options, &[photograph(1), photograph(2)]).unwrap_err();
    assert!(error.to_string().contains("finite"), "{error}");
}

#[test]
fn a_prediction_that_failed_leaves_no_map() {
    let mut options = support::small::options(SearchKind::Flat);
    (options.preprocess.mean, options.preprocess.std) = ([0.0; 3], [1e-38; 3]);
    let black = vec![0; SIDE * SIDE];
    let model = support::small::train(&options, &[black.clone(), black.clone()]).unwrap();
    let mut session = Session::new(&model, 1).unwrap();
    session.predict(&support::small::frame(&black)).unwrap();
    assert!(session.map().is_ok());
    assert!(session.predict(&support::small::frame(&photograph(1))).is_err());
    let (mut map, mut mask) = (vec![0.0; 64], vec![0; 64]);
    for error in [
        session.map().err(),
        session.map_over_image(8, 8, &mut map).err(),
        session.mask_over_image(8, 8, &mut mask).err(),
    ] {
        assert!(error.unwrap().to_string().contains("no prediction"));
    }
    session.predict(&support::small::frame(&black)).unwrap();
    assert!(session.mask_over_image(8, 8, &mut mask).is_ok());
    let error = session.mask_over_image(8, 9, &mut mask).err().unwrap().to_string();
    assert!(error.contains("mask buffer: found 64 values, expected 8 x 9"), "{error}");
}

/// Trains on ordinary photographs and scores `frame`.
fn score(frame: &Frame<'_>) -> f32 {
    let mut session = Session::new(&support::small::model(SearchKind::Flat), 1).unwrap();
    session.predict(frame).unwrap().score
}

#[test]
fn tiny_wide_and_tall_frames_are_scored_up_to_the_limits() {
    let data = vec![77; 8 * 65_535];
    let frame = |width, height| Frame::new(width, height, width, PixelFormat::Gray8, &data);
    for (width, height) in [(8, 8), (31, 9), (8, 65_535), (65_535, 8)] {
        assert!(score(&frame(width, height).unwrap()).is_finite(), "{width}x{height}");
    }
    for (width, height, kind) in [
        (7, 8, ErrorKind::Argument),
        (8, 0, ErrorKind::Argument),
        (65_536, 8, ErrorKind::Limit),
        (8, 65_536, ErrorKind::Limit),
        (20_000, 20_000, ErrorKind::Limit),
    ] {
        assert_eq!(frame(width, height).unwrap_err().kind(), kind, "{width}x{height}");
    }
}

fn decode(bytes: &[u8]) -> patchcore::Result<Picture> {
    Picture::decode_bytes("photograph", bytes, &Limits::default())
}

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let body = [&kind[..], content].concat();
    let checksum = crc32fast::hash(&body).to_be_bytes();
    [&(content.len() as u32).to_be_bytes()[..], &body, &checksum].concat()
}

#[test]
fn huge_photographs_are_refused_by_their_header() {
    // BMP's decoder has a bound of its own for sides, and calls what is beyond it damaged.
    let (limit, damage) = (ErrorKind::Limit, ErrorKind::Format);
    for (width, height, of_bmp) in
        [(20_000u32, 20_000u32, limit), (12_500_000, 8, damage), (u32::MAX >> 1, u32::MAX >> 1, damage)]
    {
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        // There is nothing behind the header that could be decoded.
        let png = [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &[])].concat();
        let bmp_header =
            [54, 40, width, height, 1 | 24 << 16, 0, 0, 0, 0, 0, 0].map(u32::to_le_bytes).concat();
        let bmp = [&b"BM\0\0\0\0\0\0\0\0"[..], &bmp_header].concat();
        for (bytes, kind) in [(png, limit), (bmp, of_bmp)] {
            let error = decode(&bytes).unwrap_err();
            assert_eq!(error.kind(), kind, "{width}x{height}: {error}");
            assert!(kind == limit || error.to_string().contains("too large"), "{error}");
        }
    }
    let whole = RgbImage::new(64, 64);
    let mut bytes = Cursor::new(Vec::new());
    whole.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let bytes = bytes.into_inner();
    for limits in [Limits::default().max_pixels(64 * 64 - 1), Limits::default().max_bytes(64 * 64 * 3 - 1)] {
        assert_eq!(Picture::decode_bytes("p", &bytes, &limits).unwrap_err().kind(), ErrorKind::Limit);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.png");
    std::fs::write(&path, &bytes).unwrap();
    let limits = |max_bytes| Limits::default().max_bytes(max_bytes);
    let error = Picture::decode(&path, &limits(bytes.len() as u64 - 1)).unwrap_err();
    assert!(error.to_string().contains("part.png: found a longer file"), "{error}");
    #[cfg(target_os = "linux")]
    assert!(Picture::decode(Path::new("/dev/zero"), &limits(1 << 20)).is_err());
}

/// Found by the fuzzer: over this file the JPEG decoder panics, where the CPU has AVX2.
#[test]
fn what_makes_a_decoder_panic_is_an_error() {
    if let Err(error) = decode(include_bytes!("pictures/decoder_panics.jpg")) {
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    }
}

/// The pixels as 8-bit RGB.
fn rgb(picture: &Picture, at: (usize, usize)) -> [u8; 3] {
    let png = picture.to_png().unwrap();
    image::load_from_memory(&png).unwrap().to_rgb8().get_pixel(at.0 as u32, at.1 as u32).0
}

#[test]
fn cmyk_palettes_and_single_bits_become_their_colours() {
    let red = [200, 40, 90];
    let near = |a: [u8; 3], b: [u8; 3]| a.iter().zip(b).all(|(&a, b)| a.abs_diff(b) <= 6);
    for (name, bytes, expected) in [
        ("cmyk.jpg", &include_bytes!("pictures/cmyk.jpg")[..], [red, red]),
        ("cmyk.tif", include_bytes!("pictures/cmyk.tif"), [red, red]),
        ("progressive.jpg", include_bytes!("pictures/progressive.jpg"), [red, red]),
        ("palette.png", include_bytes!("pictures/palette.png"), [[10, 20, 30], red]),
        ("palette.bmp", include_bytes!("pictures/palette.bmp"), [[10, 20, 30], red]),
        ("bits.png", include_bytes!("pictures/bits.png"), [[0; 3], [255; 3]]),
        ("palette.tif", include_bytes!("pictures/palette.tif"), [[10, 20, 30], red]),
    ] {
        let [first, second] = expected;
        let picture = decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((picture.width(), picture.height()), (12, 10), "{name}");
        let found = [rgb(&picture, (0, 0)), rgb(&picture, (1, 0))];
        assert!(near(found[0], first) && near(found[1], second), "{name}: {found:?}");
    }
}

#[test]
fn sixteen_bits_are_scaled_and_not_saturated() {
    let low = DynamicImage::from(image::ImageBuffer::from_fn(16, 16, |x, y| image::Luma([(x * y) as u8])));
    let high = image::ImageBuffer::from_fn(16, 16, |x, y| image::Luma([(x * y) as u16 * 257]));
    let bytes = [low, high.into()].map(|image: DynamicImage| {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    });
    let [low, high] = bytes.map(|bytes| score(&decode(&bytes).unwrap().frame()));
    assert!((low - high).abs() <= 1e-4 * low, "{low} {high}");
}

#[test]
fn exif_orientation_is_applied() {
    let (width, height) = (16u32, 24u32);
    // Four blocks of 8 pixels, as JPEG has them, and more below: each of one colour.
    let tone = |x: u32, y: u32| (x / 8 * 90 + y / 8 * 60) as u8;
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([tone(x, y); 3]));
    for orientation in 1..=8u8 {
        let exif =
            [&b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[orientation], &[0; 6]].concat();
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 100);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(image.as_raw(), width, height, ExtendedColorType::Rgb8).unwrap();
        let picture = decode(&bytes).unwrap();
        // Where the pixel that is shown at (x, y) is stored.
        let stored = |x: u32, y: u32| match orientation {
            1 => (x, y),
            2 => (width - 1 - x, y),
            3 => (width - 1 - x, height - 1 - y),
            4 => (x, height - 1 - y),
            5 => (y, x),
            6 => (y, height - 1 - x),
            7 => (width - 1 - y, height - 1 - x),
            _ => (width - 1 - y, x),
        };
        let turned = orientation > 4;
        let expected_size = if turned { (24, 16) } else { (16, 24) };
        assert_eq!((picture.width(), picture.height()), expected_size, "orientation {orientation}");
        for (x, y) in [(2, 2), (13, 2), (2, 13), (13, 13), (3, 11)] {
            let (sx, sy) = stored(x, y);
            let found = rgb(&picture, (x as usize, y as usize))[0];
            assert!(found.abs_diff(tone(sx, sy)) <= 4, "orientation {orientation} at {x}, {y}: {found}");
        }
    }
}

#[test]
fn scores_are_the_same_up_to_rounding_on_every_instruction_set() {
    let file = support::model_bytes(&support::small::model(SearchKind::Pruned));
    let found = |isa| {
        let model = OpenOptions::default().isa(Some(isa)).open_copy(&file).unwrap();
        answer(&model, &photograph(8)).unwrap()
    };
    let expected = found(patchcore::Isa::PORTABLE);
    for isa in patchcore::Isa::available() {
        for (found, expected) in found(isa).iter().zip(&expected) {
            let (found, expected) = (f32::from_bits(*found), f32::from_bits(*expected));
            assert!(
                (found - expected).abs() <= 1e-3 * expected.abs().max(1.0),
                "{isa:?}: {found} {expected}"
            );
        }
    }
}
