//! Addition: `y = x + y'`, the residual stream; and `y[t,i] = x[t,i] + bias[i]`.
//!
//! One rounding to f32 per element: there is no sum to accumulate.

use super::f32_at;

/// `xᵢ += yᵢ`.
pub fn add(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len());
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// Adds `bias` (f32 bytes) to every row of `x`.
pub fn add_bias(x: &mut [f32], bias: &[u8]) {
    let n = bias.len() / 4;
    assert_eq!(x.len() % n.max(1), 0);
    for row in x.chunks_exact_mut(n.max(1)) {
        for (i, x) in row.iter_mut().enumerate() {
            *x = (*x as f64 + f32_at(bias, i)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn both_forms_round_once() {
        let (a, b) = (noise(1, 64), noise(2, 64));
        let want: Vec<f64> = a.iter().zip(&b).map(|(&a, &b)| a as f64 + b as f64).collect();
        let (mut x, mut y) = (a.clone(), a.clone());
        add(&mut x, &b);
        add_bias(&mut y, &bytes(&b));
        assert_rounded_once(&x, &want, 0.0);
        assert_eq!(x, y, "a bias of a whole row is an addition");
    }

    #[test]
    fn a_bias_meets_every_row() {
        let mut x = vec![0.0; 6];
        add_bias(&mut x, &bytes(&[1.0, 2.0, 3.0]));
        assert_eq!(x, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    }
}
