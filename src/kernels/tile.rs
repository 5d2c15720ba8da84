//! The innermost product: a strip of windows times a panel of columns, summed in registers.
//!
//! Convolutions and matrix products are loops around this tile. `k` counts the values of a window, which are
//! the rows of the packed matrix:
//!
//! ```text
//!                           one panel of the packed matrix, PANEL_VECTORS registers wide
//!                               ┌── column[0] ──┬── column[1] ──┐
//!                           k ─▶│ v0 v1 v2 ...  │ ...           │   loaded once for all rows of the tile
//!                               └───────────────┴───────────────┘
//!     window 0:  a[0][k] ──────▶  sums[0][0]      sums[0][1]         sums[r][v] += a[r][k] * column[v]
//!     window 1:  a[1][k] ──────▶  sums[1][0]      sums[1][1]         the scalar a[r][k] goes to all lanes
//!        ...                         ...             ...
//! ```
//!
//! The number of rows is chosen so that all sums stay in registers, with room for the columns and one scalar:
//! 4 rows of the portable vectors, 6 with AVX2 (12 sums of 16 registers), 8 with NEON (16 of 32; on 32-bit
//! ARM 4 rows, 8 of 16), 12 with AVX-512 (24 of 32). Each sum runs over ascending `k` from zero, so a result
//! does not depend on how rows are distributed over tiles or threads.
//!
//! For a convolution a window is what lies under the kernel at one output pixel. The channels of a pixel and
//! the pixels of a row are contiguous, so a window is one contiguous run for each kernel row, and nothing is
//! copied:
//!
//! ```text
//!     3x3 kernel, C channels: rows = 3, row_len = 3 C; the next window begins pixel_stride further
//!
//!     map row y      ..│■■■■■■│......       ─┐
//!     map row y + 1  ..│■■■■■■│......        ├─ row_stride values from one to the next
//!     map row y + 2  ..│■■■■■■│......       ─┘
//! ```

use super::aligned::Aligned;
use super::isa::{Isa, Kind};
use super::portable::F32x8;
use super::simd::{Simd, load_strided};
#[cfg(target_arch = "x86_64")]
use super::x86_64::{Avx2, Avx512};
use crate::parallel::Pool;

/// Registers side by side in a tile.
pub(crate) const PANEL_VECTORS: usize = 2;
/// Columns of the widest panel of any instruction set.
pub(crate) const MAX_PANEL_WIDTH: usize = 32;

/// A matrix `[k, n]` in panels of [`panel_width`] columns. Each panel is stored row after row, padded with
/// zero columns.
#[derive(Clone, Debug)]
pub(crate) struct PackedPanels {
    data: Aligned,
    k: usize,
    n: usize,
    isa: Isa,
}

/// Where the windows of a product lie: each is `rows` runs of `row_len` values, `row_stride` apart, and the
/// next window begins `pixel_stride` further. The rows of a plain matrix are windows of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowLayout {
    pub rows: usize,
    pub row_stride: usize,
    pub row_len: usize,
    pub pixel_stride: usize,
}

impl WindowLayout {
    /// The rows of a dense matrix `[m, k]`.
    pub(crate) fn matrix(k: usize) -> Self {
        Self { rows: 1, row_stride: 0, row_len: k, pixel_stride: k }
    }

    /// Index past the last value of `m` windows.
    fn end(&self, m: usize) -> usize {
        match m {
            0 => 0,
            _ => (m - 1) * self.pixel_stride + self.rows.saturating_sub(1) * self.row_stride + self.row_len,
        }
    }
}

/// What happens to a sum before it is stored: `out = relu(sum + bias + residual)`, each part optional.
#[derive(Clone, Copy, Default)]
pub(crate) struct Epilogue<'a> {
    /// One value a column: `[n]`.
    pub bias: Option<&'a [f32]>,
    /// Laid out like the output: row `i` begins at `i * out_stride`.
    pub residual: Option<&'a [f32]>,
    /// Negative values become 0.
    pub relu: bool,
}

/// Rows of a tile at most.
fn tile_rows(isa: Isa) -> usize {
    match isa.kind() {
        Kind::Portable => 4,
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => 6,
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => 12,
        #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
        Kind::Neon => super::neon::TILE_ROWS,
    }
}

/// Columns of a panel.
pub(crate) fn panel_width(isa: Isa) -> usize {
    PANEL_VECTORS * isa.lanes()
}

