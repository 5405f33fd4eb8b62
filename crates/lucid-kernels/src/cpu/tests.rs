//! Every operation against the f64 oracle, within bounds derived from its roundings. `U` is the unit roundoff: an f32
//! operation is off by at most U of its result.

use super::*;
use crate::{
    formats::{
        Format,
        testing::random_rows,
        unpack::{Unpack, with_unpack},
    },
    ops::{Heads, Pairs, Rotation, testing::*},
    oracle::{self, UNIT_F32 as U},
};

fn machine() -> Machine {
    Machine::new(Level::best(), 3)
}

/// Asserts that every `got` is within its bound of `want`.
#[track_caller]
fn assert_within(got: &[f32], want: &[f64], bound: impl Fn(usize) -> f64) {
    assert_eq!(got.len(), want.len());
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let (error, bound) = ((f64::from(got) - want).abs(), bound(i));
        assert!(error <= bound, "value {i}: {got} is {error:e} from {want}, more than {bound:e}");
    }
}

/// For every weight format: the twin against the exact product, in both modes.
#[test]
fn products_stay_within_the_derived_bound_in_every_format() {
    for &format in Format::ALL.iter().filter(|f| f.is_weight()) {
        let n = format.block_len().max(32) * 5;
        let stored = random_rows(format, n, 1);
        let x = noise(31, n);
        let mut w = vec![0.0; n];
        format.decode(&stored, &mut w);
        let exact = oracle::dot(&wide(&w), &wide(&x));

        // Floats: one chain of n/16 fused multiply-adds for each lane, then sixteen additions.
        let size: f64 = w.iter().zip(&x).map(|(w, x)| f64::from(w * x).abs()).sum();
        let roundings = (n / 16 + 17) as f64;
        let y = matmul::twin::dot(format, &stored, &x, Activations::Exact);
        assert_within(&[y], &[exact], |_| 1.01 * roundings * U * size);

        let y = matmul::twin::dot(format, &stored, &x, Activations::Rounded);
        with_unpack!(format, B => assert_within(&[y], &[exact], |_| rounded_bound::<B>(&stored, &x)), else ());
    }
}

/// With rounded activations there are two errors more. An activation is off by half a step of d = a/127, and by 4U·a for the
/// roundings of 127/a, of x · that, and of d. And a block enters its chain with at most three roundings for each group's
/// scale or minimum; their sizes are those of the code's part and the minimum's part separately, which may cancel.
fn rounded_bound<B: Unpack>(stored: &[u8], x: &[f32]) -> f64 {
    let n = x.len();
    let [codes, scales, mins] = matmul::twin::parts::<B>(stored);
    let (mut steps, mut size) = (0.0, 0.0);
    for i in 0..n {
        let e = f64::from(scales[i / B::GROUP]);
        let m = if B::MINS { f64::from(mins[i / B::GROUP]) } else { 0.0 };
        let code = f64::from(codes[i]) - f64::from(B::OFFSET);
        let largest = x[i / 32 * 32..][..32].iter().fold(0f32, |a, x| a.max(x.abs()));
        let step = f64::from(largest) / 127.0;
        steps += (e * code + m).abs() * (step / 2.0 + 4.0 * U * f64::from(largest));
        size += ((e * code).abs() + m.abs()) * (f64::from(x[i]).abs() + step);
    }
    let roundings = (n.div_ceil(512) * 2 * (32 / B::GROUP) + 3 + 17) as f64;
    1.01 * (steps + roundings * U * size)
}

#[test]
fn rows_are_computed_as_if_alone_by_every_count_of_threads() {
    let (n_in, n_out, rows) = (288, 37, 5);
    for format in [Format::Q8_0, Format::F16] {
        let (w, x) = (random_rows(format, n_in, n_out), noise(32, n_in * rows));
        let product = |threads, x: &[f32]| {
            let mut y = vec![0.0; x.len() / n_in * n_out];
            matmul(&Machine::new(Level::best(), threads), format, &w, x, n_in, &mut y, Activations::Rounded);
            y
        };
        let batch = product(1, &x);
        assert_eq!(batch, product(2, &x));
        assert_eq!(batch, product(8, &x));
        for t in 0..rows {
            assert_eq!(batch[t * n_out..][..n_out], product(2, &x[t * n_in..][..n_in]));
        }
    }
}

