//! Ground-truth masks at the size of the map.

use crate::error::{Error, Result};
use crate::image::half_to_even;

/// Brings a mask of `size` (height, width) to the network's input as the image was: nearest-neighbour
/// resizing to `resize`, then a centred crop of `crop`. Pixel `i` of `out` comes from `floor(i * in / out)`
/// in f32, as in torch.
///
/// # Errors
/// `mask` has not `size`, a side is 0, or the crop is larger than `resize`.
pub fn fit_mask(
    mask: &[bool],
    size: (usize, usize),
    resize: (usize, usize),
    crop: Option<(usize, usize)>,
) -> Result<Vec<bool>> {
    if size.0.checked_mul(size.1) != Some(mask.len()) || mask.is_empty() {
        return Err(Error::argument(
            "mask",
            format!("{} pixels", mask.len()),
            format!("{} x {}", size.0, size.1),
        ));
    }
    let crop = crop.unwrap_or(resize);
    if crop.0 == 0 || crop.1 == 0 || crop.0 > resize.0 || crop.1 > resize.1 {
        let expected = format!("1 x 1 to {} x {}", resize.0, resize.1);
        return Err(Error::argument("mask crop", format!("{} x {}", crop.0, crop.1), expected));
    }
    let columns: Vec<usize> = sources(size.1, resize.1, crop.1).collect();
    let rows = sources(size.0, resize.0, crop.0);
    #[allow(clippy::indexing_slicing)] // `sources` stays below the sides that the mask was checked to have.
    let pixels = rows.flat_map(|y| columns.iter().map(move |x| mask[y * size.1 + x])).collect();
    Ok(pixels)
}

/// For each pixel of the crop the pixel of the mask that it shows.
#[allow(clippy::cast_possible_truncation)] // A place below the side.
fn sources(mask: usize, resized: usize, crop: usize) -> impl Iterator<Item = usize> {
    let scale = mask as f32 / resized as f32;
    let start = half_to_even(resized - crop);
    (start..start + crop).map(move |at| ((at as f32 * scale) as usize).min(mask - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(mask: &str, resize: usize, crop: Option<usize>) -> String {
        let bits: Vec<bool> = mask.chars().map(|c| c == '#').collect();
        let fitted = fit_mask(&bits, (1, bits.len()), (1, resize), crop.map(|c| (1, c))).unwrap();
        fitted.into_iter().map(|bit| if bit { '#' } else { '.' }).collect()
    }

    #[test]
    fn takes_the_nearest_pixel_below() {
        assert_eq!(row(".#.##", 10, None), "..##..####");
        assert_eq!(row(".#.##.#", 3, None), "..#", "pixels 0, 2 and 4");
        assert_eq!(row("#..#", 4, None), "#..#");
    }

    #[test]
    fn crops_around_the_centre_as_the_reference() {
        assert_eq!(row("#....", 5, Some(4)), "#...", "half a pixel rounds to 0");
        assert_eq!(row("..#....", 7, Some(4)), "#...", "one and a half rounds to 2");
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(half_to_even), [0, 0, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn rows_and_columns_are_not_confused() {
        let mask: Vec<bool> = (0..6).map(|i| i == 5).collect();
        let fitted = fit_mask(&mask, (2, 3), (4, 3), None).unwrap();
        let set: Vec<usize> = (0..12).filter(|&i| fitted[i]).collect();
        assert_eq!(set, [8, 11]);
    }

    #[test]
    fn wrong_sizes_are_refused() {
        assert!(fit_mask(&[true; 5], (2, 3), (4, 4), None).is_err());
        assert!(fit_mask(&[], (0, 3), (4, 4), None).is_err());
        assert!(fit_mask(&[true; 6], (2, 3), (4, 4), Some((5, 1))).is_err());
        assert!(fit_mask(&[true; 6], (2, 3), (0, 4), None).is_err());
        assert!(fit_mask(&[true; 6], (usize::MAX, 6), (4, 4), None).is_err());
    }
}
