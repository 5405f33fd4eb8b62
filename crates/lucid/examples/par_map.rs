//! From how many values on do two threads finish a map before one?
//!
//! ```text
//! cargo run --release -p lucid --example par_map [THREADS]
//! ```
//!
//! Prints the table from which [`PAR_MAP_MIN`] is set: for every size, the plain map and the threaded one take turns, so
//! that a busy neighbour slows both alike. Both begin with the same copy of the tensor, because the call does. The fastest
//! turn shows what each way costs on an undisturbed machine, the median what it costs on the machine as it is.

use lucid::{
    backend::Reference,
    tensor::{Act, PAR_MAP_MIN},
};
use std::{hint::black_box, time::Instant};

lucid::dims! {
    /// Rows of the measured matrix.
    Row,
    /// Columns of the measured matrix.
    Column,
}

type Matrix = Act<Reference, (Row, Column)>;

/// Turns that each side takes with `n` values: enough that some are undisturbed, few enough to end.
fn turns(n: usize) -> usize {
    ((1 << 27) / n).clamp(201, 2001)
}

fn main() {
    let threads = std::env::args().nth(1).map_or(2, |n| n.parse().expect("THREADS is a number"));
    println!("{threads} threads; the gate stands at {PAR_MAP_MIN} values\n");
    println!("| values | function | plain µs, fastest (median) | threaded µs, fastest (median) | plain / threaded |");
    println!("|---:|---|---:|---:|---:|");
    for log in 12..=22 {
        race(log, threads, "v · 1.5 + 1", |v| v * 1.5 + 1.0);
    }
    for log in 12..=22 {
        race(log, threads, "eˢⁱⁿ ᵛ", |v| v.sin().exp());
    }
}

/// The body of `Tensor::par_map` beyond its gate.
fn threaded(x: &Matrix, threads: usize, f: impl Fn(f32) -> f32 + Sync) -> Matrix {
    let mut values = x.to_vec();
    let apply = |part: &mut [f32]| part.iter_mut().for_each(|v| *v = f(*v));
    let part = values.len().div_ceil(threads);
    std::thread::scope(|scope| {
        for part in values.chunks_mut(part) {
            scope.spawn(|| apply(part));
        }
    });
    Act::from_vec(x.shape, values).expect("a map keeps the size")
}

fn race(log: u32, threads: usize, name: &str, f: impl Fn(f32) -> f32 + Sync + Copy) {
    let n = 1usize << log;
    let values = (0..n).map(|i| i as f32 / n as f32).collect();
    let x = Matrix::from_vec((Row(n / 64), Column(64)), values).expect("the sizes agree");
    assert_eq!(x.par_map(1, f).values(), threaded(&x, threads, f).values());

    let time = |run: &dyn Fn() -> Matrix| {
        let start = Instant::now();
        black_box(run());
        start.elapsed().as_secs_f64() * 1e6
    };
    let (mut plain, mut split) = (Vec::new(), Vec::new());
    for turn in 0..turns(n) {
        // whoever comes second finds warm caches: take turns in that, too
        let (p, s) = if turn % 2 == 0 {
            let p = time(&|| black_box(&x).par_map(1, f));
            (p, time(&|| threaded(black_box(&x), threads, f)))
        } else {
            let s = time(&|| threaded(black_box(&x), threads, f));
            (time(&|| black_box(&x).par_map(1, f)), s)
        };
        plain.push(p);
        split.push(s);
    }
    plain.sort_by(f64::total_cmp);
    split.sort_by(f64::total_cmp);
    let middle = plain.len() / 2;
    println!(
        "| 2^{log} | {name} | {:.0} ({:.0}) | {:.0} ({:.0}) | {:.2} ({:.2}) |",
        plain[0],
        plain[middle],
        split[0],
        split[middle],
        plain[0] / split[0],
        plain[middle] / split[middle]
    );
}
