//! Rotary position embedding: each pair of a head's values turns by an angle proportional to the token's position.
//!
//! ```text
//! angle(t, i) = pos_t · freqᵢ
//! (a, b) → (a cos − b sin, a sin + b cos) · scale        for the i-th pair (a, b) of every head
//! ```
//!
//! Two layouts of pairs exist in files: neighbours (GGUF's `llama`) and halves (Hugging Face). Which one a model has is a
//! value, [`Pairs`]; the weights stay as they lie. The *result* is always written in halves, so that everything after the
//! rotation (the cache, the attention dot product and its order of summation) is the same for both: the GGUF and the
//! safetensors of one model give identical bits.
//!
//! Angle, sine and cosine are f64; one rounding to f32 per element.

/// Where the two values of a rotated pair lie within the rotated part of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// `(0, 1), (2, 3), …`: GGUF's `llama` architecture.
    Neighbours,
    /// `(0, d/2), (1, d/2 + 1), …`: Hugging Face.
    Halves,
}

/// How the heads of one sequence turn: fixed when the sequence begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    /// The layout of pairs in the input.
    pub pairs: Pairs,
    /// Radians per position, one per pair: f32, as a model is trained with. `2 · len` is the rotated part of a head; the
    /// rest passes unchanged.
    pub freqs: Vec<f32>,
    /// Multiplies the rotated values (YaRN's attention factor; otherwise 1).
    pub scale: f32,
}

/// Rotates every head of every row of `x` into `y`; row `t` stands at `positions[t]`.
pub fn rope(x: &[f32], positions: &[u32], head_dim: usize, rotation: &Rotation, y: &mut [f32]) {
    let half = rotation.freqs.len();
    assert!(2 * half <= head_dim && x.len() == y.len());
    let width = x.len() / positions.len().max(1);
    for (t, &position) in positions.iter().enumerate() {
        let row = t * width..(t + 1) * width;
        for (x, y) in x[row.clone()].chunks_exact(head_dim).zip(y[row].chunks_exact_mut(head_dim)) {
            for (i, freq) in rotation.freqs.iter().enumerate() {
                let (a, b) = match rotation.pairs {
                    Pairs::Neighbours => (x[2 * i], x[2 * i + 1]),
                    Pairs::Halves => (x[i], x[i + half]),
                };
                let (a, b) = (a as f64, b as f64);
                let (sin, cos) = (position as f64 * *freq as f64).sin_cos();
                y[i] = ((a * cos - b * sin) * rotation.scale as f64) as f32;
                y[i + half] = ((a * sin + b * cos) * rotation.scale as f64) as f32;
            }
            y[2 * half..].copy_from_slice(&x[2 * half..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::oracle::{self, UNIT_F32, UNIT_F64};

    fn rotation(pairs: Pairs) -> Rotation {
        Rotation { pairs, freqs: (0..8).map(|i| 10000f32.powf(-i as f32 / 8.0)).collect(), scale: 1.0 }
    }

    /// The same head with its pairs as halves.
    fn halves(x: &[f32]) -> Vec<f32> {
        x.iter().step_by(2).chain(x.iter().skip(1).step_by(2)).copied().collect()
    }

    #[test]
    fn rounds_the_oracle_once() {
        let x = noise(18, 20);
        let mut r = rotation(Pairs::Halves);
        r.scale = 1.25;
        let mut y = vec![0.0; 20];
        rope(&x, &[977], 20, &r, &mut y);
        let mut want = wide(&x);
        for i in 0..8 {
            (want[i], want[i + 8]) = oracle::rotate(x[i] as f64, x[i + 8] as f64, 977.0 * r.freqs[i] as f64, 1.25);
        }
        assert_rounded_once(&y, &want, 8.0 * UNIT_F64);
        assert_eq!(y[16..], x[16..], "what is not rotated passes unchanged");
    }

    #[test]
    fn both_layouts_of_one_head_give_the_same_bits() {
        let x = noise(19, 16);
        let (mut a, mut b) = (vec![0.0; 16], vec![0.0; 16]);
        rope(&x, &[41], 16, &rotation(Pairs::Neighbours), &mut a);
        rope(&halves(&x), &[41], 16, &rotation(Pairs::Halves), &mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn keeps_norms_and_depends_on_relative_position_only() {
        let (q, k) = (noise(20, 16), noise(21, 16));
        let r = rotation(Pairs::Halves);
        let turned = |x: &[f32], at: u32| {
            let mut y = vec![0.0; 16];
            rope(x, &[at], 16, &r, &mut y);
            wide(&y)
        };
        let norm = |x: &[f64]| oracle::dot(x, x);
        // each of 16 values below √2 is rounded once: the squares move by 2·2·u each at most
        let bound = 16.0 * 4.0 * UNIT_F32;
        assert!((norm(&turned(&q, 123)) - norm(&wide(&q))).abs() <= bound);
        let near = oracle::dot(&turned(&q, 12), &turned(&k, 5));
        let far = oracle::dot(&turned(&q, 507), &turned(&k, 500));
        assert!((near - far).abs() <= 2.0 * bound, "{near} and {far} are seven positions apart both");
        assert_eq!(turned(&q, 0), wide(&q), "position zero turns nothing");
    }
}
