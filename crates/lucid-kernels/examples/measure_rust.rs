//! What safe Rust costs, and what it gives, in the loops of this crate: the numbers of docs/19-rust.md.
//!
//! ```text
//! cargo run --release -p lucid-kernels --example measure_rust
//! ```
//!
//! Every table sets variants of one loop side by side. They take turns, so that a busy machine slows all alike; a table
//! gives the median over the turns and the range of the middle eight tenths. The variants live here and nowhere else: the crate's own loops are the
//! first of each table.

use lucid_kernels::{formats::Format, map::Map};
use std::{fs, hint::black_box, time::Instant};

/// Turns that every variant takes.
const TURNS: usize = 301;
/// Values of a row: the width of an 8-billion-parameter model.
const N: usize = 4096;
/// Rows in one turn: some 100 µs, so that few turns are interrupted.
const ROWS: usize = 16;
/// Turns with a file.
const FILE_TURNS: usize = 21;

fn main() {
    println!("{TURNS} turns each; vector instructions: {}\n", features());
    let (w, x) = (noise(1, N), noise(2, N));

    println!("### One row of a matrix product, {N} values, ns: bounds checks\n");
    race(&[
        ("ordered f64 sum, `zip` (as `matmul` has it)", &|| dot(zip, &w, &x)),
        ("ordered f64 sum, `w[i] * x[i]`, both checked", &|| dot(indexed, &w, &x)),
        ("ordered f64 sum, `get_unchecked`", &|| dot(unchecked, &w, &x)),
        ("eight f64 sums, `chunks_exact`", &|| dot(lanes, &w, &x)),
        ("eight f64 sums, `w[i + l] * x[i + l]`, both checked", &|| dot(lanes_indexed, &w, &x)),
        ("eight f64 sums, `get_unchecked`", &|| dot(lanes_unchecked, &w, &x)),
    ]);

    println!("### One row of a matrix product, {N} values, ns: the order of a sum\n");
    race(&[
        ("one f64 sum in order (as `matmul` has it)", &|| dot(zip, &w, &x)),
        ("eight f64 sums", &|| dot(lanes, &w, &x)),
        ("one f32 sum in order", &|| dot(ordered_f32, &w, &x)),
        ("eight f32 sums", &|| dot(lanes_f32, &w, &x)),
    ]);

    println!("### Decoding one row of Q4_0, {N} values, ns\n");
    let blocks: Vec<u8> = noise(3, N / 32 * 18).iter().map(|v| (v * 128.0) as i8 as u8).collect();
    race(&[
        ("`Format::decode` (`out[i]`, `out[i + 16]` checked)", &|| decode(|b, y| Format::Q4_0.decode(b, y), &blocks)),
        ("halves by `split_at_mut` and `zip`", &|| decode(q4_0_zipped, &blocks)),
        ("the block as `&mut [f32; 32]`", &|| decode(q4_0_array, &blocks)),
    ]);

    println!("### Widening one row of f16, {N} values, ns\n");
    let halves: Vec<u8> = x.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect();
    race(&[
        ("`Format::decode` (bit arithmetic)", &|| decode(|b, y| Format::F16.decode(b, y), &halves)),
        ("`half::f16::to_f32`, value by value", &|| decode(f16_by_crate, &halves)),
    ]);

    mapping();
}

type Dot = fn(&[f32], &[f32]) -> f32;

fn dot(f: Dot, w: &[f32], x: &[f32]) {
    for _ in 0..ROWS {
        black_box(black_box(f)(black_box(w), black_box(x)));
    }
}

fn zip(w: &[f32], x: &[f32]) -> f32 {
    let mut sum = 0f64;
    for (w, x) in w.iter().zip(x) {
        sum += *w as f64 * *x as f64;
    }
    sum as f32
}

fn indexed(w: &[f32], x: &[f32]) -> f32 {
    let mut sum = 0f64;
    for i in 0..black_box(N) {
        sum += w[i] as f64 * x[i] as f64;
    }
    sum as f32
}

fn unchecked(w: &[f32], x: &[f32]) -> f32 {
    assert!(w.len() == x.len());
    let mut sum = 0f64;
    for i in 0..w.len() {
        // SAFETY: i is below the length of both.
        sum += unsafe { *w.get_unchecked(i) as f64 * *x.get_unchecked(i) as f64 };
    }
    sum as f32
}

fn lanes(w: &[f32], x: &[f32]) -> f32 {
    let mut sums = [0f64; 8];
    for (w, x) in w.chunks_exact(8).zip(x.chunks_exact(8)) {
        for l in 0..8 {
            sums[l] += w[l] as f64 * x[l] as f64;
        }
    }
    sums.iter().sum::<f64>() as f32
}

fn lanes_indexed(w: &[f32], x: &[f32]) -> f32 {
    let mut sums = [0f64; 8];
    for i in (0..black_box(N)).step_by(8) {
        for l in 0..8 {
            sums[l] += w[i + l] as f64 * x[i + l] as f64;
        }
    }
    sums.iter().sum::<f64>() as f32
}

fn lanes_unchecked(w: &[f32], x: &[f32]) -> f32 {
    assert!(w.len() == x.len() && w.len().is_multiple_of(8));
    let mut sums = [0f64; 8];
    for i in (0..w.len()).step_by(8) {
        for l in 0..8 {
            // SAFETY: i is a multiple of eight below the length of both, which is one too, so i + 7 is below it.
            sums[l] += unsafe { *w.get_unchecked(i + l) as f64 * *x.get_unchecked(i + l) as f64 };
        }
    }
    sums.iter().sum::<f64>() as f32
}

fn ordered_f32(w: &[f32], x: &[f32]) -> f32 {
    w.iter().zip(x).map(|(w, x)| w * x).sum()
}

