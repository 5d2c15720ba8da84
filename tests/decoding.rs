//! Photographs of every encoding against independent decoders, whose output is stored (`pictures/grid.py`
//! makes it).

#![cfg(feature = "decode")]

#[path = "support/grid.rs"]
mod grid;

use grid::Record;
use patchcore::image::{DecodeOptions, FileFormat, Limits, Orientation, Photograph, Picture, PixelFormat};
use patchcore::{ErrorKind, Result};

fn decode(bytes: &[u8]) -> Result<Photograph> {
    Photograph::decode_bytes("photograph", bytes, &DecodeOptions::default())
}

/// Width, height, channels and samples of a PGM or PPM.
fn parse_pnm(bytes: &[u8]) -> (usize, usize, usize, Vec<u16>) {
    let head: Vec<&[u8]> = bytes.splitn(4, |&byte| byte == b'\n').collect();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let size: Vec<usize> = text(head[1]).split(' ').map(|side| side.parse().unwrap()).collect();
    let channels = if head[0] == b"P5" { 1 } else { 3 };
    let samples = match head[2] {
        b"255" => head[3].iter().map(|&byte| byte.into()).collect(),
        _ => head[3].as_chunks().0.iter().map(|&pair| u16::from_be_bytes(pair)).collect(),
    };
    (size[0], size[1], channels, samples)
}

fn parse_picture(picture: &Picture) -> (usize, usize, usize, Vec<u16>) {
    let bytes = picture.data();
    let words = || bytes.as_chunks().0.iter().map(|&pair| u16::from_ne_bytes(pair)).collect();
    let (channels, samples) = match picture.format() {
        PixelFormat::Gray8 => (1, bytes.iter().map(|&byte| byte.into()).collect()),
        PixelFormat::Rgb8 => (3, bytes.iter().map(|&byte| byte.into()).collect()),
        PixelFormat::Gray16 => (1, words()),
        PixelFormat::Rgb16 => (3, words()),
        other => panic!("{other:?}"),
    };
    (picture.width(), picture.height(), channels, samples)
}

/// The largest difference of a sample.
fn difference(found: &[u16], expected: &[u16]) -> u16 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(&a, &b)| a.abs_diff(b)).max().unwrap_or(0)
}

