//! Q6_K: 256 values in six bits each; sixteen groups of 16, each with a signed eight-bit scale.
//!
//! ```text
//! byte   0    …    127   128   …   191   192   …   207   208 209
//!      ├───────────────┼───────────────┼───────────────┼────────┤
//!      │ low four bits │ high two bits │  s₀ … s₁₅ i8  │ d  f16 │
//!      │  2 a byte     │  4 a byte     │               │        │
//!      └───────────────┴───────────────┴───────────────┴────────┘
//!      xᵢ = (d · s_g) · (qᵢ − 32)                        210 bytes for 256 values, 6.5625 bits each
//!      g  = i / 16
//!
//!      with the half h = i / 128, the run r = i / 32 % 4 and the place p = i % 32:
//!      code qᵢ      low four: byte 64·h + 32·(r % 2) + p,  low nibble for r < 2, else high
//!                   high two: byte 128 + 32·h + p,  bits 2·r and the next
//! ```

use super::{
    Block, Encode, Format, f16_at,
    search::{Steps, codes, nested_scales, put_f16},
    unpack::{Unpack, block, bytes_at, half_at, of_sixteen, twice_at, u64_at, within},
};
use crate::lanes::Lanes;

/// Sixteen groups of 16 six-bit steps, offset by 32, and a signed byte as the scale of each.
pub struct Q6_K;

impl Block for Q6_K {
    const FORMAT: Format = Format::Q6_K;
    const LEN: usize = 256;
    const BYTES: usize = 210;

    fn decode(bytes: &[u8], out: &mut [f32]) {
        let (lows, highs, scales) = (&bytes[..128], &bytes[128..192], &bytes[192..208]);
        let d = f16_at(bytes, 208);
        for (g, x) in out.chunks_exact_mut(16).enumerate() {
            let scale = d * (scales[g] as i8) as f32;
            let (half, run, place) = (g / 8, g / 2 % 4, 16 * (g % 2));
            let (lows, highs) = (&lows[64 * half + 32 * (run % 2) + place..], &highs[32 * half + place..]);
            for ((x, low), high) in x.iter_mut().zip(lows).zip(highs) {
                let code = (low >> (4 * (run / 2))) & 15 | ((high >> (2 * run)) & 3) << 4;
                *x = scale * (code as i32 - 32) as f32;
            }
        }
    }
}

const LEVELS: Steps = Steps { low: -32.0, high: 31.0 };
const SCALES: Steps = Steps { low: -128.0, high: 127.0 };

impl Encode for Q6_K {
    #[inline(always)]
    fn encode(x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) {
        let (x, w) = (x.as_chunks().0, weights.unwrap_or(&[1.0; 256]).as_chunks().0);
        let starts = [-32.0, -32.5, -31.5, -33.0, 31.0, 31.5];
        let found = nested_scales::<16, 16>(x, w, LEVELS, &starts, SCALES, 3);

        out.fill(0);
        for (g, x) in x.iter().enumerate() {
            out[192 + g] = found.c[g] as i8 as u8;
            let (half, run, place) = (g / 8, g / 2 % 4, 16 * (g % 2));
            for (i, q) in codes(x, found.d * found.c[g], 0.0, LEVELS).into_iter().enumerate() {
                out[64 * half + 32 * (run % 2) + place + i] |= (q & 15) << (4 * (run / 2));
                out[128 + 32 * half + place + i] |= (q >> 4) << (2 * run);
            }
        }
        put_f16(&mut out[208..210], found.d);
    }
}

impl Unpack for Q6_K {
    const GROUP: usize = 16;
    const OFFSET: u8 = 32;

    #[inline(always)]
    unsafe fn codes<L: Lanes>(round: &[u8], k: usize) -> L::B {
        let (block, k) = within::<Self>(round, k);
        // SAFETY: the caller's word. Of 64 bytes the low nibbles come first; their high bits are the lowest and third pair
        // of bits of 32 bytes, which `twice` puts at bits 0 and 4, and their second and fourth.
        unsafe {
            let low = L::shift_and(bytes_at::<L>(block, 64 * (k / 2)), 4 * (k as u32 % 2), 15);
            let high = twice_at::<L>(block, 128 + 32 * (k / 2), 2, 0x33);
            L::or(low, if k % 2 == 0 { L::shift_left_and(high, 4, 0x30) } else { L::shift_and(high, 0, 0x30) })
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(round: &[u8], i: usize) -> [L::F; 2] {
        let block = block::<Self>(round, i);
        // SAFETY: the caller's word.
        unsafe { [of_sixteen::<L>([u64_at(block, 192), u64_at(block, 200)], half_at::<L>(block, 208)); 2] }
    }
}
