//! `lucid bench`: how fast a model reads prompts and generates, beside what the machine can do at most.
//!
//! ```text
//! test:     fill to the depth │ warm-up │ probe │ run │ probe │ run │ … │ probe
//!                             │  ◄──────── the cache goes back to the depth before each ───────►
//! ```
//!
//! A speed says little without its floor, and a floor drifts with whoever shares the machine. So the probes stand between the
//! repetitions, on the same threads. And a speed says nothing when the numbers are wrong: every token is a function of its
//! sequence and position, so all tests that end at the same position must end with the same logits, to the bit, whatever their
//! threads, pieces and company. A hash of them stands in every result, and two that differ end the command.

mod report;
mod work;

use crate::{
    compute::cache_type,
    interrupt, memory, model,
    output::{say, wrong_usage},
    units,
};
use anyhow::{Context, bail, ensure};
use lucid::{
    backend::{Cpu, cpu::Options},
    kv::{Cache, Span},
    models::{self, Loader, Model},
    ops::Ctx,
};
use lucid_kernels::{
    cpu::{CacheType, Machine},
    level::Level,
    probe,
    threads::default_threads,
};
use report::{About, Report};
use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};
use work::Work;

/// Arguments of `lucid bench`.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// A .gguf file, a folder with config.json and safetensors or .npy files, or hf:owner/repo:QUANT
    /// (default: the built-in one)
    model: Option<PathBuf>,
    /// Tokens of the prompt test; 0 leaves it out
    #[arg(short = 'p', long, value_name = "N,…", value_delimiter = ',', default_value = "512")]
    n_prompt: Vec<u32>,
    /// Tokens of the generation test; 0 leaves it out
    #[arg(short, long, value_name = "N,…", value_delimiter = ',', default_value = "128")]
    n_gen: Vec<u32>,
    /// Threads that compute [default: the physical cores that this process may use]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Vec<u16>,
    /// Tokens that are in the cache before a test begins
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "0")]
    depth: Vec<u32>,
    /// Sequences that the generation test continues at once
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: Vec<u16>,
    /// What the cache stores: f32, f16 or q8_0
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',', default_value = "f16", value_parser = cache_type)]
    kv: Vec<CacheType>,
    /// Keep activations in f32 where they meet quantised weights
    #[arg(long)]
    exact: bool,
    /// Tokens of a prompt computed at a time
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..=16384))]
    chunk: u16,
    /// How often each test runs, after a warm-up that does not count
    #[arg(short, long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    repetitions: u32,
    /// How to write the results
    #[arg(short, long, value_name = "FORM", default_value = "md")]
    output: Form,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A table for people
    Md,
    /// An array of objects for programs
    Json,
}

const HELP: &str = "Examples:
  lucid bench model.gguf                               a prompt of 512 tokens, 128 generated
  lucid bench model.gguf -p 0 -n 64 --threads 1,2      generation, on one thread and on two
  lucid bench model.gguf -p 0 --batch 1,2,4,8,16       sequences generated together
  lucid bench model.gguf --depth 0,2048 --kv f16,q8_0  what a long cache costs
  lucid bench model.gguf -o json > bench.json

Several values, separated by commas, make a test for each combination. Tests have the names
that llama-bench gives them: pp512 is a prompt of 512 tokens, tg128 generates 128; here also
tg128x4, four sequences at once, and d2048, behind 2048 tokens. Tokens are random, and the
same in every run. Of a chunk, only the last token meets the output matrix. The cpu is the
only device; LUCID_LEVEL=scalar forces plain instructions (lucid --help has all levels).

The table: tokens/s is the mean of the repetitions and their standard deviation, over all
sequences. 'reached' compares with what the machine can do, measured between the repetitions
on the same threads: when generating, the bytes read a second with those of a plain read of
memory; for prompts, the operations a second with dot products of bytes that never leave the
registers. 'logits' is the beginning of the digest.

The JSON has llama-bench's fields n_prompt n_gen n_depth n_threads n_ubatch (--chunk) avg_ns
stddev_ns samples_ns (a repetition) avg_ts stddev_ts samples_ts (tokens per second)
model_filename model_type model_size (bytes of all tensors) model_n_params build (Lucid's
version) cpu_info test_time (UTC), and of its own:
  n_seq           sequences generated at once; speeds count the tokens of all of them
  gbps            10^9 bytes of weights and cache read per second when generating, else null
  bandwidth_gbps  the same of a plain read of memory: the median of the probes
  bandwidth_pct   gbps in percent of it; a model that fits into a cache can exceed 100
  int8_pct        operations (2 for a multiply-add of a weight) in percent of int8_gops
  int8_gops       10^9 operations per second of dot products of bytes: the median
  level           the instructions that were used
  kv, exact       what the cache stored; whether activations stayed f32
  digest          FNV-1a (64 bits) of the last logits of the first sequence, as bytes
  rss_bytes       resident memory after the test, without the probe's buffer, or null

The same tokens must give the same digest, whatever the threads, the company, the chunks and
the repetition; where they do not, the command fails.";

