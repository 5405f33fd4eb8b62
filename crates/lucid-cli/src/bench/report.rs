//! Results for people and for programs, each as it comes.

use super::{Args, Form, Measured, Work};
use crate::{
    output::{plain, print},
    units,
};
use lucid::{chat::strftime, file::ModelFile};
use lucid_kernels::level::Level;
use serde_json::json;
use std::collections::HashMap;

/// What all tests have in common.
pub(super) struct About {
    file: String,
    name: String,
    kind: String,
    size: u64,
    parameters: u128,
    cpu: String,
    level: Level,
}

impl About {
    /// The model and the machine.
    pub fn of(file: &ModelFile, work: &Work, level: Level) -> About {
        let mut formats: HashMap<&str, usize> = HashMap::new();
        for t in file.tensors() {
            *formats.entry(t.type_name).or_default() += t.bytes.len();
        }
        // by name too, so that two of the same size have an order
        let most = formats.into_iter().max_by_key(|&(name, bytes)| (bytes, name)).map_or("", |(name, _)| name);
        let name = file.path.file_name().unwrap_or(file.path.as_os_str());
        About {
            file: file.path.display().to_string(),
            name: plain(&name.to_string_lossy()),
            kind: plain(&format!("{} {} {most}", file.architecture().unwrap_or("?"), units::count(work.parameters))),
            size: work.size,
            parameters: work.parameters,
            cpu: cpu(),
            level,
        }
    }
}

/// The processor's own name, or its architecture.
fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    named.map_or_else(|| std::env::consts::ARCH.into(), |(_, name)| plain(name.trim()))
}

/// Results as they are written.
pub(super) struct Report {
    form: Form,
    about: About,
    chunk: usize,
    exact: bool,
    count: usize,
}

/// A mean and how far the values spread around it.
struct Spread {
    mean: f64,
    deviation: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Spread {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Spread { mean, deviation: if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 } }
    }
}

impl Report {
    /// Writes what comes before the first result.
    pub fn begin(args: &Args, about: About) -> anyhow::Result<Report> {
        let report = Report { form: args.output, about, chunk: args.chunk.into(), exact: args.exact, count: 0 };
        match report.form {
            Form::Md => print(&report.heading(args.repetitions))?,
            Form::Json => print("[")?,
        }
        Ok(report)
    }

    fn heading(&self, repetitions: u32) -> String {
        let a = &self.about;
        let plural = if repetitions == 1 { "" } else { "s" };
        let exact = if self.exact { ", exact activations" } else { "" };
        let mut text = format!("lucid {}, {}, {}\n", env!("CARGO_PKG_VERSION"), a.cpu, a.level);
        text += &format!(
            "{}: {}, {}; {repetitions} repetition{plural}, chunks of {}{exact}\n\n",
            a.name,
            a.kind,
            units::bytes(a.size as f64),
            self.chunk
        );
        text += &line(["test", "thr", "kv", "tokens/s", "reached", "%", "logits"].map(String::from));
        text + "|----------------|----:|------|--------------------:|----------------------:|----:|----------|\n"
    }

    /// Writes one result.
    pub fn add(&mut self, m: &Measured, work: &Work) -> anyhow::Result<()> {
        let nanoseconds: Vec<f64> = m.times.iter().map(|t| t.as_nanos() as f64).collect();
        let speeds: Vec<f64> = nanoseconds.iter().map(|ns| m.test.tokens() as f64 * 1e9 / ns.max(1.0)).collect();
        let speed = Spread::of(&speeds);
        let reached = Reached::of(m, work, self.chunk, speed.mean);
        self.count += 1;
        match self.form {
            Form::Md => print(&self.row(m, &speed, &reached)),
            Form::Json => {
                let comma = if self.count > 1 { "," } else { "" };
                print(&format!("{comma}\n{:#}", self.object(m, &Spread::of(&nanoseconds), &speeds, &speed, &reached)))
            }
        }
    }

