//! Activations between two operations: a map with a border of zeros, so that no kernel asks where the map ends.

use super::aligned::Aligned;
use crate::parallel::Pool;
use crate::tensor::FeatureMap;

/// Winograd tiles cover this many positions a side; maps have room for whole tiles.
pub(crate) const TILE: usize = 4;

/// Rows, columns and channels of a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

/// A map `[height, width, channels]` inside a border of zeros: `border` positions on each side, and to the right and below
/// as many more as bring the sides to multiples of [`TILE`]. Who writes to it leaves the border as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    shape: Shape,
    border: usize,
    data: Aligned,
}

impl Map {
    /// A map of zeros.
    pub(crate) fn new(shape: Shape, border: usize) -> Self {
        Self { shape, border, data: Aligned::zeros(len(shape, border)) }
    }

    /// Memory that such a map takes; more than there can be where that is so.
    pub(crate) fn bytes(shape: Shape, border: usize) -> usize {
        Aligned::bytes(len(shape, border))
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Positions of zeros on each side.
    pub(crate) fn border(&self) -> usize {
        self.border
    }

    /// Values from one row to the next.
    pub(crate) fn line(&self) -> usize {
        line(self.shape, self.border)
    }

    /// Index of the first value at a position; counted from `border` rows and columns before the first on.
    pub(crate) fn at(&self, y: usize, x: usize) -> usize {
        y * self.line() + x * self.shape.channels
    }

    /// All values, the border included.
    pub(crate) fn data(&self) -> &[f32] {
        &self.data
    }

    /// As [`data`](Self::data).
    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The rows of the map itself from the first on, the border to their left and right included.
    pub(crate) fn rows_mut(&mut self) -> &mut [f32] {
        let (line, rows) = (self.line(), self.shape.height);
        let first = self.border * line;
        &mut self.data[first..first + rows * line]
    }

    /// The map without its border.
    pub(crate) fn view(&self) -> FeatureMap<'_> {
        let Shape { height, width, channels } = self.shape;
        let (first, line) = (self.at(self.border, self.border), self.line());
        let data = &self.data[first..first + (height - 1) * line + width * channels];
        FeatureMap { height, width, channels, line, data }
    }

    /// Takes the values of a dense planar map `[channels, height, width]`.
    pub(crate) fn fill_planar(&mut self, planar: &[f32], pool: &Pool) {
        let Shape { height, width, channels } = self.shape;
        let (line, border) = (self.line(), self.border);
        pool.for_each_chunk(self.rows_mut(), line, |y, row| {
            let row = &mut row[border * channels..][..width * channels];
            for c in 0..channels {
                let values = &planar[(c * height + y) * width..][..width];
                row[c..].iter_mut().step_by(channels).zip(values).for_each(|(out, &value)| *out = value);
            }
        });
    }
}

fn len(shape: Shape, border: usize) -> usize {
    (shape.height.next_multiple_of(TILE) + 2 * border).saturating_mul(line(shape, border))
}

fn line(shape: Shape, border: usize) -> usize {
    (shape.width.next_multiple_of(TILE) + 2 * border).saturating_mul(shape.channels)
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
        assert_eq!(view.at(0, 0), [1.0, 7.0]);
        assert_eq!(view.at(1, 2), [6.0, 12.0]);
        assert_eq!(map.data().iter().sum::<f32>(), 78.0);
        assert_eq!(map.data().len(), (4 + 2) * (4 + 2) * 2);
    }
}
