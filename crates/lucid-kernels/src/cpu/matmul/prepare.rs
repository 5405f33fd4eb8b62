//! Activations in the form that the products read: rounded to bytes with scales, or f32 in whole vectors.

use super::{
    Plan, Product,
    tiles::{Strip, Tiles, strips},
};
use crate::{
    cpu::{
        Machine,
        buffer::{Base, Buffer},
    },
    lanes::{self, Kernel, Lanes, Order, each},
};

/// Rows of activations rounded to eight bits. Blocks are padded with zeros to whole rounds of sixteen.
///
/// Round by round, in it row by row: block b of row t of T is number `(b / 16 · T + t) · 16 + b % 16`. Of each there are:
/// `q` 32 bytes, but those of a round are mixed ([`Lanes::mix`]); `d` the scale; and for each group `start`, what the
/// integer sum starts from, −OFFSET · Σq (or 0, see [`Lanes::LOWERS`]), and `sum`, the f32 d · Σq.
#[derive(Clone, Copy)]
pub(super) struct Rounded {
    pub(super) rows: usize,
    /// Blocks of a row, a multiple of sixteen.
    pub(super) blocks: usize,
    pub(super) q: *const i8,
    pub(super) d: *const f32,
    pub(super) start: [*const i32; 2],
    pub(super) sum: [*const f32; 2],
}

// SAFETY: pointers into a buffer that nobody writes while this exists; see `Rounded::new`.
unsafe impl Sync for Rounded {}

impl Rounded {
    /// Rounds the rows of the product into `buffer`, which stays borrowed by the caller for as long as the result is used.
    pub(super) fn new(
        m: &Machine,
        product: &Product<'_>,
        (group, offset, order): (usize, u8, Order),
        buffer: &mut Buffer,
    ) -> Rounded {
        let (rows, blocks) = (product.rows, (product.n_in / 32).next_multiple_of(16));
        let mut plan = Plan::default();
        let q = plan.room::<i8>(rows * blocks * 32);
        let d = plan.room::<f32>(rows * blocks);
        let start = [(); 2].map(|()| plan.room::<i32>(rows * blocks));
        let sum = [(); 2].map(|()| plan.room::<f32>(rows * blocks));
        let base = buffer.for_plan(&plan);
        m.in_ranges(rows, 1, (8 << 10) / product.n_in, &|range, _| {
            for t in range {
                let x = &product.x[t * product.n_in..][..product.n_in];
                lanes::run(m.level, RoundRow { x, row: t, rows, blocks, group, offset, order, base, q, d, start, sum });
            }
        });
        Rounded {
            rows,
            blocks,
            q: base.at(q),
            d: base.at(d),
            start: start.map(|at| base.at::<i32>(at).cast_const()),
            sum: sum.map(|at| base.at::<f32>(at).cast_const()),
        }
    }
}

/// 2⁻¹²⁰: a block whose largest magnitude is below it is zero, because 127 divided by that is no f32 any more.
pub(super) const SMALLEST: f32 = f32::from_bits((127 - 120) << 23);

/// A block of 32 activations in eight bits.
struct Block {
    q: [i8; 32],
    d: f32,
    /// Σq of the groups: the whole block, or its halves.
    sums: [i32; 2],
}

impl Block {
    const ZERO: Block = Block { q: [0; 32], d: 0.0, sums: [0; 2] };

    /// Block `b` of a row; zero past its end.
    #[inline(always)]
    unsafe fn of<L: Lanes>(x: &[f32], b: usize, group: usize) -> Block {
        let Some(x) = x.get(32 * b..32 * b + 32) else { return Block::ZERO };
        // SAFETY: 32 values; the level is the caller's.
        unsafe {
            let largest = L::largest_of_32(x.as_ptr());
            if largest >= 0x7F80_0000 || f32::from_bits(largest) < SMALLEST {
                return Block { d: if largest >= 0x7F80_0000 { f32::NAN } else { 0.0 }, ..Block::ZERO };
            }
            let largest = f32::from_bits(largest);
            let inverse = L::splat(127.0 / largest);
            let mut q = [0; 32];
            L::store_i8(q.as_mut_ptr(), L::round(L::mul(L::load(x.as_ptr()), inverse)));
            L::store_i8(q.as_mut_ptr().add(16), L::round(L::mul(L::load(x.as_ptr().add(16)), inverse)));
            let mut sums = L::sums_of_sixteen(q.as_ptr());
            if group == 32 {
                sums[0] += sums[1];
            }
            Block { q, d: largest / 127.0, sums }
        }
    }
}

