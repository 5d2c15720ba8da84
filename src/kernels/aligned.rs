//! Memory for vectors that starts on a cache line, so that no load or store of a register crosses two.

use memmap2::MmapMut;

/// Bytes of a cache line.
const CACHE_LINE: usize = 64;
/// Extra values, so that the first one requested can lie on a line.
const PADDING: usize = CACHE_LINE / size_of::<f32>() - 1;
/// Bytes of a huge page on most systems. Slices of at least this size are mapped in huge pages where the
/// system has them: a page fault for each small page takes longer than filling it.
const HUGE_PAGE: usize = 2 << 20;
/// Bytes of the longest slice, less the largest padding.
const MAX_BYTES: usize = isize::MAX as usize - HUGE_PAGE;

/// A slice of f32 values that starts on a cache line, zero at first.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    memory: Memory,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    /// The first value of the slice is at `start`.
    Heap { values: Vec<f32>, start: usize },
    /// The first value of the slice is at byte `start`, where a page begins.
    Mapped { map: MmapMut, start: usize },
}

impl Default for Memory {
    fn default() -> Self {
        Self::Heap { values: Vec::new(), start: 0 }
    }
}

impl Aligned {
    /// `len` zeros, as the system provides them: they are not written.
    pub(crate) fn zeros(len: usize) -> Self {
        let bytes = len
            .checked_mul(size_of::<f32>())
            .filter(|&bytes| bytes >= HUGE_PAGE && rounded_up(bytes) <= MAX_BYTES);
        if let Some(memory) = bytes.and_then(Memory::mapped) {
            return Self { memory, len };
        }
        let values = vec![0.0; len + PADDING];
        let start = values.as_ptr().align_offset(CACHE_LINE);
        Self { memory: Memory::Heap { values, start }, len }
    }

    /// Memory of `len` values, in bytes; `usize::MAX` or near it where that exceeds the address space.
    pub(crate) fn bytes(len: usize) -> usize {
        let bytes = len.saturating_mul(size_of::<f32>());
        if bytes >= HUGE_PAGE { rounded_up(bytes) } else { bytes + PADDING * size_of::<f32>() }
    }

    /// Makes room for at least `len` values. Their contents are unspecified afterwards.
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeros(len);
        }
    }
}

impl Memory {
    /// Maps `bytes`, if the system has them, starting with a huge page. For a whole number of huge pages the
    /// system aligns the mapping itself.
    fn mapped(bytes: usize) -> Option<Self> {
        let rounded_up = rounded_up(bytes);
        let padding = if rounded_up.is_multiple_of(HUGE_PAGE) { 0 } else { HUGE_PAGE };
        let map = MmapMut::map_anon(rounded_up + padding).ok()?;
        let start = Some(map.as_ptr().align_offset(HUGE_PAGE)).filter(|&start| start <= padding).unwrap_or(0);
        // Without huge pages the system uses small ones. The padding must not become part of a huge page.
        #[cfg(target_os = "linux")]
        let _ = map.advise_range(memmap2::Advice::HugePage, start, rounded_up);
        Some(Self::Mapped { map, start })
    }
}

/// `bytes` rounded up to whole huge pages, unless much of the last one would be unused.
fn rounded_up(bytes: usize) -> usize {
    let whole = bytes.checked_next_multiple_of(HUGE_PAGE);
    whole.filter(|whole| whole - bytes <= bytes / 16).unwrap_or(bytes)
}

impl Clone for Aligned {
    /// Copies the values; the copy has its own alignment.
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        match &self.memory {
            Memory::Heap { values, start } => &values[*start..][..self.len],
            // SAFETY: from `start` on, where a page begins, the map holds `len` values, zero or written as
            // such.
            Memory::Mapped { map, start } => unsafe {
                std::slice::from_raw_parts(map[*start..].as_ptr().cast(), self.len)
            },
        }
    }
}

impl std::ops::DerefMut for Aligned {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.memory {
            Memory::Heap { values, start } => &mut values[*start..][..self.len],
            // SAFETY: as above, and the borrow of `self` is exclusive.
            Memory::Mapped { map, start } => unsafe {
                std::slice::from_raw_parts_mut(map[*start..].as_mut_ptr().cast(), self.len)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_the_address_space_do_not_wrap() {
        for bytes in [usize::MAX, usize::MAX - 1, MAX_BYTES, MAX_BYTES - HUGE_PAGE / 2] {
            assert!(rounded_up(bytes) >= bytes);
        }
        assert_eq!(Aligned::bytes(usize::MAX / 2), usize::MAX);
    }

    #[test]
    fn every_length_is_aligned_and_holds_what_is_written() {
        for len in [
            0,
            1,
            15,
            16,
            17,
            1000,
            HUGE_PAGE / 4 - 1,
            HUGE_PAGE / 4,
            HUGE_PAGE / 4 + 1,
            HUGE_PAGE - 1,
            HUGE_PAGE,
        ] {
            let mut values = Aligned::zeros(len);
            assert_eq!((values.len(), values.as_ptr().addr() % 64), (len, 0));
            values.iter_mut().enumerate().for_each(|(i, v)| *v += i as f32);
            assert!(values.iter().enumerate().all(|(i, &v)| v == i as f32));
            assert!(Aligned::bytes(len) >= size_of_val(&values[..]));
            match &values.memory {
                Memory::Heap { values, .. } => assert_eq!(size_of_val(&values[..]), Aligned::bytes(len)),
                Memory::Mapped { map, start } => assert!(start + Aligned::bytes(len) <= map.len(), "{len}"),
            }
            let copy = values.clone();
            assert_eq!((&copy[..], copy.as_ptr().addr() % 64), (&values[..], 0));
        }
    }
}