    fn row(&self, m: &Measured, speed: &Spread, reached: &Reached) -> String {
        let (value, floor, unit) = match reached.gbps {
            Some(gbps) => (gbps, m.floor.read, "GB/s"),
            None => (reached.gops, m.floor.int8, "Gop/s"),
        };
        line([
            m.test.name(),
            m.threads.to_string(),
            m.kv.name().into(),
            format!("{:.2} ± {:.2}", speed.mean, speed.deviation),
            format!("{value:.1} of {floor:.1} {unit}"),
            format!("{:.0}", 100.0 * value / floor),
            format!("{:08x}", m.digest >> 32),
        ])
    }

    fn object(
        &self,
        m: &Measured,
        time: &Spread,
        speeds: &[f64],
        speed: &Spread,
        reached: &Reached,
    ) -> serde_json::Value {
        let a = &self.about;
        let whole = |x: f64| x.round() as u64;
        json!({
            "build": env!("CARGO_PKG_VERSION"),
            "cpu_info": a.cpu,
            "level": a.level.name(),
            "model_filename": a.file,
            "model_type": a.kind,
            "model_size": a.size,
            "model_n_params": u64::try_from(a.parameters).unwrap_or(u64::MAX),
            "n_ubatch": self.chunk,
            "n_threads": m.threads,
            "kv": m.kv.name(),
            "exact": self.exact,
            "n_prompt": m.test.n_prompt,
            "n_gen": m.test.n_gen,
            "n_depth": m.test.n_depth,
            "n_seq": m.test.n_seq,
            "test_time": strftime(m.begun, "%Y-%m-%dT%H:%M:%SZ"),
            "avg_ns": whole(time.mean),
            "stddev_ns": whole(time.deviation),
            "avg_ts": speed.mean,
            "stddev_ts": speed.deviation,
            "samples_ns": m.times.iter().map(|t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX)).collect::<Vec<_>>(),
            "samples_ts": speeds,
            "gbps": reached.gbps,
            "bandwidth_gbps": m.floor.read,
            "bandwidth_pct": reached.gbps.map(|gbps| 100.0 * gbps / m.floor.read),
            "int8_pct": 100.0 * reached.gops / m.floor.int8,
            "int8_gops": m.floor.int8,
            "digest": format!("{:016x}", m.digest),
            "rss_bytes": m.resident,
        })
    }

    /// Writes what comes after the last result.
    pub fn end(self) -> anyhow::Result<()> {
        match self.form {
            Form::Md => Ok(()),
            Form::Json => print("\n]\n"),
        }
    }
}

/// What the machine did in a second.
struct Reached {
    /// 10⁹ bytes of weights and cache, while generating.
    gbps: Option<f64>,
    /// 10⁹ operations with the weight matrices.
    gops: f64,
}

impl Reached {
    /// At a speed of so many tokens per second.
    fn of(m: &Measured, work: &Work, chunk: usize, speed: f64) -> Reached {
        let test = m.test;
        let (n, tokens) = (test.n_seq as f64, test.tokens());
        // the token at position p looks back at p + 1 tokens, itself among them
        let seen = test.n_depth as f64 + (test.n_gen as f64 + 1.0) / 2.0;
        let step = work.weights as f64 + n * seen * work.cache(m.kv);
        let compared = if test.n_gen > 0 { tokens } else { test.n_prompt.div_ceil(chunk) };
        Reached {
            gbps: (test.n_gen > 0).then(|| step * speed / n / 1e9),
            gops: work.operations(tokens, compared) / tokens as f64 * speed / 1e9,
        }
    }
}

/// A line of the table, 97 characters wide unless a number is enormous.
fn line([test, threads, kv, speed, reached, percent, digest]: [String; 7]) -> String {
    format!("| {test:14} | {threads:>3} | {kv:4} | {speed:>19} | {reached:>21} | {percent:>3} | {digest:8} |\n")
}
