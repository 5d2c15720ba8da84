//! Activations between two operations: a map with a border of zeros, so that kernels need no checks at its
//! edges.

use super::aligned::Aligned;
use crate::parallel::Pool;
use crate::tensor::FeatureMap;

/// Side of a Winograd output tile; maps have room for whole tiles.
pub(crate) const WINOGRAD_TILE: usize = 4;

/// Rows, columns and channels of a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

/// A map `[height, width, channels]` inside a border of zeros:
///
/// ```text
///        border   width    rounding up
///       ├──────┼─────────┼──────┼──────┤  row_stride = channels * all of this
///       │ 0  0   0  0  0   0  0   0  0 │  border
///       │ 0  0  ┌───────┐  0  0   0  0 │
///       │ 0  0  │ pixels│  0  0   0  0 │  height
///       │ 0  0  └───────┘  0  0   0  0 │
///       │ 0  0   0  0  0   0  0   0  0 │  rounding up to a multiple of WINOGRAD_TILE, border
/// ```
///
/// Operations write pixels only, so the zeros stay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    shape: Shape,
    border: usize,
    data: Aligned,
}

impl Map {
    /// A map of zeros.
    pub(crate) fn new(shape: Shape, border: usize) -> Self {
        Self { shape, border, data: Aligned::zeros(padded_len(shape, border)) }
    }

    /// Memory of such a map, in bytes; `usize::MAX` or near it where it exceeds the address space.
    pub(crate) fn bytes(shape: Shape, border: usize) -> usize {
        Aligned::bytes(padded_len(shape, border))
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Pixels of zeros on each side.
    pub(crate) fn border(&self) -> usize {
        self.border
    }

    /// Values from the start of one row to the next.
    pub(crate) fn row_stride(&self) -> usize {
        row_stride(self.shape, self.border)
    }

    /// Index of the first value of pixel (`y`, `x`), counted from the corner of the border: the map itself
    /// begins at (`border`, `border`).
    pub(crate) fn index_of(&self, y: usize, x: usize) -> usize {
        y * self.row_stride() + x * self.shape.channels
    }

    /// All values, the border included.
    pub(crate) fn data(&self) -> &[f32] {
        &self.data
    }

    /// As [`data`](Self::data).
    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The rows of the map itself, with the border to their left and right.
    pub(crate) fn rows_mut(&mut self) -> &mut [f32] {
        let (row_stride, rows) = (self.row_stride(), self.shape.height);
        let first = self.border * row_stride;
        &mut self.data[first..first + rows * row_stride]
    }

    /// The map without its border.
    pub(crate) fn view(&self) -> FeatureMap<'_> {
        let Shape { height, width, channels } = self.shape;
        let (first, row_stride) = (self.index_of(self.border, self.border), self.row_stride());
        let data = &self.data[first..first + (height - 1) * row_stride + width * channels];
        FeatureMap { height, width, channels, row_stride, data }
    }

    /// Copies the values of a dense planar map `[channels, height, width]`.
    pub(crate) fn fill_planar(&mut self, planar: &[f32], pool: &Pool) {
        let Shape { height, width, channels } = self.shape;
        let (row_stride, border) = (self.row_stride(), self.border);
        pool.for_each_chunk(self.rows_mut(), row_stride, |y, row| {
            let row = &mut row[border * channels..][..width * channels];
            for c in 0..channels {
                let values = &planar[(c * height + y) * width..][..width];
                row[c..].iter_mut().step_by(channels).zip(values).for_each(|(out, &value)| *out = value);
            }
        });
    }
}

fn padded_len(shape: Shape, border: usize) -> usize {
    (shape.height.next_multiple_of(WINOGRAD_TILE) + 2 * border).saturating_mul(row_stride(shape, border))
}

fn row_stride(shape: Shape, border: usize) -> usize {
    (shape.width.next_multiple_of(WINOGRAD_TILE) + 2 * border).saturating_mul(shape.channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planar_values_land_inside_a_border_of_zeros() {
        let shape = Shape { height: 2, width: 3, channels: 2 };
        let mut map = Map::new(shape, 1);
        map.fill_planar(&(1..=12).map(|v| v as f32).collect::<Vec<_>>(), &Pool::new(2).unwrap());
        let view = map.view();
        assert_eq!(view.values_at(0, 0), [1.0, 7.0]);
        assert_eq!(view.values_at(1, 2), [6.0, 12.0]);
        assert_eq!(map.data().iter().sum::<f32>(), 78.0);
        assert_eq!(map.data().len(), (4 + 2) * (4 + 2) * 2);
    }
}