impl PackedPanels {
    /// Packs the matrix whose value at row `i`, column `j` is `value(i, j)`.
    pub(crate) fn new(
        k: usize,
        n: usize,
        isa: Isa,
        pool: &Pool,
        value: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let width = panel_width(isa);
        Self::filled(k, n, isa, pool, |panel, rows| {
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                row.iter_mut().zip(panel * width..n).for_each(|(out, j)| *out = value(i, j));
            }
        })
    }

    /// A matrix `[k, n]` whose panels are written by `fill(panel index, zeroed values)`.
    pub(crate) fn filled(
        k: usize,
        n: usize,
        isa: Isa,
        pool: &Pool,
        fill: impl Fn(usize, &mut [f32]) + Sync + Send,
    ) -> Self {
        let width = panel_width(isa);
        let mut data = Aligned::zeros(n.next_multiple_of(width) * k);
        pool.for_each_chunk(&mut data, width * k, fill);
        Self { data, k, n, isa }
    }

    /// Rows.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    /// Columns.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// Columns of a panel.
    pub(crate) fn width(&self) -> usize {
        panel_width(self.isa)
    }

    /// Memory of the matrix, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        Aligned::bytes(self.data.len())
    }

    /// Number of panels.
    pub(crate) fn count(&self) -> usize {
        self.n.div_ceil(self.width())
    }

    /// Multiplies `m` windows of `a` by panel `panel`, applies the epilogue, and writes the panel's columns
    /// of `m` rows of `out`. `out` begins with column 0 of the matrix; its rows are `out_stride` apart.
    ///
    /// # Panics
    /// A slice is too short for that, or a window has not `k` values.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn multiply(
        &self,
        panel: usize,
        a: &[f32],
        windows: WindowLayout,
        m: usize,
        epilogue: Epilogue<'_>,
        out: &mut [f32],
        out_stride: usize,
    ) {
        if m == 0 {
            return;
        }
        let first = panel * self.width();
        let columns = self.width().min(self.n - first);
        let end = (m - 1) * out_stride + first + columns;
        assert!(windows.rows * windows.row_len == self.k && a.len() >= windows.end(m) && out.len() >= end);
        assert!(epilogue.bias.is_none_or(|bias| bias.len() == self.n));
        assert!(epilogue.residual.is_none_or(|residual| residual.len() >= end));
        // SAFETY: the lengths were checked just now.
        unsafe {
            let job = Job {
                a: a.as_ptr(),
                windows,
                interleaved: false,
                panel: self.panel(panel),
                bias: epilogue.bias.map_or(&[], |bias| &bias[first..]),
                residual: epilogue.residual.map(|residual| residual.as_ptr().add(first)),
                relu: epilogue.relu,
                out: out.as_mut_ptr().add(first),
                out_stride,
                columns,
                strips: Strips::new(m, self.isa),
            };
            self.multiply_strips(&job);
        }
    }

    /// Multiplies a matrix `[m, k]`, laid out as `layout` says, by the rows of panel `panel` from `first` on,
    /// and writes `out` `[m, width]`. The panel must have all its columns.
    ///
    /// # Panics
    /// A slice is too short for that, or the panel ends before the matrix does.
    pub(crate) fn multiply_panel(
        &self,
        panel: usize,
        first: usize,
        a: &[f32],
        layout: StripLayout,
        out: &mut [f32],
    ) {
        let (width, StripLayout { m, k, .. }) = (self.width(), layout);
        assert!((panel + 1) * width <= self.n && first + k <= self.k && layout.isa == self.isa);
        assert!(out.len() >= m * width && a.len() >= m * k);
        let job = Job {
            a: a.as_ptr(),
            windows: WindowLayout::matrix(k),
            interleaved: interleaves(self.isa),
            panel: &self.panel(panel)[first * width..][..k * width],
            bias: &[],
            residual: None,
            relu: false,
            out: out.as_mut_ptr(),
            out_stride: width,
            columns: width,
            strips: layout.strips,
        };
        // SAFETY: the lengths were checked just now.
        unsafe { self.multiply_strips(&job) };
    }

    #[inline]
    fn panel(&self, panel: usize) -> &[f32] {
        let len = self.width() * self.k;
        &self.data[panel * len..][..len]
    }

    /// # Safety
    /// The job's pointers are valid for its windows, its strips are those of this instruction set, and its
    /// panel is one of this matrix.
    unsafe fn multiply_strips(&self, job: &Job<'_>) {
        // SAFETY: the caller grants the windows, and the isa proves that the CPU has the instructions.
        unsafe {
            match self.isa.kind() {
                Kind::Portable => portable(job),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => avx2(job),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => avx512(job),
                #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
                Kind::Neon => neon(job),
            }
        }
    }
}

