//! Nothing is allocated per decoded token: every buffer is one that an earlier token left. Of a generated one, its text is the
//! caller's, and that only.
//!
//! One test in a file of its own, because the count is of the whole process.

#[path = "common/random_model.rs"]
mod random_model;

use lucid::{
    backend::cpu::{Cpu, Options},
    file::ModelFile,
    generate::{Request, Session},
    kv::Span,
    models::{Loader, Model},
    ops::Ctx,
    sample::{Breakers, Chain, Params},
    tokenizer::Tokenizer,
};
use lucid_kernels::formats::Format;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    ops::Range,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to `System` with the arguments it came with, so `System`'s promises are ours.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promises are `System`'s conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `System` by way of `alloc`, with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most tokens that are computed, and three ranges of them that are counted: each crosses an edge of the cache's tiles,
/// and a power of two, at which what only grows would grow.
const TOKENS: usize = 264;
const COUNTED: [Range<usize>; 3] = [60..70, 124..134, 252..262];

/// The fewest allocations of a counted range, but for those that `token` returns as the caller's. The harness's own thread
/// may allocate now and then; a token that does shows in every one.
fn fewest(mut token: impl FnMut(usize) -> usize) -> usize {
    let mut next = 0;
    let counts = COUNTED.map(|counted| {
        (next..counted.start).for_each(|t| _ = token(t));
        next = counted.end;
        let before = ALLOCATIONS.load(Relaxed);
        let callers: usize = counted.map(&mut token).sum();
        ALLOCATIONS.load(Relaxed) - before - callers
    });
    counts.into_iter().min().expect("three")
}

/// Steps of two sequences.
fn of_steps(path: &Path, cpu: &Cpu) -> usize {
    let file = ModelFile::open(path).unwrap();
    let model = Model::load(&Loader::new(cpu, &file).unwrap()).unwrap();
    let mut cache = model.begin_many(cpu, 2, TOKENS).unwrap();
    let (cx, mut logits) = (Ctx::new(cpu), Vec::new());
    let spans = [Span { sequence: 0, tokens: 1 }, Span { sequence: 1, tokens: 1 }];
    fewest(|t| {
        model.step(&cx, &[t as u32, t as u32 + 1], &spans, &mut cache, true, &mut logits).unwrap();
        0
    })
}

/// Tokens that are drawn, with penalties and every sampler that is usually on, and become text.
fn of_a_text(path: &Path, cpu: &Cpu) -> usize {
    let (file, tokenizer) = (ModelFile::open(path).unwrap(), Tokenizer::open(path).unwrap());
    let model = Model::load(&Loader::new(cpu, &file).unwrap()).unwrap();
    let mut session = Session::new(&model, cpu, TOKENS + 1).unwrap();
    let params = Params { penalty_repeat: 1.1, penalty_last_n: -1, ..Params::default() };
    let chain = Chain::new(&params, tokenizer.vocab_size(), session.context(), Breakers::default()).unwrap();
    let request = Request { prompt: vec![1], ..Request::default() };
    let cancel = AtomicBool::new(false);
    let mut text = session.generate(&tokenizer, chain, &request, &cancel, &mut |_, _| ()).unwrap();
    fewest(|_| usize::from(!text.next().expect("no token ends it").unwrap().text.is_empty()))
}

#[test]
fn a_decoded_token_allocates_nothing() {
    let cpu = Cpu::new(Options { threads: Some(2), ..Options::default() }).unwrap();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny/tiny.gguf");
    assert_eq!(of_steps(&tiny, &cpu), 0, "allocations of ten steps");
    let random = std::env::temp_dir().join(format!("lucid-token-loop-{}.gguf", std::process::id()));
    for format in [Format::F16, Format::Q4_0, Format::Q6_K] {
        random_model::write(&random, format);
        assert_eq!(of_steps(&random, &cpu), 0, "allocations of ten steps in {}", format.name());
    }
    std::fs::remove_file(random).unwrap();
    assert_eq!(of_a_text(&tiny, &cpu), 0, "allocations of ten tokens, but for their text");
}
