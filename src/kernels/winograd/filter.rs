//! Winograd's transform of 3x3 filters to 36 values each, `G g G^T`.
//!
//! The filters of a panel's columns are transformed together, in plain loops that the compiler vectorises for
//! each instruction set. All is computed in f64, so that every value is rounded once.

use super::{INPUT_TILE, POINTS};
use crate::kernels::Isa;
use crate::kernels::simd::{Simd, dispatch};
use crate::kernels::tile::{MAX_PANEL_WIDTH, PANEL_VECTORS};

/// One value for each column of a panel.
pub(super) type PanelRow<T> = [T; MAX_PANEL_WIDTH];

/// Writes value `p` of each transformed filter to `points[p]`, a column for each filter of a panel of `isa`.
/// Filter `j` is the nine values from `j * filter_stride` on in `filters`.
pub(super) fn transform(
    isa: Isa,
    filters: &[f32],
    filter_stride: usize,
    points: &mut [PanelRow<f32>; POINTS],
) {
    // SAFETY: the function asks for no more than the instructions.
    unsafe { transform_panel_on(isa, filters, filter_stride, points) }
}

dispatch! {
    /// # Safety
    /// As [`transform_panel`].
    unsafe fn transform_panel_on(
        filters: &[f32],
        filter_stride: usize,
        points: &mut [PanelRow<f32>; POINTS],
    ) = transform_panel
}

/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn transform_panel<V: Simd>(
    filters: &[f32],
    filter_stride: usize,
    points: &mut [PanelRow<f32>; POINTS],
) {
    let width = PANEL_VECTORS * V::LANES;
    let mut taps = [[0.0; MAX_PANEL_WIDTH]; 9];
    for j in 0..width {
        for (tap, &value) in taps.iter_mut().zip(&filters[j * filter_stride..][..9]) {
            tap[j] = f64::from(value);
        }
    }
    let mut half = [[[0.0; MAX_PANEL_WIDTH]; INPUT_TILE]; 3];
    for (x, half) in half.iter_mut().enumerate() {
        filter_points(width, [&taps[x], &taps[3 + x], &taps[6 + x]], half);
    }
    for (y, points) in points.as_chunks_mut::<INPUT_TILE>().0.iter_mut().enumerate() {
        let mut row = [[0.0; MAX_PANEL_WIDTH]; INPUT_TILE];
        filter_points(width, [&half[0][y], &half[1][y], &half[2][y]], &mut row);
        for (point, row) in points.iter_mut().zip(&row) {
            for j in 0..width {
                point[j] = row[j] as f32;
            }
        }
    }
}

/// `G g` of a column of `width` filters, `G` = 1/24 of [6 0 0; -4 -4 -4; -4 4 -4; 1 2 4; 1 -2 4; 0 0 24].
#[inline(always)]
fn filter_points(width: usize, [a, b, c]: [&PanelRow<f64>; 3], points: &mut [PanelRow<f64>; INPUT_TILE]) {
    let [p0, p1, p2, p3, p4, p5] = points;
    for j in 0..width {
        let (a, b, c) = (a[j], b[j], c[j]);
        let (near, far) = (a + c, a + 4.0 * c);
        p0[j] = a / 4.0;
        p1[j] = (near + b) * (-1.0 / 6.0);
        p2[j] = (near - b) * (-1.0 / 6.0);
        p3[j] = (far + 2.0 * b) * (1.0 / 24.0);
        p4[j] = (far - 2.0 * b) * (1.0 / 24.0);
        p5[j] = c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `G g G^T` by matrix products.
    fn naive(filter: &[f32]) -> [f64; INPUT_TILE * INPUT_TILE] {
        let g = [
            [6.0, 0.0, 0.0],
            [-4.0; 3],
            [-4.0, 4.0, -4.0],
            [1.0, 2.0, 4.0],
            [1.0, -2.0, 4.0],
            [0.0, 0.0, 24.0],
        ];
        std::array::from_fn(|p| {
            let (u, v) = (g[p / INPUT_TILE], g[p % INPUT_TILE]);
            let terms = (0..9).map(|i| u[i / 3] * v[i % 3] * f64::from(filter[i]));
            terms.sum::<f64>() / 576.0
        })
    }

    #[test]
    fn filters_of_every_column_are_transformed_as_by_matrix_products() {
        let filters: Vec<f32> = (0..MAX_PANEL_WIDTH * 11).map(|i| (i as f32 * 0.37).sin()).collect();
        for isa in Isa::available() {
            let mut points = [[0.0; MAX_PANEL_WIDTH]; INPUT_TILE * INPUT_TILE];
            transform(isa, &filters, 11, &mut points);
            for j in 0..PANEL_VECTORS * isa.lanes() {
                for (p, expected) in naive(&filters[j * 11..][..9]).into_iter().enumerate() {
                    let error = (f64::from(points[p][j]) - expected).abs();
                    assert!(error < 1e-7, "{isa:?}, column {j}, value {p}: off by {error}");
                }
            }
        }
    }

    #[test]
    #[should_panic]
    fn filters_that_end_early_are_refused() {
        let columns = PANEL_VECTORS * Isa::best().lanes();
        transform(
            Isa::best(),
            &vec![0.0; columns * 9 - 1],
            9,
            &mut [[0.0; MAX_PANEL_WIDTH]; INPUT_TILE * INPUT_TILE],
        );
    }
}
