//! A slice that several threads write to.

use std::marker::PhantomData;

/// A slice that several threads write to. Each writes its own part; unlike chunks, parts may interleave.
pub(crate) struct SharedMut<'a> {
    data: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is followed only in `unsafe` code, which must keep the parts of the threads apart.
unsafe impl Sync for SharedMut<'_> {}

impl<'a> SharedMut<'a> {
    pub(crate) fn new(data: &'a mut [f32]) -> Self {
        Self { data: data.as_mut_ptr(), len: data.len(), borrow: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A pointer to value `index`. Writing through it is sound while no other thread uses that value.
    ///
    /// # Panics
    /// There is no such value.
    pub(crate) fn pointer_at(&self, index: usize) -> *mut f32 {
        assert!(index < self.len);
        // SAFETY: the index was checked.
        unsafe { self.data.add(index) }
    }
}