#[test]
fn every_encoding_is_decoded_as_independent_decoders_do_or_refused() {
    let records = grid::read();
    assert!(records.len() > 800, "{}", records.len());
    for Record { name, file, expected } in &records {
        let found = decode(file);
        if expected.is_empty() {
            let error = found.err().unwrap_or_else(|| panic!("{name} is decoded"));
            assert_eq!(error.kind(), ErrorKind::Format, "{name}: {error}");
            continue;
        }
        let found = match found {
            Ok(found) => found,
            // Ours counts the coefficients of a block and every byte between two markers, djpeg does not.
            Err(error) if name.starts_with("damaged") => {
                assert!(error.to_string().contains("damaged"), "{name}: {error}");
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let (width, height, channels, samples) = parse_picture(&found.picture);
        let (expected_width, expected_height, expected_channels, expected) = parse_pnm(expected);
        let size = (expected_width, expected_height, expected_channels);
        assert_eq!((width, height, channels), size, "{name}");
        let from_head = Photograph::size_of_bytes(name, file, &DecodeOptions::default()).unwrap();
        assert_eq!(from_head, (width, height), "{name}");
        // Lossy WebP leaves the upsampling of colours to the decoder.
        let allowed = if name.starts_with("WebP lossy") { 2 } else { 0 };
        let worst = difference(&samples, &expected);
        assert!(worst <= allowed, "{name}: {worst}");
    }
}

#[test]
fn most_damaged_files_that_the_grid_holds_are_refused() {
    let damaged: Vec<Record> = grid::read().into_iter().filter(|r| r.name.starts_with("damaged")).collect();
    let refused = damaged.iter().filter(|record| decode(&record.file).is_err()).count();
    assert!(damaged.len() >= 200 && refused > damaged.len() / 2, "{refused} of {}", damaged.len());
}

#[test]
fn group_4_data_that_lost_or_gained_codes_are_refused_or_decoded_as_they_were() {
    let whole = find("tiff one bit g4 msb2lsb");
    let picture = decode(&whole).unwrap().picture;
    // The data of the one strip lie behind the header; the tags follow.
    let directory = u32::from_le_bytes(whole[4..8].try_into().unwrap()) as usize;
    let (mut refused, mut changed) = (0, 0);
    for at in 8..directory {
        let mut damaged = whole.clone();
        damaged[at] = 0;
        match decode(&damaged) {
            Err(error) => refused += usize::from(error.to_string().contains("Group 4")),
            Ok(found) => changed += usize::from(found.picture != picture),
        }
    }
    assert!(refused > 0 && changed * 10 < refused, "{changed} of {refused}");
}

fn find(name: &str) -> Vec<u8> {
    grid::read().into_iter().find(|record| record.name == name).unwrap_or_else(|| panic!("{name}")).file
}

#[test]
fn a_truncated_photograph_is_refused_unless_all_pixels_are_there() {
    for name in [
        "jpeg 2x2,1x1,1x1 interleaved restart 2",
        "jpeg 2x2,1x1,1x1 refined restart 0",
        "tiff < lzw rgb tiles predictor True",
        "tiff > zlib rgb16 strips predictor False",
        "tiff one bit g4 msb2lsb",
        "PNG rgb",
        "BMP rgb",
        "PPM",
        "WebP lossless",
        "WebP lossy 80",
    ] {
        let whole = find(name);
        let picture = decode(&whole).unwrap().picture;
        for length in 0..whole.len() {
            // Tags and chunks behind the pixels may be missing; JPEG's end may not.
            if let Ok(found) = decode(&whole[..length]) {
                assert!(found.picture == picture && !name.starts_with("jpeg"), "{name}: {length}");
                assert!(length > whole.len() * 9 / 10, "{name}: {length} of {}", whole.len());
            }
        }
    }
}

#[test]
fn the_end_of_a_thumbnail_is_not_the_photographs() {
    let inner = find("jpeg gray");
    let outer = find("jpeg 2x2,1x1,1x1 interleaved restart 0");
    let length = (inner.len() as u16 + 2).to_be_bytes();
    let whole = [&[0xff, 0xd8, 0xff, 0xe1, length[0], length[1]][..], &inner, &outer[2..]].concat();
    assert_eq!(decode(&whole).unwrap().picture, decode(&outer).unwrap().picture);
    assert!(decode(&whole[..whole.len() - 2]).is_err());
}

#[test]
fn bytes_that_fill_before_a_marker_are_passed_over() {
    let plain = find("jpeg 2x2,1x1,1x1 interleaved restart 2");
    let mut filled = Vec::new();
    for (at, &byte) in plain.iter().enumerate() {
        let marker = byte == 0xff && plain.get(at + 1).is_some_and(|&next| next != 0 && next != 0xff);
        filled.extend_from_slice(if marker && at > 0 { &[0xff; 3] } else { &[] });
        filled.push(byte);
    }
    assert_eq!(decode(&filled).unwrap().picture, decode(&plain).unwrap().picture);
}

#[test]
fn motion_jpeg_without_huffman_tables_has_the_standard_ones() {
    // Made without -optimize, it has those.
    let whole = find("jpeg quality 30");
    let mut bare = Vec::new();
    let mut rest = &whole[2..];
    bare.extend_from_slice(&whole[..2]);
    while rest[1] != 0xda {
        let (segment, behind) = rest.split_at(2 + usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        if segment[1] != 0xc4 {
            bare.extend_from_slice(segment);
        }
        rest = behind;
    }
    bare.extend_from_slice(rest);
    assert!(bare.len() < whole.len() - 400);
    assert_eq!(decode(&bare).unwrap().picture, decode(&whole).unwrap().picture);
}

#[test]
fn pages_are_counted_and_thumbnails_are_not() {
    assert_eq!(decode(&find("tiff thumbnail first")).unwrap().pages, 2);
    assert_eq!(decode(&find("PNG rgb")).unwrap().pages, 1);
}

/// A PNG file's chunks with `extra` before the end or, if `early`, before the pixels.
fn with_chunk(png: &[u8], kind: &[u8; 4], content: &[u8], early: bool) -> Vec<u8> {
    let body = [&kind[..], content].concat();
    let chunk =
        [&(content.len() as u32).to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat();
    // Behind the signature and the header, or before the end.
    let at = if early { 33 } else { png.len() - 12 };
    [&png[..at], &chunk, &png[at..]].concat()
}

const EXIF: &[u8] = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";

#[test]
fn orientation_is_found_wherever_png_has_it() {
    let plain = find("PNG rgb");
    let hexadecimal: String = EXIF.iter().map(|byte| format!("{byte:02x}")).collect();
    let profile = format!("\nexif\n      {}\n{hexadecimal}\n", EXIF.len());
    let text = [b"Raw profile type exif\0", profile.as_bytes()].concat();
    let xmp = b"XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation=\"6\"/>";
    for early in [false, true] {
        for (kind, content) in [(b"eXIf", EXIF), (b"tEXt", &text), (b"iTXt", xmp)] {
            let file = with_chunk(&plain, kind, content, early);
            let turned = decode(&file).unwrap();
            assert_eq!(turned.orientation, 6);
            let options = DecodeOptions::default().orientation(Orientation::Ignore);
            let stored = Photograph::decode_bytes("p", &file, &options).unwrap();
            assert_eq!(stored.orientation, 6, "it is reported all the same");
            assert_eq!(stored.picture, decode(&plain).unwrap().picture);
            let (width, height, _, pixels) = parse_picture(&stored.picture);
            let (turned_width, turned_height, _, turned_pixels) = parse_picture(&turned.picture);
            assert_eq!((turned_width, turned_height), (height, width));
            let from_head = |options: &DecodeOptions| Photograph::size_of_bytes("p", &file, options).unwrap();
            assert_eq!(from_head(&DecodeOptions::default()), (height, width));
            assert_eq!(from_head(&options), (width, height));
            // A quarter to the right: the first column, from below, is the first row.
            for x in 0..turned_width {
                assert_eq!(turned_pixels[3 * x], pixels[3 * (turned_width - 1 - x) * width]);
            }
        }
    }
}

#[test]
fn ten_and_twelve_bits_are_spread_and_larger_samples_refused() {
    let decode = |file: &[u8], bit_depth| {
        Photograph::decode_bytes("p", file, &DecodeOptions::default().bit_depth(bit_depth))
    };
    // Grey levels of 8 bits times 251.
    let wide = find("PNG gray16");
    let largest = decode(&wide, None).unwrap().largest_sample.unwrap();
    assert!(largest > 4095 && largest % 251 == 0);
    let error = decode(&wide, Some(12)).unwrap_err().to_string();
    assert!(error.contains(&format!("found {largest}, expected at most 4095")), "{error}");
    // The same levels, as 12 bits in 16 and as 8 bits.
    let narrow = decode(&find("tiff < None gray strip predictor False"), Some(12)).unwrap();
    assert_eq!(narrow.largest_sample, None, "8 bits state their depth");
    let levels = narrow.picture.data();
    let pgm = |scale: u16| {
        let samples = levels.iter().flat_map(|&level| (u16::from(level) * scale).to_be_bytes());
        [
            format!("P5 {} {} 65535\n", narrow.picture.width(), narrow.picture.height()).into_bytes(),
            samples.collect(),
        ]
        .concat()
    };
    let twelve = decode(&pgm(16), Some(12)).unwrap();
    assert_eq!(twelve.largest_sample, levels.iter().max().map(|&level| u16::from(level) * 16));
    let (_, _, _, samples) = parse_picture(&twelve.picture);
    for (&level, &sample) in levels.iter().zip(&samples) {
        let expected = f64::from(level) * 16.0 / 4095.0 * 65535.0;
        assert!((f64::from(sample) - expected).abs() <= 0.5, "{level}: {sample}");
    }
    let ten = decode(&pgm(4), Some(10)).unwrap();
    assert!(ten.picture != twelve.picture && decode(&pgm(16), Some(10)).is_err());
    for bits in [0, 8, 17] {
        assert_eq!(decode(&wide, Some(bits)).unwrap_err().kind(), ErrorKind::Argument, "{bits}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    for (name, words) in [
        ("jpeg arithmetic", "arithmetic coding"),
        ("tiff refused float", "floating-point samples"),
        ("tiff refused signed", "signed samples"),
        ("tiff refused cielab", "CIELab"),
        ("tiff refused zstd", "Zstandard"),
        ("tiff refused raw", "colour filter"),
        ("tiff refused g3:1d", "Group 3"),
    ] {
        let error = decode(&find(name)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let mut lossless = find("jpeg gray");
    let frame = lossless.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    lossless[frame + 1] = 0xc3;
    assert!(decode(&lossless).unwrap_err().to_string().contains("a lossless JPEG"));
    assert!(decode(b"GIF89a").unwrap_err().to_string().contains("a GIF picture"));
    assert!(decode(b"").unwrap_err().to_string().contains("an empty file"));
    assert_eq!(FileFormat::of(&lossless), Some(FileFormat::Jpeg));
}

#[test]
fn memory_is_bounded_before_it_is_taken() {
    for name in
        ["jpeg 2x2,1x1,1x1 progressive restart 0", "tiff < lzw rgb16 tiles predictor False", "PNG rgb"]
    {
        let file = find(name);
        let decode = |max_bytes| {
            let limits = Limits::default().max_bytes(max_bytes);
            Photograph::decode_bytes("p", &file, &DecodeOptions::default().limits(limits))
        };
        assert!(decode(1 << 20).is_ok(), "{name}");
        assert_eq!(decode(37 * 23 * 3 - 1).unwrap_err().kind(), ErrorKind::Limit, "{name}");
    }
}
