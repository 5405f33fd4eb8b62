//! Refusing a hostile file takes little memory: the heap is counted while each is opened.
//!
//! One test in a file of its own, because the count is of the whole process.

use lucid::file::gguf::Gguf;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The system's allocator, counting.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grown(n: usize) {
    PEAK.fetch_max(NOW.fetch_add(n, Relaxed) + n, Relaxed);
}

// SAFETY: every call goes to `System` with the arguments it came with, so `System`'s promises are ours; the counters
// neither allocate nor touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promises are `System`'s conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `at` came from `System` by way of `alloc`, with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LIMIT: usize = 64 << 20;

fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}

/// A file of version 3 with these counts, and what `rest` appends.
fn file(tensors: u64, keys: u64, rest: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend(tensors.to_le_bytes());
    out.extend(keys.to_le_bytes());
    rest(&mut out);
    out
}

/// A key of type u8, and its value.
fn key(out: &mut Vec<u8>, name: &[u8]) {
    string(out, name);
    out.extend(0u32.to_le_bytes());
    out.push(0);
}

/// A tensor of one f32.
fn tensor(out: &mut Vec<u8>, name: &[u8], offset: u64) {
    string(out, name);
    out.extend([0; 8]); // rank 0, type F32
    out.extend(offset.to_le_bytes());
}

/// The largest tables that the limits allow, each spoilt at the very end; and numbers that ask for everything.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let array = |element: u32, len: u64| {
        file(0, 1, |out| {
            string(out, b"a.b");
            out.extend(9u32.to_le_bytes());
            out.extend(element.to_le_bytes());
            out.extend(len.to_le_bytes());
            out.extend([0; 64]);
        })
    };
    let name = |i: u64| format!("{i:064}").into_bytes();
    vec![
        ("2^63 tensors", file(1 << 63, 0, |_| ())),
        ("2^63 keys", file(0, 1 << 63, |_| ())),
        ("an array of 2^63 bytes", array(0, 1 << 63)),
        ("an array of 2^61 strings", array(8, 1 << 61)),
        ("50,000 arrays deep", array(9, 1)),
        ("65,536 keys, the last the first", {
            file(0, 1 << 16, |out| (0..1u64 << 16).for_each(|i| key(out, &name(i % ((1 << 16) - 1)))))
        }),
        ("1,500 keys of 64 KiB, the last the first", {
            file(0, 1500, |out| {
                (0..1500u64).for_each(|i| key(out, &[vec![b'k'; 65_535 - 64], name(i % 1499)].concat()))
            })
        }),
        ("131,072 tensors, the last the first", {
            file(1 << 17, 0, |out| {
                (0..1u64 << 17).for_each(|i| tensor(out, &name(i % ((1 << 17) - 1)), 32 * i));
                out.resize((out.len().next_multiple_of(32)) + (32 << 17), 0);
            })
        }),
        ("a million tensors", file(1_000_000, 0, |out| out.resize(30_000_000, 0))),
        ("a string of 100 MB that is no UTF-8", {
            file(0, 1, |out| {
                string(out, b"a.b");
                out.extend(8u32.to_le_bytes());
                string(out, &[vec![b'x'; 100 << 20], vec![0xff]].concat());
            })
        }),
        ("12 million strings, the last cut short", {
            file(0, 1, |out| {
                string(out, b"a.b");
                out.extend(9u32.to_le_bytes());
                out.extend(8u32.to_le_bytes());
                out.extend(12_000_001u64.to_le_bytes());
                out.resize(out.len() + 96_000_000, 0);
                out.extend(1u64.to_le_bytes());
            })
        }),
    ]
}

#[test]
fn refusing_takes_less_than_64_mb() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hostile_memory.gguf");
    for (case, bytes) in hostile() {
        std::fs::write(&path, &bytes).unwrap();
        drop(bytes);
        let before = NOW.load(Relaxed);
        PEAK.store(before, Relaxed);
        let result = Gguf::open(&path);
        let peak = PEAK.load(Relaxed) - before;
        let error = result.err().unwrap_or_else(|| panic!("{case}: accepted"));
        assert!(peak < LIMIT, "{case}: {peak} bytes to say: {error}");
        println!("{case}: {:.1} MB to say: {error}", peak as f64 / 1e6);
    }
    std::fs::remove_file(path).unwrap();
}
