//! The chain: every sampler in its order, then the draw.

use super::{
    Breakers, Candidate, Candidates, Dry, Mirostat, MirostatV2, Params, Penalties, Rng, Sampler, Step, Trace, draw,
    logit_bias, min_p, temperature, top_k, top_n_sigma, top_p, trace::top_two, typ_p, xtc,
};
use crate::Result;

/// The samplers of one sequence: parameters, what they remember of the text, the generator, and the buffers.
#[derive(Clone, Debug)]
pub struct Chain {
    params: Params,
    stages: Vec<Stage>,
    penalties: Penalties,
    dry: Dry,
    choice: Choice,
    rng: Rng,
    candidates: Candidates,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    LogitBias,
    Sampler(Sampler),
}

/// How the token is chosen from what the stages left.
#[derive(Clone, Debug)]
enum Choice {
    Draw,
    Mirostat(Mirostat),
    MirostatV2(MirostatV2),
}

impl Chain {
    /// The chain for a vocabulary and a context of these sizes. `breakers` are DRY's, as tokens; without DRY
    /// `Breakers::default()` will do.
    pub fn new(params: &Params, vocab: usize, context: usize, breakers: Breakers) -> Result<Chain> {
        params.check(vocab)?;
        let p = params.clone();
        // in a context, older tokens than it holds are not looked back on
        let window = |last_n: i32| usize::try_from(last_n).map_or(context, |n| n.min(context));
        let penalties =
            Penalties::new(vocab, window(p.penalty_last_n), p.penalty_repeat, p.penalty_freq, p.penalty_present);
        let dry = Dry::new(p.dry_multiplier, p.dry_base, p.dry_allowed_length, window(p.dry_penalty_last_n), breakers);
        let choice = match p.mirostat {
            1 => Choice::Mirostat(Mirostat::new(vocab, p.mirostat_tau, p.mirostat_eta)),
            2 => Choice::MirostatV2(MirostatV2::new(p.mirostat_tau, p.mirostat_eta)),
            _ => Choice::Draw,
        };
        let samplers = if p.mirostat == 0 { p.samplers.as_slice() } else { &[Sampler::Temperature] };
        let stages = [Stage::LogitBias].into_iter().chain(samplers.iter().copied().map(Stage::Sampler)).collect();
        let rng = Rng::new(p.seed);
        let mut chain = Chain { params: p, stages, penalties, dry, choice, rng, candidates: Candidates::default() };
        let mut stages = std::mem::take(&mut chain.stages);
        stages.retain(|&stage| chain.setting(stage).is_some());
        chain.stages = stages;
        Ok(chain)
    }

    /// A token joined the text: of the prompt, or drawn. Penalties, DRY look back on these.
    pub fn accept(&mut self, token: u32) {
        self.penalties.accept(token);
        self.dry.accept(token);
    }

