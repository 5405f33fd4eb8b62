//! Sampling: from the logits of one position to one token.
//!
//! A [`Chain`] runs the samplers one after the other over the [`Candidates`], in the order and under the names that users
//! know from llama.cpp, and then draws:
//!
//! ```text
//! logits ─► logit_bias ─► penalties ─► dry ─► top_n_sigma ─► top_k ─► typ_p ─► top_p ─► min_p ─► xtc ─► temperature ─► draw
//!           always first  └──────────────────── --samplers sets this order ────────────────────────────────────┘
//! ```
//!
//! Mirostat 1 or 2 replaces the chain: logit_bias, temperature, mirostat. One file per sampler, each opening with its
//! equation: [`logit_bias`], [`penalties`](Penalties), [`dry`](Dry), [`top_n_sigma`], [`top_k`], [`typ_p`], [`top_p`],
//! [`min_p`], [`xtc`], [`temperature`], [`draw`], [`mirostat`](Mirostat), [`mirostat_v2`](MirostatV2).
//!
//! **Invariants**
//! - A sampler only removes candidates or changes logits. None removes the last one, and those that filter keep the others
//!   in their order; those that must sort leave the best first.
//! - Equal logits count as sorted by id, so temperature 0 is the argmax and the lowest id among equals.
//! - The same logits, parameters and seed give the same token on every platform: logits are f32; everything computed from
//!   them is f64, in a fixed order, by `+ − × ÷ √` alone, which IEEE 754 defines to the bit. The exponential and the
//!   logarithm are built from these (`sample/math.rs`), because each system's own differs in the last bit.
//! - After the first token nothing is allocated: [`Chain`] keeps its buffers. ([`Chain::explain`] allocates what it returns.)

mod candidates;
mod chain;
mod draw;
mod dry;
mod logit_bias;
mod math;
mod min_p;
mod mirostat;
mod mirostat_v2;
mod order;
mod params;
mod penalties;
mod rng;
mod temperature;
mod top_k;
mod top_n_sigma;
mod top_p;
mod trace;
mod typ_p;
mod xtc;

pub use candidates::{Candidate, Candidates};
pub use chain::Chain;
pub use draw::draw;
pub use dry::{Breakers, Dry};
pub use logit_bias::logit_bias;
pub use min_p::min_p;
pub use mirostat::Mirostat;
pub use mirostat_v2::MirostatV2;
pub use order::Sampler;
pub use params::Params;
pub use penalties::Penalties;
pub use rng::Rng;
pub use temperature::temperature;
pub use top_k::top_k;
pub use top_n_sigma::top_n_sigma;
pub use top_p::top_p;
pub use trace::{Moved, Step, Trace};
pub use typ_p::typ_p;
pub use xtc::xtc;

/// Tokens generated unless the user says otherwise.
pub const DEFAULT_TOKENS: usize = 256;