/// The fewest strips of at most [`tile_rows`] windows. Their heights differ by one at most; the higher ones
/// come first.
#[derive(Clone, Copy, Debug)]
struct Strips {
    count: usize,
    /// Windows of the lower ones.
    height: usize,
    /// How many have one window more.
    higher: usize,
}

impl Strips {
    /// The strips of `m` windows.
    fn new(m: usize, isa: Isa) -> Self {
        let count = m.div_ceil(tile_rows(isa));
        Self { count, height: m / count.max(1), higher: m % count.max(1) }
    }

    /// First window of a strip, and their number.
    fn windows(&self, strip: usize) -> (usize, usize) {
        (strip * self.height + strip.min(self.higher), self.height + usize::from(strip < self.higher))
    }

    /// The higher strips and the lower ones: first window, number of strips, and height.
    #[inline(always)]
    fn by_height(&self) -> [(usize, usize, usize); 2] {
        let Self { count, height, higher } = *self;
        [(0, higher, height + 1), (higher * (height + 1), count - higher, height)]
    }

    /// The strip that holds a window.
    fn holding(&self, window: usize) -> usize {
        let in_higher = self.higher * (self.height + 1);
        match window.checked_sub(in_higher) {
            None => window / (self.height + 1),
            Some(after) => self.higher + after / self.height,
        }
    }
}

/// How a matrix `[m, k]` is laid out that only tiles of `isa` read; `k` is a multiple of its lanes.
///
/// Usually it is dense. On instruction sets that [interleave](Simd::INTERLEAVES), the rows of a strip
/// alternate register by register, so that the tile reads all of them through one pointer:
///
/// ```text
///     dense:         row 0: k0..k3, k4..k7, ...      row 1: k0..k3, k4..k7, ...
///     interleaved:   k0..k3 of row 0, of row 1, ... of row 7, k4..k7 of row 0, of row 1, ... of row 7, ...
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct StripLayout {
    m: usize,
    k: usize,
    isa: Isa,
    strips: Strips,
}

impl StripLayout {
    pub(crate) fn new(m: usize, k: usize, isa: Isa) -> Self {
        Self { m, k, isa, strips: Strips::new(m, isa) }
    }

    /// Index of the first value of a row, and the distance from one of its registers to the next.
    pub(crate) fn row(&self, row: usize) -> (usize, usize) {
        let lanes = self.isa.lanes();
        if !interleaves(self.isa) {
            return (row * self.k, lanes);
        }
        let (first, height) = self.strips.windows(self.strips.holding(row));
        (first * self.k + (row - first) * lanes, height * lanes)
    }
}

/// [`Simd::INTERLEAVES`] of an instruction set's vectors.
fn interleaves(isa: Isa) -> bool {
    match isa.kind() {
        #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
        Kind::Neon => super::neon::Neon::INTERLEAVES,
        _ => false,
    }
}

/// Windows times one panel.
#[derive(Clone, Copy)]
struct Job<'a> {
    a: *const f32,
    windows: WindowLayout,
    /// Whether the windows are the rows of a matrix, interleaved as [`StripLayout`] says.
    interleaved: bool,
    panel: &'a [f32],
    /// The bias of this panel's columns; empty where there is none.
    bias: &'a [f32],
    residual: Option<*const f32>,
    relu: bool,
    out: *mut f32,
    out_stride: usize,
    columns: usize,
    strips: Strips,
}

