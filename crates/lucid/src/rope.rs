//! How fast each pair of a head turns: RoPE frequencies and the ways to stretch them over longer contexts.
//!
//! ```text
//! default   freqᵢ = base^(−2i/d)                                   i = 0 .. d/2
//! linear    freqᵢ / factor                                         positions squeezed
//! dynamic   base′ = base · (factor·n/n₀ − (factor−1))^(d/(d−2))    for a context n longer than the original n₀
//! yarn      fast pairs as they are, slow ones / factor, a ramp between; the rotated values scaled by 0.1 ln factor + 1
//! llama3    wavelengths below n₀/high as they are, above n₀/low / factor, blended between
//! ```
//!
//! **Invariant.** The frequencies of a sequence are computed once, from the context length chosen for it, before its first
//! token. So cutting a prompt into pieces cannot change them. PyTorch's dynamic scaling recomputes them whenever a longer
//! input arrives, which makes its logits depend on how the text was cut: within the original length both agree; beyond it
//! they agree for one pass over exactly the context length.
//!
//! Everything here is f32 arithmetic in the order that PyTorch uses, because that is what the weights were trained with.

use crate::{Error, ErrorKind, Result};
use lucid_kernels::ops::{Pairs, Rotation};

/// How a model turns its heads.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The layout of pairs in this container.
    pub pairs: Pairs,
    /// How many values of each head turn; even.
    pub dims: usize,
    /// The base of the frequencies.
    pub base: f32,
    /// How they are stretched.
    pub scaling: Scaling,
    /// Divides each frequency: GGUF's `rope_freqs` tensor.
    pub divisors: Option<Vec<f32>>,
}

/// How frequencies are stretched over a longer context than the model was first trained for.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// Not at all.
    None,
    /// Every frequency divided by a factor.
    Linear {
        /// How much longer the context becomes.
        factor: f32,
    },
    /// A larger base for contexts longer than the original.
    Dynamic {
        /// How much longer the context may become.
        factor: f32,
        /// The context length of training.
        original: usize,
    },
    /// By parts: slow pairs stretched, fast ones not.
    Yarn {
        /// How much longer the context becomes.
        factor: f32,
        /// The context length of training.
        original: usize,
        /// Multiplies the rotated values.
        attention: f32,
        /// Pairs that turn at least this often over the original context stay as they are.
        beta_fast: f64,
        /// Pairs that turn at most this often are stretched by the whole factor.
        beta_slow: f64,
        /// Whether the ends of the ramp are rounded outwards to whole pairs.
        truncate: bool,
    },
    /// By wavelength, as Llama 3.1 does.
    Llama3 {
        /// How much longer the context becomes.
        factor: f32,
        /// Wavelengths above `original / low` are stretched by the whole factor.
        low: f32,
        /// Wavelengths below `original / high` stay as they are.
        high: f32,
        /// The context length of training.
        original: usize,
    },
}

/// YaRN's attention factor for a stretch: `0.1 · m · ln(factor) + 1`.
pub fn yarn_attention(factor: f64, m: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 }
}

impl Rope {
    /// What is wrong with these values, if anything, for heads of `head_dim`.
    pub fn check(&self, head_dim: usize) -> std::result::Result<(), String> {
        let positive = |name: &str, v: f32| match v.is_finite() && v > 0.0 {
            true => Ok(()),
            false => Err(format!("the RoPE {name} {v} is not a positive number")),
        };
        if self.dims == 0 || !self.dims.is_multiple_of(2) || self.dims > head_dim {
            return Err(format!(
                "the RoPE dimension {} is not an even number up to the head dimension {head_dim}",
                self.dims
            ));
        }
        positive("base", self.base)?;
        match self.scaling {
            Scaling::None => {}
            Scaling::Linear { factor } => positive("scaling factor", factor)?,
            Scaling::Dynamic { factor, original } => {
                positive("scaling factor", factor)?;
                if original == 0 || self.dims <= 2 {
                    return Err("dynamic RoPE scaling needs an original context length and more than one pair".into());
                }
            }
            Scaling::Yarn { factor, original, attention, beta_fast, beta_slow, .. } => {
                positive("scaling factor", factor)?;
                positive("attention factor", attention)?;
                positive("beta_fast", beta_fast as f32)?;
                positive("beta_slow", beta_slow as f32)?;
                if original == 0 || self.base == 1.0 {
                    return Err("YaRN needs an original context length and a base other than 1".into());
                }
            }
            Scaling::Llama3 { factor, low, high, original } => {
                positive("scaling factor", factor)?;
                positive("low_freq_factor", low)?;
                if !(high.is_finite() && high > low) || original == 0 {
                    return Err(format!(
                        "llama3 RoPE scaling needs low_freq_factor {low} < high_freq_factor {high} and an original context length"
                    ));
                }
            }
        }
        match &self.divisors {
            Some(d) if d.len() != self.dims / 2 => {
                Err(format!("rope_freqs has {} values for {} pairs", d.len(), self.dims / 2))
            }
            Some(d) => d.iter().try_for_each(|&v| positive("rope_freqs value", v)),
            None => Ok(()),
        }
    }