#[test]
fn additions_round_once() {
    let m = machine();
    for n in [1, 15, 16, 100, 40_000] {
        let (x, y) = (noise(33, n), noise(34, n));
        let want: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
        let (mut a, mut b) = (x.clone(), x.clone());
        add(&m, &mut a, &y);
        add_bias(&m, &mut b, &bytes(&y));
        assert_eq!((&a, &b), (&want, &want));
    }
}

#[test]
fn norms_stay_within_the_derived_bound() {
    let m = machine();
    for n in [5, 64, 100, 2048] {
        let (x, y, gain, bias) = (noise(35, 3 * n), noise(36, 3 * n), noise(37, n), noise(38, n));
        let (mut rms, mut layer) = (vec![0.0; 3 * n], vec![0.0; 3 * n]);
        rms_norm(&m, &x, &bytes(&gain), 1e-5, &mut rms);
        layer_norm(&m, &x, &bytes(&gain), &bytes(&bias), 1e-5, &mut layer);
        let chain = (n.div_ceil(16) + 17) as f64;
        for t in 0..3 {
            let row = wide(&x[t * n..][..n]);
            let want = oracle::rms_norm(&row, &wide(&gain), f64::from(1e-5f32));
            // Half the error of a positive sum under a root; then division, sum, root, quotient and two products.
            assert_within(&rms[t * n..][..n], &want, |i| 1.01 * (chain / 2.0 + 6.0) * U * want[i].abs());

            let want = oracle::layer_norm(&row, &wide(&gain), &wide(&bias), f64::from(1e-5f32));
            // The mean is off by chain·U·mean|x|, which moves every value alike; r as above.
            let mean = row.iter().map(|x| x.abs()).sum::<f64>() / n as f64;
            let center = row.iter().sum::<f64>() / n as f64;
            let deviation = (row.iter().map(|x| (x - center).powi(2)).sum::<f64>() / n as f64 + 1e-5).sqrt();
            let bound = |i: usize| {
                let normed = (row[i] - center).abs() / deviation;
                let moved = (chain + 2.0) * U * mean / deviation;
                let gained = f64::from(gain[i]).abs()
                    * (moved + (chain / 2.0 + moved / U * normed.max(1.0) * U + 8.0) * U * normed);
                1.01 * (gained + U * want[i].abs() + moved * moved)
            };
            assert_within(&layer[t * n..][..n], &want, bound);
        }
        let (mut sum, mut fused) = (x.clone(), vec![0.0; 3 * n]);
        add(&m, &mut sum, &y);
        rms_norm(&m, &sum, &bytes(&gain), 1e-5, &mut rms);
        let mut x = x;
        add_rms_norm(&m, &mut x, &y, &bytes(&gain), 1e-5, &mut fused);
        assert_eq!((x, fused), (sum, rms), "the fused form is the two operations");
    }
}

/// exp is within 2 units in the last place (4U) for arguments that are exact.
const EXP: f64 = 4.0 * U;

#[test]
fn the_exponential_is_within_two_units_in_the_last_place() {
    let m = Machine::new(Level::best(), 1);
    // softmax of (x, 0) with x ≤ 0 is e^x / (e^x + 1); silu shows the other half of the range. Here: directly, in lanes.
    struct Exp([f32; 16]);
    impl crate::lanes::Kernel for Exp {
        type Out = [f32; 16];
        #[inline(always)]
        unsafe fn at<L: crate::lanes::Lanes>(self) -> [f32; 16] {
            let mut y = [0.0; 16];
            // SAFETY: arrays of sixteen.
            unsafe { L::store(y.as_mut_ptr(), crate::lanes::exp::<L>(L::load(self.0.as_ptr()))) };
            y
        }
    }
    for i in 0..200_000 {
        let x: [f32; 16] = std::array::from_fn(|j| -85.9 + (i * 16 + j) as f32 * (174.5 / 3.2e6));
        let y = crate::lanes::run(m.level, Exp(x));
        let want: Vec<f64> = x.iter().map(|x| f64::from(*x).exp()).collect();
        assert_within(&y, &want, |j| EXP * want[j]);
    }
    let ends = [
        0.0,
        -0.0,
        f32::NEG_INFINITY,
        f32::INFINITY,
        -87.0,
        90.0,
        f32::NAN,
        -1e30,
        1e30,
        88.7,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
    ];
    let y = crate::lanes::run(m.level, Exp(ends));
    assert_eq!(y[..6], [1.0, 1.0, 0.0, f32::INFINITY, 0.0, f32::INFINITY]);
    assert!(y[6].is_nan() && y[7] == 0.0 && y[8] == f32::INFINITY && y[9] < f32::INFINITY);
}