/// One test: a prompt, or generation.
#[derive(Clone, Copy, Debug)]
struct Test {
    /// Tokens of the prompt; 0 in a test of generation.
    n_prompt: usize,
    /// Tokens generated in each sequence; 0 in a test of a prompt.
    n_gen: usize,
    /// Tokens that each sequence has before.
    n_depth: usize,
    /// Sequences.
    n_seq: usize,
}

impl Test {
    /// Tokens that a sequence has afterwards.
    fn end(self) -> usize {
        self.n_depth + self.n_prompt + self.n_gen
    }

    /// Tokens that are computed while the clock runs.
    fn tokens(self) -> usize {
        self.n_seq * (self.n_prompt + self.n_gen)
    }

    /// `pp512`, `tg128x4 d2048`.
    fn name(self) -> String {
        let name = if self.n_gen == 0 { format!("pp{}", self.n_prompt) } else { format!("tg{}", self.n_gen) };
        let company = if self.n_seq > 1 { format!("x{}", self.n_seq) } else { String::new() };
        let depth = if self.n_depth > 0 { format!(" d{}", self.n_depth) } else { String::new() };
        name + &company + &depth
    }
}

impl Args {
    /// The tests on one count of threads and one type of cache.
    fn tests(&self) -> Vec<Test> {
        let sizes = |list: &[u32]| -> Vec<usize> { list.iter().map(|&n| n as usize).filter(|&n| n > 0).collect() };
        let mut tests = Vec::new();
        for &depth in &self.depth {
            let n_depth = depth as usize;
            for n_prompt in sizes(&self.n_prompt) {
                tests.push(Test { n_prompt, n_gen: 0, n_depth, n_seq: 1 });
            }
            for n_gen in sizes(&self.n_gen) {
                tests.extend(self.batch.iter().map(|&n| Test { n_prompt: 0, n_gen, n_depth, n_seq: n.into() }));
            }
        }
        tests
    }

    fn threads(&self) -> Vec<usize> {
        match self.threads.as_slice() {
            [] => vec![default_threads()],
            some => some.iter().map(|&n| n.into()).collect(),
        }
    }
}

/// What one test came to.
struct Measured {
    test: Test,
    threads: usize,
    kv: CacheType,
    begun: SystemTime,
    times: Vec<Duration>,
    floor: Floor,
    digest: u64,
    resident: Option<u64>,
}

/// What the machine can do at most.
#[derive(Clone, Copy, Debug)]
struct Floor {
    /// 10⁹ bytes of memory read per second.
    read: f64,
    /// 10⁹ operations on bytes per second.
    int8: f64,
}

/// Checks what can be checked at once, and measures.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let tests = args.tests();
    if tests.is_empty() {
        wrong_usage::<Args>("lucid bench", "-p 0 and -n 0 leave nothing to measure");
    }
    // nothing is half-written here, so Ctrl-C may end it anywhere
    interrupt::listen(true)?;
    let file = model::open(args.model.as_deref())?;
    if let Some(fault) = models::check(&file).into_iter().next() {
        return Err(fault.into());
    }
    let config = models::config(&file)?;
    let work = Work::of(&file, &config);
    check_room(&tests, &args.kv, &work)?;
    let memory = buffer()?;
    let longest = tests.iter().map(|test| test.end()).max().unwrap_or(0);
    if longest > config.context {
        say(&format!("note: {longest} tokens are more than the {} that the model was made for", config.context));
    }
    let mut report = Report::begin(&args, About::of(&file, &work, Level::detect()?))?;
    let mut digests = Digests::new();
    for threads in args.threads() {
        for &kv in &args.kv {
            let cpu = Cpu::new(Options { threads: Some(threads), kv, exact: args.exact })?;
            let given = cpu.machine.pool.threads();
            ensure!(given == threads, "--threads {threads}: the system gives this process no more than {given}");
            let model = Model::load(&Loader::new(&cpu, &file)?)?;
            for &test in &tests {
                report.add(&measure(&args, test, kv, &cpu, &model, &memory, &mut digests)?, &work)?;
            }
        }
    }
    report.end()
}

/// Every cache must fit into the memory that is free before the first test begins.
fn check_room(tests: &[Test], kinds: &[CacheType], work: &Work) -> anyhow::Result<()> {
    let Some(free) = memory::available() else { return Ok(()) };
    for test in tests {
        for &kv in kinds {
            let bytes = work.cache(kv) * (test.n_seq as f64) * test.end() as f64;
            if bytes > free as f64 {
                let (bytes, free) = (units::bytes(bytes), units::bytes(free as f64));
                let name = test.name();
                bail!("{name}: its cache in {} takes {bytes}, and {free} of memory are free", kv.name());
            }
        }
    }
    Ok(())
}

/// Memory for the probe to read: several times the processor's caches, and written once, so that all of it is there.
fn buffer() -> anyhow::Result<Vec<u8>> {
    let len = memory::largest_cache().map_or(0, |n| n.saturating_mul(4)).clamp(256 << 20, 1 << 30) as usize;
    let mut memory = Vec::new();
    memory.try_reserve_exact(len).with_context(|| format!("no room for the {len} bytes that the probe reads"))?;
    memory.resize(len, 1);
    Ok(memory)
}

