//! Causal grouped-query attention over a cache.
//!
//! ```text
//! score[t,h,j] = scale · Σᵢ q[t,h,i] · k[j,g,i]          j = 0 ..= pos_t,  g = h / (heads / kv_heads)
//! y[t,h,i]     = Σⱼ softmaxⱼ(score[t,h]) · v[j,g,i]
//! ```
//!
//! Several query heads share one key/value head. Scores, softmax and the weighted sum stay f64, each sum in order of its
//! index; one rounding to f32 per element.

/// The shape of multi-head attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub q: usize,
    /// Key/value heads; divides `q`.
    pub kv: usize,
    /// Values per head.
    pub dim: usize,
}

/// Attends from every row of `q` (`heads.q · heads.dim` wide, standing at `positions[t]`) to the cached rows
/// `0 ..= positions[t]` of `k` and `v` (`heads.kv · heads.dim` wide).
pub fn attention(q: &[f32], k: &[f32], v: &[f32], positions: &[u32], heads: Heads, scale: f32, y: &mut [f32]) {
    let Heads { q: n_head, kv: n_kv, dim } = heads;
    assert_eq!((q.len(), y.len()), (positions.len() * n_head * dim, q.len()));
    let longest = positions.iter().max().map_or(0, |&p| p as usize + 1);
    assert!(k.len() >= longest * n_kv * dim && v.len() >= longest * n_kv * dim, "the cache holds the last position");

    let mut weights = vec![0f64; longest];
    let mut sum = vec![0f64; dim];
    for (t, &position) in positions.iter().enumerate() {
        let visible = position as usize + 1;
        for h in 0..n_head {
            let q = &q[(t * n_head + h) * dim..][..dim];
            let group = h / (n_head / n_kv);
            let cached = |j: usize| (j * n_kv + group) * dim..(j * n_kv + group + 1) * dim;

            let mut max = f64::NEG_INFINITY;
            for (j, score) in weights[..visible].iter_mut().enumerate() {
                let mut dot = 0f64;
                for (q, k) in q.iter().zip(&k[cached(j)]) {
                    dot += *q as f64 * *k as f64;
                }
                *score = dot * scale as f64;
                max = max.max(*score);
            }
            let mut total = 0f64;
            for weight in &mut weights[..visible] {
                *weight = (*weight - max).exp();
                total += *weight;
            }
            sum.fill(0.0);
            for (j, weight) in weights[..visible].iter().enumerate() {
                for (sum, v) in sum.iter_mut().zip(&v[cached(j)]) {
                    *sum += weight * *v as f64;
                }
            }
            for (y, sum) in y[(t * n_head + h) * dim..][..dim].iter_mut().zip(&sum) {
                *y = (sum / total) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::oracle::{self, UNIT_F64};

    const HEADS: Heads = Heads { q: 4, kv: 2, dim: 8 };

    fn attend(q: &[f32], k: &[f32], v: &[f32], positions: &[u32]) -> Vec<f32> {
        let mut y = vec![0.0; q.len()];
        attention(q, k, v, positions, HEADS, 0.35, &mut y);
        y
    }

    #[test]
    fn rounds_the_oracle_once() {
        let (q, k, v) = (noise(22, 32), noise(23, 6 * 16), noise(24, 6 * 16));
        let y = attend(&q, &k, &v, &[5]);
        for h in 0..4 {
            let of_head = |cache: &[f32]| -> Vec<f64> {
                wide(cache).chunks_exact(16).flat_map(|row| row[h / 2 * 8..][..8].to_vec()).collect()
            };
            let want = oracle::attention(&wide(&q[h * 8..][..8]), &of_head(&k), &of_head(&v), 0.35f32 as f64);
            // scores below 8·0.35 off by 8 roundings, through exp and two sums of six: far below 1000 roundings
            assert_rounded_once(&y[h * 8..][..8], &want, 1000.0 * UNIT_F64);
        }
    }

    #[test]
    fn the_mask_leaks_nothing_from_the_future() {
        let (q, mut k, mut v) = (noise(25, 3 * 32), noise(26, 8 * 16), noise(27, 8 * 16));
        let before = attend(&q, &k, &v, &[2, 3, 4]);
        k[5 * 16..].fill(f32::NAN);
        v[5 * 16..].fill(f32::NAN);
        assert_eq!(before, attend(&q, &k, &v, &[2, 3, 4]));
        let row = attend(&q[32..64], &k, &v, &[3]);
        assert_eq!(row, before[32..64], "a row in a batch is the row alone");
    }

    #[test]
    fn the_first_token_sees_its_own_value_and_the_rest_stay_within_what_they_see() {
        let (q, k, v) = (noise(28, 32), noise(29, 4 * 16), noise(30, 4 * 16));
        let y = attend(&q, &k, &v, &[0]);
        for h in 0..4 {
            assert_eq!(y[h * 8..][..8], v[h / 2 * 8..][..8]);
        }
        let y = attend(&q, &k, &v, &[3]);
        for h in 0..4 {
            for i in 0..8 {
                let seen: Vec<f32> = (0..4).map(|j| v[j * 16 + h / 2 * 8 + i]).collect();
                let (low, high) = (seen.iter().copied().fold(1.0, f32::min), seen.iter().copied().fold(-1.0, f32::max));
                assert!((low..=high).contains(&y[h * 8 + i]), "an average lies between its terms");
            }
        }
    }
}
