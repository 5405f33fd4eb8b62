//! Encodes a matrix, to measure what a format loses: `encode FORMAT COLUMNS IN OUT [IMPORTANCE]`.
//!
//! IN holds rows of COLUMNS little-endian f32, IMPORTANCE one row of them; OUT receives the blocks. Prints the speed of the
//! encoder alone, on one thread, in bytes of f32 per second: that of the fastest four rows, so that other programs do not
//! count. `scripts/compare_encoders.py` is the usual caller.

use std::{env, error::Error, fs, process::ExitCode, time::Instant};

use lucid_kernels::formats::Format;

fn main() -> ExitCode {
    match run() {
        Ok(speed) => {
            println!("{speed:.0}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<f64, Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [format, columns, input, output, rest @ ..] = &args[..] else {
        return Err("usage: encode FORMAT COLUMNS IN OUT [IMPORTANCE]".into());
    };
    let format = Format::from_name(format).ok_or_else(|| format!("no format is called {format}"))?;
    let columns: usize = columns.parse()?;
    let row_bytes = format.row_bytes(columns).filter(|&n| n > 0).ok_or("COLUMNS is no whole number of blocks")?;
    let x = floats(input)?;
    let importance = rest.first().map(|path| floats(path)).transpose()?;
    if x.len() % columns != 0 || importance.as_ref().is_some_and(|w| w.len() != columns) {
        return Err("IN must hold whole rows of COLUMNS values, and IMPORTANCE one".into());
    }

    let mut out = vec![0; x.len() / columns * row_bytes];
    let mut speed = 0f64;
    for (x, out) in x.chunks(4 * columns).zip(out.chunks_mut(4 * row_bytes)) {
        let start = Instant::now();
        for (x, out) in x.chunks_exact(columns).zip(out.chunks_exact_mut(row_bytes)) {
            format.encode(x, importance.as_deref(), out)?;
        }
        speed = speed.max((x.len() * 4) as f64 / start.elapsed().as_secs_f64());
    }
    fs::write(output, out)?;
    Ok(speed)
}

fn floats(path: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    let bytes = fs::read(path).map_err(|e| format!("{path}: {e}"))?;
    Ok(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}