    /// The rotation of a sequence that may grow to `context` tokens. Call [`Rope::check`] first.
    pub fn rotation(&self, context: usize) -> Result<Rotation> {
        let d = self.dims as f32;
        let mut base = self.base;
        if let Scaling::Dynamic { factor, original } = self.scaling
            && context > original
        {
            // Python evaluates this in f64 before the base meets f32 values
            let stretch = factor as f64 * context as f64 / original as f64 - (factor as f64 - 1.0);
            base = (base as f64 * stretch.powf(self.dims as f64 / (self.dims as f64 - 2.0))) as f32;
        }
        let mut freqs: Vec<f32> = (0..self.dims / 2).map(|i| 1.0 / base.powf(2.0 * i as f32 / d)).collect();
        let mut scale = 1.0;
        match self.scaling {
            Scaling::None | Scaling::Dynamic { .. } => {}
            Scaling::Linear { factor } => freqs.iter_mut().for_each(|f| *f /= factor),
            Scaling::Yarn { factor, original, attention, beta_fast, beta_slow, truncate } => {
                scale = attention;
                let ramp = self.yarn_ramp(original, beta_fast, beta_slow, truncate);
                for (i, f) in freqs.iter_mut().enumerate() {
                    let stretched = 1.0 / (factor * base.powf(2.0 * i as f32 / d));
                    let keep = 1.0 - ramp(i);
                    *f = stretched * (1.0 - keep) + *f * keep;
                }
            }
            Scaling::Llama3 { factor, low, high, original } => {
                let original = original as f32;
                for f in &mut freqs {
                    let wavelength = std::f32::consts::TAU / *f;
                    if wavelength > original / low {
                        *f /= factor;
                    } else if wavelength >= original / high {
                        let smooth = (original / wavelength - low) / (high - low);
                        *f = (1.0 - smooth) * *f / factor + smooth * *f;
                    }
                }
            }
        }
        if let Some(divisors) = &self.divisors {
            freqs.iter_mut().zip(divisors).for_each(|(f, d)| *f /= d);
        }
        if freqs.iter().any(|f| !f.is_finite()) {
            let what = format!("a context of {context} tokens is too long for this model's RoPE scaling");
            return Err(Error::new(ErrorKind::Request, what));
        }
        Ok(Rotation { pairs: self.pairs, freqs, scale })
    }

    /// How far pair `i` is along YaRN's ramp from "as it is" (0) to "stretched" (1).
    fn yarn_ramp(&self, original: usize, fast: f64, slow: f64, truncate: bool) -> impl Fn(usize) -> f32 + use<> {
        // the pair, as a real number, that turns `n` times over the original context
        let (d, base) = (self.dims as f64, self.base as f64);
        let pair = |n: f64| d * (original as f64 / (n * std::f64::consts::TAU)).ln() / (2.0 * base.ln());
        let (mut low, mut high) = (pair(fast), pair(slow));
        if truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0), high.min(d - 1.0));
        if low == high {
            high += 0.001;
        }
        move |i| ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(scaling: Scaling) -> Rope {
        Rope { pairs: Pairs::Halves, dims: 128, base: 10000.0, scaling, divisors: None }
    }

    #[test]
    fn stretching_by_one_changes_nothing() {
        let plain = rope(Scaling::None).rotation(4096).unwrap();
        let yarn = |attention| Scaling::Yarn {
            factor: 1.0,
            original: 4096,
            attention,
            beta_fast: 32.0,
            beta_slow: 1.0,
            truncate: true,
        };
        let llama3 = Scaling::Llama3 { factor: 1.0, low: 1.0, high: 4.0, original: 4096 };
        for scaling in [Scaling::Linear { factor: 1.0 }, yarn(1.0), llama3] {
            let other = rope(scaling.clone()).rotation(4096).unwrap();
            for (a, b) in other.freqs.iter().zip(&plain.freqs) {
                // three f32 roundings at most, in the blends
                assert!((a - b).abs() <= 3.0 * f32::EPSILON * b, "{scaling:?}: {a} against {b}");
            }
        }
        assert_eq!(yarn_attention(1.0, 1.0), 1.0);
    }

    #[test]
    fn dynamic_scaling_begins_beyond_the_original_length() {
        let dynamic = rope(Scaling::Dynamic { factor: 4.0, original: 2048 });
        assert_eq!(dynamic.rotation(2048).unwrap(), rope(Scaling::None).rotation(2048).unwrap());
        let longer = dynamic.rotation(4096).unwrap().freqs;
        let plain = rope(Scaling::None).rotation(1).unwrap().freqs;
        assert_eq!(longer[0], 1.0, "the fastest pair never changes");
        assert!(longer.iter().zip(&plain).skip(1).all(|(a, b)| a < b));
    }

    #[test]
    fn divisors_divide() {
        let mut r = rope(Scaling::None);
        r.divisors = Some(vec![2.0; 64]);
        let plain = rope(Scaling::None).rotation(10).unwrap().freqs;
        assert!(r.rotation(10).unwrap().freqs.iter().zip(plain).all(|(a, b)| *a == b / 2.0));
    }

    #[test]
    fn impossible_values_are_named() {
        let check = |change: &dyn Fn(&mut Rope)| {
            let mut r = rope(Scaling::None);
            change(&mut r);
            r.check(128).unwrap_err()
        };
        assert!(check(&|r| r.dims = 63).contains("63 is not an even number up to the head dimension 128"));
        assert!(check(&|r| r.dims = 130).contains("130 is not"));
        assert!(check(&|r| r.dims = 0).contains("0 is not"));
        assert!(check(&|r| r.base = f32::NAN).contains("base NaN"));
        assert!(check(&|r| r.scaling = Scaling::Linear { factor: 0.0 }).contains("factor 0"));
        assert!(check(&|r| r.divisors = Some(vec![1.0; 3])).contains("3 values for 64 pairs"));
        assert!(check(&|r| r.divisors = Some(vec![-1.0; 64])).contains("-1"));
        assert!(rope(Scaling::None).check(128).is_ok());
        let overflow = rope(Scaling::Dynamic { factor: f32::MAX, original: 1 });
        assert!(
            overflow.check(128).is_ok()
                && overflow.rotation(usize::MAX).is_ok_and(|r| r.freqs.iter().all(|f| f.is_finite()))
        );
    }
}
