//! Nothing is allocated per decoded token: every buffer is one that an earlier token left.
//!
//! One test in a file of its own, because the count is of the whole process.

use lucid::{
    backend::cpu::{Cpu, Options},
    file::ModelFile,
    kv::Span,
    models::{Loader, Model},
    ops::Ctx,
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
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

#[test]
fn a_decoded_token_allocates_nothing() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny/tiny.gguf");
    let file = ModelFile::open(&path).unwrap();
    let cpu = Cpu::new(Options { threads: Some(2), ..Options::default() }).unwrap();
    let model = Model::load(&Loader::new(&cpu, &file).unwrap()).unwrap();
    let mut cache = model.begin_many(&cpu, 2, 64).unwrap();
    let (cx, mut logits) = (Ctx::new(&cpu), Vec::new());
    let spans = [Span { sequence: 0, tokens: 1 }, Span { sequence: 1, tokens: 1 }];
    let mut step = |t: u32| model.step(&cx, &[t, t + 1], &spans, &mut cache, true, &mut logits).unwrap();
    (0..4).for_each(&mut step);
    // The harness's own thread may allocate now and then; a token that does shows in every round.
    let rounds: Vec<usize> = [4..22, 22..40, 40..58]
        .map(|tokens| {
            let before = ALLOCATIONS.load(Relaxed);
            tokens.for_each(&mut step);
            ALLOCATIONS.load(Relaxed) - before
        })
        .to_vec();
    assert_eq!(rounds.iter().min(), Some(&0), "allocations in rounds of 18 steps of two tokens: {rounds:?}");
}
