//! How a product of many rows is cut up, of integers and of floats.
//!
//! ```text
//!                       16 outputs   16 outputs   … four panels
//!                    ┌────────────┬────────────┬─
//!   class 0, strip 0 │ ░░░░░░░░░░ │ ░░░░░░░░░░ │  a strip of the panels, unpacked: some 20 KB, which stay in L1 while …
//!           strip 1  │            │            │
//!   class 1, strip 0 │            │            │
//!   …                └────────────┴────────────┴─
//!   rows of activations, tile by tile:  ▓▓ ▓▓ ▓▓ ▓▓ …   … all tiles pass, in the order in which they lie in memory
//! ```
//!
//! A micro-kernel holds a tile of rows by one panel or two in registers. The sixteen classes come one after the other; the
//! partial sums of a class wait in memory from strip to strip, and the sum of the finished classes from class to class.

use super::Product;
use crate::{
    cpu::buffer::{Base, Plan},
    lanes::{self, Kernel, Lanes},
    level::Level,
};
use std::ops::Range;

/// Panels at a time. Each reads all activations once, and writes a piece of every row of outputs, which lie pages apart: so
/// four.
pub(super) const PANELS: usize = 4;

/// Rows in tiles: as few as can be, as equal as can be, the higher ones first.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    pub(super) count: usize,
    height: usize,
    /// How many are one row higher.
    higher: usize,
}

impl Tiles {
    /// Of so many rows, for micro-kernels that hold `times` · [`Lanes::ROWS`] of them.
    pub(super) fn new(level: Level, rows: usize, times: usize) -> Tiles {
        let count = rows.div_ceil(times * lanes::run(level, Height));
        Tiles { count, height: rows / count, higher: rows % count }
    }

    /// The rows of a tile.
    #[inline(always)]
    pub(super) fn rows(self, tile: usize) -> Range<usize> {
        let start = tile * self.height + tile.min(self.higher);
        start..start + self.height + usize::from(tile < self.higher)
    }
}

/// [`Lanes::ROWS`] of a level.
struct Height;

impl Kernel for Height {
    type Out = usize;

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) -> usize {
        L::ROWS
    }
}

/// Consecutive rounds of one class: every sixteenth block of a row, or every sixteenth value.
#[derive(Clone)]
pub(super) struct Strip {
    pub(super) class: usize,
    pub(super) rounds: Range<usize>,
    /// Rounds of all strips before this one.
    pub(super) before: usize,
    /// Whether the class begins here.
    pub(super) first: bool,
    /// Whether the class ends here.
    pub(super) last: bool,
}

impl Strip {
    /// The strip that holds block (or value) `unit` of rows of `units`, where none is longer than `most` rounds.
    #[inline(always)]
    pub(super) fn holding(unit: usize, units: usize, most: usize) -> Strip {
        let (class, round) = (unit % 16, unit / 16);
        let of_class = units.saturating_sub(class).div_ceil(16);
        let start = round / most * most;
        let end = (start + most).min(of_class);
        let before = class * (units / 16) + class.min(units % 16) + start;
        Strip { class, rounds: start..end, before, first: start == 0, last: end == of_class }
    }
}

/// All strips, in order.
pub(super) fn strips(units: usize, most: usize) -> impl Iterator<Item = Strip> {
    (0..16.min(units))
        .flat_map(move |class| (class..units).step_by(16 * most).map(move |unit| Strip::holding(unit, units, most)))
}

/// The sums of every row, sixteen for each panel: of the finished classes, and of the class at work from strip to strip.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    finished: *mut f32,
    open: *mut f32,
}

impl Sums {
    /// Places for the sums of so many rows.
    pub(super) fn plan(plan: &mut Plan, rows: usize) -> [usize; 2] {
        [(); 2].map(|()| plan.room::<f32>(rows * 16 * PANELS))
    }

    /// The sums at these places of a buffer.
    pub(super) fn of(places: [usize; 2], base: Base) -> Sums {
        Sums { finished: base.at(places[0]), open: base.at(places[1]) }
    }

    /// Those of the finished classes of row `t`.
    #[inline(always)]
    pub(super) fn row(self, t: usize) -> *const f32 {
        self.finished.wrapping_add(t * 16 * PANELS)
    }

    /// Where those of row `row` and panel `v` are, finished and open.
    #[inline(always)]
    fn at(self, row: usize, v: usize) -> (*mut f32, *mut f32) {
        let at = row * 16 * PANELS + 16 * v;
        (self.finished.wrapping_add(at), self.open.wrapping_add(at))
    }

    /// What a tile of ROWS rows from `row` and WIDE panels from `v` begins a strip with. The next tile's sums are asked for.
    ///
    /// # Safety
    /// There are such rows and panels, no other thread has these sums, and the level's instructions exist.
    #[inline(always)]
    pub(super) unsafe fn begin<L: Lanes, const ROWS: usize, const WIDE: usize>(
        self,
        strip: &Strip,
        row: usize,
        v: usize,
    ) -> [[L::F; ROWS]; WIDE] {
        // SAFETY: the caller's word; what is only asked for need not exist.
        unsafe {
            let mut p = [[L::splat(0.0); ROWS]; WIDE];
            let (finished, open) = self.at(row, v);
            for i in 0..WIDE {
                for t in 0..ROWS {
                    let at = t * 16 * PANELS + 16 * i;
                    if !strip.first {
                        p[i][t] = L::load(open.add(at));
                    }
                    L::prefetch(finished.wrapping_add(at + ROWS * 16 * PANELS).cast());
                }
            }
            p
        }
    }

