//! Partial vectors, for rows that do not end at a multiple of sixteen.

use crate::lanes::Lanes;

/// The sixteen values at `at`, or as many as there are; the rest are `fill`.
///
/// # Safety
/// The level's instructions exist.
#[inline(always)]
pub(super) unsafe fn load<L: Lanes>(x: &[f32], at: usize, fill: f32) -> L::F {
    if let Some(whole) = x.get(at..at + 16) {
        // SAFETY: sixteen values.
        return unsafe { L::load(whole.as_ptr()) };
    }
    let mut part = [fill; 16];
    let rest = &x[at..];
    part[..rest.len()].copy_from_slice(rest);
    // SAFETY: sixteen values.
    unsafe { L::load(part.as_ptr()) }
}

/// The same for values that are little-endian bytes; the rest are zero.
///
/// # Safety
/// The level's instructions exist.
#[inline(always)]
pub(super) unsafe fn load_bytes<L: Lanes>(x: &[u8], at: usize) -> L::F {
    if let Some(whole) = x.get(4 * at..4 * at + 64) {
        // SAFETY: sixteen values; the machine is little-endian.
        return unsafe { L::load(whole.as_ptr().cast()) };
    }
    let mut part = [0u8; 64];
    let rest = &x[4 * at..];
    part[..rest.len()].copy_from_slice(rest);
    // SAFETY: sixteen values.
    unsafe { L::load(part.as_ptr().cast()) }
}

/// Writes sixteen values at `at`, or as many as there is room for.
///
/// # Safety
/// The level's instructions exist.
#[inline(always)]
pub(super) unsafe fn store<L: Lanes>(y: &mut [f32], at: usize, value: L::F) {
    if let Some(whole) = y.get_mut(at..at + 16) {
        // SAFETY: sixteen values.
        return unsafe { L::store(whole.as_mut_ptr(), value) };
    }
    let mut part = [0f32; 16];
    // SAFETY: sixteen values.
    unsafe { L::store(part.as_mut_ptr(), value) };
    let rest = &mut y[at..];
    let n = rest.len();
    rest.copy_from_slice(&part[..n]);
}
