//! Speed of the matrix product: share of the read bandwidth, and of the int8 peak, for formats × rows × threads.
//!
//! ```text
//! cargo run --release -p lucid-kernels --example measure_kernels -- [FORMATS] [ROWS] [THREADS] [OUT×IN] [LEVEL]
//! cargo run --release -p lucid-kernels --example measure_kernels -- Q4_K,Q8_0 1,4,512 1,2 5632x2048
//! ```
//!
//! Two probes run between the products, again and again, because a machine's speed drifts: a pure read of memory by the same
//! threads, and the fastest loop of dot products in registers. Every figure is the best of its rounds, and so are the probes.

use lucid_kernels::{
    cpu::{self, Activations, Machine},
    formats::Format,
    level::Level,
    probe,
};
use std::time::Instant;

/// Seconds on a clock: of the wall, or, with `CPU_TIME=1` on a machine busy with other things, of this thread's own running
/// (then only figures for one thread mean anything).
fn now() -> f64 {
    if std::env::var_os("CPU_TIME").is_none() {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        return START.elapsed().as_secs_f64();
    }
    std::thread::yield_now(); // the kernel's figure is brought up to date when it looks at the thread
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().expect("a number").parse::<f64>().expect("a number") / 1e9
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |i: usize, default: &str| args.get(i).cloned().unwrap_or(default.into());
    let formats: Vec<Format> = match arg(0, "all").as_str() {
        "all" => "F32,F16,BF16,Q4_0,Q4_1,Q5_0,Q5_1,Q8_0,Q2_K,Q3_K,Q4_K,Q5_K,Q6_K,IQ4_NL,IQ4_XS,MXFP4".to_string(),
        other => other.to_string(),
    }
    .split(',')
    .map(|name| Format::from_name(name).expect("a format"))
    .collect();
    let numbers = |text: String| -> Vec<usize> { text.split(',').map(|n| n.parse().expect("a number")).collect() };
    let (rows, threads) = (numbers(arg(1, "1,2,4,8,16,32,128,512")), numbers(arg(2, "1,2")));
    let shape = arg(3, "5632x2048");
    let (n_out, n_in) = shape.split_once('x').expect("OUTxIN");
    let (n_out, n_in): (usize, usize) = (n_out.parse().expect("a number"), n_in.parse().expect("a number"));
    let level = match args.get(4) {
        Some(name) => Level::named(name),
        None => Level::detect(),
    }
    .expect("a level of this processor");

    println!(
        "level {level}, {n_out} × {n_in}; decode figures are GB/s of weights (% of the read), others Gop/s (% of the int8 peak)"
    );
    for &threads in &threads {
        let machine = Machine::new(level, threads);
        // Bytes that are moderate numbers in every format (denormals would slow the float ones down). Many times the last cache, so that a read of it comes from memory, and so do weights that take turns in it.
        let store: Vec<u8> = (0..320usize << 20).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8 & 3 | 0x3C).collect();
        let (mut read, mut peak) = (0f64, 0f64);
        let mut best = vec![vec![f64::INFINITY; rows.len()]; formats.len()];
        for _ in 0..3 {
            read = read.max(probe::read_bandwidth(&machine, &store));
            peak = peak.max(probe::int8_peak(&machine));
            for (f, &format) in formats.iter().enumerate() {
                let bytes = format.row_bytes(n_in).expect("whole blocks") * n_out;
                for (r, &rows) in rows.iter().enumerate() {
                    let x: Vec<f32> = (0..rows * n_in).map(|i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
                    let mut y = vec![0.0; rows * n_out];
                    let calls = (2e9 / (n_out * n_in * rows) as f64).clamp(10.0, 60.0) as usize;
                    for call in 0..=calls {
                        let at = (call * bytes) % (store.len() - bytes);
                        let begun = now();
                        cpu::matmul(&machine, format, &store[at..at + bytes], &x, n_in, &mut y, Activations::Rounded);
                        if call > 0 {
                            best[f][r] = best[f][r].min(now() - begun);
                        }
                    }
                }
            }
        }
        // The peak above is the best of short bursts; over a tenth of a second a processor's clock, and its neighbours, have their say.
        let begun = now();
        let mut bursts = 0;
        while bursts < 300 {
            probe::int8_peak(&machine);
            bursts += 1;
        }
        let sustained = bursts as f64 * probe::INT8_PEAK_OPS * threads as f64 / (now() - begun) / 1e9;
        println!("\nint8 sustained: {sustained:.0} Gop/s");
        println!("{threads} thread(s): read {read:.1} GB/s, int8 peak {peak:.0} Gop/s");
        print!("| format |");
        rows.iter().for_each(|rows| print!(" {rows} |"));
        print!("\n|---|");
        rows.iter().for_each(|_| print!("---|"));
        println!();
        for (f, &format) in formats.iter().enumerate() {
            print!("| {} |", format.name());
            for (r, &rows) in rows.iter().enumerate() {
                let bytes = format.row_bytes(n_in).expect("whole blocks") * n_out;
                let gbps = bytes as f64 / best[f][r] / 1e9;
                let gops = 2.0 * (n_out * n_in * rows) as f64 / best[f][r] / 1e9;
                if rows <= 2 {
                    print!(" {gbps:.1} ({:.0} %) |", 100.0 * gbps / read);
                } else {
                    print!(" {gops:.0} ({:.0} %) |", 100.0 * gops / peak);
                }
            }
            println!();
        }
    }
}
