//! Every operation of a decoder in f64: the ground truth.
//!
//! These are the equations as a paper writes them, on f64 values, one loop per sum, no shortcut. Nothing here is ever
//! optimised and nothing in the engine calls it: the tests do. An operation in [`ops`](crate::ops) is right when it stays
//! within a *derived* distance of the function of the same name here.
//!
//! The yardstick of those derivations: an f32 operation rounds its result by at most `u·|result|` with
//! `u = 2⁻²⁴`; an f64 sum of n products is off by at most `n·2⁻⁵³·Σ|aᵢbᵢ|`.

/// The unit roundoff of f32: rounding to nearest is off by at most `UNIT_F32 · |result|`.
pub const UNIT_F32: f64 = 1.0 / (1u64 << 24) as f64;
/// The unit roundoff of f64.
pub const UNIT_F64: f64 = 1.0 / (1u64 << 53) as f64;

/// `Σ aᵢ·bᵢ`.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `y[t,o] = Σᵢ w[o,i] · x[t,i]`: every row of `x` against every row of `w`, rows of `n_in` values.
pub fn matmul(w: &[f64], x: &[f64], n_in: usize) -> Vec<f64> {
    let mut y = Vec::new();
    for x in x.chunks_exact(n_in) {
        for w in w.chunks_exact(n_in) {
            y.push(dot(w, x));
        }
    }
    y
}

/// `yᵢ = gainᵢ · xᵢ / √(mean(x²) + ε)` for one row.
pub fn rms_norm(x: &[f64], gain: &[f64], eps: f64) -> Vec<f64> {
    let mean_square = dot(x, x) / x.len() as f64;
    x.iter().zip(gain).map(|(x, g)| g * x / (mean_square + eps).sqrt()).collect()
}

/// `yᵢ = gainᵢ · (xᵢ − mean(x)) / √(var(x) + ε) + biasᵢ` for one row.
pub fn layer_norm(x: &[f64], gain: &[f64], bias: &[f64], eps: f64) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (0..x.len()).map(|i| gain[i] * (x[i] - mean) / (variance + eps).sqrt() + bias[i]).collect()
}

/// `yᵢ = exp(xᵢ − max x) / Σⱼ exp(xⱼ − max x)` for one row. Subtracting the maximum changes nothing but the overflow.
pub fn softmax(x: &[f64]) -> Vec<f64> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = x.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|e| e / sum).collect()
}

/// The pair `(a, b)` turned by `angle` and scaled: `(a cos − b sin, a sin + b cos) · scale`.
pub fn rotate(a: f64, b: f64, angle: f64, scale: f64) -> (f64, f64) {
    let (sin, cos) = angle.sin_cos();
    ((a * cos - b * sin) * scale, (a * sin + b * cos) * scale)
}

/// One query against the keys and values it may see: `Σⱼ softmaxⱼ(q·kⱼ·scale) · vⱼ`; keys and values are rows as long
/// as `q`.
pub fn attention(q: &[f64], keys: &[f64], values: &[f64], scale: f64) -> Vec<f64> {
    let n = q.len();
    let scores: Vec<f64> = keys.chunks_exact(n).map(|k| dot(q, k) * scale).collect();
    let weights = softmax(&scores);
    (0..n).map(|i| weights.iter().zip(values.chunks_exact(n)).map(|(w, v)| w * v[i]).sum()).collect()
}

/// `x · σ(x) = x / (1 + e⁻ˣ)`.
pub fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// The tanh form of GELU: `½x · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`.
pub fn gelu(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    0.5 * x * (1.0 + inner.tanh())
}
