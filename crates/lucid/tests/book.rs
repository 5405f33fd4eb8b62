//! The book in docs/ says what the code does: paths and links lead somewhere, every operation has its place, and the
//! numbers of its worked examples are computed here and must stand in the text.

#[path = "common/fixtures.rs"]
mod fixtures;
#[path = "common/run.rs"]
mod run;

use fixtures::fixtures;
use lucid::{
    backend::{Heads, Pairs, Reference, Rotation},
    file::ModelFile,
    models::{Loader, Model},
    ops::Ctx,
    probe::Probe,
    rope::{Rope, Scaling},
    sample::{Candidates, Chain, Params, min_p, temperature, top_k, top_p},
};
use lucid_kernels::{
    cpu::{self, Activations, Cache, CacheLayout, CacheType, Machine, Place},
    formats::Format,
    level::Level,
    ops,
    oracle::{UNIT_F32, UNIT_F64},
};
use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Names and texts of the chapters, README.md among them.
fn chapters() -> Vec<(String, String)> {
    let mut chapters: Vec<_> = fs::read_dir(root().join("docs"))
        .expect("docs/ is there")
        .map(|entry| entry.expect("docs/ can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .map(|path| {
            let name = path.file_name().expect("it ends in .md").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a chapter is text"))
        })
        .collect();
    chapters.sort();
    assert!(chapters.len() > 15, "the book has its chapters");
    chapters
}

/// The pieces of `text` between `open` and the next `close` on the same line.
fn between<'t>(text: &'t str, open: &str, close: char) -> Vec<&'t str> {
    let pieces = text.lines().flat_map(|line| line.split(open).skip(1));
    pieces.filter_map(|rest| rest.split_once(close).map(|(piece, _)| piece)).collect()
}

#[test]
fn every_path_and_link_leads_somewhere() {
    let mut found = 0;
    for (name, text) in chapters() {
        let plain: String = text.split("```").step_by(2).collect(); // code blocks hold commands and drawings
        for path in plain.split('`').skip(1).step_by(2) {
            let rooted = ["crates/", "scripts/", "docs/", "bench/"].iter().any(|folder| path.starts_with(folder));
            if rooted && !path.contains(char::is_whitespace) {
                assert!(root().join(path).exists(), "{name} names {path}, which is not there");
                found += 1;
            }
        }
        for link in between(&text, "](", ')') {
            let file = link.split('#').next().unwrap_or_default();
            if !link.contains("://") && !file.is_empty() {
                assert!(root().join("docs").join(file).exists(), "{name} links to {link}, which is not there");
                found += 1;
            }
        }
    }
    assert!(found > 100, "only {found} paths and links were recognised");
}

#[test]
fn every_command_runs_an_example_or_a_test_that_is_there() {
    let mut found = 0;
    for (name, text) in chapters() {
        for (flag, folder) in [("--example ", "examples"), ("--test ", "tests")] {
            for target in between(&(text.replace('\n', " \n")), flag, ' ') {
                let target = target.trim_end_matches(['`', ',', '.', ';', ':', ')']);
                let there = ["lucid", "lucid-kernels", "lucid-cli"].iter().any(|krate| {
                    let folder = root().join("crates").join(krate).join(folder);
                    folder.join(format!("{target}.rs")).exists() || folder.join(target).is_dir()
                });
                assert!(there, "{name} runs {flag}{target}, which is not there");
                found += 1;
            }
        }
    }
    assert!(found > 5, "only {found} commands were recognised");
}

#[test]
fn every_operation_and_every_format_has_its_chapter() {
    let chapters = chapters();
    for file in fs::read_dir(root().join("crates/lucid-kernels/src/ops")).expect("the operations are there") {
        let path = file.expect("they can be listed").path();
        if path.is_file() {
            let name = format!("crates/lucid-kernels/src/ops/{}", path.file_name().expect("a file").to_string_lossy());
            assert!(chapters.iter().any(|(_, text)| text.contains(&name)), "no chapter names {name}");
        }
    }
    let (_, formats) = chapters.iter().find(|(name, _)| name == "02-formats.md").expect("it is there");
    for format in Format::ALL {
        let named = formats.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == format.name());
        assert!(named, "02-formats.md does not name {}", format.name());
    }
}

