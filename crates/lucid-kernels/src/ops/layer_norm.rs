//! LayerNorm: `yᵢ = gainᵢ · (xᵢ − mean(x)) / √(var(x) + ε) + biasᵢ` over each row.
//!
//! Mean and variance are f64 sums in two passes (one pass would cancel); one rounding to f32 per element.

use super::f32_at;

/// Normalises every row of `x` into `y`; `gain` and `bias` are f32 bytes as long as a row.
pub fn layer_norm(x: &[f32], gain: &[u8], bias: &[u8], eps: f32, y: &mut [f32]) {
    let n = gain.len() / 4;
    assert_eq!((x.len() % n, bias.len(), y.len()), (0, gain.len(), x.len()));
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        let mean = x.iter().map(|&x| x as f64).sum::<f64>() / n as f64;
        let variance = x.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / n as f64;
        let inverse = 1.0 / (variance + eps as f64).sqrt();
        for i in 0..n {
            y[i] = (f32_at(gain, i) * (x[i] as f64 - mean) * inverse + f32_at(bias, i)) as f32;
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
        let (x, gain, bias) = (noise(7, n), noise(8, n), noise(9, n));
        let mut y = vec![0.0; n];
        layer_norm(&x, &bytes(&gain), &bytes(&bias), 1e-5, &mut y);
        let want = oracle::layer_norm(&wide(&x), &wide(&gain), &wide(&bias), 1e-5f32 as f64);
        // mean and variance are f64 sums of n terms; a unit-variance row amplifies them by at most √n
        assert_rounded_once(&y, &want, 4.0 * n as f64 * (n as f64).sqrt() * UNIT_F64);
    }

    #[test]
    fn a_shift_of_the_row_changes_nothing_and_the_result_has_mean_zero_and_variance_one() {
        let n = 64;
        let x: Vec<f32> = (0..n).map(|i| ((i * 37) % 64) as f32).collect(); // integers: shifting is exact
        let shifted: Vec<f32> = x.iter().map(|x| x + 1024.0).collect();
        let (gain, bias) = (bytes(&vec![1.0; n]), bytes(&vec![0.0; n]));
        let (mut a, mut b) = (vec![0.0; n], vec![0.0; n]);
        layer_norm(&x, &gain, &bias, 0.0, &mut a);
        layer_norm(&shifted, &gain, &bias, 0.0, &mut b);
        assert_eq!(a, b);
        let a = wide(&a);
        // n rounded values of magnitude below √n: each off by u·√n at most
        let bound = (n as f64).sqrt() * oracle::UNIT_F32;
        assert!((a.iter().sum::<f64>() / n as f64).abs() <= bound);
        assert!((oracle::dot(&a, &a) / n as f64 - 1.0).abs() <= 2.0 * bound);
    }
}
