//! Matrix product: `y[t,o] = Σᵢ w[o,i] · x[t,i]`, weights in any format, activations f32.
//!
//! Each weight row is decoded to f32 (exact by the format's definition), each product is exact in f64 (24 + 24 bits), and
//! the sum runs over i in order in one f64 accumulator. One rounding to f32 at the end:
//! `|y − exact| ≤ u₃₂·|y| + n·u₆₄·Σ|wᵢxᵢ|`.

use crate::formats::Format;

/// Multiplies every row of `x` (`n_in` values) by every row of `w`; `y` has one row of `w`'s row count per row of `x`.
pub fn matmul(format: Format, w: &[u8], x: &[f32], n_in: usize, y: &mut [f32]) {
    let row_bytes = format.row_bytes(n_in).expect("rows are whole blocks");
    let n_out = w.len() / row_bytes.max(1);
    assert_eq!(x.len() / n_in * n_out, y.len());
    let mut row = vec![0f32; n_in];
    for (o, w) in w.chunks_exact(row_bytes).enumerate() {
        format.decode(w, &mut row);
        for (t, x) in x.chunks_exact(n_in).enumerate() {
            let mut sum = 0f64;
            for (w, x) in row.iter().zip(x) {
                sum += *w as f64 * *x as f64;
            }
            y[t * n_out + o] = sum as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{
        formats::testing::random_rows,
        oracle::{self, UNIT_F64},
    };

    #[test]
    fn stays_within_the_derived_bound_in_every_format() {
        for &format in Format::ALL.iter().filter(|f| f.is_weight()) {
            let (n_in, n_out, rows) = (format.block_len() * 3, 5, 3);
            let stored = random_rows(format, n_in, n_out);
            let mut w = vec![0.0; n_in * n_out];
            format.decode(&stored, &mut w);
            let (w, x) = (wide(&w), noise(11, n_in * rows));
            let mut y = vec![0.0; n_out * rows];
            matmul(format, &stored, &x, n_in, &mut y);
            let exact = oracle::matmul(&w, &wide(&x), n_in);
            for (i, (&got, &want)) in y.iter().zip(&exact).enumerate() {
                let (w, x) = (&w[i % n_out * n_in..][..n_in], &x[i / n_out * n_in..][..n_in]);
                let absolute: f64 = w.iter().zip(x).map(|(w, &x)| (w * x as f64).abs()).sum();
                assert_rounded_once(&[got], &[want], n_in as f64 * UNIT_F64 * absolute);
            }
        }
    }

    #[test]
    fn a_row_in_a_batch_is_the_row_alone_and_the_product_is_linear() {
        let (n_in, n_out) = (64, 5);
        let w = bytes(&noise(12, n_in * n_out));
        let x = noise(13, n_in * 4);
        let mut batch = vec![0.0; 4 * n_out];
        matmul(Format::F32, &w, &x, n_in, &mut batch);
        for t in 0..4 {
            let mut alone = vec![0.0; n_out];
            matmul(Format::F32, &w, &x[t * n_in..][..n_in], n_in, &mut alone);
            assert_eq!(alone, batch[t * n_out..][..n_out]);
        }
        let doubled: Vec<f32> = x.iter().map(|x| 2.0 * x).collect();
        let mut twice = vec![0.0; 4 * n_out];
        matmul(Format::F32, &w, &doubled, n_in, &mut twice);
        assert!(batch.iter().zip(&twice).all(|(a, b)| 2.0 * a == *b), "scaling by two is exact");
    }
}
