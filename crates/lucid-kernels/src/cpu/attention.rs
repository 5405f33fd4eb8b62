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
//! This is the online softmax: whenever a tile brings a larger maximum, what has been summed so far is scaled down, so no more
//! than one tile of scores exists at a time. Tiles begin at position 0, not at the query, so a row's roundings depend on its own
//! position and on nothing else: neither on the rows beside it, nor on how the prompt was cut.

use super::{
    Machine, Parts,
    buffer::{Base, Plan},
    kv::{CacheLayout, CacheType, SIDE},
};
use crate::{
    lanes::{self, Kernel, Lanes},
    ops::Heads,
};

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

/// Positions in a tile.
const TILE: usize = 64;

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
    let mut plan = Plan::default();
    let room = Room {
        keys: plan.room::<f32>(TILE * layout.padded()),
        values: plan.room::<f32>(TILE * layout.padded()),
        sum: plan.room::<f32>(layout.padded()),
    };
    let mut scratch = m.scratch();
    let buffers = Parts::new(&mut scratch.threads);
    let out = Parts::new(y);
    m.pool.run(places.len() * heads.kv, &|piece, thread| {
        let (t, g) = (piece / heads.kv, piece % heads.kv);
        let Place { sequence, position } = places[t];
        let Cache { keys, values } = cache(sequence);
        assert!(keys.len() >= layout.bytes(position + 1) && values.len() >= layout.bytes(position + 1));
        // SAFETY: a thread number belongs to one thread at a time, so its buffer does, too.
        let base = unsafe { buffers.part(thread..thread + 1) }[0].for_plan(&plan);
        for h in g * (heads.q / heads.kv)..(g + 1) * (heads.q / heads.kv) {
            let at = t * width + h * heads.dim..t * width + (h + 1) * heads.dim;
            // SAFETY: each row and head is one piece's.
            let y = unsafe { out.part(at.clone()) };
            lanes::run(m.level, Attend { q: &q[at], keys, values, layout, group: g, position, scale, room, base, y });
        }
    });
}

#[derive(Clone, Copy)]
struct Room {
    keys: usize,
    values: usize,
    sum: usize,
}

struct Attend<'a> {
    q: &'a [f32],
    keys: &'a [u8],
    values: &'a [u8],
    layout: CacheLayout,
    group: usize,
    position: usize,
    scale: f32,
    room: Room,
    base: Base,
    y: &'a mut [f32],
}

impl Kernel for Attend<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        let Attend { q, keys, values, layout, group, position, scale, room, base, y } = self;
        let (padded, size) = (layout.padded(), layout.head_bytes());
        // SAFETY: the level's instructions exist; the places were planned for this buffer; the cache holds the position.
        unsafe {
            let k: *mut f32 = base.at(room.keys);
            let v: *mut f32 = base.at(room.values);
            let sum: *mut f32 = base.at(room.sum);
            for i in (0..padded).step_by(16) {
                L::store(sum.add(i), L::splat(0.0));
            }
            let (mut max, mut total) = (f32::NEG_INFINITY, L::splat(0.0));
            for first in (0..=position).step_by(TILE) {
                let visible = (position + 1 - first).min(TILE);
                let sides = visible.div_ceil(SIDE);
                for side in 0..sides {
                    let at = ((first / SIDE + side) * layout.heads + group) * SIDE * size;
                    widen_keys::<L>(&keys[at..at + SIDE * size], layout, k.add(side * SIDE * padded));
                }
                for j in 0..visible {
                    let at = ((first + j) * layout.heads + group) * size;
                    widen_values::<L>(&values[at..at + size], layout, v.add(j * padded));
                }
                let mut scores = [f32::NEG_INFINITY; TILE];
                for side in 0..sides {
                    let mut score = L::splat(0.0);
                    for (i, q) in q.iter().enumerate() {
                        score = L::fma(L::splat(q * scale), L::load(k.add((side * padded + i) * SIDE)), score);
                    }
                    L::store(scores[side * SIDE..].as_mut_ptr(), score);
                }
                scores[visible..].fill(f32::NEG_INFINITY);
                let mut largest = L::splat(max);
                for side in 0..TILE / SIDE {
                    let score = L::load(scores[side * SIDE..].as_ptr());
                    largest = L::if_greater(score, largest, score, largest);
                }
                let new = lanes::largest::<L>(largest);
                let alpha = lanes::exp::<L>(L::splat(max - new));
                max = new;
                total = L::mul(total, alpha);
                for side in 0..TILE / SIDE {
                    let at = scores[side * SIDE..].as_mut_ptr();
                    let p = lanes::exp::<L>(L::sub(L::load(at), L::splat(max)));
                    L::store(at, p);
                    total = L::add(total, p);
                }
                for i in (0..padded).step_by(16) {
                    let mut y = L::mul(L::load(sum.add(i)), alpha);
                    for (j, p) in scores[..visible].iter().enumerate() {
                        y = L::fma(L::splat(*p), L::load(v.add(j * padded + i)), y);
                    }
                    L::store(sum.add(i), y);
                }
            }
            let total = L::splat(lanes::sum_in_order::<L>(total));
            for i in (0..y.len()).step_by(16) {
                super::partial::store::<L>(y, i, L::div(L::load(sum.add(i)), total));
            }
        }
    }
}

/// The keys of sixteen positions as f32, in the same order.
#[inline(always)]
unsafe fn widen_keys<L: Lanes>(from: &[u8], layout: CacheLayout, to: *mut f32) {
    let padded = layout.padded();
    // SAFETY: `from` is sixteen positions of one head as the layout draws them, `to` has room for as many values.
    unsafe {
        for i in 0..padded {
            let k = match layout.kind {
                CacheType::F32 => L::load(from[64 * i..64 * (i + 1)].as_ptr().cast()),
                CacheType::F16 => L::load_f16(from[32 * i..32 * (i + 1)].as_ptr()),
                CacheType::Q8_0 => {
                    let (scales, codes) = from.split_at(padded / 32 * 2 * SIDE);
                    let codes = &codes[SIDE * i..SIDE * (i + 1)];
                    L::mul(L::load_f16(scales[i / 32 * 32..].as_ptr()), L::load_i8(codes.as_ptr().cast()))
                }
            };
            L::store(to.add(16 * i), k);
        }
    }
}

/// The values of one position as f32.
#[inline(always)]
unsafe fn widen_values<L: Lanes>(from: &[u8], layout: CacheLayout, to: *mut f32) {
    let padded = layout.padded();
    // SAFETY: `from` is one position of one head as the layout draws it, `to` has room for as many values.
    unsafe {
        for i in (0..padded).step_by(16) {
            let v = match layout.kind {
                CacheType::F32 => L::load(from[4 * i..4 * i + 64].as_ptr().cast()),
                CacheType::F16 => L::load_f16(from[2 * i..2 * i + 32].as_ptr()),
                CacheType::Q8_0 => {
                    let (scales, codes) = from.split_at(padded / 32 * 2);
                    let d =
                        crate::formats::f16_to_f32(u16::from_le_bytes([scales[i / 32 * 2], scales[i / 32 * 2 + 1]]));
                    L::mul(L::splat(d), L::load_i8(codes[i..i + 16].as_ptr().cast()))
                }
            };
            L::store(to.add(i), v);
        }
    }
}
