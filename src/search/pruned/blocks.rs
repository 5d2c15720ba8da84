//! Reordering rows so that similar ones share a block.

/// Orders `0..rows` so that each run of `block` rows is similar: as in a k-d tree, the rows are halved at the
/// median of the dimension with the largest variance until a part fits a block. `values` holds `stride`
/// values a row; the first `dims` are used.
pub(super) fn order_rows(values: &[f32], stride: usize, dims: usize, block: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..(values.len() / stride) as u32).collect();
    let row = |row: u32| &values[row as usize * stride..][..dims];
    let mut parts = vec![&mut order[..]];
    while let Some(part) = parts.pop() {
        if part.len() <= block {
            part.sort_unstable();
            continue;
        }
        let widest = widest(part, row, dims);
        let middle = part.len().div_ceil(block) / 2 * block;
        part.select_nth_unstable_by(middle, |&a, &b| {
            row(a)[widest].total_cmp(&row(b)[widest]).then(a.cmp(&b))
        });
        let (low, high) = part.split_at_mut(middle);
        parts.push(high);
        parts.push(low);
    }
    order
}

/// The dimension in which the rows of `part` have the largest variance.
fn widest<'a>(part: &[u32], row: impl Fn(u32) -> &'a [f32], dims: usize) -> usize {
    let mut sums = vec![(0.0f64, 0.0f64); dims];
    for &index in part {
        for (sum, &value) in sums.iter_mut().zip(row(index)) {
            let value = f64::from(value);
            *sum = (sum.0 + value, sum.1 + value * value);
        }
    }
    let count = part.len() as f64;
    let variance = |(sum, squares): (f64, f64)| squares / count - (sum / count).powi(2);
    (0..dims).max_by(|&a, &b| variance(sums[a]).total_cmp(&variance(sums[b]))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_comes_once_and_only_the_last_block_is_not_full() {
        for rows in [1, 31, 32, 33, 64, 65, 500] {
            let values: Vec<f32> = (0..rows * 3).map(|i| (i as f32 * 0.9).sin()).collect();
            let mut found = order_rows(&values, 3, 2, 32);
            found.sort_unstable();
            assert_eq!(found, (0..rows as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_of_a_cluster_share_a_block() {
        let values: Vec<f32> = (0..128).map(|i| (i % 4) as f32 * 100.0 + (i / 4) as f32).collect();
        for block in order_rows(&values, 1, 1, 32).chunks(32) {
            assert!(block.iter().all(|row| row % 4 == block[0] % 4), "{block:?}");
        }
    }
}
