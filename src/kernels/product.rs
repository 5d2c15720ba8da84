//! Matrix products by sgemm, where bitwise reproducibility is not required.

/// A matrix `[rows, columns]` in a slice: row by row or, if `transposed`, column by column.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub transposed: bool,
}

impl<'a> Matrix<'a> {
    /// `data` as rows of `columns` values.
    pub(crate) fn new(data: &'a [f32], columns: usize) -> Self {
        Self { data, rows: data.len() / columns, columns, transposed: false }
    }

    /// The transposed matrix, in place.
    pub(crate) fn t(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    /// Strides from row to row and from column to column.
    fn strides(&self) -> (isize, isize) {
        match self.transposed {
            false => (self.columns as isize, 1),
            true => (1, self.rows as isize),
        }
    }
}

/// `out = a b`, row by row.
///
/// # Panics
/// The shapes do not fit one another.
pub(crate) fn product(a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32]) {
    assert_eq!(a.columns, b.rows);
    assert!(a.data.len() == a.rows * a.columns && b.data.len() == b.rows * b.columns);
    assert_eq!(out.len(), a.rows * b.columns);
    let ((row_a, column_a), (row_b, column_b)) = (a.strides(), b.strides());
    // SAFETY: by the assertions the strides reach `rows * columns` values of each slice, and no more.
    unsafe {
        matrixmultiply::sgemm(
            a.rows,
            a.columns,
            b.columns,
            1.0,
            a.data.as_ptr(),
            row_a,
            column_a,
            b.data.as_ptr(),
            row_b,
            column_b,
            0.0,
            out.as_mut_ptr(),
            b.columns as isize,
            1,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transposition_multiplies_like_the_plain_loop() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 2), (17, 9, 33)] {
            let whole = |count: usize, seed: usize| -> Vec<f32> {
                (0..count).map(|i| ((i * 5 + seed) * 23 % 13) as f32 - 6.0).collect()
            };
            let (a, b) = (whole(m * k, 1), whole(k * n, 2));
            let turned = |v: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(|i| v[i % rows * columns + i / rows]).collect()
            };
            let (a_turned, b_turned) = (turned(&a, m, k), turned(&b, k, n));
            let expected: Vec<f32> =
                (0..m * n).map(|at| (0..k).map(|l| a[at / n * k + l] * b[l * n + at % n]).sum()).collect();
            for a in [Matrix::new(&a, k), Matrix::new(&a_turned, m).t()] {
                for b in [Matrix::new(&b, n), Matrix::new(&b_turned, k).t()] {
                    let mut out = vec![f32::NAN; m * n];
                    product(a, b, &mut out);
                    assert_eq!(out, expected, "{m} {k} {n}");
                }
            }
        }
    }
}