/// Fills the cache to the depth, warms up, and runs the test as often as asked.
fn measure(
    args: &Args,
    test: Test,
    kv: CacheType,
    cpu: &Cpu,
    model: &Model<'_, Cpu>,
    memory: &[u8],
    known: &mut Digests,
) -> anyhow::Result<Measured> {
    let begun = SystemTime::now();
    let cache = model.begin_many(cpu, test.n_seq, test.end())?;
    let mut run =
        Running { model, cpu, cache, chunk: args.chunk.into(), tokens: vec![], spans: vec![], logits: vec![] };
    for sequence in 0..test.n_seq {
        run.read(sequence, test.n_depth)?;
    }
    // a prompt's whole length, so that every buffer is there; of a generation one step touches all there is
    run.go(Test { n_gen: test.n_gen.min(1), ..test })?;
    let (mut times, mut floors, mut digest) = (Vec::new(), Vec::new(), 0);
    let threads = cpu.machine.pool.threads();
    for repetition in 1..=args.repetitions {
        for sequence in 0..test.n_seq {
            run.cache.truncate(sequence, test.n_depth);
        }
        floors.push(Floor::probe(&cpu.machine, memory));
        let clock = Instant::now();
        run.go(test)?;
        times.push(clock.elapsed());
        digest = fnv1a(&run.logits[..model.vocab()]);
        let who = format!("{}, threads {threads}, repetition {repetition}", test.name());
        agree(known, (test.end(), kv), digest, who)?;
    }
    floors.push(Floor::probe(&cpu.machine, memory));
    let resident = memory::resident().map(|bytes| bytes.saturating_sub(memory.len() as u64));
    let floor = Floor { read: median(floors.iter().map(|f| f.read)), int8: median(floors.iter().map(|f| f.int8)) };
    Ok(Measured { test, threads, kv, begun, times, floor, digest, resident })
}

impl Floor {
    /// One reading of the memory, and the best of ten milliseconds of dot products: a burst is short, and a thread that must
    /// first wake up would halve it.
    fn probe(machine: &Machine, memory: &[u8]) -> Floor {
        let read = probe::read_bandwidth(machine, memory);
        let (clock, mut int8) = (Instant::now(), 0f64);
        while clock.elapsed() < Duration::from_millis(10) {
            int8 = int8.max(probe::int8_peak(machine));
        }
        Floor { read, int8 }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0
}

/// The sequences of a test.
struct Running<'m, 'f> {
    model: &'m Model<'f, Cpu>,
    cpu: &'m Cpu,
    cache: Cache<Cpu>,
    /// Tokens of a prompt computed at a time.
    chunk: usize,
    tokens: Vec<u32>,
    spans: Vec<Span>,
    /// Of the last step: those of the first sequence come first.
    logits: Vec<f32>,
}

impl Running<'_, '_> {
    /// The prompt of the first sequence, or the generation of all.
    fn go(&mut self, test: Test) -> anyhow::Result<()> {
        self.read(0, test.n_prompt)?;
        for _ in 0..test.n_gen {
            self.step(0..test.n_seq, 1)?;
        }
        Ok(())
    }

    /// The next tokens of one sequence, in chunks.
    fn read(&mut self, sequence: usize, mut tokens: usize) -> anyhow::Result<()> {
        while tokens > 0 {
            let now = tokens.min(self.chunk);
            self.step(sequence..sequence + 1, now)?;
            tokens -= now;
        }
        Ok(())
    }

    /// One step of some sequences, the same number of tokens for each.
    fn step(&mut self, sequences: std::ops::Range<usize>, tokens: usize) -> anyhow::Result<()> {
        let vocab = self.model.vocab();
        self.spans.clear();
        self.tokens.clear();
        for sequence in sequences {
            let len = self.cache.len(sequence);
            self.spans.push(Span { sequence, tokens });
            self.tokens.extend((len..len + tokens).map(|position| token(sequence, position, vocab)));
        }
        let cx = Ctx::new(self.cpu);
        Ok(self.model.step(&cx, &self.tokens, &self.spans, &mut self.cache, true, &mut self.logits)?)
    }
}

/// The token at a position of a sequence: as good as random, and always the same (the mixing of SplitMix64).
fn token(sequence: usize, position: usize, vocab: usize) -> u32 {
    let mut z = ((sequence as u64) << 40 | position as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) % vocab as u64) as u32
}

/// FNV-1a, 64 bits, of the little-endian bytes.
fn fnv1a(values: &[f32]) -> u64 {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The digests so far and the tests that had them first, by what they depend on: how many tokens, and the type of cache.
type Digests = HashMap<(usize, CacheType), (u64, String)>;

/// Remembers the digest of these tokens, or finds that an earlier test had another one.
fn agree(known: &mut Digests, of: (usize, CacheType), digest: u64, who: String) -> anyhow::Result<()> {
    match known.get(&of) {
        Some((first, by)) => ensure!(
            *first == digest,
            "{who}: the last logits' digest is {digest:016x}, and {first:016x} in {by}; the same tokens must give the same bits"
        ),
        None => drop(known.insert(of, (digest, who))),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
