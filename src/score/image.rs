//! The score of a whole image.

use crate::tensor::Neighbor;

/// The patch that is farthest from the memory bank: its index and its nearest bank row; of equals the first.
/// `None` where there are no patches.
pub fn strongest(nearest: &[Neighbor]) -> Option<(usize, Neighbor)> {
    let farther = |best: (usize, Neighbor), next: (usize, Neighbor)| {
        if next.1.distance > best.1.distance { next } else { best }
    };
    nearest.iter().copied().enumerate().reduce(farther)
}

/// The image score: `strongest`, the distance of the strongest patch, times `1 - softmax(distances)[0]`
/// (PatchCore, equation 7). `distances` are those from that patch to the `b` bank rows around its nearest
/// row, that row first: where all are alike the score loses the share `1 / b`, where the nearest row is much
/// nearer than the others hardly any.
///
/// With fewer than two rows there is nothing to weigh and the score is `strongest`. The reference gives 0 for
/// a bank of one row.
pub fn reweight(distances: &[f32], strongest: f32) -> f32 {
    if distances.len() < 2 {
        return strongest;
    }
    let largest = distances.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp = |d: f32| f64::from(d - largest).exp();
    let sum: f64 = distances.iter().copied().map(exp).sum();
    ((1.0 - exp(distances[0]) / sum) * f64::from(strongest)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(distances: &[f32]) -> Vec<Neighbor> {
        distances.iter().map(|&distance| Neighbor { index: 7, distance }).collect()
    }

    #[test]
    fn strongest_is_the_first_of_the_farthest() {
        let (patch, neighbor) = strongest(&at(&[1.0, 3.0, 2.0, 3.0])).unwrap();
        assert_eq!((patch, neighbor.distance), (1, 3.0));
        assert_eq!(strongest(&[]), None);
    }

    #[test]
    fn one_neighbor_leaves_the_score_as_it_is() {
        assert_eq!(reweight(&[3.0], 3.0), 3.0);
        assert_eq!(reweight(&[], 3.0), 3.0);
    }

    #[test]
    fn equal_distances_take_one_share_off() {
        assert_eq!(reweight(&[2.0; 9], 9.0), 8.0);
    }

    #[test]
    fn large_distances_do_not_overflow() {
        let score = reweight(&[1e30, 1e30, 2e30], 1e30);
        assert_eq!(score, 1e30, "the nearest has no weight beside one that is 1e30 farther");
    }
}
