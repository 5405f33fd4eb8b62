//! Gating: `y = f(gate) · up`, the nonlinearity of a feed-forward layer.
//!
//! `silu(x) = x / (1 + e⁻ˣ)`; `gelu(x) = ½x (1 + tanh(√(2/π)(x + 0.044715 x³)))`. Both in f64, one rounding.

const SQRT_2_OVER_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;

/// `gateᵢ = silu(gateᵢ) · upᵢ`.
pub fn silu_mul(gate: &mut [f32], up: &[f32]) {
    gated(gate, up, |x| x / (1.0 + (-x).exp()));
}

/// `gateᵢ = gelu(gateᵢ) · upᵢ`.
pub fn gelu_mul(gate: &mut [f32], up: &[f32]) {
    gated(gate, up, |x| 0.5 * x * (1.0 + (SQRT_2_OVER_PI * (x + 0.044715 * x * x * x)).tanh()));
}

fn gated(gate: &mut [f32], up: &[f32], f: fn(f64) -> f64) {
    assert_eq!(gate.len(), up.len());
    for (g, &u) in gate.iter_mut().zip(up) {
        *g = (f(*g as f64) * u as f64) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::oracle;

    #[test]
    fn rounds_the_oracle_once() {
        let (gate, up) = (noise(4, 200).iter().map(|x| x * 30.0).collect::<Vec<_>>(), noise(5, 200));
        for (op, f) in [(silu_mul as fn(&mut [f32], &[f32]), oracle::silu as fn(f64) -> f64), (gelu_mul, oracle::gelu)]
        {
            let want: Vec<f64> = gate.iter().zip(&up).map(|(&g, &u)| f(g as f64) * u as f64).collect();
            let mut y = gate.clone();
            op(&mut y, &up);
            assert_rounded_once(&y, &want, f32::from_bits(1) as f64);
        }
    }

    #[test]
    fn the_gate_has_the_sign_of_its_input_and_closes_at_minus_infinity() {
        let x = noise(6, 100);
        let mut y = x.clone();
        silu_mul(&mut y, &vec![1.0; 100]);
        assert!(x.iter().zip(&y).all(|(x, y)| x.signum() == y.signum() && y.abs() <= x.abs()));
        let mut far = [-1e4, 1e4];
        silu_mul(&mut far, &[1.0, 1.0]);
        assert_eq!(far, [0.0, 1e4]);
    }
}
