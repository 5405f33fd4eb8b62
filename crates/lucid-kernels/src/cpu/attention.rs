//! Causal grouped-query attention over caches, for rows of any number of sequences at once.
//!
//! ```text
//! score[j] = Σᵢ (qᵢ · scale) · k[j,i]              one chain of fused multiply-adds over i, for j = 0 ..= position
//! tiles of 64 positions from position 0:
//!     m′ = max(m, score …)          α = exp(m − m′)        pⱼ = exp(scoreⱼ − m′), 0 beyond the position
//!     l  = l·α + p₀₋₁₅ + p₁₆₋₃₁ + p₃₂₋₄₇ + p₄₈₋₆₃           sixteen lanes, in this order
//!     yᵢ = yᵢ·α; then yᵢ = fma(pⱼ, v[j,i], yᵢ) for j in order, up to the position
//! y / (l summed over its lanes in order)
//! ```
//!
//! Heads that share keys and values, and rows of one sequence, are *queries* to the same tile, up to 32 at a time: the tile is
//! widened to f32 once for all of them, and each vector of keys or values meets several queries in registers.
//!
//! ```text
//! scores   lanes are positions   acc[query][side] += q[query][i] · keys[i][side]        query < QUERIES, side < SIDES
//! values   lanes are dimensions  y[query][v]      += p[query][j] · values[j][v]         v < 4
//! ```
//!
//! This is the online softmax: whenever a tile brings a larger maximum, what has been summed so far is scaled down, so no
//! more than one tile of scores exists at a time. Tiles begin at position 0, not at the query, so a row's roundings depend
//! on its own position and on nothing else: neither on the rows beside it, nor on how the prompt was cut.

use super::{
    Machine, Parts,
    buffer::{Base, Plan},
    kv::{CacheLayout, CacheType, SIDE, TILE},
};
use crate::{
    lanes::{self, Kernel, Lanes, each},
    ops::Heads,
};
use std::ops::Range;

/// Where a row stands: in which sequence, and at which position of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The sequence's number, which the caller's function understands.
    pub sequence: usize,
    /// The row's position; it sees `0 ..= position`.
    pub position: usize,
}

/// The keys and values of one sequence, bytes as [`CacheLayout`] lays them out.
#[derive(Clone, Copy, Debug)]
pub struct Cache<'a> {
    /// Keys.
    pub keys: &'a [u8],
    /// Values.
    pub values: &'a [u8],
}

/// Vectors of positions in a tile.
const SIDES: usize = TILE / SIDE;
/// Queries that share a tile.
const QUERIES: usize = 32;

/// Attends from every row of `q` (`heads.q · heads.dim` wide), which stands at `places[t]`, to the positions up to its own of
/// the sequence's cache, which `cache(sequence)` returns; its own key and value are stored there already.
#[allow(clippy::too_many_arguments)] // the equation's own
pub fn attention<'c>(
    m: &Machine,
    q: &[f32],
    places: &[Place],
    cache: &(dyn Fn(usize) -> Cache<'c> + Sync),
    layout: CacheLayout,
    heads: Heads,
    scale: f32,
    y: &mut [f32],
) {
    let width = heads.q * heads.dim;
    assert!(q.len() == places.len() * width && y.len() == q.len());
    assert!(layout.heads == heads.kv && layout.dim == heads.dim && heads.kv > 0 && heads.q.is_multiple_of(heads.kv));
    let group = heads.q / heads.kv;
    let mut plan = Plan::default();
    let padded = layout.padded();
    let room = Room {
        tile: plan.room::<f32>(TILE * padded),
        q: plan.room::<f32>(QUERIES * padded),
        scores: plan.room::<f32>(QUERIES * TILE),
        sums: plan.room::<f32>(QUERIES * padded),
        totals: plan.room::<f32>(QUERIES * 16),
    };
    let mut scratch = m.scratch();
    let buffers = Parts::new(&mut scratch.threads);
    let out = Parts::new(y);
    let rows = (QUERIES / group).clamp(1, places.len().max(1));
    m.pool.run(places.len().div_ceil(rows) * heads.kv, &|piece, thread| {
        let (chunk, g) = (piece / heads.kv, piece % heads.kv);
        // SAFETY: a thread number belongs to one thread at a time, so its buffer does, too.
        let base = unsafe { buffers.part(thread..thread + 1) }[0].for_plan(&plan);
        let mut t = chunk * rows;
        let end = places.len().min(t + rows);
        while t < end {
            // Neighbouring rows of one sequence.
            let sequence = places[t].sequence;
            let same = places[t..end].iter().take_while(|place| place.sequence == sequence).count();
            let cache = cache(sequence);
            for first in (0..same * group).step_by(QUERIES) {
                let queries = t * group + first..t * group + (first + QUERIES).min(same * group);
                let longest = queries.clone().map(|n| places[n / group].position).max().unwrap_or(0);
                let bytes = layout.bytes(longest + 1);
                assert!(cache.keys.len() >= bytes && cache.values.len() >= bytes, "the cache holds every position");
                let attend = Attend {
                    q,
                    places,
                    queries,
                    group,
                    head: g,
                    width,
                    cache,
                    layout,
                    longest,
                    scale,
                    room,
                    base,
                    out: &out,
                };
                lanes::run(m.level, attend);
            }
            t += same;
        }
    });
}

