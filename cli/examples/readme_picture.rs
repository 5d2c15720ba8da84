//! The README's picture: a part with each defect of the demo and a good one, each with its overlay.
//!
//! ```sh
//! cargo run --release -- demo --out patchcore-demo
//! cargo run --release -p patchcore-cli --example readme_picture -- patchcore-demo docs/pictures/demo.jpg
//! ```

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};
use std::error::Error;
use std::fs::File;
use std::path::Path;

const PARTS: [&str; 6] = ["scratch", "missing_hole", "misplaced_hole", "stain", "chip", "good"];
const COLUMNS: usize = 2;
/// Width of a photograph, of an overlay, and between them.
const PHOTOGRAPH: u32 = 220;
const OVERLAY: u32 = 300;
const GAP: u32 = 10;
const QUALITY: u8 = 80;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [demo, out] = &arguments[..] else { return Err("usage: readme_picture DEMO_FOLDER FILE.jpg".into()) };
    let demo = Path::new(demo);
    let pairs = PARTS.map(|part| -> Result<RgbImage, Box<dyn Error>> {
        let photograph = image::open(demo.join("parts/test").join(part).join("000.png"))?.to_rgb8();
        let drawn = image::open(demo.join("pictures").join(part).join("000-overlay.png"))?.to_rgb8();
        Ok(side_by_side(&scaled(&photograph, PHOTOGRAPH), &scaled(&drawn, OVERLAY)))
    });
    let pairs = pairs.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (width, height) = (pairs[0].width() + GAP, pairs[0].height() + GAP);
    let rows = PARTS.len().div_ceil(COLUMNS);
    let mut sheet = white(COLUMNS as u32 * width + GAP, rows as u32 * height + GAP);
    for (index, pair) in pairs.iter().enumerate() {
        let (column, row) = ((index % COLUMNS) as u32, (index / COLUMNS) as u32);
        overlay(&mut sheet, pair, i64::from(GAP + column * width), i64::from(GAP + row * height));
    }
    JpegEncoder::new_with_quality(File::create(out)?, QUALITY).encode_image(&sheet)?;
    Ok(())
}

fn white(width: u32, height: u32) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb([255; 3]))
}

fn scaled(picture: &RgbImage, width: u32) -> RgbImage {
    resize(picture, width, picture.height() * width / picture.width(), FilterType::CatmullRom)
}

fn side_by_side(left: &RgbImage, right: &RgbImage) -> RgbImage {
    let mut both = white(left.width() + GAP + right.width(), left.height().max(right.height()));
    let middle = |picture: &RgbImage, all: u32| i64::from((all - picture.height()) / 2);
    let (left_top, right_top) = (middle(left, both.height()), middle(right, both.height()));
    overlay(&mut both, left, 0, left_top);
    overlay(&mut both, right, i64::from(left.width() + GAP), right_top);
    both
}
