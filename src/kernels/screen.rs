//! Which of many points may be near to which of many centres: inner products against one limit a point, in tiles, of
//! which only the comparisons' bits are kept.

use super::isa::{Isa, Kind};
use super::portable::F32x8;
use super::simd::{Simd, load_strided};
#[cfg(target_arch = "x86_64")]
use super::x86_64::{Avx2, Avx512};

/// Vectors of centres side by side in a panel.
const VECTORS: usize = 2;
/// Points in a tile, by the number of registers.
const FEW: usize = 6;
const MANY: usize = 12;
/// Points that no tile has more of.
pub(crate) const MAX_HEIGHT: usize = MANY;

/// Centres in a panel.
pub(crate) fn panel_width(isa: Isa) -> usize {
    VECTORS * isa.lanes()
}

/// Points in a tile.
pub(crate) fn tile_height(isa: Isa) -> usize {
    match isa.kind() {
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => MANY,
        _ => FEW,
    }
}

/// Centres in panels: `offset` of each, then value after value of each, negated.
#[derive(Debug)]
pub(crate) struct Panels {
    data: Vec<f32>,
    isa: Isa,
    depth: usize,
    centers: usize,
}

impl Panels {
    /// No centres yet, of `depth` values each.
    pub(crate) fn new(isa: Isa, depth: usize) -> Self {
        Self { data: Vec::new(), isa, depth, centers: 0 }
    }

    /// Appends a centre.
    pub(crate) fn push(&mut self, center: &[f32], offset: f32) {
        assert_eq!(center.len(), self.depth);
        let width = panel_width(self.isa);
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

    /// Number of panels, the last of which may be filled in part.
    pub(crate) fn count(&self) -> usize {
        self.centers.div_ceil(panel_width(self.isa))
    }

    /// Compares the centres of `panel` with points: `tile` holds value after value of each of its
    /// [`tile_height`] points. Bit `j` of `hits[i]` is cleared where `offset[j] - point[i] . center[j]` is at least
    /// `limits[i]`, and set otherwise, as by NaN.
    pub(crate) fn screen(&self, panel: usize, tile: &[f32], limits: &[f32], hits: &mut [u32]) {
        let length = panel_width(self.isa) * (self.depth + 1);
        let panel = &self.data[panel * length..][..length];
        let height = tile_height(self.isa);
        assert!(tile.len() == self.depth * height && limits.len() == height && hits.len() == height);
        // SAFETY: the isa proves that the CPU has the instructions; the lengths are those of `compare`'s contract.
        unsafe {
            match self.isa.kind() {
                Kind::Portable => compare::<F32x8, FEW>(panel, tile, limits, hits),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => avx2(panel, tile, limits, hits),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => avx512(panel, tile, limits, hits),
                #[cfg(target_arch = "aarch64")]
                Kind::Neon => compare::<super::aarch64::Neon, FEW>(panel, tile, limits, hits),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(panel: &[f32], tile: &[f32], limits: &[f32], hits: &mut [u32]) {
    // SAFETY: the caller grants the lengths.
    unsafe { compare::<Avx2, FEW>(panel, tile, limits, hits) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
unsafe fn avx512(panel: &[f32], tile: &[f32], limits: &[f32], hits: &mut [u32]) {
    // SAFETY: the caller grants the lengths.
    unsafe { compare::<Avx512, MANY>(panel, tile, limits, hits) }
}

/// # Safety
/// The CPU has the instructions of `V`; `limits` and `hits` have `ROWS` values, `tile` has `ROWS * depth` and `panel`
/// `VECTORS * V::LANES * (depth + 1)`.
#[inline(always)]
unsafe fn compare<V: Simd, const ROWS: usize>(panel: &[f32], tile: &[f32], limits: &[f32], hits: &mut [u32]) {
    let depth = tile.len() / ROWS;
    // SAFETY: step i reads ROWS values of `tile` from i * ROWS, and VECTORS * LANES of `panel` behind the offsets from
    // i * VECTORS * LANES: all in bounds by the caller's contract.
    unsafe {
        let (mut panel, mut tile) = (panel.as_ptr(), tile.as_ptr());
        let offsets: [V; VECTORS] = load_strided(panel, V::LANES);
        let mut sums = [offsets; ROWS];
        for _ in 0..depth {
            panel = panel.add(VECTORS * V::LANES);
            let centers: [V; VECTORS] = load_strided(panel, V::LANES);
            for (r, sums) in sums.iter_mut().enumerate() {
                let value = V::splat(*tile.add(r));
                for (sum, center) in sums.iter_mut().zip(centers) {
                    *sum = value.mul_add(center, *sum);
                }
            }
            tile = tile.add(ROWS);
        }
        let all = u32::MAX >> (32 - VECTORS * V::LANES);
        for ((sums, &limit), hits) in sums.iter().zip(limits).zip(hits) {
            let limit = V::splat(limit);
            let far = (0..VECTORS).fold(0, |bits, v| bits | sums[v].at_least(limit) << (v * V::LANES));
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
                    let mut panels = Panels::new(isa, depth);
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
    fn what_cannot_be_compared_is_a_hit_and_an_empty_column_is_none() {
        for isa in Isa::available() {
            let height = tile_height(isa);
            let mut panels = Panels::new(isa, 1);
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
