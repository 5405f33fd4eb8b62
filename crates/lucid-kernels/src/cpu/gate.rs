//! Gating: `y = f(gate) · up`, the nonlinearity of a feed-forward layer.
//!
//! ```text
//! silu(x) = x / (1 + e⁻ˣ)
//! gelu(x) = x / (1 + e⁻²ᵘ),  u = √(2/π) · (x + 0.044715 x³)        the tanh form: ½(1 + tanh u) = 1 / (1 + e⁻²ᵘ)
//! ```
//!
//! Roundings of silu: e = exp(−x), s = 1 + e, x / s, times up. Of gelu: t = x·x, t = fma(t, 0.044715·c, c) with c =
//! −2√(2/π), e = exp(t·x), then the same. exp is [`lanes::exp`].

use super::{Machine, Parts, add::GRAIN, partial};
use crate::lanes::{self, Kernel, Lanes};

/// `gateᵢ = silu(gateᵢ) · upᵢ`.
pub fn silu_mul(m: &Machine, gate: &mut [f32], up: &[f32]) {
    gated::<false>(m, gate, up);
}

/// `gateᵢ = gelu(gateᵢ) · upᵢ`.
pub fn gelu_mul(m: &Machine, gate: &mut [f32], up: &[f32]) {
    gated::<true>(m, gate, up);
}

fn gated<const GELU: bool>(m: &Machine, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len());
    let out = Parts::new(gate);
    m.in_ranges(up.len(), 16, GRAIN / 4, &|range, _| {
        // SAFETY: ranges are disjoint.
        let gate = unsafe { out.part(range.clone()) };
        lanes::run(m.level, Gate::<GELU> { gate, up: &up[range] });
    });
}

/// `silu(x)`.
///
/// # Safety
/// As for every function of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn silu<L: Lanes>(x: L::F) -> L::F {
    // SAFETY: operations on registers; the level is the caller's.
    unsafe { L::div(x, L::add(L::splat(1.0), lanes::exp::<L>(L::sub(L::splat(0.0), x)))) }
}

/// `gelu(x)`.
#[inline(always)]
unsafe fn gelu<L: Lanes>(x: L::F) -> L::F {
    // SAFETY: operations on registers; the level is the caller's.
    unsafe {
        let exponent = L::mul(L::fma(L::mul(x, x), L::splat(C3), L::splat(C)), x);
        L::div(x, L::add(L::splat(1.0), lanes::exp::<L>(exponent)))
    }
}

struct Gate<'a, const GELU: bool> {
    gate: &'a mut [f32],
    up: &'a [f32],
}

/// −2·√(2/π), and 0.044715 times that.
const C: f32 = -1.595_769_2;
const C3: f32 = -0.071_354_814;

impl<const GELU: bool> Kernel for Gate<'_, GELU> {
    type Out = ();

    #[inline(always)]
    unsafe fn at<L: Lanes>(self) {
        for i in (0..self.up.len()).step_by(16) {
            // SAFETY: the level's instructions exist.
            unsafe {
                let x = partial::load::<L>(self.gate, i, 0.0);
                let open = if GELU { gelu::<L>(x) } else { silu::<L>(x) };
                partial::store::<L>(self.gate, i, L::mul(open, partial::load::<L>(self.up, i, 0.0)));
            }
        }
    }
}
