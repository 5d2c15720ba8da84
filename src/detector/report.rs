//! What a training noticed about its photographs.

use super::Outlier;
use crate::image::Frame;
use std::collections::HashMap;

/// What a training noticed about its photographs. Photographs are named by their number, in the order of
/// being added.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TrainingReport {
    /// Photographs that do not fit the others, the highest score first.
    pub outliers: Vec<Outlier>,
    /// Photographs whose patches are those of an earlier photograph, which is the second number of each pair.
    pub copies: Vec<(usize, usize)>,
    /// Width and height of the photographs: the commonest size.
    pub size: (usize, usize),
    /// Photographs of another size, with that size.
    pub other_sizes: Vec<(usize, (usize, usize))>,
    /// Colour photographs where most are grey, or grey ones where most are in colour.
    pub other_colors: Vec<usize>,
}

/// What is kept of each photograph beside its patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    size: (usize, usize),
    is_colored: bool,
    checksum: u32,
}

impl Look {
    pub(super) fn of(frame: &Frame<'_>) -> Self {
        let size = (frame.width(), frame.height());
        Self { size, is_colored: frame.is_colored(), checksum: frame.checksum() }
    }

    pub(super) fn checksum(self) -> u32 {
        self.checksum
    }

    pub(super) fn size(self) -> (usize, usize) {
        self.size
    }
}

impl TrainingReport {
    pub(super) fn new(looks: &[Look], distinct: &[Vec<usize>], outliers: Vec<Outlier>) -> Self {
        let mut copies: Vec<(usize, usize)> =
            distinct.iter().flat_map(|group| group[1..].iter().map(|&copy| (copy, group[0]))).collect();
        copies.sort_unstable();
        let size = commonest(looks.iter().map(|look| look.size)).unwrap_or_default();
        let is_colored = commonest(looks.iter().map(|look| look.is_colored)).unwrap_or_default();
        let numbered = || looks.iter().enumerate();
        let other_sizes = numbered().filter(|(_, look)| look.size != size).map(|(i, look)| (i, look.size));
        let other_colors = numbered().filter(|(_, look)| look.is_colored != is_colored).map(|(i, _)| i);
        Self {
            outliers,
            copies,
            size,
            other_sizes: other_sizes.collect(),
            other_colors: other_colors.collect(),
        }
    }
}

/// The commonest value; of equally common ones the first.
fn commonest<T: Copy + Eq + std::hash::Hash>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: HashMap<T, (usize, usize)> = HashMap::new();
    for (at, value) in values.enumerate() {
        counts.entry(value).or_insert((0, at)).0 += 1;
    }
    let rank = |(count, first): (usize, usize)| (count, std::cmp::Reverse(first));
    counts.into_iter().max_by_key(|&(_, counted)| rank(counted)).map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_most_is_listed() {
        let look = |width, is_colored| Look { size: (width, 20), is_colored, checksum: 0 };
        let looks = [look(30, false), look(30, false), look(40, false), look(30, true)];
        let report = TrainingReport::new(&looks, &[vec![0, 3], vec![1], vec![2]], Vec::new());
        assert_eq!((report.size, &report.other_sizes[..]), ((30, 20), &[(2, (40, 20))][..]));
        assert_eq!((&report.copies[..], &report.other_colors[..]), (&[(3, 0)][..], &[3][..]));
        assert_eq!(commonest([5, 7, 7, 5].into_iter()), Some(5));
    }
}
