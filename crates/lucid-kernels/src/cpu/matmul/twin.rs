//! The definition, to the bit, of one element of a matrix product: a row of weights against a row of activations.
//!
//! These are plain loops for reading and for tests. Every kernel must give exactly this number.

use super::{Activations, prepare::SMALLEST};
use crate::formats::{
    Format,
    unpack::{Unpack, plain, with_unpack},
};

/// One element.
pub(in super::super) fn dot(format: Format, w: &[u8], x: &[f32], activations: Activations) -> f32 {
    match activations {
        Activations::Rounded => with_unpack!(format, B => dot_of_integers::<B>(w, x), else dot_of_floats(format, w, x)),
        Activations::Exact => dot_of_floats(format, w, x),
    }
}

/// Floats: sixteen partial sums, element i in sum i mod 16, each product fused with its addition.
fn dot_of_floats(format: Format, w: &[u8], x: &[f32]) -> f32 {
    let mut weights = vec![0.0; x.len()];
    format.decode(w, &mut weights);
    let mut p = [0f32; 16];
    for (i, (w, x)) in weights.iter().zip(x).enumerate() {
        p[i % 16] = w.mul_add(*x, p[i % 16]);
    }
    total(p)
}

/// Integers: sixteen partial sums, block b in sum b mod 16.
///
/// A block is 32 values, one group or two. Its groups' integer sums are exact; each enters the partial sum through its scale,
/// rounded once with the activations' own scale, and one fused multiply-add; the minima then likewise.
fn dot_of_integers<B: Unpack>(w: &[u8], x: &[f32]) -> f32 {
    let [codes, scales, mins] = &parts::<B>(w);
    let mut p = [0f32; 16];
    for (b, x) in x.chunks_exact(32).enumerate() {
        let (d, q) = quantize(x.try_into().expect("32 values"));
        let p = &mut p[b % 16];
        for g in 0..32 / B::GROUP {
            let (q, at) = (&q[g * B::GROUP..][..B::GROUP], b * 32 + g * B::GROUP);
            let codes = &codes[at..at + B::GROUP];
            let sum: i32 = codes.iter().zip(q).map(|(&u, &q)| (u as i32 - i32::from(B::OFFSET)) * i32::from(q)).sum();
            *p = (scales[at / B::GROUP] * d).mul_add(sum as f32, *p);
        }
        if B::MINS {
            for g in 0..32 / B::GROUP {
                let q = &q[g * B::GROUP..][..B::GROUP];
                let sum: i32 = q.iter().map(|&q| i32::from(q)).sum();
                *p = mins[b * 32 / B::GROUP + g].mul_add(d * sum as f32, *p);
            }
        }
    }
    total(p)
}

/// The codes, scales and minima of a row.
pub(in super::super) fn parts<B: Unpack>(w: &[u8]) -> [Vec<f32>; 3] {
    let mut whole = w.to_vec();
    whole.resize(w.len().next_multiple_of(B::ROUND_BYTES), 0);
    let (mut codes, mut scales, mut mins) = (Vec::new(), Vec::new(), Vec::new());
    for round in whole.chunks_exact(B::ROUND_BYTES) {
        let parts = plain::<B>(round);
        codes.extend(parts.0.into_iter().map(f32::from));
        scales.extend(parts.1);
        mins.extend(parts.2);
    }
    [codes, scales, mins]
}

/// ((0 + p₀) + p₁) + … + p₁₅; any NaN becomes one NaN. The zero makes the sign of a zero in p irrelevant, so that a kernel
/// may add blocks of zeros.
fn total(p: [f32; 16]) -> f32 {
    let y = p.iter().fold(0.0, |y, p| y + p);
    if y.is_nan() { f32::from_bits(0x7FC0_0000) } else { y }
}

/// 32 activations as whole numbers of −127 ..= 127 and their scale, a/127 for the largest magnitude a: `x ≈ d · q`.
///
/// Two ends of the range are cut off. A block with an infinity or a NaN has the scale NaN and so makes its sums NaN. A block
/// below 2⁻¹²⁰, where 127/a is no f32 any more, is zero.
fn quantize(x: &[f32; 32]) -> (f32, [i8; 32]) {
    let largest = x.iter().fold(0, |max, x| max.max(x.to_bits() & 0x7FFF_FFFF));
    if largest >= 0x7F80_0000 {
        return (f32::NAN, [0; 32]);
    }
    let largest = f32::from_bits(largest);
    if largest < SMALLEST {
        return (0.0, [0; 32]);
    }
    let inverse = 127.0 / largest;
    (largest / 127.0, x.map(|x| (x * inverse).round_ties_even() as i8))
}