    /// Ends a strip: the sums wait for the next, or, at the end of a class, join those of the classes before.
    ///
    /// # Safety
    /// As for [`Sums::begin`].
    #[inline(always)]
    pub(super) unsafe fn end<L: Lanes, const ROWS: usize, const WIDE: usize>(
        self,
        strip: &Strip,
        row: usize,
        v: usize,
        p: [[L::F; ROWS]; WIDE],
    ) {
        // SAFETY: the caller's word.
        unsafe {
            // One loop for each case: the compiler unrolls a short one, and sums that are not counted up stay in registers.
            let (finished, open) = self.at(row, v);
            if !strip.last {
                for i in 0..WIDE {
                    for t in 0..ROWS {
                        L::store(open.add(t * 16 * PANELS + 16 * i), p[i][t]);
                    }
                }
                return;
            }
            for i in 0..WIDE {
                for t in 0..ROWS {
                    let sum = finished.add(t * 16 * PANELS + 16 * i);
                    let before = if strip.class == 0 { L::splat(0.0) } else { L::load(sum) };
                    L::store(sum, L::add(before, p[i][t]));
                }
            }
        }
    }
}

/// Memory that is asked for little by little, while the tiles of what was asked for before are at work.
pub(super) struct Ask<'a> {
    left: &'a [u8],
    /// Bytes asked for with each tile.
    each: usize,
}

impl<'a> Ask<'a> {
    /// Bytes asked for at most. Four panels of integers of 5632 columns are 400 KB, which leaves room for these in a second
    /// cache of 1 MB; panels of f32 are more than it holds anyhow.
    const MOST: usize = 192 << 10;

    /// The weights that one of so many threads will probably multiply after a piece of outputs, in a share for each of so
    /// many tiles.
    pub(super) fn new(product: &Product<'a>, piece: &Range<usize>, threads: usize, tiles: usize) -> Ask<'a> {
        let start = (piece.start + piece.len() * threads).min(product.n_out);
        let end = (start + piece.len()).min(product.n_out);
        let left = &product.w[start * product.row_bytes..end * product.row_bytes];
        let left = &left[..left.len().min(Ask::MOST)];
        Ask { left, each: left.len().div_ceil(tiles).next_multiple_of(64) }
    }

    /// Asks for its share with one tile.
    ///
    /// # Safety
    /// The level's instructions exist.
    #[inline(always)]
    pub(super) unsafe fn some<L: Lanes>(&mut self) {
        let (now, left) = self.left.split_at(self.each.min(self.left.len()));
        self.left = left;
        for line in now.chunks(64) {
            // SAFETY: the caller's word.
            unsafe { L::prefetch_early(line.as_ptr()) }
        }
    }
}

/// Calls `$call` with constants for the rows of a tile, at most `$times` · [`Lanes::ROWS`], and its width in panels:
/// micro-kernels take them at compile time.
macro_rules! with_tile {
    ($times:expr, $rows:expr, $panels:expr, |$ROWS:ident, $PANELS:ident| $call:expr) => {
        with_tile!(@arms $times, $rows, $panels, $ROWS, $PANELS, $call,
            (1, 1) (2, 1) (3, 1) (4, 1) (5, 1) (6, 1) (7, 1) (8, 1) (9, 1) (10, 1) (11, 1) (12, 1)
            (1, 2) (2, 2) (3, 2) (4, 2) (5, 2) (6, 2) (7, 2) (8, 2) (9, 2) (10, 2) (11, 2) (12, 2))
    };
    (@arms $times:expr, $rows:expr, $panels:expr, $ROWS:ident, $PANELS:ident, $call:expr, $(($r:literal, $p:literal))*) => {
        match ($rows, $panels) {
            $(($r, $p) => {
                const $ROWS: usize = $r;
                const $PANELS: usize = $p;
                // Higher or wider than the level's registers hold is not compiled.
                if $r <= $times * L::ROWS && $p <= L::VECTORS { $call } else { unreachable!("a tile is not that large") }
            })*
            _ => unreachable!("a tile has at most twelve rows and two panels"),
        }
    };
}
pub(super) use with_tile;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_cover_every_block_of_every_class_once_and_in_order() {
        for units in [1, 8, 15, 16, 17, 64, 176, 177, 2048] {
            for most in [1, 2, 7, 100] {
                let mut seen = vec![false; units];
                let (mut before, mut open) = (0, false);
                for strip in strips(units, most) {
                    assert!((1..=most).contains(&strip.rounds.len()));
                    assert_eq!(strip.before, before);
                    assert_eq!(strip.first, !open);
                    before += strip.rounds.len();
                    open = !strip.last;
                    for round in strip.rounds {
                        assert!(!std::mem::replace(&mut seen[round * 16 + strip.class], true));
                    }
                }
                assert!(!open && seen.iter().all(|&seen| seen) && before == units);
            }
        }
    }

    #[test]
    fn tiles_cover_the_rows_and_none_is_too_high() {
        for level in Level::available() {
            for (times, rows) in (1..100).flat_map(|rows| [(1, rows), (2, rows)]) {
                let most = times * lanes::run(level, Height);
                let tiles = Tiles::new(level, rows, times);
                let mut next = 0;
                for tile in 0..tiles.count {
                    let part = tiles.rows(tile);
                    assert_eq!(part.start, next);
                    assert!((1..=most).contains(&part.len()));
                    next = part.end;
                }
                assert_eq!(next, rows);
            }
        }
    }
}