fn lanes_f32(w: &[f32], x: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    for (w, x) in w.chunks_exact(8).zip(x.chunks_exact(8)) {
        for l in 0..8 {
            sums[l] += w[l] * x[l];
        }
    }
    sums.iter().sum()
}

fn decode(f: fn(&[u8], &mut [f32]), bytes: &[u8]) {
    let mut row = [0f32; N];
    for _ in 0..ROWS {
        black_box(f)(black_box(bytes), &mut row);
        black_box(&row);
    }
}

/// The scale of a block by bit arithmetic on its f16, for finite normal ones: the same in both variants below.
fn scale(block: &[u8]) -> f32 {
    half::f16::from_le_bytes([block[0], block[1]]).to_f32_const()
}

fn q4_0_zipped(bytes: &[u8], out: &mut [f32]) {
    for (block, y) in bytes.chunks_exact(18).zip(out.chunks_exact_mut(32)) {
        let d = scale(block);
        let (low, high) = y.split_at_mut(16);
        for ((low, high), b) in low.iter_mut().zip(high).zip(&block[2..]) {
            *low = d * ((b & 15) as i32 - 8) as f32;
            *high = d * ((b >> 4) as i32 - 8) as f32;
        }
    }
}

fn q4_0_array(bytes: &[u8], out: &mut [f32]) {
    for (block, y) in bytes.as_chunks::<18>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        let d = scale(block);
        for i in 0..16 {
            y[i] = d * ((block[2 + i] & 15) as i32 - 8) as f32;
            y[i + 16] = d * ((block[2 + i] >> 4) as i32 - 8) as f32;
        }
    }
}

fn f16_by_crate(bytes: &[u8], out: &mut [f32]) {
    for (b, y) in bytes.as_chunks::<2>().0.iter().zip(out) {
        *y = half::f16::from_le_bytes(*b).to_f32();
    }
}

/// A file mapped and the same file read: time until its bytes can be used, and the memory that then belongs to the process.
fn mapping() {
    const BYTES: usize = 256 << 20;
    let path = std::env::temp_dir().join(format!("lucid-measure-{}", std::process::id()));
    fs::write(&path, vec![1u8; BYTES]).expect("the temporary folder takes 256 MiB");
    let pages = |bytes: &[u8]| bytes.iter().step_by(4096).map(|&b| b as u64).sum::<u64>();

    println!("### A file of 256 MiB in the page cache, {FILE_TURNS} turns\n");
    println!("| | until it can be used, ms | touching each page, ms | own memory, MiB | mapped pages, MiB |");
    println!("|---|---:|---:|---:|---:|");
    let mut rows = [const { (Vec::new(), Vec::new(), 0, 0) }; 2];
    for _ in 0..FILE_TURNS {
        for (which, row) in rows.iter_mut().enumerate() {
            let before = resident();
            let start = Instant::now();
            let (map, vec);
            let bytes: &[u8] = if which == 0 {
                map = Map::open(&path).expect("it was just written");
                &map
            } else {
                vec = fs::read(&path).expect("it was just written");
                &vec
            };
            row.0.push(start.elapsed().as_secs_f64() * 1e3);
            let start = Instant::now();
            black_box(pages(bytes));
            row.1.push(start.elapsed().as_secs_f64() * 1e3);
            let after = resident();
            (row.2, row.3) = ((after.0 - before.0) >> 10, (after.1 - before.1) >> 10);
        }
    }
    for (name, (open, touch, own, mapped)) in ["`Map::open`", "`fs::read`"].iter().zip(&mut rows) {
        println!("| {name} | {} | {} | {own} | {mapped} |", spread(open), spread(touch));
    }
    fs::remove_file(&path).expect("it was just there");
}

/// KiB of anonymous memory and of mapped file pages that are resident. Zeros where there is no /proc.
fn resident() -> (i64, i64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or("0");
        line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    (field("RssAnon:"), field("RssFile:"))
}

/// Runs the variants in turn, each time beginning with another one, and prints ns per row.
fn race(variants: &[(&str, &dyn Fn())]) {
    let mut times = vec![Vec::new(); variants.len()];
    for turn in 0..TURNS {
        for i in 0..variants.len() {
            let i = (turn + i) % variants.len();
            let start = Instant::now();
            variants[i].1();
            times[i].push(start.elapsed().as_secs_f64() * 1e9 / ROWS as f64);
        }
    }
    println!("| variant | median (range) | to the first |\n|---|---:|---:|");
    let first = times[0].clone();
    for ((name, _), times) in variants.iter().zip(&mut times) {
        let mut ratio: Vec<f64> = times.iter().zip(&first).map(|(t, first)| t / first).collect();
        ratio.sort_by(f64::total_cmp);
        println!("| {name} | {} | {:.2} |", spread(times), ratio[TURNS / 2]);
    }
    println!();
}

/// `median (range)`, the range without the lowest and the highest tenth.
fn spread(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let digits = if values[0] < 10.0 { 2 } else { 0 };
    let tenth = values.len() / 10;
    let (low, middle, high) = (values[tenth], values[values.len() / 2], values[values.len() - 1 - tenth]);
    format!("{middle:.digits$} ({low:.digits$}–{high:.digits$})")
}

/// The widest of the vector extensions that the compiler was allowed to use.
fn features() -> &'static str {
    match () {
        _ if cfg!(target_feature = "avx512f") => "avx512f",
        _ if cfg!(target_feature = "avx2") => "avx2",
        _ if cfg!(target_feature = "sse2") => "sse2 (the default of x86-64)",
        _ => "the target's default",
    }
}

/// Reproducible values in (−1, 1).
fn noise(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}