#[test]
fn softmax_stays_within_the_derived_bound_and_survives_what_would_overflow() {
    let m = machine();
    for n in [1, 16, 100, 1000] {
        let x: Vec<f32> = noise(39, n).iter().map(|x| x * 20.0).collect();
        let mut y = x.clone();
        softmax(&m, &mut y, n);
        let want = oracle::softmax(&wide(&x));
        // An argument below 40 is rounded once, so e^x is off by 40U more; the sum has n/16 + 16 roundings; one division.
        let bound = EXP + 40.0 * U;
        assert_within(&y, &want, |i| 1.01 * (2.0 * bound + (n.div_ceil(16) + 18) as f64 * U) * want[i]);
    }
    let mut x = [1e30, -1e30, 1e30, f32::NEG_INFINITY];
    softmax(&m, &mut x, 4);
    assert_eq!(x, [0.5, 0.0, 0.5, 0.0]);
}

#[test]
fn gates_stay_within_the_derived_bound_and_close_at_minus_infinity() {
    let m = machine();
    let gate: Vec<f32> = noise(40, 1000).iter().map(|x| x * 20.0).collect();
    let up = noise(41, 1000);
    let product = |f: fn(f64) -> f64| -> Vec<f64> {
        gate.iter().zip(&up).map(|(&g, &u)| f(f64::from(g)) * f64::from(u)).collect()
    };
    let (mut silu, mut gelu) = (gate.clone(), gate.clone());
    silu_mul(&m, &mut silu, &up);
    gelu_mul(&m, &mut gelu, &up);
    let want = product(oracle::silu);
    assert_within(&silu, &want, |i| 1.01 * (EXP + 3.0 * U) * want[i].abs());
    let want = product(oracle::gelu);
    // The exponent 2u has four roundings and two rounded constants, so e^2u is off by 6U·|2u|; beyond −86 the result is 0.
    // The oracle's own 1 + tanh u is off by 2⁻⁵² where it cancels.
    let exponent = |x: f64| 1.5957691216 * (x + 0.044715 * x.powi(3)).abs();
    let bound = |i: usize| {
        (EXP + 3.0 * U + 6.0 * U * exponent(f64::from(gate[i])).min(90.0)) * want[i].abs()
            + 2f64.powi(-52) * f64::from(gate[i] * up[i]).abs()
    };
    assert_within(&gelu, &want, |i| 1.01 * bound(i));
    let mut far = [-1e4, 1e4];
    silu_mul(&m, &mut far, &[1.0, 1.0]);
    assert_eq!(far, [0.0, 1e4]);
}

fn rotation(pairs: Pairs, half: usize) -> Rotation {
    Rotation { pairs, freqs: (0..half).map(|i| 10000f32.powf(-(i as f32) / half as f32)).collect(), scale: 1.25 }
}

