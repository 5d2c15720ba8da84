//! 3x3 maximum, stride 2, as after the stem of a residual network.

use super::Pool;

/// Writes the maximum of each 3x3 neighbourhood of `map` (`[height, width, channels]`) at every second position to
/// `out`; outside the map nothing counts.
pub(crate) fn run(
    map: &[f32],
    (height, width): (usize, usize),
    channels: usize,
    out: &mut Vec<f32>,
    pool: &Pool,
) {
    let columns = width.div_ceil(2);
    out.resize(height.div_ceil(2) * columns * channels, 0.0);
    pool.for_each_chunk(out, columns * channels, |y, row| {
        row.fill(f32::NEG_INFINITY);
        for sy in (2 * y).saturating_sub(1)..(2 * y + 2).min(height) {
            for (x, out) in row.chunks_exact_mut(channels).enumerate() {
                for sx in (2 * x).saturating_sub(1)..(2 * x + 2).min(width) {
                    let values = &map[(sy * width + sx) * channels..][..channels];
                    out.iter_mut()
                        .zip(values)
                        .for_each(|(out, &value)| *out = if value > *out { value } else { *out });
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_largest_of_nine_at_every_second_position() {
        let map: Vec<f32> = (0..20).map(|i| i as f32).collect();
        let mut out = Vec::new();
        run(&map, (4, 5), 1, &mut out, &Pool::new(1).unwrap());
        assert_eq!(out, [6.0, 8.0, 9.0, 16.0, 18.0, 19.0]);
    }
}
