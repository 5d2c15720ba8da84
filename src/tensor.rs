//! The plain types that pass from station to station. They own or borrow numbers and know their shape, no more.

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

/// One layer's output: `[height, width, channels]`, the channels of a position side by side.
#[derive(Clone, Copy, Debug)]
pub struct FeatureMap<'a> {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Values a position.
    pub channels: usize,
    /// Values from one row to the next: at least `width * channels`.
    pub line: usize,
    /// All rows: `(height - 1) * line + width * channels` values.
    pub data: &'a [f32],
}

impl<'a> FeatureMap<'a> {
    /// A map whose rows follow one another without gaps.
    pub fn dense(height: usize, width: usize, channels: usize, data: &'a [f32]) -> Self {
        Self { height, width, channels, line: width * channels, data }
    }

    /// The values at row `y`, column `x`.
    pub fn at(&self, y: usize, x: usize) -> &'a [f32] {
        &self.data[y * self.line + x * self.channels..][..self.channels]
    }
}

/// Patch embeddings of one or more images: `[rows, dim]`, row-major; a row is one position of the patch grid.
#[derive(Clone, Copy, Debug)]
pub struct Patches<'a> {
    /// Values a patch.
    pub dim: usize,
    /// Columns of the patch grid: rows `i` and `i + grid_width` are vertical neighbours in one image.
    pub grid_width: usize,
    /// `rows * dim` values.
    pub data: &'a [f32],
}

impl<'a> Patches<'a> {
    /// Number of patches.
    pub fn rows(&self) -> usize {
        self.data.len() / self.dim
    }

    /// The embedding of patch `index`.
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.dim..][..self.dim]
    }
}

/// A row of the memory bank, and how far away it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Neighbor {
    /// Row of the memory bank.
    pub index: u32,
    /// Euclidean distance (not squared).
    pub distance: f32,
}
