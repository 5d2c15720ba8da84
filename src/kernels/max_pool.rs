//! 3x3 maximum, stride 2, as after the stem of a residual network.

use super::Pool;
use super::map::{Map, Shape};

/// Writes the maximum of each 3x3 neighbourhood of `map` at every second position to `out`. The values are those after a
/// ReLU, so that the zeros of the border change nothing.
pub(crate) fn run(map: &Map, out: &mut Map, pool: &Pool) {
    let Shape { width, channels, .. } = out.shape();
    let (line, border, offset) = (out.line(), out.border(), map.border() - 1);
    let values = |y: usize, x: usize| &map.data()[map.at(y + offset, x + offset)..][..channels];
    pool.for_each_chunk(out.rows_mut(), line, |y, row| {
        for (x, out) in row[border * channels..][..width * channels].chunks_exact_mut(channels).enumerate() {
            out.copy_from_slice(values(2 * y, 2 * x));
            for (dy, dx) in (1..9).map(|i| (i / 3, i % 3)) {
                let values = values(2 * y + dy, 2 * x + dx);
                out.iter_mut().zip(values).for_each(|(out, &v)| *out = if v > *out { v } else { *out });
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_largest_of_nine_at_every_second_position() {
        let mut map = Map::new(Shape { height: 4, width: 5, channels: 1 }, 1);
        map.fill_planar(&(0..20).map(|i| i as f32).collect::<Vec<_>>());
        let mut out = Map::new(Shape { height: 2, width: 3, channels: 1 }, 1);
        run(&map, &mut out, &Pool::new(1).unwrap());
        let found: Vec<f32> = (0..6).map(|i| out.view().at(i / 3, i % 3)[0]).collect();
        assert_eq!(found, [6.0, 8.0, 9.0, 16.0, 18.0, 19.0]);
    }
}
