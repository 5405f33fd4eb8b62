//! RMSNorm: `yᵢ = gainᵢ · xᵢ / √(mean(x²) + ε)` over each row.
//!
//! The mean square is one f64 sum in order; one rounding to f32 per element.

use super::f32_at;

/// Normalises every row of `x` into `y`; `gain` is f32 bytes as long as a row.
pub fn rms_norm(x: &[f32], gain: &[u8], eps: f32, y: &mut [f32]) {
    let n = gain.len() / 4;
    assert_eq!((x.len() % n, y.len()), (0, x.len()));
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        let sum: f64 = x.iter().map(|&x| x as f64 * x as f64).sum();
        let inverse = 1.0 / (sum / n as f64 + eps as f64).sqrt();
        for i in 0..n {
            y[i] = (f32_at(gain, i) * (x[i] as f64 * inverse)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::oracle::{self, UNIT_F64};

    #[test]
    fn rounds_the_oracle_once() {
        let n = 96;
        let (x, gain) = (noise(14, 2 * n), noise(15, n));
        let mut y = vec![0.0; 2 * n];
        rms_norm(&x, &bytes(&gain), 1e-5, &mut y);
        for t in 0..2 {
            let want = oracle::rms_norm(&wide(&x[t * n..][..n]), &wide(&gain), 1e-5f32 as f64);
            // a positive sum of n terms is off by n·u₆₄ of itself, and |y| ≤ √n
            assert_rounded_once(&y[t * n..][..n], &want, 2.0 * n as f64 * (n as f64).sqrt() * UNIT_F64);
        }
    }

    #[test]
    fn the_result_has_mean_square_one_and_ignores_the_scale_of_its_input() {
        let n = 128;
        let x = noise(16, n);
        let gain = bytes(&vec![1.0; n]);
        let (mut y, mut z) = (vec![0.0; n], vec![0.0; n]);
        rms_norm(&x, &gain, 0.0, &mut y);
        rms_norm(&x.iter().map(|x| x * 1024.0).collect::<Vec<_>>(), &gain, 0.0, &mut z);
        assert_eq!(y, z, "scaling by a power of two is exact");
        let y = wide(&y);
        assert!((oracle::dot(&y, &y) / n as f64 - 1.0).abs() <= 3.0 * oracle::UNIT_F32);
    }
}
