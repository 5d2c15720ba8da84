//! The innermost product: a few rows times a panel of columns, summed in registers, with bias, residual and ReLU.
//!
//! Convolutions and matrix products are loops around it. For a convolution a "row" is what lies under the kernel at one
//! output position: as the channels of a position and the positions of a line lie side by side, that is one run of values
//! for each line of the kernel, so nothing is gathered.

use super::aligned::Aligned;
use super::isa::{Isa, Kind};
use super::portable::F32x8;
use super::simd::{Simd, load_strided};
#[cfg(target_arch = "x86_64")]
use super::x86_64::{Avx2, Avx512};
use crate::parallel::Pool;

/// Vectors side by side in a tile.
pub(crate) const VECTORS: usize = 2;
/// The widest panel of any instruction set.
pub(crate) const MAX_WIDTH: usize = 32;

/// A matrix `[k, n]` in panels of as many columns as a tile of `isa` has, each panel row after row, zero-padded.
#[derive(Clone, Debug)]
pub(crate) struct Panels {
    data: Aligned,
    k: usize,
    n: usize,
    isa: Isa,
}

/// Where the rows of a product lie: each is `lines` runs of `run` values, `line` apart; the next row begins `step` further.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub lines: usize,
    pub line: usize,
    pub run: usize,
    pub step: usize,
}

impl Rows {
    /// Index behind the last value of `m` rows.
    fn end(&self, m: usize) -> usize {
        match m {
            0 => 0,
            _ => (m - 1) * self.step + self.lines.saturating_sub(1) * self.line + self.run,
        }
    }
}

/// What happens to a sum before it is stored.
#[derive(Clone, Copy, Default)]
pub(crate) struct Epilogue<'a> {
    /// Added to each row: `[n]`.
    pub bias: Option<&'a [f32]>,
    /// Added to the product; it lies as the output does, row `i` beginning at `i * step` of the output.
    pub residual: Option<&'a [f32]>,
    /// Negative values become 0.
    pub relu: bool,
}

/// Rows of a tile, at most.
fn tile_rows(isa: Isa) -> usize {
    match isa.kind() {
        Kind::Portable => 4,
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => 6,
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => 12,
        #[cfg(target_arch = "aarch64")]
        Kind::Neon => 8,
    }
}

/// Columns of a panel.
fn panel_width(isa: Isa) -> usize {
    VECTORS * isa.lanes()
}

impl Panels {
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

    /// A matrix `[k, n]` whose panels, all zeros, `fill` is called with, each with its number.
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

    /// Memory that the matrix takes.
    pub(crate) fn bytes(&self) -> usize {
        Aligned::bytes(self.data.len())
    }

    /// Number of panels.
    pub(crate) fn count(&self) -> usize {
        self.n.div_ceil(self.width())
    }