/// Where things begin in a thread's buffer.
#[derive(Clone, Copy)]
struct Room {
    /// The tile's keys: for each side, dimension by dimension, sixteen positions. When they have met the queries, its values:
    /// position by position, padded dimensions. So a tile takes half an L1.
    tile: usize,
    /// Queries times the scale.
    q: usize,
    scores: usize,
    sums: usize,
    totals: usize,
}

/// Up to 32 queries to one key/value head of one sequence. Query n is head `head · group + n % group` of row `n / group`.
struct Attend<'a, 'c> {
    q: &'a [f32],
    places: &'a [Place],
    queries: Range<usize>,
    group: usize,
    head: usize,
    width: usize,
    cache: Cache<'c>,
    layout: CacheLayout,
    longest: usize,
    scale: f32,
    room: Room,
    base: Base,
    out: &'a Parts<f32>,
}

impl Attend<'_, '_> {
    /// Where the values of query `n` lie in `q` and `y`.
    fn place(&self, n: usize) -> Range<usize> {
        let at = n / self.group * self.width + (self.head * self.group + n % self.group) * self.layout.dim;
        at..at + self.layout.dim
    }
}

impl Kernel for Attend<'_, '_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let (padded, n) = (self.layout.padded(), self.queries.len());
        // SAFETY: the level's instructions exist; the places were planned for this buffer, with room for 32 queries and a
        // tile; the cache holds every position up to the longest.
        unsafe {
            let at = |place: usize| self.base.at::<f32>(place);
            let (widened, q, scores) = (at(self.room.tile), at(self.room.q), at(self.room.scores));
            let (sums, totals) = (at(self.room.sums), at(self.room.totals));
            for i in 0..n {
                for (d, x) in self.q[self.place(self.queries.start + i)].iter().enumerate() {
                    *q.add(i * padded + d) = x * self.scale;
                }
                L::store(totals.add(16 * i), L::splat(0.0));
                for d in (0..padded).step_by(16) {
                    L::store(sums.add(i * padded + d), L::splat(0.0));
                }
            }
            let mut max = [f32::NEG_INFINITY; QUERIES];
            for first in (0..=self.longest).step_by(TILE) {
                let mut visible = [0; QUERIES];
                for i in 0..n {
                    let position = self.places[(self.queries.start + i) / self.group].position;
                    visible[i] = (position + 1).saturating_sub(first).min(TILE);
                }
                let tile = Tile { dim: self.layout.dim, padded, visible, widened, q, scores, sums };
                // Four queries by four vectors, or two, keep AVX-512 busy; two by two are what less has registers for, or what
                // is left over.
                let many = if L::VECTORS == 2 { n / 4 * 4 + if n % 4 == 3 { 3 } else { 0 } } else { 0 };
                let mut ahead = Lines::of(self.seen(self.cache.values, first));
                let sides = self.widen::<L, true>(first, widened);
                // Sides come in pairs. One that nobody sees has zeros: what lay there before may be numbers so small that a
                // multiplication takes a hundred cycles.
                if sides % 2 == 1 {
                    let to = widened.add(sides * SIDE * padded);
                    for i in 0..padded {
                        L::store(to.add(SIDE * i), L::splat(0.0));
                    }
                }
                let pairs = sides.next_multiple_of(2);
                if pairs == SIDES {
                    tile.score::<L, 4, SIDES>(0..many, pairs, &mut ahead);
                } else {
                    tile.score::<L, 4, 2>(0..many, pairs, &mut ahead);
                }
                tile.score::<L, 2, 2>(many..n, pairs, &mut ahead);
                let alpha = tile.shrink::<L>(n, &mut max);
                for i in (0..n).filter(|&i| visible[i] > 0) {
                    // As many as belong to the time that exp takes.
                    for _ in 0..8 {
                        ahead.ask::<L>();
                    }
                    tile.weigh::<L>(i, max[i], alpha[i], totals.add(16 * i));
                }
                let mut ahead = Lines::of(self.seen(self.cache.keys, first + TILE));
                self.widen::<L, false>(first, widened);
                for d in (0..padded).step_by(64) {
                    match (padded - d) / 16 {
                        1 => tile.sum::<L, 6, 1>(d, 0..n, &alpha, &mut ahead),
                        2 => tile.sum::<L, 4, 2>(d, 0..n, &alpha, &mut ahead),
                        3 => tile.sum::<L, 2, 3>(d, 0..n, &alpha, &mut ahead),
                        _ => {
                            tile.sum::<L, 4, 4>(d, 0..many, &alpha, &mut ahead);
                            tile.sum::<L, 2, 4>(d, many..n, &alpha, &mut ahead);
                        }
                    }
                }
            }
            for i in 0..n {
                let total = L::splat(lanes::sum_in_order::<L>(L::load(totals.add(16 * i))));
                // Each query is one piece's.
                let y = self.out.part(self.place(self.queries.start + i));
                for d in (0..y.len()).step_by(16) {
                    super::partial::store::<L>(y, d, L::div(L::load(sums.add(i * padded + d)), total));
                }
            }
        }
    }
}

