//! Samples of a component at every pixel of a row: libjpeg's "fancy" upsampling.
//!
//! Where a sample covers two pixels a side, each pixel is 3/4 its own sample and 1/4 the sample next to it.
//! Halves are rounded up for one of the two pixels and down for the other. Other samplings repeat the sample.

use super::frame::{Component, Frame};

/// Makes rows of one component.
pub(super) struct Upsampler<'a> {
    component: &'a Component,
    /// Pixels that a sample covers.
    across: usize,
    down: usize,
    /// Sums of two rows, with one sample more on each side.
    sums: Vec<u16>,
    row: Vec<u8>,
}

impl<'a> Upsampler<'a> {
    pub(super) fn new(frame: &Frame, component: &'a Component) -> Self {
        let (across, down) = (frame.h_max / component.h, frame.v_max / component.v);
        let width = across * component.width;
        Self { component, across, down, sums: vec![0; component.width + 2], row: vec![0; width] }
    }

    /// The samples of row `y` of the picture.
    pub(super) fn row(&mut self, y: usize) -> &[u8] {
        let own = y / self.down;
        // The pixel lies between its own row of samples and this one.
        let up = y.is_multiple_of(self.down);
        let next = if up { own.saturating_sub(1) } else { own + 1 };
        let next = next.min(self.component.height - 1);
        let (own, next) = (samples(self.component, own), samples(self.component, next));
        match (self.across, self.down) {
            (1, 1) => return own,
            (1, 2) => {
                let round = if up { 1 } else { 2 };
                for ((out, &own), &next) in self.row.iter_mut().zip(own).zip(next) {
                    *out = ((3 * u16::from(own) + u16::from(next) + round) >> 2) as u8;
                }
            }
            (2, 1) => {
                for (sum, &own) in self.sums[1..].iter_mut().zip(own) {
                    *sum = own.into();
                }
                self.spread::<2>(1, 2);
            }
            (2, 2) => {
                for ((sum, &own), &next) in self.sums[1..].iter_mut().zip(own).zip(next) {
                    *sum = 3 * u16::from(own) + u16::from(next);
                }
                self.spread::<4>(8, 7);
            }
            (across, _) => {
                for (out, &own) in self.row.chunks_exact_mut(across).zip(own) {
                    out.fill(own);
                }
            }
        }
        &self.row
    }

    /// Two pixels of each of `sums`, which are samples times `2^(SHIFT - 2)`.
    fn spread<const SHIFT: u32>(&mut self, left: u16, right: u16) {
        let count = self.component.width;
        self.sums[0] = self.sums[1];
        self.sums[count + 1] = self.sums[count];
        let sums = &self.sums[..count + 2];
        let neighbours = sums.iter().zip(&sums[1..]).zip(&sums[2..]);
        for (out, ((&before, &own), &after)) in self.row.as_chunks_mut::<2>().0.iter_mut().zip(neighbours) {
            *out = [((3 * own + before + left) >> SHIFT) as u8, ((3 * own + after + right) >> SHIFT) as u8];
        }
    }
}

fn samples(component: &Component, y: usize) -> &[u8] {
    &component.plane[y * component.plane_stride()..][..component.width]
}