/// The kernels of one instruction set: a tile for each number of rows, so that the sums stay in registers.
macro_rules! tiles {
    ($name:ident, $vector:ty, $($feature:literal)?, $($rows:literal)+) => {
        /// # Safety
        /// The CPU has the instructions; strips have one of the macro's numbers of rows; otherwise as
        /// [`tile`].
        $(#[target_feature(enable = $feature)])?
        unsafe fn $name(job: &Job<'_>) {
            for (first, strips, rows) in job.strips.by_height() {
                // SAFETY: as the function's contract says.
                unsafe {
                    match rows {
                        _ if strips == 0 => {}
                        $($rows => strips_of::<$vector, $rows>(job, first, strips),)+
                        _ => unreachable!("more rows than a tile has"),
                    }
                }
            }
        }
    };
}

tiles!(portable, F32x8, , 1 2 3 4);
#[cfg(target_arch = "x86_64")]
tiles!(avx2, Avx2, "avx2,fma", 1 2 3 4 5 6);
#[cfg(target_arch = "x86_64")]
tiles!(avx512, Avx512, "avx512f,avx512dq,avx512vl", 1 2 3 4 5 6 7 8 9 10 11 12);
#[cfg(target_arch = "aarch64")]
tiles!(neon, super::neon::Neon, "neon", 1 2 3 4 5 6 7 8);
#[cfg(target_arch = "arm")]
tiles!(neon, super::neon::Neon, , 1 2 3 4);

/// Computes `strips` strips of `ROWS` windows, from window `first` on.
///
/// # Safety
/// As [`tile`], for each of the strips.
#[inline(always)]
unsafe fn strips_of<V: Simd, const ROWS: usize>(job: &Job<'_>, first: usize, strips: usize) {
    for strip in 0..strips {
        // SAFETY: as the function's contract says.
        unsafe { tile::<V, ROWS>(job, first + strip * ROWS) };
    }
}

/// # Safety
/// The CPU has the instructions of `V`; the job's pointers are valid for `ROWS` windows from window `first`
/// on.
#[inline(always)]
unsafe fn tile<V: Simd, const ROWS: usize>(job: &Job<'_>, first: usize) {
    let WindowLayout { rows, row_len, pixel_stride, .. } = job.windows;
    debug_assert!(job.panel.len() == rows * row_len * PANEL_VECTORS * V::LANES);
    let a = job.a.wrapping_add(first * pixel_stride);
    // SAFETY: the panel holds PANEL_VECTORS registers for each of a window's values; the caller grants the
    // windows, and `columns` columns of the output.
    unsafe {
        let sums = match V::INTERLEAVES && job.interleaved {
            true => V::multiply_interleaved::<ROWS>(a, job.panel.as_ptr(), row_len),
            false => V::multiply_windows::<ROWS>(a, job.windows, job.panel.as_ptr()),
        };
        if job.columns == PANEL_VECTORS * V::LANES {
            store(job, first * job.out_stride, sums);
        } else {
            store_part(job, first * job.out_stride, sums);
        }
    }
}

/// Stores whole registers, the first at index `at`.
///
/// # Safety
/// As [`tile`], and the panel has all its columns.
// Indices, because an iterator that is not inlined loses the vector instructions.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
unsafe fn store<V: Simd, const ROWS: usize>(job: &Job<'_>, at: usize, mut sums: [[V; PANEL_VECTORS]; ROWS]) {
    // SAFETY: column v * LANES of each row is followed by LANES - 1 others, in the output, the residual and
    // the bias.
    unsafe {
        if !job.bias.is_empty() {
            let bias: [V; PANEL_VECTORS] = load_strided(job.bias.as_ptr(), V::LANES);
            for r in 0..ROWS {
                for v in 0..PANEL_VECTORS {
                    sums[r][v] = sums[r][v].add(bias[v]);
                }
            }
        }
        if let Some(residual) = job.residual {
            for r in 0..ROWS {
                let residual: [V; PANEL_VECTORS] =
                    load_strided(residual.add(at + r * job.out_stride), V::LANES);
                for v in 0..PANEL_VECTORS {
                    sums[r][v] = sums[r][v].add(residual[v]);
                }
            }
        }
        if job.relu {
            for r in 0..ROWS {
                for v in 0..PANEL_VECTORS {
                    sums[r][v] = V::splat(0.0).max(sums[r][v]);
                }
            }
        }
        for r in 0..ROWS {
            for v in 0..PANEL_VECTORS {
                sums[r][v].store(job.out.add(at + r * job.out_stride + v * V::LANES));
            }
        }
    }
}

/// Stores the columns that the panel has, the first at index `at`.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn store_part<V: Simd, const ROWS: usize>(job: &Job<'_>, at: usize, sums: [[V; PANEL_VECTORS]; ROWS]) {
    let mut row = [0.0; MAX_PANEL_WIDTH];
    for (r, sums) in sums.into_iter().enumerate() {
        for (v, sum) in sums.into_iter().enumerate() {
            // SAFETY: a row holds the widest panel.
            unsafe { sum.store(row.as_mut_ptr().add(v * V::LANES)) };
        }
        for (c, &value) in row[..job.columns].iter().enumerate() {
            let mut sum = value + job.bias.get(c).copied().unwrap_or(0.0);
            // SAFETY: the caller grants `columns` columns of ROWS rows.
            unsafe {
                let at = at + r * job.out_stride + c;
                if let Some(residual) = job.residual {
                    sum += *residual.add(at);
                }
                *job.out.add(at) = if job.relu && sum < 0.0 { 0.0 } else { sum };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: WindowLayout = WindowLayout { rows: 2, row_stride: 10, row_len: 3, pixel_stride: 3 };

    /// Three windows of six values, the last of which begins at 6, times a panel of one column.
    fn multiply(a: usize, bias: usize, residual: usize, out: usize) {
        let panels = PackedPanels::new(6, 1, Isa::best(), &Pool::SERIAL, |_, _| 1.0);
        let (bias, residual) = (vec![0.0; bias], vec![0.0; residual]);
        let epilogue = Epilogue { bias: Some(&bias), residual: Some(&residual), relu: false };
        panels.multiply(0, &vec![1.0; a], WINDOWS, 3, epilogue, &mut vec![0.0; out], 4);
    }

    #[test]
    fn slices_that_just_hold_the_product_are_enough() {
        multiply(6 + 10 + 3, 1, 9, 9);
    }

    #[test]
    fn without_windows_nothing_is_written() {
        let panels = PackedPanels::new(6, 2 * MAX_PANEL_WIDTH, Isa::best(), &Pool::SERIAL, |_, _| 1.0);
        panels.multiply(1, &[], WINDOWS, 0, Epilogue::default(), &mut [], 4);
    }

    #[test]
    #[should_panic]
    fn windows_that_end_early_are_refused() {
        multiply(6 + 10 + 2, 1, 9, 9);
    }

    #[test]
    #[should_panic]
    fn an_output_that_ends_early_is_refused() {
        multiply(6 + 10 + 3, 1, 9, 8);
    }

    #[test]
    #[should_panic]
    fn a_residual_that_ends_early_is_refused() {
        multiply(6 + 10 + 3, 1, 8, 9);
    }

    #[test]
    #[should_panic]
    fn a_bias_of_another_length_is_refused() {
        multiply(6 + 10 + 3, 0, 9, 9);
    }

    /// A matrix `[m, k]` of whole numbers in the layout of `isa`.
    fn strip_matrix(layout: StripLayout) -> Vec<f32> {
        let mut a = vec![f32::NAN; layout.m * layout.k];
        let lanes = layout.isa.lanes();
        for row in 0..layout.m {
            let (start, stride) = layout.row(row);
            (0..layout.k).for_each(|k| a[start + k / lanes * stride + k % lanes] = value(row, k));
        }
        a
    }

    fn value(row: usize, k: usize) -> f32 {
        ((row * 7 + k * 5) % 11) as f32 - 5.0
    }

    #[test]
    fn matrices_in_strips_can_meet_a_panel_from_any_row_on() {
        for isa in Isa::available() {
            let (width, k) = (panel_width(isa), 2 * isa.lanes());
            let column = |i: usize, j: usize| ((i * 3 + j) % 7) as f32;
            let panels = PackedPanels::new(k + 3, width, isa, &Pool::new(3).unwrap(), column);
            for m in (1..=26).chain([32, 36]) {
                let layout = StripLayout::new(m, k, isa);
                let mut out = vec![f32::NAN; m * width];
                panels.multiply_panel(0, 2, &strip_matrix(layout), layout, &mut out);
                for (at, &sum) in out.iter().enumerate() {
                    let terms = (0..k).map(|k| value(at / width, k) * column(2 + k, at % width));
                    assert_eq!(sum, terms.sum::<f32>(), "{isa:?}, row {} of {m}", at / width);
                }
            }
        }
    }

    #[test]
    #[should_panic]
    fn a_matrix_that_ends_early_is_refused() {
        let isa = Isa::best();
        let panels = PackedPanels::new(isa.lanes(), MAX_PANEL_WIDTH, isa, &Pool::SERIAL, |_, _| 1.0);
        let layout = StripLayout::new(3, isa.lanes(), isa);
        panels.multiply_panel(0, 0, &vec![1.0; 3 * isa.lanes() - 1], layout, &mut [0.0; 3 * MAX_PANEL_WIDTH]);
    }

    #[test]
    #[should_panic]
    fn a_matrix_past_the_end_of_a_panel_is_refused() {
        let isa = Isa::best();
        let panels = PackedPanels::new(isa.lanes() + 2, MAX_PANEL_WIDTH, isa, &Pool::SERIAL, |_, _| 1.0);
        let layout = StripLayout::new(1, isa.lanes(), isa);
        panels.multiply_panel(0, 3, &vec![1.0; isa.lanes()], layout, &mut [0.0; MAX_PANEL_WIDTH]);
    }

    #[test]
    #[should_panic]
    fn a_panel_with_missing_columns_is_refused_where_whole_registers_are_stored() {
        let isa = Isa::best();
        let panels = PackedPanels::new(isa.lanes(), 1, isa, &Pool::SERIAL, |_, _| 1.0);
        let layout = StripLayout::new(3, isa.lanes(), isa);
        panels.multiply_panel(0, 0, &vec![1.0; 3 * isa.lanes()], layout, &mut [0.0; 3 * MAX_PANEL_WIDTH]);
    }
}