    /// Writes `m` rows of `a` times panel `panel`, and the epilogue, to `out`, whose rows are `out_step` apart and begin with
    /// column 0 of the matrix.
    ///
    /// # Panics
    /// The slices are too short for that.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn multiply(
        &self,
        panel: usize,
        a: &[f32],
        rows: Rows,
        m: usize,
        epilogue: Epilogue<'_>,
        out: &mut [f32],
        out_step: usize,
    ) {
        if m == 0 {
            return;
        }
        let first = panel * self.width();
        let columns = self.width().min(self.n - first);
        let end = (m - 1) * out_step + first + columns;
        assert!(rows.lines * rows.run == self.k && a.len() >= rows.end(m) && out.len() >= end);
        assert!(epilogue.bias.is_none_or(|bias| bias.len() == self.n));
        assert!(epilogue.residual.is_none_or(|residual| residual.len() >= end));
        // SAFETY: the lengths were checked just now.
        unsafe {
            let job = Job {
                a: a.as_ptr(),
                rows,
                panel: self.panel(panel),
                bias: epilogue.bias.map_or(&[], |bias| &bias[first..]),
                residual: epilogue.residual.map(|residual| residual.as_ptr().add(first)),
                relu: epilogue.relu,
                out: out.as_mut_ptr().add(first),
                step: out_step,
                columns,
            };
            self.run(job, m);
        }
    }

    /// Writes `m` rows of `a` times panel `panel`, of which they meet the rows from `first` on and whose columns must all
    /// be there, to `out` `[m, width]`.
    ///
    /// # Panics
    /// The slices are too short for that.
    pub(crate) fn multiply_panel(
        &self,
        panel: usize,
        first: usize,
        a: &[f32],
        rows: Rows,
        m: usize,
        out: &mut [f32],
    ) {
        let (width, k) = (self.width(), rows.lines * rows.run);
        assert!((panel + 1) * width <= self.n && first + k <= self.k);
        assert!(out.len() >= m * width && a.len() >= rows.end(m));
        // SAFETY: the lengths were checked just now.
        unsafe {
            self.run(
                Job {
                    a: a.as_ptr(),
                    rows,
                    panel: &self.panel(panel)[first * width..][..k * width],
                    bias: &[],
                    residual: None,
                    relu: false,
                    out: out.as_mut_ptr(),
                    step: width,
                    columns: width,
                },
                m,
            );
        }
    }

    fn panel(&self, panel: usize) -> &[f32] {
        let len = self.width() * self.k;
        &self.data[panel * len..][..len]
    }

    /// # Safety
    /// The job's pointers are valid for `m` rows, and its panel is one of this matrix.
    unsafe fn run(&self, job: Job<'_>, m: usize) {
        let strips = m.div_ceil(tile_rows(self.isa));
        for strip in 0..strips {
            let (from, to) = (strip * m / strips, (strip + 1) * m / strips);
            // SAFETY: an even share of m rows is at most `tile_rows`; the caller grants the rest, and the isa proves that
            // the CPU has the instructions.
            unsafe {
                match self.isa.kind() {
                    Kind::Portable => portable(&job.after(from), to - from),
                    #[cfg(target_arch = "x86_64")]
                    Kind::Avx2 => avx2(&job.after(from), to - from),
                    #[cfg(target_arch = "x86_64")]
                    Kind::Avx512 => avx512(&job.after(from), to - from),
                    #[cfg(target_arch = "aarch64")]
                    Kind::Neon => neon(&job.after(from), to - from),
                }
            }
        }
    }
}

/// A few rows times one panel.
#[derive(Clone, Copy)]
struct Job<'a> {
    a: *const f32,
    rows: Rows,
    panel: &'a [f32],
    /// Of this panel's columns; none where empty.
    bias: &'a [f32],
    residual: Option<*const f32>,
    relu: bool,
    out: *mut f32,
    step: usize,
    columns: usize,
}

impl Job<'_> {
    /// The same job without its first `row` rows.
    ///
    /// # Safety
    /// The job has that row.
    unsafe fn after(self, row: usize) -> Self {
        // SAFETY: the caller grants the row.
        unsafe {
            Self {
                a: self.a.add(row * self.rows.step),
                residual: self.residual.map(|residual| residual.add(row * self.step)),
                out: self.out.add(row * self.step),
                ..self
            }
        }
    }
}

