//! Memory for vectors: its start lies on a cache line, so that no register load or store crosses two.

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

const LINE: usize = 16;

/// A slice of f32 values that starts on a cache line. Zero where nothing was written yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        Self { lines: vec![Line([0.0; LINE]); len.div_ceil(LINE)], len }
    }

    /// Memory that `len` values take.
    pub(crate) fn bytes(len: usize) -> usize {
        len.div_ceil(LINE) * size_of::<Line>()
    }

    /// Makes room for at least `len` values; what was there is of no meaning afterwards.
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeros(len);
        }
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `len` values side by side: a `Line` is 16 of them without padding.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_aligned_and_holds_what_is_written() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let mut values = Aligned::zeros(len);
            assert_eq!((values.len(), values.as_ptr().addr() % 64), (len, 0));
            values.iter_mut().enumerate().for_each(|(i, v)| *v += i as f32);
            assert!(values.iter().enumerate().all(|(i, &v)| v == i as f32));
            assert!(values.lines.len() * LINE >= len);
            assert_eq!(size_of_val(&values.lines[..]), Aligned::bytes(len));
        }
    }
}