#[test]
fn rope_stays_within_the_derived_bound_of_the_reference_in_both_layouts() {
    let m = machine();
    let positions = [0, 977, 131_071];
    for (dim, half) in [(20, 8), (64, 32), (80, 40)] {
        for pairs in [Pairs::Halves, Pairs::Neighbours] {
            let r = rotation(pairs, half);
            let (mut q, mut k) = (noise(42, 3 * 4 * dim), noise(43, 3 * dim));
            for (x, heads) in [(&q, 4), (&k, 1)] {
                assert_eq!(x.len(), 3 * heads * dim);
            }
            let (mut want_q, mut want_k) = (vec![0.0; q.len()], vec![0.0; k.len()]);
            crate::ops::rope(&q, &positions, dim, &r, &mut want_q);
            crate::ops::rope(&k, &positions, dim, &r, &mut want_k);
            rope(&m, &mut q, &mut k, &positions, dim, &r);
            // Two products of values below 1 with cosines below 1.25, each factor and each of two operations rounded, and
            // the reference's own rounding.
            assert_within(&q, &wide(&want_q), |_| 1.01 * 2.0 * 1.25 * 4.0 * U);
            assert_within(&k, &wide(&want_k), |_| 1.01 * 2.0 * 1.25 * 4.0 * U);
        }
    }
}

#[test]
fn our_sines_agree_with_the_library() {
    for i in 0..100_000 {
        let angle = f64::from(i) * 10.48;
        let ((s, c), (want_s, want_c)) = (rope::sin_cos(angle), angle.sin_cos());
        let bound = 2f64.powi(-50);
        assert!((s - want_s).abs() <= bound && (c - want_c).abs() <= bound, "{angle}: {s} {c}");
    }
}

/// A cache of `n` random positions, and the values in it as f64, row by row.
fn filled(layout: CacheLayout, n: usize, seed: u64) -> (Vec<u8>, Vec<u8>, Vec<f64>, Vec<f64>) {
    let width = layout.heads * layout.dim;
    let (k, v) = (noise(seed, n * width), noise(seed + 1, n * width));
    let (mut keys, mut values) = (vec![0xFF; layout.bytes(n)], vec![0xFF; layout.bytes(n)]);
    for j in 0..n {
        let row = j * width..(j + 1) * width;
        layout.store(j, &k[row.clone()], &v[row], &mut keys, &mut values);
    }
    (keys, values, wide(&k), wide(&v))
}

#[test]
fn attention_stays_within_the_derived_bound() {
    let m = machine();
    for (dim, n) in [(8, 5), (64, 200), (80, 130)] {
        let heads = Heads { q: 4, kv: 2, dim };
        for kind in CacheType::ALL {
            let layout = CacheLayout { kind, heads: 2, dim };
            let (keys, values, k, v) = filled(layout, n, 44);
            let q = noise(46, 4 * dim);
            let (scale, mut y) = (0.3, vec![0.0; 4 * dim]);
            let cache = |_| Cache { keys: &keys, values: &values };
            attention(&m, &q, &[Place { sequence: 0, position: n - 1 }], &cache, layout, heads, scale, &mut y);
            // What the cache's type loses of a value below 1: nothing; half of 2⁻¹¹; half a step of 1/127 and the rounding
            // of the step to 11 bits 127 times.
            let lost = match kind {
                CacheType::F32 => 0.0,
                CacheType::F16 => 2f64.powi(-12),
                CacheType::Q8_0 => 0.5 / 127.0 + 2f64.powi(-11),
            };
            for h in 0..4 {
                let of_head = |x: &[f64]| -> Vec<f64> {
                    x.chunks_exact(2 * dim).flat_map(|row| row[h / 2 * dim..][..dim].to_vec()).collect()
                };
                let q = wide(&q[h * dim..][..dim]);
                let want = oracle::attention(&q, &of_head(&k), &of_head(&v), f64::from(scale));
                // A score is off by dim roundings of at most scale·Σ|q|, and by what was lost of each key; a weight by
                // twice that (its own and the sum's) and by exp's error; then a chain over positions of values below 1.
                let size = f64::from(scale) * q.iter().map(|q| q.abs()).sum::<f64>();
                let score = size * ((dim + 2) as f64 * U + lost);
                let weight = 2.0 * (score + EXP + 2.0 * size * U) + (n + 40) as f64 * U;
                assert_within(&y[h * dim..][..dim], &want, |_| 1.1 * (weight + lost));
            }
        }
    }
}