impl Attend<'_, '_> {
    /// What of a tile of the keys, or of the values, any query sees, in whole sides.
    #[inline(always)]
    fn seen<'c>(&self, cache: &'c [u8], first: usize) -> &'c [u8] {
        let sides = (self.longest + 1).saturating_sub(first).min(TILE).div_ceil(SIDE);
        let tile = self.layout.tile(first / TILE, self.head);
        if sides == 0 { &[] } else { &cache[tile][..sides * SIDE * self.layout.head_bytes()] }
    }

    /// The keys, or else the values, of the tile from position `first` as f32, as far as any query sees it. Returns how many
    /// sides that is.
    #[inline(always)]
    unsafe fn widen<L: Lanes, const KEYS: bool>(&self, first: usize, to: *mut f32) -> usize {
        let cache = if KEYS { self.cache.keys } else { self.cache.values };
        let sides = self.seen(cache, first).chunks_exact(SIDE * self.layout.head_bytes());
        let count = sides.len();
        for (side, from) in sides.enumerate() {
            let to = to.wrapping_add(side * SIDE * self.layout.padded());
            // SAFETY: sixteen positions of one head; the tile has room.
            unsafe { widen_side::<L, KEYS>(from, self.layout, to) }
        }
        count
    }
}

/// Lines of the cache that will be read soon: asked for one by one while arithmetic is done, so that memory is never idle.
struct Lines {
    next: *const u8,
    left: usize,
}

