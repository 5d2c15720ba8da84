//! The connected regions of a mask, which has less than 2^32 pixels.

// Arithmetic over lists as long as the mask, which are made here.
#![allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]

/// The 8-connected regions of one mask: pixels that touch at a side or a corner belong together.
pub(crate) struct Regions {
    /// For each pixel how many pixels its region has; 0 outside of all.
    pub sizes: Vec<u32>,
    /// How many regions there are.
    pub count: usize,
}

/// Finds the regions of `mask`, whose rows are `width` long.
pub(crate) fn regions(mask: &[bool], width: usize) -> Regions {
    let mut forest = Forest((0..mask.len() as u32).collect());
    for at in (0..mask.len()).filter(|&at| mask[at]) {
        let (left, right) = (at % width > 0, at % width + 1 < width);
        let earlier = [(left, 1), (left, width + 1), (true, width), (right, width - 1)];
        for (inside, back) in earlier {
            if inside && at >= back && mask[at - back] {
                forest.join(at as u32, (at - back) as u32);
            }
        }
    }
    let roots: Vec<u32> = (0..mask.len() as u32).map(|at| forest.root(at)).collect();
    let mut size_of_root = vec![0u32; mask.len()];
    let inside = || roots.iter().zip(mask).filter(|&(_, &inside)| inside).map(|(&root, _)| root as usize);
    inside().for_each(|root| size_of_root[root] += 1);
    let sizes =
        roots.iter().zip(mask).map(|(&root, &inside)| if inside { size_of_root[root as usize] } else { 0 });
    Regions { sizes: sizes.collect(), count: size_of_root.iter().filter(|&&size| size > 0).count() }
}

/// Disjoint sets of pixels: the parent of each, or itself for a root. The root is the lowest of its set.
struct Forest(Vec<u32>);

impl Forest {
    fn root(&mut self, mut at: u32) -> u32 {
        while self.0[at as usize] != at {
            let grandparent = self.0[self.0[at as usize] as usize];
            self.0[at as usize] = grandparent;
            at = grandparent;
        }
        at
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Spreads each pixel's region from neighbour to neighbour until it is full.
    fn naive(mask: &[bool], width: usize) -> (Vec<u32>, usize) {
        let mut sizes = vec![0; mask.len()];
        let mut count = 0;
        for start in 0..mask.len() {
            if !mask[start] || sizes[start] > 0 {
                continue;
            }
            let (mut region, mut next) = (vec![start], 0);
            while let Some(&from) = region.get(next) {
                let near = |to: usize| {
                    (to / width).abs_diff(from / width) <= 1 && (to % width).abs_diff(from % width) <= 1
                };
                let new = |&to: &usize| near(to) && mask[to] && !region.contains(&to);
                let found: Vec<usize> = (0..mask.len()).filter(new).collect();
                region.extend(found);
                next += 1;
            }
            region.iter().for_each(|&at| sizes[at] = region.len() as u32);
            count += 1;
        }
        (sizes, count)
    }

    #[test]
    fn corners_join_and_row_ends_do_not() {
        let mask: Vec<bool> =
            ["..#.#", ".#..#", "#....", "#...#"].concat().chars().map(|c| c == '#').collect();
        let found = regions(&mask, 5);
        assert_eq!(found.count, 3);
        assert_eq!(found.sizes, [0, 0, 4, 0, 2, 0, 4, 0, 0, 2, 4, 0, 0, 0, 0, 4, 0, 0, 0, 1]);
    }

    proptest! {
        #[test]
        fn regions_are_what_spreading_finds(width in 1usize..9, mask in prop::collection::vec(any::<bool>(), 0..80)) {
            let mask = &mask[..mask.len() / width * width];
            let found = regions(mask, width);
            prop_assert_eq!((found.sizes, found.count), naive(mask, width));
        }
    }
}
