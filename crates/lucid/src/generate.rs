//! Generation: from the ids of a prompt to the tokens that continue it, one at a time.
//!
//! ```text
//! prompt ─► prefill, in chunks ─► logits ─► chain ─► token ─► text, without what may begin a stop string
//!                                   ▲                  │
//!                                   └──── one step ────┘      decode: until something ends it ([`End`])
//! ```
//!
//! A [`Session`] owns the cache of one sequence; [`Session::generate`] reads a prompt and returns a [`Generation`], an
//! iterator of [`Token`]s. A session may generate again: of the next prompt only what differs from the sequence so far is
//! computed, so that a conversation costs its new turns only.
//!
//! **Invariants**
//! - What comes out does not depend on the size of the chunks, nor on how much of the prompt was in the cache.
//! - Nothing is cut or shifted silently: a prompt that does not fit is an error, and a full context ends the text as
//!   [`End::ContextFull`].
//! - Between any two tokens, and between two chunks of the prompt, a flag can end it; the session stays usable.

mod bound;
mod stop;

pub use bound::logit_bound;
pub use stop::{Stops, stop_ids};

use crate::{
    Error, ErrorKind, Result,
    backend::Backend,
    kv::{Cache, Span},
    models::Model,
    ops::Ctx,
    sample::{Chain, Trace},
    tokenizer::{Decoder, Tokenizer},
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Tokens of a prompt computed at a time, first and at most. Long chunks are faster, for a matrix is read and unpacked once in
/// each; but the progress moves, and a cancellation is heard, between two.
const CHUNK: (usize, usize) = (64, 512);
/// A chunk that took less than this is followed by one twice as long.
const SHORT: Duration = Duration::from_millis(250);

/// One sequence on one model: the tokens so far, and their cache.
pub struct Session<'m, 'f, B: Backend> {
    model: &'m Model<'f, B>,
    backend: &'m B,
    cache: Cache<B>,
    /// The tokens in the cache.
    seen: Vec<u32>,
}

/// What to generate, and until when.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The ids to continue. At least one.
    pub prompt: Vec<u32>,
    /// At most so many tokens; `None` is until something else ends it.
    pub max_tokens: Option<usize>,
    /// Ids that end the text.
    pub stop_ids: Vec<u32>,
    /// Strings that end the text and are no part of it.
    pub stop_strings: Vec<String>,
    /// Whether each token tells how it was chosen.
    pub explain: bool,
}

/// One token of the continuation.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// The text that can be shown now: often that of this token, sometimes nothing or more.
    pub text: String,
    /// How it was chosen, when the request asks for it.
    pub trace: Option<Trace>,
}

/// Why a text ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The model drew this id, which is none of the tokens returned.
    StopId(u32),
    /// This string appeared.
    StopString(String),
    /// As many tokens as were asked for.
    MaxTokens,
    /// The context has no room for the last token, so none can follow it.
    ContextFull,
    /// The flag was raised, or the caller stopped asking.
    Cancelled,
}

impl End {
    /// Its name, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            End::StopId(_) => "stop_id",
            End::StopString(_) => "stop_string",
            End::MaxTokens => "max_tokens",
            End::ContextFull => "context_full",
            End::Cancelled => "cancelled",
        }
    }
}

/// What a generation came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Why it ended.
    pub end: End,
    /// Text that was held back and turned out to be ordinary: it follows what the tokens brought.
    pub rest: String,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// How many of them were in the cache already, and computed by nobody.
    pub reused: usize,
    /// Tokens returned.
    pub generated: usize,
    /// Steps of one token each. The first token needs none: it comes from the prompt's logits.
    pub steps: usize,
    /// Time for the prompt.
    pub prefill_time: Duration,
    /// Time from the request to the first token.
    pub first_token_time: Option<Duration>,
    /// Time for the steps, the caller's own not counted.
    pub decode_time: Duration,
    /// How the id that ended it was chosen, when the request asks for that.
    pub trace: Option<Trace>,
}

impl<'m, 'f, B: Backend> Session<'m, 'f, B> {
    /// An empty sequence that may grow to `context` tokens.
    pub fn new(model: &'m Model<'f, B>, backend: &'m B, context: usize) -> Result<Self> {
        let cache = model.begin(backend, context)?;
        Ok(Session { model, backend, seen: Vec::with_capacity(cache.capacity), cache })
    }

    /// Tokens that fit.
    pub fn context(&self) -> usize {
        self.cache.capacity
    }

    /// The tokens computed so far.
    pub fn tokens(&self) -> &[u32] {
        &self.seen
    }

    /// How far rounding can put one of these logits off.
    fn bound(&self, logits: &[f32]) -> f32 {
        logit_bound(self.model.layers(), self.backend.rounding(), logits)
    }

    /// The only place that runs the model: `logits` becomes those after `tokens`, which join the sequence.
    fn step(&mut self, tokens: &[u32], logits: &mut Vec<f32>) -> Result<()> {
        let span = Span { sequence: 0, tokens: tokens.len() };
        self.model.step(&Ctx::new(self.backend), tokens, &[span], &mut self.cache, true, logits)?;
        self.seen.extend_from_slice(tokens);
        Ok(())
    }