impl Lines {
    fn of(bytes: &[u8]) -> Lines {
        Lines { next: bytes.as_ptr(), left: bytes.len().div_ceil(64) }
    }

    /// Asks for one more, if there is one.
    #[inline(always)]
    unsafe fn ask<L: Lanes>(&mut self) {
        if self.left > 0 {
            // SAFETY: the level is the caller's.
            unsafe { L::prefetch(self.next) };
            self.left -= 1;
            self.next = self.next.wrapping_add(64);
        }
    }
}

/// A tile and the queries to it.
struct Tile {
    dim: usize,
    padded: usize,
    /// How many positions of the tile each query sees.
    visible: [usize; QUERIES],
    /// Keys or values.
    widened: *const f32,
    q: *const f32,
    scores: *mut f32,
    sums: *mut f32,
}

impl Tile {
    /// The scores of some queries with the first `sides` sides, N queries by S sides at a time. What lies beyond stays as it
    /// was, and positions that no query sees have any score.
    #[inline(always)]
    unsafe fn score<L: Lanes, const N: usize, const S: usize>(
        &self,
        queries: Range<usize>,
        sides: usize,
        ahead: &mut Lines,
    ) {
        // SAFETY: the caller's word. Queries past the last repeat the last: the same values are stored again.
        unsafe {
            for first in queries.clone().step_by(N) {
                let query: [usize; N] = each!(N, i => (first + i).min(queries.end - 1));
                for side in (0..sides).step_by(S) {
                    let keys = self.widened.add(side * SIDE * self.padded);
                    let mut acc = [[L::splat(0.0); S]; N];
                    for d in 0..self.dim {
                        ahead.ask::<L>();
                        let k: [L::F; S] = each!(S, s => L::load(keys.add((s * self.padded + d) * SIDE)));
                        for i in 0..N {
                            let q = L::splat(*self.q.add(query[i] * self.padded + d));
                            for s in 0..S {
                                acc[i][s] = L::fma(q, k[s], acc[i][s]);
                            }
                        }
                    }
                    for i in 0..N {
                        for s in 0..S {
                            L::store(self.scores.add(query[i] * TILE + (side + s) * SIDE), acc[i][s]);
                        }
                    }
                }
            }
        }
    }

    /// Raises the largest score of each of `n` queries to that of this tile, and returns what their sums shrink by. Scores
    /// beyond what a query sees become −∞.
    #[inline(always)]
    unsafe fn shrink<L: Lanes>(&self, n: usize, max: &mut [f32; QUERIES]) -> [f32; QUERIES] {
        let before = *max;
        // SAFETY: the caller's word. Sixteen queries at a time; a query that sees nothing keeps its maximum, and α is 1.
        unsafe {
            for i in (0..n).filter(|&i| self.visible[i] > 0) {
                let scores = self.scores.add(i * TILE);
                for j in self.visible[i]..TILE {
                    *scores.add(j) = f32::NEG_INFINITY;
                }
                let mut largest = L::splat(before[i]);
                for side in 0..SIDES {
                    let score = L::load(scores.add(side * SIDE));
                    largest = L::if_greater(score, largest, score, largest);
                }
                max[i] = lanes::largest::<L>(largest);
            }
            let mut alpha = [1f32; QUERIES];
            for i in (0..n).step_by(16) {
                let lowered = L::sub(L::load(before.as_ptr().add(i)), L::load(max.as_ptr().add(i)));
                L::store(alpha.as_mut_ptr().add(i), lanes::exp::<L>(lowered));
            }
            alpha
        }
    }

    /// Turns the scores of query `i` into weights and adds them to its total.
    #[inline(always)]
    unsafe fn weigh<L: Lanes>(&self, i: usize, max: f32, alpha: f32, total: *mut f32) {
        // SAFETY: the caller's word.
        unsafe {
            let mut sum = L::mul(L::load(total), L::splat(alpha));
            for side in 0..SIDES {
                let score = self.scores.add(i * TILE + side * SIDE);
                let p = lanes::exp::<L>(L::sub(L::load(score), L::splat(max)));
                L::store(score, p);
                sum = L::add(sum, p);
            }
            L::store(total, sum);
        }
    }

