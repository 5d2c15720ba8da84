//! The plain types that pass from stage to stage: numbers, owned or borrowed, and their shape.

/// The first value that is NaN or infinite, and its index.
pub(crate) fn not_finite(values: &[f32]) -> Option<(usize, f32)> {
    // Whole chunks first: a loop that may end anywhere is not vectorised.
    const CHUNK: usize = 1024;
    let all_finite = |chunk: &[f32]| chunk.iter().fold(true, |all, value| all & value.is_finite());
    let chunk = values.chunks(CHUNK).position(|chunk| !all_finite(chunk))? * CHUNK;
    let (at, value) = (chunk..).zip(&values[chunk..]).find(|(_, value)| !value.is_finite())?;
    Some((at, *value))
}

/// A preprocessed image: planar RGB `[3, height, width]`, normalised with ImageNet's mean and deviation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageTensor {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `3 * height * width` values, channel by channel, row by row.
    pub data: Vec<f32>,
}

/// One layer's output: `[height, width, channels]`, the channels of a pixel side by side.
#[derive(Clone, Copy, Debug)]
pub struct FeatureMap<'a> {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Values of a pixel.
    pub channels: usize,
    /// Values from one row to the next: at least `width * channels`.
    pub row_stride: usize,
    /// All rows: `(height - 1) * row_stride + width * channels` values.
    pub data: &'a [f32],
}

impl<'a> FeatureMap<'a> {
    /// A map whose rows follow one another without gaps.
    pub fn dense(height: usize, width: usize, channels: usize, data: &'a [f32]) -> Self {
        Self { height, width, channels, row_stride: width * channels, data }
    }

    /// The values at row `y`, column `x`.
    pub fn values_at(&self, y: usize, x: usize) -> &'a [f32] {
        &self.data[y * self.row_stride + x * self.channels..][..self.channels]
    }
}

/// Patch embeddings of one or more images: `[rows, dim]`, row-major; a row is one patch of the grid.
#[derive(Clone, Copy, Debug)]
pub struct Patches<'a> {
    /// Values of a patch.
    pub dim: usize,
    /// Columns of the patch grid: rows `i` and `i + grid_width` are vertical neighbours in one image.
    pub grid_width: usize,
    /// `rows * dim` values.
    pub data: &'a [f32],
}

impl<'a> Patches<'a> {
    /// Number of patches; 0 where a patch has no values.
    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.dim).unwrap_or(0)
    }

    /// The embedding of patch `index`.
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.dim..][..self.dim]
    }
}

/// A row of the memory bank, and its distance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Neighbor {
    /// Row of the memory bank.
    pub index: u32,
    /// Euclidean distance (not squared).
    pub distance: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_of_no_values_are_none() {
        assert_eq!(Patches { dim: 0, grid_width: 1, data: &[] }.rows(), 0);
    }

    #[test]
    fn the_first_value_that_is_not_finite_is_found_in_every_place() {
        assert_eq!(not_finite(&[1.0; 3000]), None);
        for at in [0, 1, 1023, 1024, 2047, 2999] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = [f32::MAX; 3000];
                values[at] = value;
                values[2999] = value;
                assert_eq!(not_finite(&values).map(|(at, _)| at), Some(at));
            }
        }
    }
}