/// What codes are too much by, for a level that does not subtract it by itself.
#[inline(always)]
fn offset_at<L: Lanes>(offset: u8) -> i32 {
    if L::LOWERS && offset == 128 { 0 } else { offset.into() }
}

struct RoundRow<'a> {
    x: &'a [f32],
    row: usize,
    rows: usize,
    blocks: usize,
    group: usize,
    offset: u8,
    order: Order,
    base: Base,
    q: usize,
    d: usize,
    start: [usize; 2],
    sum: [usize; 2],
}

impl Kernel for RoundRow<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        for b in 0..self.blocks {
            let at = (b / 16 * self.rows + self.row) * 16 + b % 16;
            // SAFETY: block b of this row in arrays of rows · blocks, each row written by one thread; the level is the
            // caller's.
            unsafe {
                let Block { q, d, sums } = Block::of::<L>(self.x, b, self.group);
                self.base.at::<[i8; 32]>(self.q).add(at).write(q);
                self.base.at::<f32>(self.d).add(at).write(d);
                for half in 0..2 {
                    self.base.at::<i32>(self.start[half]).add(at).write(-offset_at::<L>(self.offset) * sums[half]);
                    self.base.at::<f32>(self.sum[half]).add(at).write(d * sums[half] as f32);
                }
                if b % 16 == 15 {
                    let round = self.base.at::<u8>(self.q).add((at - 15) * 32);
                    let codes = each!(8, i => L::load_bytes(round.add(64 * i)));
                    for (i, mixed) in L::mix(codes, self.order).into_iter().enumerate() {
                        L::store_bytes(round.add(64 * i), mixed);
                    }
                }
            }
        }
    }
}

/// Rows of activations rounded to eight bits, as panels meet them.
///
/// ```text
///   strip by strip (tiles.rs), in it tile by tile, in it block by block:   one record for the T rows of the tile
///   record, in words of four bytes:   q₀₋₃ × T │ q₄₋₇ × T │ … │ q₂₈₋₃₁ × T │ d × T │ start of each group × T │ sum of each × T
/// ```
///
/// The meaning of the words is as in [`Rounded`].
pub(super) struct Records {
    pub(super) tiles: Tiles,
    rows: usize,
    words: *mut i32,
}

// SAFETY: a pointer into a buffer that nobody writes while this exists; see `Records::new`.
unsafe impl Sync for Records {}

impl Records {
    /// Where the scale stands in the record of one row.
    pub(super) const SCALE: usize = 8;
    /// Where the starts stand; the sums follow.
    pub(super) const STARTS: usize = 9;

    /// Words of a record for each of its rows.
    pub(super) const fn words(groups: usize) -> usize {
        Records::STARTS + 2 * groups
    }

    /// Rounds the rows of the product into `buffer`, which stays borrowed by the caller for as long as the result is used.
    pub(super) fn new(
        m: &Machine,
        product: &Product<'_>,
        (group, offset): (usize, u8),
        (times, strip): (usize, usize),
        buffer: &mut Buffer,
    ) -> Records {
        let (rows, blocks, groups) = (product.rows, product.n_in / 32, 32 / group);
        let tiles = Tiles::new(m.level, rows, times);
        let mut plan = Plan::default();
        let words = plan.room::<i32>(rows * blocks * Records::words(groups));
        let records = Records { tiles, rows, words: buffer.for_plan(&plan).at(words) };
        m.in_ranges(tiles.count, 1, (2 << 10) / product.n_in, &|range, _| {
            for tile in range {
                lanes::run(m.level, RoundTile { records: &records, product, tile, group, offset, strip });
            }
        });
        records
    }

    /// The records of a strip of the tile that begins with row `row`.
    #[inline(always)]
    pub(super) fn of(&self, strip: &Strip, row: usize, groups: usize) -> *mut i32 {
        self.words.wrapping_add((strip.before * self.rows + row * strip.rounds.len()) * Records::words(groups))
    }
}

/// Rounds the rows of one tile.
struct RoundTile<'a> {
    records: &'a Records,
    product: &'a Product<'a>,
    tile: usize,
    group: usize,
    offset: u8,
    strip: usize,
}