    /// Adds the weighted values of V vectors of dimensions from `d`, N queries at a time.
    #[inline(always)]
    unsafe fn sum<L: Lanes, const N: usize, const V: usize>(
        &self,
        d: usize,
        queries: Range<usize>,
        alpha: &[f32; QUERIES],
        ahead: &mut Lines,
    ) {
        // SAFETY: the caller's word.
        unsafe {
            for first in queries.clone().step_by(N) {
                let n = (queries.end - first).min(N);
                let sums = |i: usize, v: usize| self.sums.add((first + i.min(n - 1)) * self.padded + d + 16 * v);
                let mut y: [[L::F; V]; N] = each!(N, i => {
                    let alpha = L::splat(alpha[first + i.min(n - 1)]);
                    each!(V, v => L::mul(L::load(sums(i, v)), alpha))
                });
                let visible = &self.visible[first..first + n];
                let common = visible.iter().copied().min().unwrap_or(0);
                for j in 0..common {
                    ahead.ask::<L>();
                    let values: [L::F; V] = each!(V, v => L::load(self.widened.add(j * self.padded + d + 16 * v)));
                    for i in 0..N {
                        let p = L::splat(*self.scores.add((first + i.min(n - 1)) * TILE + j));
                        for v in 0..V {
                            y[i][v] = L::fma(p, values[v], y[i][v]);
                        }
                    }
                }
                for i in 0..N {
                    for v in 0..V {
                        L::store(sums(i, v), y[i][v]);
                    }
                }
                // The rest of what some see further than others: a weight of zero instead would let a NaN or a sign through.
                // Here the sums are in memory, because a compiler that finds them there and in registers keeps both up to
                // date.
                for i in (0..n).filter(|&i| visible[i] > common) {
                    for v in 0..V {
                        let mut y = L::load(sums(i, v));
                        for j in common..visible[i] {
                            let p = L::splat(*self.scores.add((first + i) * TILE + j));
                            y = L::fma(p, L::load(self.widened.add(j * self.padded + d + 16 * v)), y);
                        }
                        L::store(sums(i, v), y);
                    }
                }
            }
        }
    }
}

/// Sixteen positions of a head as f32, in the order in which they lie: keys, or else values.
#[inline(always)]
unsafe fn widen_side<L: Lanes, const KEYS: bool>(from: &[u8], layout: CacheLayout, to: *mut f32) {
    let padded = layout.padded();
    // SAFETY: `from` is sixteen positions of one head as the layout draws them, `to` has room for as many values.
    unsafe {
        match layout.kind {
            CacheType::F32 => {
                for i in 0..padded {
                    L::store(to.add(16 * i), L::load(from.as_ptr().add(64 * i).cast()));
                }
            }
            CacheType::F16 => {
                for i in 0..padded {
                    L::store(to.add(16 * i), L::load_f16(from.as_ptr().add(32 * i)));
                }
            }
            CacheType::Q8_0 if KEYS => {
                let (scales, codes) = from.split_at(padded / 32 * 2 * SIDE);
                for i in 0..padded {
                    let d = L::load_f16(scales.as_ptr().add(i / 32 * 32));
                    L::store(to.add(16 * i), L::mul(d, L::load_i8(codes.as_ptr().add(SIDE * i).cast())));
                }
            }
            CacheType::Q8_0 => {
                for (j, from) in from.chunks_exact(layout.head_bytes()).enumerate() {
                    let (scales, codes) = from.split_at(padded / 32 * 2);
                    for i in (0..padded).step_by(16) {
                        let d = L::f16(u16::from_le_bytes([scales[i / 32 * 2], scales[i / 32 * 2 + 1]]));
                        let v = L::mul(L::splat(d), L::load_i8(codes.as_ptr().add(i).cast()));
                        L::store(to.add(j * padded + i), v);
                    }
                }
            }
        }
    }
}
