//! Memory that grows and is kept, in whole cache lines.

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Bytes that start at a cache line, kept from call to call.
pub(super) struct Buffer(Vec<Line>);

/// Places within a buffer, handed out from its start: cache lines each.
#[derive(Default)]
pub(super) struct Plan(usize);

impl Plan {
    /// Room for `n` values of `T`; the result is where it starts, in bytes.
    pub(super) fn room<T>(&mut self, n: usize) -> usize {
        let at = self.0;
        self.0 += (n * size_of::<T>()).next_multiple_of(64);
        at
    }
}

impl Buffer {
    pub(super) const fn new() -> Buffer {
        Buffer(Vec::new())
    }

    /// The start of the buffer, grown to hold the plan. What it holds is what the last user left.
    pub(super) fn for_plan(&mut self, plan: &Plan) -> Base {
        let lines = plan.0 / 64;
        if self.0.len() < lines {
            self.0.clear(); // nothing to keep, so nothing to copy
            self.0.resize(lines, Line([0; 64]));
        }
        Base(self.0.as_mut_ptr().cast(), lines * 64)
    }
}

/// The start of a buffer's memory and its size; any bytes there are valid numbers.
#[derive(Clone, Copy)]
pub(super) struct Base(*mut u8, usize);

// SAFETY: an address; whoever makes a slice of it vouches for its use.
unsafe impl Sync for Base {}
// SAFETY: as above.
unsafe impl Send for Base {}

impl Base {
    /// The values at a place of the plan.
    pub(super) fn at<T>(self, place: usize) -> *mut T {
        debug_assert!(place <= self.1 && place.is_multiple_of(64));
        // `wrapping_add`, because forming an address needs no promise; using it does.
        self.0.wrapping_add(place).cast()
    }

    /// A slice of `n` numbers at a place of the plan.
    ///
    /// # Safety
    /// The buffer is borrowed for as long, nobody else writes there, and `T` is a plain number.
    pub(super) unsafe fn slice<'a, T>(self, place: usize, n: usize) -> &'a mut [T] {
        assert!(place + n * size_of::<T>() <= self.1);
        // SAFETY: inside the buffer, whose every byte has been initialised; the rest is the caller's word.
        unsafe { std::slice::from_raw_parts_mut(self.at(place), n) }
    }
}