/// So whatever a type of cache costs a model is the rounding of keys and values: attention itself is that of floats.
#[test]
fn attention_over_any_cache_is_that_over_the_floats_it_holds() {
    let m = machine();
    for (kind, dim) in CacheType::ALL.into_iter().flat_map(|kind| [8, 64, 80].map(|dim| (kind, dim))) {
        let n = 130;
        let held = |x: &[f32]| -> Vec<f32> {
            let head = |x: &[f32]| match kind {
                CacheType::F32 => x.to_vec(),
                CacheType::F16 => x.iter().map(|x| half::f16::from_f32_const(*x).to_f32_const()).collect(),
                CacheType::Q8_0 => x
                    .chunks(32)
                    .flat_map(|x| {
                        let largest = x.iter().fold(0f32, |max, x| max.max(x.abs()));
                        let d = half::f16::from_f32_const(largest / 127.0).to_f32_const();
                        x.iter().map(move |x| d * (x * (1.0 / d)).round_ties_even())
                    })
                    .collect(),
            };
            x.chunks(dim).flat_map(head).collect()
        };
        let attended = |kind, of: &dyn Fn(&[f32]) -> Vec<f32>| {
            let layout = CacheLayout { kind, heads: 2, dim };
            let (mut keys, mut values) = (vec![0xFF; layout.bytes(n)], vec![0xFF; layout.bytes(n)]);
            for j in 0..n {
                let (key, value) = (noise(2 * j as u64, 2 * dim), noise(2 * j as u64 + 1, 2 * dim));
                layout.store(j, &of(&key), &of(&value), &mut keys, &mut values);
            }
            let (q, mut y) = (noise(999, 4 * dim), vec![0.0; 4 * dim]);
            let cache = |_| Cache { keys: &keys, values: &values };
            let place = Place { sequence: 0, position: n - 1 };
            attention(&m, &q, &[place], &cache, layout, Heads { q: 4, kv: 2, dim }, 3.0, &mut y);
            y
        };
        assert_eq!(
            attended(kind, &<[f32]>::to_vec),
            attended(CacheType::F32, &held),
            "{}, {dim} dimensions",
            kind.name()
        );
    }
}

#[test]
fn rows_of_many_sequences_attend_as_if_alone() {
    let heads = Heads { q: 6, kv: 2, dim: 16 };
    for kind in CacheType::ALL {
        let layout = CacheLayout { kind, heads: 2, dim: 16 };
        let caches: Vec<_> = (0..3).map(|s| filled(layout, 150, 50 + 2 * s)).collect();
        let places: Vec<Place> = [(0, 0), (0, 1), (0, 63), (0, 64), (2, 149), (1, 7), (1, 127), (1, 128)]
            .map(|(sequence, position)| Place { sequence, position })
            .to_vec();
        let q = noise(60, places.len() * 96);
        let attend = |threads, q: &[f32], places: &[Place]| {
            let mut y = vec![0.0; q.len()];
            let cache = |s: usize| Cache { keys: &caches[s].0, values: &caches[s].1 };
            attention(&Machine::new(Level::best(), threads), q, places, &cache, layout, heads, 0.25, &mut y);
            y
        };
        let together = attend(3, &q, &places);
        assert!(together.iter().all(|y| y.is_finite()), "stale bytes beyond a position leak");
        for (t, place) in places.iter().enumerate() {
            assert_eq!(together[t * 96..][..96], attend(1, &q[t * 96..][..96], &[*place]));
        }
    }
}

#[test]
fn a_shorter_cache_is_a_prefix_and_stored_values_come_back() {
    let layout = CacheLayout { kind: CacheType::F16, heads: 2, dim: 20 };
    let (keys, values, ..) = filled(layout, 100, 70);
    let (short, short_values, ..) = filled(layout, 65, 70);
    assert_eq!(layout.bytes(65), layout.bytes(128));
    let whole = layout.bytes(64);
    assert_eq!((&keys[..whole], &values[..whole]), (&short[..whole], &short_values[..whole]));
}

#[test]
fn the_largest_value_is_the_first_of_equals_and_never_a_nan() {
    assert_eq!(argmax(&[1.0, f32::NAN, 3.0, 3.0]), 2);
    assert_eq!(argmax(&[f32::NAN]), 0);
}