#[test]
fn the_table_of_contents_links_every_chapter_in_order() {
    let chapters = chapters();
    let (_, contents) = chapters.iter().find(|(name, _)| name == "README.md").expect("it is there");
    let places: Vec<_> = chapters
        .iter()
        .filter(|(name, _)| name != "README.md")
        .map(|(name, _)| contents.find(&format!("]({name})")).unwrap_or_else(|| panic!("README.md lacks {name}")))
        .collect();
    assert!(places.is_sorted());
}

/// The chapter must hold the line.
#[track_caller]
fn says(chapter: &str, line: &str) {
    let text = fs::read_to_string(root().join("docs").join(chapter)).expect("the chapter is there");
    assert!(text.contains(line), "{chapter} should say: {line}");
}

/// `[0.0900, 0.2447]`.
fn list(values: &[f32]) -> String {
    let values: Vec<String> = values.iter().map(|v| format!("{v:.4}")).collect();
    format!("[{}]", values.join(", "))
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[test]
fn the_worked_operations_are_what_the_code_computes() {
    let mut y = [0.0; 4];
    let (x, ones, zeros) = ([1.0, 2.0, 3.0, 4.0], bytes(&[1.0; 4]), bytes(&[0.0; 4]));
    ops::rms_norm(&x, &ones, 1e-5, &mut y);
    says("05-norms.md", &format!("rms_norm([1, 2, 3, 4])   = {}", list(&y)));
    ops::layer_norm(&x, &ones, &zeros, 1e-5, &mut y);
    says("05-norms.md", &format!("layer_norm([1, 2, 3, 4]) = {}", list(&y)));

    let mut y = [0.0; 2];
    ops::matmul(Format::F32, &bytes(&[1.0, 2.0, 3.0, 0.0, -1.0, 0.5]), &[2.0, 1.0, -1.0], 3, &mut y);
    says("06-matmul.md", &format!("y = {}", list(&y)));
    let mut y = [0.0];
    let large = [1e8, 1.0, -1e8];
    ops::matmul(Format::F32, &bytes(&large), &[1.0; 3], 3, &mut y);
    let f32_sum = large.iter().fold(0f32, |sum, v| sum + v);
    says("15-exactness.md", &format!("10⁸ + 1 − 10⁸ = {f32_sum} in f32, {} in f64", y[0]));

    let mut y = [0.0; 4];
    let turn = |pairs| Rotation { pairs, freqs: vec![1.0, 0.01], scale: 1.0 };
    ops::rope(&[1.0, 1.0, 0.0, 0.0], &[1], 4, &turn(Pairs::Halves), &mut y);
    says("07-rope.md", &format!("halves     [1, 1, 0, 0] at position 1 → {}", list(&y)));
    ops::rope(&[1.0, 0.0, 1.0, 0.0], &[1], 4, &turn(Pairs::Neighbours), &mut y);
    says("07-rope.md", &format!("neighbours [1, 0, 1, 0] at position 1 → {}", list(&y)));

    let (q, k, v) = ([1.0, 0.0], [1.0, 0.0, 0.0, 1.0, 1.0, 1.0], [10.0, 0.0, 0.0, 10.0, 5.0, 5.0]);
    let mut y = [0.0; 2];
    let scale = 1.0 / 2f32.sqrt();
    for position in [0, 1, 2] {
        ops::attention(&q, &k, &v, &[position], Heads { q: 1, kv: 1, dim: 2 }, scale, &mut y);
        says("08-attention.md", &format!("at position {position}: {}", list(&y)));
    }
    let mut weights = [scale, 0.0, scale];
    ops::softmax(&mut weights, 3);
    says("08-attention.md", &format!("weights {}", list(&weights)));

    for x in [[1.0, 2.0, 3.0], [101.0, 102.0, 103.0]] {
        let mut y = x;
        ops::softmax(&mut y, 3);
        says("09-softmax.md", &format!("softmax({x:?}) = {}", list(&y)));
    }

    let x = [-4.0, -1.0, 0.0, 1.0, 4.0];
    let (mut silu, mut gelu) = (x, x);
    ops::silu_mul(&mut silu, &[1.0; 5]);
    ops::gelu_mul(&mut gelu, &[1.0; 5]);
    for i in 0..5 {
        says("11-feed-forward.md", &format!("| {} | {:.4} | {:.4} |", x[i], silu[i], gelu[i]));
    }

    let mut x = [16_777_216f32];
    ops::add(&mut x, &[1.0]);
    says("12-residual.md", &format!("16777216 + 1 = {}", x[0]));
}

#[test]
fn the_worked_block_decodes_as_drawn() {
    let mut block = [0x88u8; 18];
    block[..3].copy_from_slice(&[0x00, 0x30, 0x7A]);
    let mut x = [0f32; 32];
    Format::Q4_0.decode(&block, &mut x);
    says("02-formats.md", "bytes  00 30 7A 88 88 …");
    says("02-formats.md", &format!("x₀ = {}, x₁₆ = {}, and all others {}", x[0], x[16], x[1]));
    for format in [Format::F32, Format::F16, Format::Q8_0, Format::Q6_K, Format::Q4_K, Format::Q4_0, Format::IQ2_XXS] {
        let (n, bytes, bits) = (format.block_len(), format.block_bytes(), format.bits());
        says("02-formats.md", &format!("| {} | {n} | {bytes} | {bits} |", format.name()));
    }
}

#[test]
fn the_fast_examples_are_what_every_level_computes() {
    let mut block = [0x88u8; 18];
    block[..3].copy_from_slice(&[0x00, 0x30, 0x7A]);
    let mut x = [0.3f32; 32];
    (x[0], x[16]) = (1.005, -2.54);
    let layout = CacheLayout { kind: CacheType::F32, heads: 1, dim: 1 };
    let (mut keys, mut values) = (vec![0; layout.bytes(3)], vec![0; layout.bytes(3)]);
    for (j, (k, v)) in [(1f32, 11.0), (2.0, 22.0), (8.0, 33.0)].into_iter().enumerate() {
        layout.store(j, &[k.ln()], &[v], &mut keys, &mut values);
    }
    for level in Level::available() {
        let m = Machine::new(level, 1);
        let mut y = [0.0];
        cpu::matmul(&m, Format::Q4_0, &block, &x, 32, &mut y, Activations::Rounded);
        says("21-fast-products.md", &format!("(0.125 · 0.02) · 227 → y = {:.4}", y[0]));
        cpu::matmul(&m, Format::Q4_0, &block, &x, 32, &mut y, Activations::Exact);
        says("21-fast-products.md", &format!("0.25 · 1.005 + (−0.125) · (−2.54) → y = {:.5}", y[0]));

        let cache = |_| Cache { keys: &keys, values: &values };
        let (place, heads) = (Place { sequence: 0, position: 2 }, Heads { q: 1, kv: 1, dim: 1 });
        cpu::attention(&m, &[1.0], &[place], &cache, layout, heads, 1.0, &mut y);
        says("22-fast-attention.md", &format!("39.875 / 1.375 = {:.4} ", y[0]));

        let mut y = [-1.0, 0.0];
        cpu::softmax(&m, &mut y, 2);
        says("23-lanes-and-threads.md", &format!("exp(-1) = {:.4}", y[0] / y[1]));
    }
}

#[test]
fn the_floors_of_the_fast_chapters() {
    let (weights, read, peak) = (5632.0 * 2048.0, 11.0e9, 553e9);
    let row_bytes = Format::Q4_0.row_bytes(2048).expect("it is a multiple of 32");
    let reading = 5632.0 * row_bytes as f64 / read;
    for rows in [1.0, 16.0, 512.0] {
        let time = 2.0 * rows * weights / peak;
        let time = if time < 1e-3 { format!("{:.0} µs", time * 1e6) } else { format!("{:.1} ms", time * 1e3) };
        says("21-fast-products.md", &format!("| {rows} | {:.0} µs | {time} |", reading * 1e6));
    }
    for format in [Format::Q4_0, Format::Q4_K, Format::Q6_K, Format::Q8_0] {
        let bytes = format.row_bytes(512).expect("a round is whole blocks");
        let (name, blocks, time) = (format.name(), 512 / format.block_len(), bytes as f64 / read * 1e9);
        says("21-fast-products.md", &format!("| {name} | {blocks} | {bytes} | {time:.0} ns |"));
    }
    let layout = CacheLayout { kind: CacheType::F16, heads: 4, dim: 64 };
    assert_eq!(22 * 2 * layout.bytes(64) / 64, 22_528);
    says("22-fast-attention.md", "22,528 bytes for each token of an f16 cache");
    let (mut sixteens, mut pieces) = (5632 / 16, Vec::new());
    while sixteens > 0 {
        pieces.push((sixteens / 4).max(1));
        sixteens -= sixteens.min(2 * pieces[pieces.len() - 1]);
    }
    let pieces: Vec<String> = pieces.iter().map(|piece| (16 * piece).to_string()).collect();
    says("23-lanes-and-threads.md", &format!("two threads take {} each, then {}.", pieces[0], pieces[1..].join(", ")));
}

#[test]
fn the_frequencies_are_fixed_for_the_length_as_told() {
    let scaling = Scaling::Dynamic { factor: 4.0, original: 2048 };
    let rope = Rope { pairs: Pairs::Halves, dims: 128, base: 10000.0, scaling, divisors: None };
    for context in [1024, 2048, 4096, 8192] {
        let freqs = rope.rotation(context).expect("the numbers are sound").freqs;
        says("07-rope.md", &format!("| {context} | {:.4} | {:.6} | {:.3e} |", freqs[0], freqs[32], freqs[63]));
    }
}

#[test]
fn the_samplers_do_what_the_example_shows() {
    let logits = [4.0, 3.0, 2.0, 1.0, 0.0];
    let after = |sampler: &dyn Fn(&mut Candidates)| {
        let mut c = Candidates::new(&logits).expect("the logits are numbers");
        sampler(&mut c);
        c.softmax();
        list(&c.items.iter().map(|c| c.p as f32).collect::<Vec<_>>())
    };
    says("14-choosing.md", &format!("as they come         {}", after(&|_| {})));
    says("14-choosing.md", &format!("top_k 3              {}", after(&|c| top_k(c, 3))));
    says("14-choosing.md", &format!("top_p 0.9            {}", after(&|c| top_p(c, 0.9, 1))));
    says("14-choosing.md", &format!("min_p 0.1            {}", after(&|c| min_p(c, 0.1, 1))));
    says("14-choosing.md", &format!("temperature 0.5      {}", after(&|c| temperature(c, 0.5, 0.0, 1.0))));
    says("14-choosing.md", &format!("temperature 2        {}", after(&|c| temperature(c, 2.0, 0.0, 1.0))));
    let drawn = |seed| -> Vec<u32> {
        let params = Params { seed, ..Params::default() };
        let mut chain = Chain::new(&params, logits.len(), 64, Default::default()).expect("the parameters are sound");
        (0..12).map(|_| chain.sample(&logits).expect("some token is allowed")).collect()
    };
    says("14-choosing.md", &format!("seed 42: {:?}", drawn(42)));
    says("14-choosing.md", &format!("seed 43: {:?}", drawn(43)));
}

#[test]
fn the_bounds_are_those_of_the_arithmetic() {
    for n in [64.0, 4096.0] {
        // |w| and |x| below one, so that the sum of |wᵢxᵢ| is below n
        let (wide, narrow) = (n * UNIT_F64 * n, n * UNIT_F32 * n);
        says("15-exactness.md", &format!("| {n} | {wide:.1e} | {narrow:.1e} |"));
    }
    says("15-exactness.md", &format!("u₃₂ = 2⁻²⁴ = {UNIT_F32:.2e}"));
    says("15-exactness.md", &format!("u₆₄ = 2⁻⁵³ = {UNIT_F64:.2e}"));
}

#[test]
fn the_journey_is_the_one_that_the_model_makes() {
    let Some(folder) = fixtures("the_journey_is_the_one_that_the_model_makes") else { return };
    let file = ModelFile::open(&folder.join("models/stories260K/stories260K-F32.gguf")).expect("it opens");
    let loader = Loader::new(&Reference, &file).expect("it is sound");
    let model = Model::load(&loader).expect("it loads");
    let mut cache = model.begin(&Reference, 3).expect("three tokens fit");
    let probe = RefCell::new(Probe::default());
    let logits = model.logits(&Ctx::probed(&Reference, &probe), &[1, 403, 407], &mut cache, true).expect("it runs");
    for tap in probe.borrow().taps.iter().filter(|t| t.layer.is_none_or(|il| il == 0)) {
        let rows = tap.values.len() / tap.width;
        let last: Vec<String> = tap.values[(rows - 1) * tap.width..][..3].iter().map(|v| format!("{v:.4}")).collect();
        let shape = format!("{rows} × {}", tap.width);
        says("00-journey.md", &format!("| `{}` | {shape} | {} … |", tap.name, last.join(" ")));
    }
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let mut chances = logits.clone();
    ops::softmax(&mut chances, logits.len());
    for id in &order[..3] {
        says("13-head.md", &format!("| {id} | {:.4} | {:.4} |", logits[*id], chances[*id]));
    }
}

#[test]
fn the_error_of_each_format_is_the_one_in_the_table() {
    let Some(folder) = fixtures("the_error_of_each_format_is_the_one_in_the_table") else { return };
    let folder = folder.join("models/stories260K");
    let golden = run::json(&folder.join("golden.json"));
    let open = |name: &str| ModelFile::open(&folder.join(format!("stories260K-{name}.gguf"))).expect("it opens");
    let values = |file: &ModelFile, name: &str| {
        let t = file.require(name).expect("it is there");
        let mut values = vec![0f32; t.shape.iter().product()];
        t.format.expect("a format").decode(t.bytes, &mut values);
        values
    };
    let exact = open("F32");
    for format in [Format::F16, Format::BF16, Format::Q8_0, Format::Q5_1, Format::Q5_0, Format::Q4_1, Format::Q4_0] {
        let file = open(format.name());
        let (mut error, mut power) = (0f64, 0f64);
        for tensor in file.tensors().filter(|t| t.format == Some(format)) {
            for (a, b) in values(&file, tensor.name).into_iter().zip(values(&exact, tensor.name)) {
                error += (a as f64 - b as f64).powi(2);
                power += (b as f64).powi(2);
            }
        }
        let (relative, ppl) = ((error / power).sqrt(), golden["quant"][format.name()]["ppl"].as_f64().expect("it"));
        says(
            "02-formats.md",
            &format!("| {} | {} | {:.3} % | {ppl:.4} |", format.name(), format.bits(), relative * 100.0),
        );
    }
}

#[test]
fn the_floors_of_chapter_20() {
    let (embd, ff, kv, vocab, layers) = (2048, 5632, 256, 32000, 22);
    let layer = 2 * embd * embd + 2 * kv * embd + 3 * ff * embd;
    let (macs, head) = (layers * layer, vocab * embd);
    says("20-measuring.md", &format!("| the matrices of {layers} layers | {:.3} · 10⁹ |", macs as f64 / 1e9));
    says("20-measuring.md", &format!("| the output matrix | {:.3} · 10⁹ |", head as f64 / 1e9));
    let bytes = (macs + head) / embd * Format::Q8_0.row_bytes(embd).expect("it is a multiple of 32");
    let gb = bytes as f64 / 1e9;
    says("20-measuring.md", &format!("{gb:.3} GB in Q8_0"));
    says("20-measuring.md", &format!("{gb:.3} GB, so 10 GB/s allow {:.1} tokens/s", 10.0 / gb));
    says(
        "20-measuring.md",
        &format!(
            "{:.2} · 10⁹ operations, so 500 · 10⁹ a second allow {:.0} tokens/s",
            2e-9 * macs as f64,
            250e9 / macs as f64
        ),
    );
    let cached = 2 * layers * kv * 2;
    says("20-measuring.md", &format!("{cached} bytes for each token of an f16 cache"));
    let share = 100.0 * (2048 * cached) as f64 / bytes as f64;
    says(
        "20-measuring.md",
        &format!("{:.0} MB at depth 2048, {share:.0} % of the weights", (2048 * cached) as f64 / 1e6),
    );
    let many = |n: f64| (bytes as f64 + n * (64 * cached) as f64) / n / 1e6;
    says("20-measuring.md", &format!("{:.0} MB a token for one sequence, {:.0} MB for sixteen", many(1.0), many(16.0)));
}