    /// Chooses the next token by the model's logits. It does not [`accept`](Chain::accept) it.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32> {
        self.candidates.fill(logits)?;
        for i in 0..self.stages.len() {
            self.apply(self.stages[i])?;
        }
        Ok(self.choose())
    }

    /// The same choice as [`Chain::sample`], and how it came about. `bound` is how far the difference of two logits may be
    /// off: twice the error bound of one.
    pub fn explain(&mut self, logits: &[f32], bound: f32) -> Result<Trace> {
        self.candidates.fill(logits)?;
        let mut steps = Vec::new();
        for i in 0..self.stages.len() {
            let stage = self.stages[i];
            let before = self.candidates.items.clone();
            self.apply(stage)?;
            let setting = self.setting(stage).unwrap_or_default();
            steps.push(Step::new(stage.name(), setting, &before, &self.candidates.items));
        }
        let before = self.candidates.items.clone();
        let (name, setting) = match &self.choice {
            Choice::Draw => ("draw", String::new()),
            Choice::Mirostat(m) => ("mirostat", format!("version 1, mu {:.3}", m.mu)),
            Choice::MirostatV2(m) => ("mirostat", format!("version 2, mu {:.3}", m.mu)),
        };
        let token = self.choose();
        if name == "mirostat" {
            steps.push(Step::new(name, setting, &before, &self.candidates.items));
        }
        let (top, close) = top_two(logits, bound);
        Ok(Trace { steps, candidates: self.candidates.items.clone(), token, top, close })
    }

    /// What was left for the last draw, with probabilities.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates.items
    }

    fn apply(&mut self, stage: Stage) -> Result<()> {
        let (p, c) = (&self.params, &mut self.candidates);
        match stage {
            Stage::LogitBias => {
                logit_bias(c, &p.logit_bias);
                c.check()?; // biases alone can forbid every token
            }
            Stage::Sampler(Sampler::Penalties) => self.penalties.apply(c),
            Stage::Sampler(Sampler::Dry) => self.dry.apply(c),
            Stage::Sampler(Sampler::TopNSigma) => top_n_sigma(c, p.top_n_sigma),
            Stage::Sampler(Sampler::TopK) => top_k(c, usize::try_from(p.top_k).unwrap_or(0)),
            Stage::Sampler(Sampler::TypP) => typ_p(c, p.typ_p, p.min_keep),
            Stage::Sampler(Sampler::TopP) => top_p(c, p.top_p, p.min_keep),
            Stage::Sampler(Sampler::MinP) => min_p(c, p.min_p, p.min_keep),
            Stage::Sampler(Sampler::Xtc) => xtc(c, p.xtc_probability, p.xtc_threshold, p.min_keep, &mut self.rng),
            Stage::Sampler(Sampler::Temperature) if p.mirostat > 0 => temperature(c, p.temperature, 0.0, 1.0),
            Stage::Sampler(Sampler::Temperature) => {
                temperature(c, p.temperature, p.dynatemp_range, p.dynatemp_exponent);
            }
        }
        Ok(())
    }

    fn choose(&mut self) -> u32 {
        let (c, rng) = (&mut self.candidates, &mut self.rng);
        let drawn = match &mut self.choice {
            Choice::Draw => draw(c, rng),
            Choice::Mirostat(m) => m.draw(c, rng),
            Choice::MirostatV2(m) => m.draw(c, rng),
        };
        self.candidates.items[drawn].id
    }

    /// The parameters of a stage in words; `None` when they turn it off.
    fn setting(&self, stage: Stage) -> Option<String> {
        let p = &self.params;
        let on = |on: bool, setting: String| on.then_some(setting);
        match stage {
            Stage::LogitBias => on(!p.logit_bias.is_empty(), format!("{} tokens", p.logit_bias.len())),
            Stage::Sampler(sampler) => match sampler {
                Sampler::Penalties => on(
                    !self.penalties.off(),
                    format!(
                        "repeat {}, frequency {}, presence {}, last {}",
                        p.penalty_repeat, p.penalty_freq, p.penalty_present, p.penalty_last_n
                    ),
                ),
                Sampler::Dry => on(
                    !self.dry.off(),
                    format!(
                        "multiplier {}, base {}, allowed {}, last {}",
                        p.dry_multiplier, p.dry_base, p.dry_allowed_length, p.dry_penalty_last_n
                    ),
                ),
                Sampler::TopNSigma => on(p.top_n_sigma > 0.0, format!("n {}", p.top_n_sigma)),
                Sampler::TopK => on(p.top_k > 0, format!("k {}", p.top_k)),
                Sampler::TypP => on(p.typ_p < 1.0, format!("p {}", p.typ_p)),
                Sampler::TopP => on(p.top_p < 1.0, format!("p {}", p.top_p)),
                Sampler::MinP => on(p.min_p > 0.0, format!("p {}", p.min_p)),
                Sampler::Xtc => on(
                    p.xtc_probability > 0.0 && p.xtc_threshold <= 0.5,
                    format!("probability {}, threshold {}", p.xtc_probability, p.xtc_threshold),
                ),
                Sampler::Temperature if p.mirostat == 0 && p.dynatemp_range > 0.0 => {
                    Some(format!("{} ± {}, exponent {}", p.temperature, p.dynatemp_range, p.dynatemp_exponent))
                }
                Sampler::Temperature => on(p.temperature != 1.0, p.temperature.to_string()),
            },
        }
    }
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Stage::LogitBias => "logit_bias",
            Stage::Sampler(sampler) => sampler.name(),
        }
    }
}

#[cfg(test)]
mod tests;
