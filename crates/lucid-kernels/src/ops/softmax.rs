//! Softmax: `yᵢ = exp(xᵢ − max x) / Σⱼ exp(xⱼ − max x)` over a row.
//!
//! Exponentials and their sum are f64; one rounding to f32 per element.

/// Replaces every row of `n` values by its softmax.
pub fn softmax(x: &mut [f32], n: usize) {
    for row in x.chunks_exact_mut(n) {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
        let sum: f64 = row.iter().map(|&x| (x as f64 - max).exp()).sum();
        for x in row {
            *x = ((*x as f64 - max).exp() / sum) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::oracle::{self, UNIT_F32, UNIT_F64};

    #[test]
    fn rounds_the_oracle_once() {
        let x: Vec<f32> = noise(17, 100).iter().map(|x| x * 20.0).collect();
        let mut y = x.clone();
        softmax(&mut y, 100);
        assert_rounded_once(&y, &oracle::softmax(&wide(&x)), 100.0 * UNIT_F64);
    }

    #[test]
    fn sums_to_one_keeps_the_order_and_ignores_a_shift() {
        let x: Vec<f32> = (0..50).map(|i| ((i * 29) % 50) as f32 / 4.0).collect(); // exact under the shift below
        let (mut a, mut b) = (x.clone(), x.iter().map(|x| x + 64.0).collect::<Vec<f32>>());
        softmax(&mut a, 50);
        softmax(&mut b, 50);
        assert_eq!(a, b);
        // fifty roundings of values that sum to one
        assert!((wide(&a).iter().sum::<f64>() - 1.0).abs() <= UNIT_F32 + 50.0 * UNIT_F64);
        for i in 0..50 {
            for j in 0..50 {
                assert!(x[i] >= x[j] || a[i] <= a[j]);
            }
        }
    }

    #[test]
    fn survives_what_would_overflow() {
        let mut x = [1e30, -1e30, 1e30, f32::NEG_INFINITY];
        softmax(&mut x, 4);
        assert_eq!(x, [0.5, 0.0, 0.5, 0.0]);
    }
}
