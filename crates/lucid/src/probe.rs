//! Named intermediates: record them in two runs, compare tensor by tensor, find the first divergence.
//!
//! A model taps its intermediates under fixed names (`attn_out`, `ffn_out`, …). Two backends, two files or two versions of
//! one kernel agree when their records do; where they do not, the *first* tap that leaves its tolerance says where to look.

use crate::{Error, ErrorKind, Result};
use std::fmt;

/// One recorded intermediate.
#[derive(Clone, Debug, PartialEq)]
pub struct Tap {
    /// The name the model gives it.
    pub name: &'static str,
    /// The layer it belongs to, if any.
    pub layer: Option<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
    /// Values per row.
    pub width: usize,
}

/// The intermediates of a run, in the order they were computed.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// What was recorded.
    pub taps: Vec<Tap>,
}

/// How far two recordings of one intermediate are apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The name of the tap.
    pub name: &'static str,
    /// Its layer.
    pub layer: Option<usize>,
    /// `Σ(a−b)² / Σb²`; 0 when both are zero, NaN when either holds a NaN or infinity the other has not.
    pub nmse: f64,
    /// The largest `|a − b|`.
    pub largest: f64,
    /// Where the largest difference is: row and column.
    pub at: (usize, usize),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(il) => write!(f, "layer {il} {}", self.name)?,
            None => write!(f, "{}", self.name)?,
        }
        let (row, column) = self.at;
        write!(f, ": NMSE {:.3e}, largest difference {:.3e} at row {row}, column {column}", self.nmse, self.largest)
    }
}

impl Probe {
    /// Adds an intermediate of rows `width` wide.
    pub fn record(&mut self, name: &'static str, layer: Option<usize>, values: Vec<f32>, width: usize) {
        self.taps.push(Tap { name, layer, values, width });
    }

    /// The recording of a name in a layer; the first, if there are several.
    pub fn get(&self, name: &str, layer: Option<usize>) -> Option<&Tap> {
        self.taps.iter().find(|t| t.name == name && t.layer == layer)
    }

    /// Compares every tap with the one of the same place in `expected`, in order. Runs that tapped other names or sizes
    /// cannot be compared.
    pub fn compare(&self, expected: &Probe) -> Result<Vec<Difference>> {
        let refuse = |what: String| Error::new(ErrorKind::Shape, what);
        if self.taps.len() != expected.taps.len() {
            let (a, b) = (self.taps.len(), expected.taps.len());
            return Err(refuse(format!("the runs cannot be compared: {a} taps against {b}")));
        }
        let pairs = self.taps.iter().zip(&expected.taps);
        pairs
            .map(|(a, b)| {
                if (a.name, a.layer, a.width, a.values.len()) != (b.name, b.layer, b.width, b.values.len()) {
                    let side = |t: &Tap| format!("{} (layer {:?}, {} values)", t.name, t.layer, t.values.len());
                    return Err(refuse(format!("the runs cannot be compared: {} meets {}", side(a), side(b))));
                }
                Ok(difference(a, b))
            })
            .collect()
    }

    /// The first tap whose NMSE against `expected` is above `nmse` (NaN counts as above).
    pub fn first_divergence(&self, expected: &Probe, nmse: f64) -> Result<Option<Difference>> {
        Ok(self.compare(expected)?.into_iter().find(|d| d.nmse.is_nan() || d.nmse > nmse))
    }
}

fn difference(a: &Tap, b: &Tap) -> Difference {
    let (mut error, mut power, mut largest, mut at) = (0f64, 0f64, 0f64, 0);
    for (i, (&x, &y)) in a.values.iter().zip(&b.values).enumerate() {
        if x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()) {
            // equal, infinities and NaN too
            power += if y.is_finite() { y as f64 * y as f64 } else { 0.0 };
            continue;
        }
        let d = (x as f64 - y as f64).abs();
        error += d * d;
        power += y as f64 * y as f64;
        if d > largest || d.is_nan() {
            (largest, at) = (d, i);
        }
    }
    let nmse = if error == 0.0 { 0.0 } else { error / power };
    let width = a.width.max(1);
    Difference { name: a.name, layer: a.layer, nmse, largest, at: (at / width, at % width) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(values: [f32; 4]) -> Probe {
        let mut probe = Probe::default();
        probe.record("embd", None, vec![1.0, 2.0], 2);
        probe.record("ffn_out", Some(3), values.to_vec(), 2);
        probe
    }

    #[test]
    fn the_first_divergence_is_named_and_placed() {
        let (a, b) = (run([1.0, 2.0, 3.5, 4.0]), run([1.0, 2.0, 3.0, 4.0]));
        let d = a.first_divergence(&b, 1e-6).unwrap().unwrap();
        assert_eq!((d.nmse, d.largest, d.at), (0.25 / 30.0, 0.5, (1, 0)));
        assert_eq!(d.to_string(), "layer 3 ffn_out: NMSE 8.333e-3, largest difference 5.000e-1 at row 1, column 0");
        assert_eq!(a.first_divergence(&b, 0.01).unwrap(), None);
        assert_eq!(a.first_divergence(&a, 0.0).unwrap(), None);
        assert_eq!(a.get("ffn_out", Some(3)).unwrap().values[2], 3.5);
    }

    #[test]
    fn nan_and_infinity_never_pass_for_agreement() {
        let good = run([1.0; 4]);
        for bad in [f32::NAN, f32::INFINITY] {
            let bad = run([1.0, bad, 1.0, 1.0]);
            assert!(bad.first_divergence(&good, 1e9).unwrap().is_some());
            assert!(good.first_divergence(&bad, 1e9).unwrap().is_some());
            assert!(bad.first_divergence(&bad, 0.0).unwrap().is_none());
        }
    }

    #[test]
    fn runs_of_different_models_do_not_compare() {
        let mut longer = run([0.0; 4]);
        longer.record("logits", None, vec![0.0], 1);
        assert!(longer.compare(&run([0.0; 4])).is_err());
        let mut other = Probe::default();
        other.record("embd", None, vec![1.0, 2.0], 2);
        other.record("attn_out", Some(3), vec![0.0; 4], 2);
        let error = other.compare(&run([0.0; 4])).unwrap_err().to_string();
        assert!(error.contains("attn_out") && error.contains("ffn_out"), "{error}");
    }
}
