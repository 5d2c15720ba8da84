//! A slice that several threads write to.

use std::marker::PhantomData;

/// A slice that several threads write to, each its own part, where the parts are no chunks.
pub(crate) struct SharedMut<'a> {
    data: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is only followed in `unsafe` code, whose author keeps the parts apart.
unsafe impl Sync for SharedMut<'_> {}

impl<'a> SharedMut<'a> {
    pub(crate) fn new(data: &'a mut [f32]) -> Self {
        Self { data: data.as_mut_ptr(), len: data.len(), borrow: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of value `index`. Writing there is sound while no other thread uses that value.
    ///
    /// # Panics
    /// There is no such value.
    pub(crate) fn at(&self, index: usize) -> *mut f32 {
        assert!(index < self.len);
        // SAFETY: the index was checked.
        unsafe { self.data.add(index) }
    }
}
