//! Memory for vectors: its start lies on a cache line, so that no register load or store crosses two.

use memmap2::MmapMut;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Values beside those asked for, so that the first can lie on a line.
const SPARE: usize = LINE / size_of::<f32>() - 1;
/// Bytes of a huge page of most systems. From here on memory comes from the system directly, in huge pages where it has them:
/// asking for each small page when it is first touched takes longer than filling it.
const HUGE: usize = 2 << 20;
/// Bytes of the longest slice, less what can be spare.
const MOST: usize = isize::MAX as usize - HUGE;

/// A slice of f32 values that starts on a cache line. Zero where nothing was written yet.
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
    /// `len` zeros, which the system hands out as such: they are not written.
    pub(crate) fn zeros(len: usize) -> Self {
        let bytes = len.checked_mul(size_of::<f32>()).filter(|&bytes| bytes >= HUGE && filled(bytes) <= MOST);
        if let Some(memory) = bytes.and_then(Memory::mapped) {
            return Self { memory, len };
        }
        let values = vec![0.0; len + SPARE];
        let start = values.as_ptr().align_offset(LINE);
        Self { memory: Memory::Heap { values, start }, len }
    }

    /// Memory that `len` values take; more than there can be where that is so.
    pub(crate) fn bytes(len: usize) -> usize {
        let bytes = len.saturating_mul(size_of::<f32>());
        if bytes >= HUGE { filled(bytes) } else { bytes + SPARE * size_of::<f32>() }
    }

    /// Makes room for at least `len` values; what was there is of no meaning afterwards.
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeros(len);
        }
    }
}

impl Memory {
    /// Room for `bytes`, if the system has it. It begins with a huge page, where there are such: the system itself sees to that
    /// for a whole number of them.
    fn mapped(bytes: usize) -> Option<Self> {
        let filled = filled(bytes);
        let spare = if filled.is_multiple_of(HUGE) { 0 } else { HUGE };
        let map = MmapMut::map_anon(filled + spare).ok()?;
        let start = Some(map.as_ptr().align_offset(HUGE)).filter(|&start| start <= spare).unwrap_or(0);
        // A system without them gives small ones. What is spare shall not become part of one.
        #[cfg(target_os = "linux")]
        let _ = map.advise_range(memmap2::Advice::HugePage, start, filled);
        Some(Self::Mapped { map, start })
    }
}

/// Memory that fills up with `bytes`: whole huge pages, unless much of the last one would be left over.
fn filled(bytes: usize) -> usize {
    let whole = bytes.checked_next_multiple_of(HUGE);
    whole.filter(|whole| whole - bytes <= bytes / 16).unwrap_or(bytes)
}

impl Clone for Aligned {
    /// Its start lies elsewhere in its memory.
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.memory {
            Memory::Heap { values, start } => &values[*start..][..self.len],
            // SAFETY: from `start` on, where a page begins, the map holds `len` values, zero or written as such.
            Memory::Mapped { map, start } => unsafe {
                std::slice::from_raw_parts(map[*start..].as_ptr().cast(), self.len)
            },
        }
    }
}

impl std::ops::DerefMut for Aligned {
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
    fn what_no_memory_holds_is_no_less_than_it_is() {
        for bytes in [usize::MAX, usize::MAX - 1, MOST, MOST - HUGE / 2] {
            assert!(filled(bytes) >= bytes);
        }
        assert_eq!(Aligned::bytes(usize::MAX / 2), usize::MAX);
    }

    #[test]
    fn every_length_is_aligned_and_holds_what_is_written() {
        for len in [0, 1, 15, 16, 17, 1000, HUGE / 4 - 1, HUGE / 4, HUGE / 4 + 1, HUGE - 1, HUGE] {
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
