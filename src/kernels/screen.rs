//! Finds the points that may be nearer than a limit to some centre, for the greedy coreset.
//!
//! For point `p`, centre `c` and the centre's offset `o`, the test is `o - p . c >= limit(p)`: with `o =
//! |c|^2 / 2` and `limit = (r^2 - |p|^2) / 2` it says that the distance is at least `r`, at the cost of an
//! inner product. The products are computed in the register tile of [`tile`](super::tile), points as rows and
//! centres as columns, with the sums starting from the offsets and the centres negated. Only the bits of the
//! comparisons are kept.

use super::isa::{Isa, Kind};
use super::portable::F32x8;
use super::simd::{Simd, load_strided, multiply_add_values};
use super::tile::{PANEL_VECTORS, panel_width};
#[cfg(target_arch = "x86_64")]
use super::x86_64::{Avx2, Avx512};

/// Points of a tile with 16 vector registers, and with 32.
const ROWS_OF_16_REGISTERS: usize = 6;
const ROWS_OF_32_REGISTERS: usize = 12;
/// The most points of a tile on any instruction set.
pub(crate) const MAX_TILE_HEIGHT: usize = ROWS_OF_32_REGISTERS;

/// Points of a tile.
pub(crate) fn tile_height(isa: Isa) -> usize {
    match isa.kind() {
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => ROWS_OF_32_REGISTERS,
        _ => ROWS_OF_16_REGISTERS,
    }
}

/// Centres in panels: the offset of each, then value after value of each, negated.
#[derive(Debug)]
pub(crate) struct CenterPanels {
    data: Vec<f32>,
    isa: Isa,
    depth: usize,
    centers: usize,
}

impl CenterPanels {
    /// No centres yet, of `depth` values each.
    pub(crate) fn new(isa: Isa, depth: usize) -> Self {
        Self { data: Vec::new(), isa, depth, centers: 0 }
    }

    /// Centres of a panel.
    pub(crate) fn width(&self) -> usize {
        panel_width(self.isa)
    }

    /// Appends a centre.
    pub(crate) fn push(&mut self, center: &[f32], offset: f32) {
        assert_eq!(center.len(), self.depth);
        let width = self.width();
        let (panel, column) = (self.centers / width, self.centers % width);
        if column == 0 {
            // Columns without a centre are infinitely far away.
            self.data.extend(std::iter::repeat_n(f32::INFINITY, width));
            self.data.extend(std::iter::repeat_n(0.0, width * self.depth));
        }
        let start = panel * width * (self.depth + 1) + column;
        let values = std::iter::once(offset).chain(center.iter().map(|v| -v));
        self.data[start..].iter_mut().step_by(width).zip(values).for_each(|(to, value)| *to = value);
        self.centers += 1;
    }

    /// Number of panels; the last may be partly filled.
    pub(crate) fn count(&self) -> usize {
        self.centers.div_ceil(self.width())
    }

