//! The caller's pointers: checked as far as they can be, then followed.

use crate::error::{Error, Result};

fn check<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(Error::argument(name, "NULL", "an address"));
    }
    if !pointer.is_aligned() {
        let expected = format!("a multiple of {}", align_of::<T>());
        return Err(Error::argument(name, format!("the address {pointer:p}"), expected));
    }
    Ok(())
}

/// The `T` at `pointer`.
///
/// # Safety
/// Unless null or misaligned, `pointer` is valid for reads of an initialised `T`, which nobody changes during
/// `'a`.
pub(super) unsafe fn shared<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    check(pointer, name)?;
    // SAFETY: neither null nor misaligned; the caller grants the rest.
    Ok(unsafe { &*pointer })
}

/// The `T` at `pointer`, exclusively.
///
/// # Safety
/// Unless null or misaligned, `pointer` is valid for reads and writes of an initialised `T`, which nobody
/// else uses during `'a`.
pub(super) unsafe fn exclusive<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T> {
    check(pointer, name)?;
    // SAFETY: neither null nor misaligned; the caller grants the rest.
    Ok(unsafe { &mut *pointer })
}

/// Writes `value` to where `pointer` points.
///
/// # Safety
/// Unless null or misaligned, `pointer` is valid for writes of a `T`.
pub(super) unsafe fn put<T>(pointer: *mut T, name: &str, value: T) -> Result<()> {
    check(pointer, name)?;
    // SAFETY: neither null nor misaligned; the caller grants the rest.
    unsafe { pointer.write(value) };
    Ok(())
}

/// Writes `values` to where `pointer` points, `capacity` of them at most.
///
/// # Safety
/// Unless null or misaligned, `pointer` is valid for writes of `capacity` values, which nobody else uses
/// meanwhile.
pub(super) unsafe fn fill<T>(
    pointer: *mut T,
    capacity: usize,
    name: &str,
    values: impl Iterator<Item = T>,
) -> Result<()> {
    check(pointer, name)?;
    check_len::<T>(capacity, name)?;
    for (i, value) in values.take(capacity).enumerate() {
        // SAFETY: neither null nor misaligned, and `i` is below `capacity`; the caller grants the rest.
        unsafe { pointer.add(i).write(value) };
    }
    Ok(())
}

/// The `len` bytes at `pointer`.
///
/// # Safety
/// Unless null, `pointer` is valid for reads of `len` initialised bytes, which nobody changes during `'a`.
pub(super) unsafe fn bytes<'a>(pointer: *const u8, len: usize, name: &str) -> Result<&'a [u8]> {
    check(pointer, name)?;
    check_len::<u8>(len, name)?;
    // SAFETY: not null and of a possible length; the caller grants the rest.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// The `len` values at `pointer`, set to zero: the caller need not have written any.
///
/// # Safety
/// Unless null or misaligned, `pointer` is valid for writes of `len` values, which nobody else uses during
/// `'a`. Zero bytes are a valid `T`.
pub(super) unsafe fn buffer<'a, T: crate::model_file::map::Plain>(
    pointer: *mut T,
    len: usize,
    name: &str,
) -> Result<&'a mut [T]> {
    check(pointer, name)?;
    check_len::<T>(len, name)?;
    // SAFETY: neither null nor misaligned and of a possible length; the caller grants the rest, and zero
    // bytes are a valid value of a plain number.
    unsafe {
        pointer.write_bytes(0, len);
        Ok(std::slice::from_raw_parts_mut(pointer, len))
    }
}

/// No object is longer than half the address space.
fn check_len<T>(len: usize, name: &str) -> Result<()> {
    let most = isize::MAX.unsigned_abs() / size_of::<T>();
    match len <= most {
        true => Ok(()),
        false => Err(Error::argument(name, format!("a length of {len}"), format!("at most {most}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_a_buffer_is_written() {
        let mut values = [7.0f32; 6];
        // SAFETY: the four values lie inside the array, which nobody else uses.
        let inside = unsafe { buffer(values.as_mut_ptr().add(1), 4, "inside") }.unwrap();
        assert_eq!(inside, [0.0; 4]);
        inside.fill(1.0);
        assert_eq!(values, [7.0, 1.0, 1.0, 1.0, 1.0, 7.0]);
    }

    #[test]
    fn no_more_values_are_written_than_there_is_room_for() {
        let mut values = [7u32; 6];
        // SAFETY: the values lie inside the array, which nobody else uses.
        unsafe {
            fill(values.as_mut_ptr().add(1), 3, "inside", 0..9).unwrap();
            fill(values.as_mut_ptr().add(4), 2, "inside", 20..21).unwrap();
        }
        assert_eq!(values, [7, 0, 1, 2, 20, 7]);
    }

    #[test]
    fn null_misaligned_and_impossible_lengths_are_refused_before_they_are_followed() {
        let mut value = 7u64;
        let misaligned = (&raw mut value).wrapping_byte_add(1);
        let null = std::ptr::null_mut::<u64>();
        let most = isize::MAX.unsigned_abs();
        // SAFETY: each call is refused before the pointer is followed, or followed inside `value`.
        unsafe {
            for wrong in [null, misaligned] {
                assert!(shared(wrong, "wrong").is_err());
                assert!(exclusive(wrong, "wrong").is_err());
                assert!(put(wrong, "wrong", 1).is_err());
                assert!(buffer(wrong, 1, "wrong").is_err());
                assert!(fill(wrong, 1, "wrong", std::iter::once(1)).is_err());
            }
            assert!(bytes(null.cast(), 0, "wrong").is_err());
            assert!(bytes((&raw const value).cast(), most + 1, "wrong").is_err());
            assert!(buffer(&raw mut value, most / 8 + 1, "wrong").is_err());
            assert!(fill(&raw mut value, most / 8 + 1, "wrong", std::iter::once(1)).is_err());
            assert_eq!(bytes((&raw const value).cast(), 8, "right").unwrap(), 7u64.to_ne_bytes());
            assert_eq!(*shared(&value, "right").unwrap(), 7);
            put(&raw mut value, "right", 8).unwrap();
            *exclusive(&mut value, "right").unwrap() += 1;
        }
        assert_eq!(value, 9);
    }
}