/// The kernels of one instruction set: a tile for each number of rows, so that the sums stay in registers.
macro_rules! tiles {
    ($name:ident, $vector:ty, $($feature:literal)?, $($rows:literal)+) => {
        /// # Safety
        /// The CPU has the instructions; `rows` is one of the macro's; otherwise as [`tile`].
        $(#[target_feature(enable = $feature)])?
        unsafe fn $name(job: &Job<'_>, rows: usize) {
            // SAFETY: as the function's contract says.
            unsafe {
                match rows {
                    $($rows => tile::<$vector, $rows>(job),)+
                    _ => unreachable!("more rows than a tile has"),
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
tiles!(neon, super::aarch64::Neon, "neon", 1 2 3 4 5 6 7 8);

/// # Safety
/// The CPU has the instructions of `V`; the job's pointers are valid for `ROWS` rows.
#[inline(always)]
unsafe fn tile<V: Simd, const ROWS: usize>(job: &Job<'_>) {
    debug_assert!(job.panel.len() == job.rows.lines * job.rows.run * VECTORS * V::LANES);
    // SAFETY: the panel holds VECTORS registers for each of `lines * run` values of a row; the caller grants the rows.
    let sums = unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        let mut panel = job.panel.as_ptr();
        for line in 0..job.rows.lines {
            let a = job.a.add(line * job.rows.line);
            for i in 0..job.rows.run {
                let columns: [V; VECTORS] = load_strided(panel, V::LANES);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let value = V::splat(*a.add(r * job.rows.step + i));
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = value.mul_add(column, *sum);
                    }
                }
                panel = panel.add(VECTORS * V::LANES);
            }
        }
        sums
    };
    // SAFETY: the caller grants `columns` columns of ROWS rows.
    unsafe {
        if job.columns == VECTORS * V::LANES {
            store(job, sums);
        } else {
            store_part(job, sums);
        }
    }
}

/// # Safety
/// As [`tile`], and the panel's columns are all there.
#[inline(always)]
unsafe fn store<V: Simd, const ROWS: usize>(job: &Job<'_>, sums: [[V; VECTORS]; ROWS]) {
    // SAFETY: column v * LANES of each row is followed by LANES - 1 others, in the output, the residual and the bias.
    unsafe {
        for (r, sums) in sums.into_iter().enumerate() {
            for (v, mut sum) in sums.into_iter().enumerate() {
                let at = r * job.step + v * V::LANES;
                if !job.bias.is_empty() {
                    sum = sum.add(V::load(job.bias.as_ptr().add(v * V::LANES)));
                }
                if let Some(residual) = job.residual {
                    sum = sum.add(V::load(residual.add(at)));
                }
                if job.relu {
                    sum = V::splat(0.0).max(sum);
                }
                sum.store(job.out.add(at));
            }
        }
    }
}

/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn store_part<V: Simd, const ROWS: usize>(job: &Job<'_>, sums: [[V; VECTORS]; ROWS]) {
    let mut row = [0.0; MAX_WIDTH];
    for (r, sums) in sums.into_iter().enumerate() {
        for (v, sum) in sums.into_iter().enumerate() {
            // SAFETY: a row holds the widest panel.
            unsafe { sum.store(row.as_mut_ptr().add(v * V::LANES)) };
        }
        for (c, &value) in row[..job.columns].iter().enumerate() {
            let mut sum = value + job.bias.get(c).copied().unwrap_or(0.0);
            // SAFETY: the caller grants `columns` columns of ROWS rows.
            unsafe {
                if let Some(residual) = job.residual {
                    sum += *residual.add(r * job.step + c);
                }
                *job.out.add(r * job.step + c) = if job.relu && sum < 0.0 { 0.0 } else { sum };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: Rows = Rows { lines: 2, line: 10, run: 3, step: 3 };

    /// Three rows of six values, whose last begins at 6, times a panel of one column.
    fn multiply(a: usize, bias: usize, residual: usize, out: usize) {
        let panels = Panels::new(6, 1, Isa::best(), &Pool::SERIAL, |_, _| 1.0);
        let (bias, residual) = (vec![0.0; bias], vec![0.0; residual]);
        let epilogue = Epilogue { bias: Some(&bias), residual: Some(&residual), relu: false };
        panels.multiply(0, &vec![1.0; a], ROWS, 3, epilogue, &mut vec![0.0; out], 4);
    }

    #[test]
    fn slices_that_just_hold_the_product_are_enough() {
        multiply(6 + 10 + 3, 1, 9, 9);
    }

    #[test]
    fn of_no_rows_nothing_is_written() {
        let panels = Panels::new(6, 2 * MAX_WIDTH, Isa::best(), &Pool::SERIAL, |_, _| 1.0);
        panels.multiply(1, &[], ROWS, 0, Epilogue::default(), &mut [], 4);
    }

    #[test]
    #[should_panic]
    fn rows_that_end_early_are_refused() {
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

    #[test]
    fn rows_meet_the_rows_of_a_panel_from_any_on() {
        let isa = Isa::best();
        let width = panel_width(isa);
        let panels = Panels::new(8, width, isa, &Pool::new(3).unwrap(), |i, j| (i * 100 + j) as f32);
        let mut out = [0.0; MAX_WIDTH];
        panels.multiply_panel(0, 2, &[1.0; 13], ROWS, 1, &mut out);
        for (j, &sum) in out[..width].iter().enumerate() {
            assert_eq!(sum, (2..8).map(|i| (i * 100 + j) as f32).sum::<f32>());
        }
    }

    #[test]
    #[should_panic]
    fn rows_behind_the_end_of_a_panel_are_refused() {
        let panels = Panels::new(8, MAX_WIDTH, Isa::best(), &Pool::SERIAL, |_, _| 1.0);
        panels.multiply_panel(0, 3, &[1.0; 13], ROWS, 1, &mut [0.0; MAX_WIDTH]);
    }

    #[test]
    #[should_panic]
    fn a_panel_with_columns_missing_has_no_room_for_whole_registers() {
        let panels = Panels::new(6, 1, Isa::best(), &Pool::SERIAL, |_, _| 1.0);
        panels.multiply_panel(0, 0, &[1.0; 19], ROWS, 3, &mut [0.0; 128]);
    }
}