    /// Compares the centres of `panel` with the points of `tile`, which holds value 0 of each of its
    /// [`tile_height`] points, then value 1 of each, and so on. Bit `j` of `hits[i]` is cleared where
    /// `offset[j] - point[i] . center[j]` is at least `limits[i]`, and set otherwise, also where one of them
    /// is NaN.
    ///
    /// # Panics
    /// There is no such panel, or a slice has another length than that.
    pub(crate) fn screen(&self, panel: usize, tile: &[f32], limits: &[f32], hits: &mut [u32]) {
        let length = self.width() * (self.depth + 1);
        let panel = &self.data[panel * length..][..length];
        let height = tile_height(self.isa);
        assert!(tile.len() == self.depth * height && limits.len() == height && hits.len() == height);
        // SAFETY: the isa proves that the CPU has the instructions; the lengths are those of `compare_tile`'s
        // contract.
        unsafe {
            match self.isa.kind() {
                Kind::Portable => compare_tile::<F32x8, ROWS_OF_16_REGISTERS>(panel, tile, limits, hits),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => avx2(panel, tile, limits, hits),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => avx512(panel, tile, limits, hits),
                #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
                Kind::Neon => {
                    compare_tile::<super::neon::Neon, ROWS_OF_16_REGISTERS>(panel, tile, limits, hits);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(panel: &[f32], tile: &[f32], limits: &[f32], hits: &mut [u32]) {
    // SAFETY: the caller grants the lengths.
    unsafe { compare_tile::<Avx2, ROWS_OF_16_REGISTERS>(panel, tile, limits, hits) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
unsafe fn avx512(panel: &[f32], tile: &[f32], limits: &[f32], hits: &mut [u32]) {
    // SAFETY: the caller grants the lengths.
    unsafe { compare_tile::<Avx512, ROWS_OF_32_REGISTERS>(panel, tile, limits, hits) }
}

/// # Safety
/// The CPU has the instructions of `V`; `limits` and `hits` have `ROWS` values, `tile` has `ROWS * depth` and
/// `panel` `PANEL_VECTORS * V::LANES * (depth + 1)`.
#[inline(always)]
unsafe fn compare_tile<V: Simd, const ROWS: usize>(
    panel: &[f32],
    tile: &[f32],
    limits: &[f32],
    hits: &mut [u32],
) {
    let depth = tile.len() / ROWS;
    // SAFETY: the panel holds a row of offsets and `depth` rows of centres, the tile ROWS points of `depth`
    // values.
    unsafe {
        let offsets: [V; PANEL_VECTORS] = load_strided(panel.as_ptr(), V::LANES);
        let centers = panel.as_ptr().add(PANEL_VECTORS * V::LANES);
        let sums = multiply_add_values([offsets; ROWS], tile.as_ptr(), (1, ROWS), centers, depth);
        let all = u32::MAX >> (32 - PANEL_VECTORS * V::LANES);
        for ((sums, &limit), hits) in sums.iter().zip(limits).zip(hits) {
            let limit = V::splat(limit);
            let far = (0..PANEL_VECTORS).fold(0, |bits, v| bits | sums[v].ge_mask(limit) << (v * V::LANES));
            *hits = all & !far;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small whole numbers, whose products and sums are exact whatever the order.
    fn whole(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7 + seed * 13) * 31 % 19) as f32 - 9.0).collect()
    }

    #[test]
    fn bits_are_those_of_the_plain_loop() {
        for isa in Isa::available() {
            let (width, height) = (panel_width(isa), tile_height(isa));
            for depth in [1, 2, 7, 64] {
                for centers in [1, width - 1, width, width + 1, 2 * width + 3] {
                    let mut panels = CenterPanels::new(isa, depth);
                    let values = whole(centers * depth, depth);
                    let offsets = whole(centers, 5);
                    for (center, &offset) in values.chunks_exact(depth).zip(&offsets) {
                        panels.push(center, offset);
                    }
                    assert_eq!(panels.count(), centers.div_ceil(width));
                    let tile = whole(height * depth, 3);
                    let limits = whole(height, 2);
                    let mut hits = vec![0; height];
                    for panel in 0..panels.count() {
                        panels.screen(panel, &tile, &limits, &mut hits);
                        for (i, &bits) in hits.iter().enumerate() {
                            let expected = (panel * width..centers.min((panel + 1) * width)).map(|j| {
                                let center = &values[j * depth..][..depth];
                                let product: f32 = (0..depth).map(|k| tile[k * height + i] * center[k]).sum();
                                u32::from(offsets[j] - product < limits[i]) << (j % width)
                            });
                            assert_eq!(bits, expected.sum::<u32>(), "{isa:?} {depth} {centers} {panel} {i}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nan_is_a_hit_and_an_empty_column_is_none() {
        for isa in Isa::available() {
            let height = tile_height(isa);
            let mut panels = CenterPanels::new(isa, 1);
            panels.push(&[1.0], f32::NEG_INFINITY);
            panels.push(&[1.0], f32::NAN);
            panels.push(&[f32::NAN], 0.0);
            panels.push(&[1.0], f32::INFINITY);
            let mut hits = vec![0; height];
            panels.screen(0, &vec![1.0; height], &vec![f32::INFINITY; height], &mut hits);
            assert!(hits.iter().all(|&bits| bits == 0b111), "{isa:?} {hits:?}");
            panels.screen(0, &vec![1.0; height], &vec![f32::NEG_INFINITY; height], &mut hits);
            assert!(hits.iter().all(|&bits| bits & 0b1111 == 0b110), "{isa:?} {hits:?}");
        }
    }
}