    /// Reads the prompt, and returns the tokens to come. `chain` is a fresh one; `progress` hears how many of the prompt's
    /// tokens are done, and of how many.
    pub fn generate<'s>(
        &'s mut self,
        tokenizer: &'s Tokenizer,
        mut chain: Chain,
        request: &'s Request,
        cancel: &'s AtomicBool,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Generation<'s, 'm, 'f, B>> {
        let started = Instant::now();
        let prompt = &request.prompt;
        self.check(prompt)?;
        // the last one is computed in any case: its logits choose the first token
        let same = self.seen.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let reused = same.min(prompt.len() - 1);
        self.cache.truncate(0, reused);
        self.seen.truncate(reused);
        let (mut logits, mut end) = (Vec::new(), None);
        let (mut rest, mut size) = (&prompt[reused..], CHUNK.0);
        while !rest.is_empty() {
            if cancel.load(Ordering::Relaxed) {
                end = Some(End::Cancelled);
                break;
            }
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            let begun = Instant::now();
            self.step(chunk, &mut logits)?;
            if begun.elapsed() < SHORT {
                size = CHUNK.1.min(2 * size);
            }
            rest = after;
            progress(self.seen.len(), prompt.len());
        }
        prompt.iter().for_each(|&id| chain.accept(id));
        Ok(Generation {
            decoder: Decoder::after(tokenizer, prompt)?,
            stops: Stops::new(&request.stop_strings),
            outcome: Outcome {
                end: End::Cancelled,
                rest: String::new(),
                prompt: prompt.len(),
                reused,
                generated: 0,
                steps: 0,
                prefill_time: started.elapsed(),
                first_token_time: None,
                decode_time: Duration::ZERO,
                trace: None,
            },
            last: None,
            session: self,
            tokenizer,
            chain,
            request,
            cancel,
            started,
            logits,
            end,
        })
    }

    fn check(&self, prompt: &[u32]) -> Result<()> {
        if prompt.is_empty() {
            let what =
                "the prompt is empty, and the vocabulary has no token that begins a text: give at least one word";
            return Err(Error::new(ErrorKind::Request, what));
        }
        let (n, room) = (prompt.len(), self.context());
        if n > room {
            let what =
                format!("the prompt has {n} tokens and the context holds {room}: raise it with --ctx, or say less");
            return Err(Error::new(ErrorKind::Request, what));
        }
        Ok(())
    }
}

/// The tokens that continue a prompt, as they are asked for. Once it returns `None`, [`Generation::finish`] says why.
pub struct Generation<'s, 'm, 'f, B: Backend> {
    session: &'s mut Session<'m, 'f, B>,
    tokenizer: &'s Tokenizer,
    chain: Chain,
    request: &'s Request,
    cancel: &'s AtomicBool,
    started: Instant,
    decoder: Decoder,
    stops: Stops,
    /// What the model thinks may follow the sequence.
    logits: Vec<f32>,
    /// A token that was returned and is not in the sequence yet.
    last: Option<u32>,
    outcome: Outcome,
    end: Option<End>,
}

impl<B: Backend> Iterator for Generation<'_, '_, '_, B> {
    type Item = Result<Token>;

    fn next(&mut self) -> Option<Result<Token>> {
        if self.end.is_none() {
            self.end = self.end_before_the_next();
        }
        if self.end.is_some() {
            return None;
        }
        let began = Instant::now();
        let token = self.token();
        if self.outcome.steps > 0 {
            self.outcome.decode_time += began.elapsed();
        }
        if token.is_err() {
            self.end = Some(End::Cancelled); // the caller has the error, and no token follows it
        }
        token.transpose()
    }
}

impl<B: Backend> Generation<'_, '_, '_, B> {
    fn end_before_the_next(&self) -> Option<End> {
        if self.cancel.load(Ordering::Relaxed) {
            Some(End::Cancelled)
        } else if self.request.max_tokens.is_some_and(|most| self.outcome.generated >= most) {
            Some(End::MaxTokens)
        } else if self.last.is_some() && self.session.seen.len() == self.session.context() {
            Some(End::ContextFull)
        } else {
            None
        }
    }

    /// Steps and chooses. `None` when what was chosen ends the text.
    fn token(&mut self) -> Result<Option<Token>> {
        if let Some(last) = self.last.take() {
            self.session.step(&[last], &mut self.logits)?;
            self.outcome.steps += 1;
        }
        let (id, trace) = match self.request.explain {
            true => {
                let bound = 2.0 * self.session.bound(&self.logits);
                let trace = self.chain.explain(&self.logits, bound)?;
                (trace.token, Some(trace))
            }
            false => (self.chain.sample(&self.logits)?, None),
        };
        self.chain.accept(id);
        self.outcome.first_token_time.get_or_insert_with(|| self.started.elapsed());
        if self.request.stop_ids.contains(&id) {
            self.end = Some(End::StopId(id));
            self.outcome.trace = trace;
            return Ok(None);
        }
        let (text, stopped) = self.stops.push(self.decoder.push(self.tokenizer, id)?);
        self.end = stopped.map(End::StopString);
        self.outcome.generated += 1;
        self.last = Some(id);
        Ok(Some(Token { id, text, trace }))
    }

    /// Why it ended, and what remains to be said. Called before the end, it ends here.
    pub fn finish(mut self) -> Outcome {
        let end = self.end.unwrap_or(End::Cancelled);
        if !matches!(end, End::StopString(_)) {
            let (text, stopped) = self.stops.push(self.decoder.finish(self.tokenizer));
            // U+FFFD for half a character could complete a stop string, if somebody asks for that
            self.outcome.rest = if stopped.is_some() { text } else { text + &self.stops.finish() };
        }
        Outcome { end, ..self.outcome }
    }
}
