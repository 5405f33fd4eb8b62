//! Randomness: Marsaglia's xorshift64, seeded so that every 64-bit number is a valid seed.
//!
//! ```text
//! step:   x ^= x << 13;   x ^= x >> 7;   x ^= x << 17;   the output is x
//! ```
//!
//! The step is a permutation of the 2⁶⁴ − 1 states other than 0, in one cycle; 0 stays 0, so it must never be a state. And
//! states that differ in one bit give outputs that differ in few. So the seed is stirred first (the output function of
//! SplitMix64, a permutation too):
//!
//! ```text
//! z = seed + 0x9e3779b97f4a7c15
//! z = (z ^ (z >> 30)) · 0xbf58476d1ce4e5b9
//! z = (z ^ (z >> 27)) · 0x94d049bb133111eb
//! z =  z ^ (z >> 31)
//! state = z, or 0x9e3779b97f4a7c15 for the one seed that gives z = 0: 0x61c8864680b583eb
//! ```
//!
//! A number in [0, 1) is the upper 53 bits of an output times 2⁻⁵³. Test vectors, outputs in hexadecimal:
//!
//! | seed | first | second | third | first in [0, 1) |
//! |---|---|---|---|---|
//! | 0 | 6661260e8cc57df4 | 2ed7a8031b230a0f | 13830dddeb202fdb | 0.3999198709032238 |
//! | 1 | 7274658bcb6f4838 | d2874a86df7c98a8 | 473703a909c34b99 | 0.44708857214885456 |
//! | 42 | fb4d394f8eadbd08 | 5eca1bf6459aa472 | 68488c8e0042cdba | 0.981647092745951 |
//! | 0xffffffffffffffff | 311d6e06556cee78 | a2212187cc7aa9a4 | 706ceb41e392b5f7 | 0.19185531286841562 |
//! | 0x61c8864680b583eb | dc1b77ae0bf34dad | 64f0eeb9026e6076 | 7b07ce91e5906136 | 0.8597941207808165 |
//!
//! From the state 1, unstirred, the step gives 1082269761, 1152992998833853505, 11177516664432764457: the sequence that
//! other implementations of (13, 7, 17) print.

/// What SplitMix64 adds, 2⁶⁴ divided by the golden ratio; and the state in place of 0.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A generator of random numbers. Copies continue alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The generator of `seed`; every seed is valid.
    pub fn new(seed: u64) -> Rng {
        let z = seed.wrapping_add(GOLDEN);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ (z >> 31);
        Rng { state: if z == 0 { GOLDEN } else { z } }
    }

    /// The next 64 bits, never all zero.
    pub fn next_u64(&mut self) -> u64 {
        let x = &mut self.state;
        *x ^= *x << 13;
        *x ^= *x >> 7;
        *x ^= *x << 17;
        *x
    }

    /// A number in [0, 1), one of 2⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_vectors() {
        for (seed, outputs) in VECTORS {
            let mut rng = Rng::new(seed);
            assert_eq!([(); 3].map(|()| rng.next_u64()), outputs, "seed {seed}");
        }
    }

    const VECTORS: [(u64, [u64; 3]); 5] = [
        (0, [0x6661_260e_8cc5_7df4, 0x2ed7_a803_1b23_0a0f, 0x1383_0ddd_eb20_2fdb]),
        (1, [0x7274_658b_cb6f_4838, 0xd287_4a86_df7c_98a8, 0x4737_03a9_09c3_4b99]),
        (42, [0xfb4d_394f_8ead_bd08, 0x5eca_1bf6_459a_a472, 0x6848_8c8e_0042_cdba]),
        (0xffff_ffff_ffff_ffff, [0x311d_6e06_556c_ee78, 0xa221_2187_cc7a_a9a4, 0x706c_eb41_e392_b5f7]),
        (0x61c8_8646_80b5_83eb, [0xdc1b_77ae_0bf3_4dad, 0x64f0_eeb9_026e_6076, 0x7b07_ce91_e590_6136]),
    ];

    #[test]
    fn the_step_is_the_published_one() {
        let mut rng = Rng { state: 1 };
        let outputs = [(); 3].map(|()| rng.next_u64());
        assert_eq!(outputs, [1082269761, 1152992998833853505, 11177516664432764457]);
    }

    #[test]
    fn every_kind_of_seed_gives_even_numbers() {
        // the mean of 4096 uniform numbers lies within 6 standard deviations, 6/√(12·4096), of one half
        for seed in [0, 1, 42, u64::MAX, 0x61c8_8646_80b5_83eb] {
            let mut rng = Rng::new(seed);
            assert_ne!(rng.state, 0);
            let numbers: Vec<f64> = (0..4096).map(|_| rng.uniform()).collect();
            assert!(numbers.iter().all(|u| (0.0..1.0).contains(u)));
            let mean = numbers.iter().sum::<f64>() / 4096.0;
            assert!((mean - 0.5).abs() < 6.0 / (12.0f64 * 4096.0).sqrt(), "seed {seed}: {mean}");
        }
    }
}
