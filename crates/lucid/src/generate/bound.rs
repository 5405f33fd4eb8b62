//! How far rounding can put a logit off.
//!
//! Each operation puts each value off by at most `u` of itself: 2⁻²⁴ where values are stored as f32, and what the backend
//! says where it rounds more (`Backend::rounding`: eight-bit activations, a cache in f16). On the way from an
//! embedding to a logit stand, at most, `K` operations one after the other:
//!
//! ```text
//! per layer:  rms_norm, k (or v), its bias, rope, attention, output, its bias, add,          attention: 8
//!             rms_norm, up (or gate), its bias, silu_mul, down, its bias, add                feed-forward: 7
//! at the end: rms_norm, output                                                               2
//! K = 15 · layers + 2
//! |logit − exact logit| ≤ K · u · max |logit|       to first order
//! ```
//!
//! This holds as long as no operation passes on a larger relative error than it receives, which is what normalisation makes
//! of a layer but nothing guarantees: it flags a close call for a person, and proves nothing. Against logits computed in f64
//! it is met twenty times over (`tests/generate.rs`).

/// Operations that round, per layer and at the end.
const PER_LAYER: usize = 15;
const AT_THE_END: usize = 2;

/// The bound for these logits of a model with so many layers, whose operations each round by `unit`. The difference of two logits may be off by twice as much.
pub fn logit_bound(layers: usize, unit: f32, logits: &[f32]) -> f32 {
    let max = logits.iter().filter(|l| l.is_finite()).fold(0.0f32, |max, l| max.max(l.abs()));
    (PER_LAYER * layers + AT_THE_END) as f32 * unit * max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_depth_and_size() {
        let u = 2f32.powi(-24);
        assert_eq!(logit_bound(0, u, &[1.0, -4.0, f32::NEG_INFINITY]), 8.0 * u);
        assert_eq!(logit_bound(2, u, &[1.0]), 32.0 * u);
        assert_eq!(logit_bound(2, u, &[]), 0.0);
    }
}