impl Kernel for RoundTile<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let RoundTile { records, product, tile, group, offset, strip: most } = self;
        let (rows, groups, n_in) = (records.tiles.rows(tile), 32 / group, product.n_in);
        let (height, words) = (rows.len(), Records::words(groups));
        for b in 0..n_in / 32 {
            let strip = Strip::holding(b, n_in / 32, most);
            let record = records.of(&strip, rows.start, groups);
            let record = record.wrapping_add((b / 16 - strip.rounds.start) * words * height);
            for (t, row) in rows.clone().enumerate() {
                let x = &product.x[row * n_in..][..n_in];
                // SAFETY: a word of this tile's records, which one thread writes; the level is the caller's.
                unsafe {
                    let Block { q, d, sums } = Block::of::<L>(x, b, group);
                    let to = record.add(t);
                    for (k, q) in q.as_chunks::<4>().0.iter().enumerate() {
                        to.add(k * height).write(i32::from_ne_bytes(q.map(|q| q as u8)));
                    }
                    to.add(Records::SCALE * height).write(d.to_bits() as i32);
                    for g in 0..groups {
                        to.add((Records::STARTS + g) * height).write(-offset_at::<L>(offset) * sums[g]);
                        to.add((Records::STARTS + groups + g) * height).write((d * sums[g] as f32).to_bits() as i32);
                    }
                }
            }
        }
    }
}

/// Rows of f32 activations, padded with zeros to whole vectors, for a few rows.
#[derive(Clone, Copy)]
pub(super) struct Whole {
    pub(super) rows: usize,
    /// Vectors of a row.
    pub(super) vectors: usize,
    /// Row t from `t · vectors · 16`.
    pub(super) x: *const f32,
}

// SAFETY: a pointer into a buffer that nobody writes while this exists.
unsafe impl Sync for Whole {}

impl Whole {
    /// Copies the rows of the product into `buffer`, which stays borrowed by the caller for as long as the result is used.
    pub(super) fn new(product: &Product<'_>, buffer: &mut Buffer) -> Whole {
        let (rows, vectors) = (product.rows, product.n_in.div_ceil(16));
        let mut plan = Plan::default();
        let at = plan.room::<f32>(rows * vectors * 16);
        let base = buffer.for_plan(&plan);
        // SAFETY: the buffer is borrowed, and planned for these.
        let to = unsafe { base.slice::<f32>(at, rows * vectors * 16) };
        for (to, x) in to.chunks_exact_mut(vectors * 16).zip(product.x.chunks_exact(product.n_in)) {
            to[..x.len()].copy_from_slice(x);
            to[x.len()..].fill(0.0);
        }
        Whole { rows, vectors, x: base.at(at) }
    }
}

/// Rows of f32 activations as panels meet them: strip by strip (tiles.rs), in it tile by tile, in it value by value, each
/// value of all rows of the tile.
pub(super) struct Columns {
    pub(super) tiles: Tiles,
    rows: usize,
    values: *mut f32,
}

// SAFETY: a pointer into a buffer that nobody writes while this exists.
unsafe impl Sync for Columns {}

impl Columns {
    /// Copies the rows of the product into `buffer`, which stays borrowed by the caller for as long as the result is used.
    pub(super) fn new(
        m: &Machine,
        product: &Product<'_>,
        (times, strip): (usize, usize),
        buffer: &mut Buffer,
    ) -> Columns {
        let (rows, n_in) = (product.rows, product.n_in);
        let tiles = Tiles::new(m.level, rows, times);
        let mut plan = Plan::default();
        let values = plan.room::<f32>(rows * n_in);
        let columns = Columns { tiles, rows, values: buffer.for_plan(&plan).at(values) };
        m.in_ranges(tiles.count, 1, (2 << 10) / n_in, &|range, _| {
            for tile in range {
                let rows = tiles.rows(tile);
                for strip in strips(n_in, strip) {
                    let (n, to) = (strip.rounds.len() * rows.len(), columns.of(&strip, rows.start));
                    // SAFETY: the strip's values of this tile, which one thread writes.
                    let to = unsafe { std::slice::from_raw_parts_mut(to, n) };
                    for (to, round) in to.chunks_exact_mut(rows.len()).zip(strip.rounds) {
                        for (to, row) in to.iter_mut().zip(rows.clone()) {
                            *to = product.x[row * n_in + round * 16 + strip.class];
                        }
                    }
                }
            }
        });
        columns
    }

    /// The values of a strip for the tile that begins with row `row`.
    #[inline(always)]
    pub(super) fn of(&self, strip: &Strip, row: usize) -> *mut f32 {
        self.values.wrapping_add(strip.before * self.rows + row * strip.rounds.len())
    }
}
