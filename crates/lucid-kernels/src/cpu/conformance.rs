//! Every kernel × every level of this machine equals its scalar twin, to the bit.
//!
//! Matrix products are compared with the plain loops of `matmul/twin.rs`. The other operations are one text over
//! [`Lanes`](crate::lanes::Lanes), whose scalar form defines them; so they are compared with the scalar level. Sizes are
//! odd, slices unaligned, and values include what arithmetic is bad at.

use super::{matmul::twin, *};
use crate::{
    formats::{Format, testing::random_rows},
    ops::{Heads, Pairs, Rotation, testing::*},
};

/// Equal bits, where one NaN is as good as another.
#[track_caller]
fn assert_same(got: &[f32], want: &[f32], what: impl Fn(usize) -> String) {
    assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
        assert!(same, "{}: {got:e} ({:#x}), not {want:e} ({:#x})", what(i), got.to_bits(), want.to_bits());
    }
}

/// Noise with a share of awkward values: zeros of both signs, denormals, the ends of the range, and infinities and NaNs if
/// wanted.
fn awkward(seed: u64, n: usize, infinite: bool) -> Vec<f32> {
    let mut x = noise(seed, n);
    let values = [0.0, -0.0, 1e-40, -1e-40, 1e-37, 3e38, -3e38, 1e-20, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let values = if infinite { &values[..] } else { &values[..8] };
    for (i, at) in (0..n).step_by(37).enumerate() {
        x[at] = values[i % values.len()];
    }
    x
}

/// What the twin makes of every row of activations and every row of weights.
fn twins(format: Format, w: &[u8], x: &[f32], n_in: usize, mode: Activations) -> Vec<f32> {
    let dot = |x, w| twin::dot(format, w, x, mode);
    x.chunks_exact(n_in).flat_map(|x| w.chunks_exact(format.row_bytes(n_in).unwrap()).map(move |w| dot(x, w))).collect()
}

/// Compares a product at a level with the twin; the weights begin at an odd address.
fn check_product(m: &Machine, format: Format, w: &[u8], x: &[f32], n_in: usize, mode: Activations) {
    check_against(&twins(format, w, x, n_in, mode), m, format, w, x, n_in, mode);
}

/// The same where the twin's outputs are known.
fn check_against(want: &[f32], m: &Machine, format: Format, w: &[u8], x: &[f32], n_in: usize, mode: Activations) {
    let (n_out, rows) = (w.len() / format.row_bytes(n_in).unwrap(), x.len() / n_in);
    let mut unaligned = vec![0u8; w.len() + 1];
    unaligned[1..].copy_from_slice(w);
    let mut y = vec![f32::NAN; rows * n_out];
    matmul(m, format, &unaligned[1..], x, n_in, &mut y, mode);
    assert_eq!(y.len(), want.len());
    for (i, (y, want)) in y.iter().zip(want).enumerate() {
        assert_eq!(
            y.to_bits(),
            want.to_bits(),
            "{} {} {mode:?} {rows} × {n_out} × {n_in} at row {} output {}: {y:e}, not {want:e}",
            m.level,
            format.name(),
            i / n_out,
            i % n_out
        );
    }
}

fn weight_formats() -> impl Iterator<Item = Format> {
    Format::ALL.iter().copied().filter(|f| f.is_weight())
}

/// A width that a format can have, odd where it may be.
fn unit(format: Format) -> usize {
    if format.block_len() == 1 { 37 } else { format.block_len().max(32) }
}

/// Every format at every level: few rows and panels, a whole number of rounds and not, outputs that fill no panel.
#[test]
fn products_of_every_format_equal_their_twin() {
    for level in Level::available() {
        let m = Machine::new(level, 2);
        for format in weight_formats() {
            let unit = unit(format);
            for (n_in, n_out, rows) in [(unit, 1, 1), (unit * 3, 35, 3), (unit * 5, 50, 13), (unit * 18, 33, 2)] {
                let (w, x) = (random_rows(format, n_in, n_out), noise(80, rows * n_in));
                for mode in [Activations::Rounded, Activations::Exact] {
                    check_product(&m, format, &w, &x, n_in, mode);
                }
            }
        }
    }
}

/// Every format with every number of rows that has a kernel of its own, and one more: a whole round and a part of one, of
/// sixteen outputs and a few.
#[test]
fn products_of_few_rows_of_every_format_equal_their_twin() {
    for format in weight_formats() {
        let n_in = if format.block_len() == 1 { 83 } else { 512 + 256 };
        let (w, x) = (random_rows(format, n_in, 18), noise(79, 9 * n_in));
        let want = twins(format, &w, &x, n_in, Activations::Rounded);
        for level in Level::available() {
            let m = Machine::new(level, 1);
            for rows in 1..=9 {
                check_against(&want[..rows * 18], &m, format, &w, &x[..rows * n_in], n_in, Activations::Rounded);
            }
        }
    }
}

/// Every number of rows up to 40, in one format of every shape of panels: each height of a tile, by one panel and by two, of a
/// piece of four panels, of one that is not full, and of one for each of several threads.
#[test]
fn products_of_every_number_of_rows_equal_their_twin() {
    let integers = [Format::Q4_0, Format::Q5_0, Format::Q8_0, Format::Q4_1, Format::Q5_1, Format::Q6_K, Format::Q2_K];
    for format in integers.into_iter().chain([Format::F32, Format::F16, Format::BF16]) {
        let n_in = if format.block_len() == 1 { 83 } else { 512 };
        for (threads, n_out) in [(1, 4 * 64 + 13), (2, 37)] {
            let (w, x) = (random_rows(format, n_in, n_out), noise(81, 40 * n_in));
            let want = twins(format, &w, &x, n_in, Activations::Rounded);
            for level in Level::available() {
                let m = Machine::new(level, threads);
                // 19 rows have shown every height
                for rows in (1..=40).filter(|rows| n_out < 64 || *rows <= 19) {
                    let (x, want) = (&x[..rows * n_in], &want[..rows * n_out]);
                    check_against(want, &m, format, &w, x, n_in, Activations::Rounded);
                }
            }
        }
    }
}

/// Few rows and many, and a width of several rounds, more than a strip of them, and a part of one.
#[test]
fn large_products_equal_their_twin() {
    for level in Level::available().filter(|&l| l != Level::SCALAR) {
        let m = Machine::new(level, 3);
        for format in [Format::Q4_K, Format::Q8_0, Format::Q6_K, Format::F16, Format::BF16] {
            let n_in = 512 * 7 + 256 + if format == Format::F16 { 5 } else { 0 };
            let w = random_rows(format, n_in, 70);
            for rows in [1, 2, 3, 4, 8, 9, 512] {
                check_product(
                    &m,
                    format,
                    &w[..w.len() / 70 * if rows == 512 { 34 } else { 70 }],
                    &noise(82, rows * n_in),
                    n_in,
                    Activations::Rounded,
                );
            }
        }
    }
}

/// A product that opens gates is a product and then a gate, in every kernel: few rows and panels, integers and floats.
#[test]
fn gated_products_equal_products_and_gates() {
    for level in Level::available() {
        let m = Machine::new(level, 2);
        for (format, n_in) in [(Format::Q4_0, 96), (Format::Q6_K, 512), (Format::F16, 83)] {
            let w = random_rows(format, n_in, 37);
            for rows in [1, 3, 8, 20] {
                let (x, gate) = (awkward(87, rows * n_in, true), awkward(88, rows * 37, true));
                for mode in [Activations::Rounded, Activations::Exact] {
                    let (mut fused, mut plain, mut up) = (gate.clone(), gate.clone(), vec![0.0; gate.len()]);
                    matmul_gated(&m, format, &w, &x, n_in, &mut fused, mode);
                    matmul(&m, format, &w, &x, n_in, &mut up, mode);
                    silu_mul(&m, &mut plain, &up);
                    assert_same(&fused, &plain, |i| format!("{level} {} {rows} rows, {i}", format.name()));
                }
            }
        }
    }
}

/// Any bytes are weights, and any floats are activations: infinities, NaNs, denormals.
#[test]
fn products_of_wild_numbers_equal_their_twin() {
    for level in Level::available() {
        let m = Machine::new(level, 1);
        for format in weight_formats() {
            let n_in = if format.block_len() == 1 { 203 } else { unit(format) * 6 };
            let bytes = 20 * format.row_bytes(n_in).unwrap();
            let w: Vec<u8> = noise(83, bytes).iter().map(|x| (x * 12345.0) as i32 as u8).collect();
            for rows in [1, 2, 8, 11] {
                for infinite in [false, true] {
                    let x = awkward(84, rows * n_in, infinite);
                    for mode in [Activations::Rounded, Activations::Exact] {
                        check_product(&m, format, &w, &x, n_in, mode);
                    }
                }
            }
        }
    }
}

/// Large codes and the largest activations, all of one sign. Of these bytes, all but two are finite as an f16 scale, too.
#[test]
fn products_of_the_largest_codes_equal_their_twin() {
    for level in Level::available() {
        let m = Machine::new(level, 1);
        for format in weight_formats().filter(|f| f.block_len() > 1) {
            let n_in = format.block_len().max(32) * 4;
            for byte in [0x00, 0x7F, 0x80, 0xBF, 0xFF] {
                let w = vec![byte; 3 * format.row_bytes(n_in).unwrap()];
                for value in [1.0, -1.0] {
                    for rows in [1, 5, 11] {
                        check_product(&m, format, &w, &vec![value; rows * n_in], n_in, Activations::Rounded);
                    }
                }
            }
        }
    }
}

/// Runs an operation at every level and compares with the scalar one.
fn at_every_level(name: &str, operation: impl Fn(&Machine) -> Vec<f32>) {
    let want = operation(&Machine::new(Level::SCALAR, 1));
    for level in Level::available() {
        for threads in [1, 3] {
            let got = operation(&Machine::new(level, threads));
            assert_same(&got, &want, |i| format!("{name} at {level}, {threads} threads, value {i}"));
        }
    }
}

#[test]
fn elementwise_operations_and_norms_are_the_same_at_every_level() {
    for infinite in [false, true] {
        for n in [1, 15, 16, 17, 100, 2048, 5000] {
            let (x, y) = (awkward(90, 3 * n, infinite), awkward(91, 3 * n, infinite));
            let (gain, bias) = (bytes(&noise(92, n)), bytes(&noise(93, n)));
            let x: Vec<f32> = x.iter().map(|x| x * 20.0).collect();
            // One value into the slice: no alignment.
            let moved = |f: &dyn Fn(&mut [f32])| {
                let mut memory = vec![0.0; 3 * n + 1];
                memory[1..].copy_from_slice(&x);
                f(&mut memory[1..]);
                memory.split_off(1)
            };
            at_every_level("add", |m| moved(&|x| add(m, x, &y)));
            at_every_level("add_bias", |m| moved(&|x| add_bias(m, x, &bias)));
            at_every_level("silu_mul", |m| moved(&|x| silu_mul(m, x, &y)));
            at_every_level("gelu_mul", |m| moved(&|x| gelu_mul(m, x, &y)));
            at_every_level("softmax", |m| moved(&|x| softmax(m, x, n)));
            at_every_level("rms_norm", |m| moved(&|out| rms_norm(m, &x, &gain, 1e-5, out)));
            at_every_level("layer_norm", |m| moved(&|out| layer_norm(m, &x, &gain, &bias, 1e-5, out)));
            at_every_level("add_rms_norm", |m| {
                let mut sum = x.clone();
                let mut out = moved(&|out| add_rms_norm(m, &mut sum.clone(), &y, &gain, 1e-5, out));
                add_rms_norm(m, &mut sum, &y, &gain, 1e-5, &mut out);
                out.extend(sum);
                out
            });
        }
    }
}

#[test]
fn rope_is_the_same_at_every_level() {
    for (dim, half) in [(6, 3), (64, 32), (80, 20), (128, 64)] {
        for pairs in [Pairs::Neighbours, Pairs::Halves] {
            let freqs = (0..half).map(|i| 10000f32.powf(-(i as f32) / half as f32)).collect();
            let rotation = Rotation { pairs, freqs, scale: 1.5 };
            at_every_level("rope", |m| {
                let (mut q, mut k) = (awkward(94, 5 * 3 * dim, true), noise(95, 5 * dim));
                rope(m, &mut q, &mut k, &[0, 1, 77, 4096, 100_000], dim, &rotation);
                q.extend(k);
                q
            });
        }
    }
}

/// Keys and values of `n` positions, and 20 queries to them: of one sequence, and then of another.
struct Attended {
    layout: CacheLayout,
    heads: Heads,
    keys: Vec<u8>,
    values: Vec<u8>,
    q: Vec<f32>,
}

impl Attended {
    /// Noise, with `wild` numbers in some queries, keys and values: few enough that not everything is NaN.
    fn new(kind: CacheType, heads: Heads, wild: bool) -> Attended {
        let layout = CacheLayout { kind, heads: heads.kv, dim: heads.dim };
        let (n, width) = (140, heads.kv * heads.dim);
        let (mut keys, mut values) = (vec![0xFF; layout.bytes(n)], vec![0xFF; layout.bytes(n)]);
        for j in 0..n {
            let numbers = |seed, odd, infinite| if odd { awkward(seed, width, infinite) } else { noise(seed, width) };
            let k = numbers(96 + j as u64, wild && matches!(j, 40 | 120), j == 120);
            let v = numbers(396 + j as u64, wild && j % 50 == 7, true);
            layout.store(j, &k, &v, &mut keys, &mut values);
        }
        let mut q: Vec<f32> = noise(97, 20 * heads.q * heads.dim).iter().map(|q| q * 5.0).collect();
        if wild {
            for (row, infinite) in [(3, false), (9, true)] {
                let at = row * heads.q * heads.dim..(row + 1) * heads.q * heads.dim;
                q[at.clone()].copy_from_slice(&awkward(98, at.len(), infinite));
            }
        }
        Attended { layout, heads, keys, values, q }
    }

    /// What some of the queries get.
    fn attend(&self, m: &Machine, rows: std::ops::Range<usize>) -> Vec<f32> {
        let places: Vec<Place> = (0..20)
            .map(|t| Place { sequence: usize::from(t > 15), position: if t > 15 { t * 7 } else { 55 + t } })
            .collect();
        let width = self.heads.q * self.heads.dim;
        let cache = |_: usize| Cache { keys: &self.keys, values: &self.values };
        // One value into the slices: no alignment.
        let mut q = vec![0.0; rows.len() * width + 1];
        q[1..].copy_from_slice(&self.q[rows.start * width..rows.end * width]);
        let mut y = q.clone();
        attention(m, &q[1..], &places[rows], &cache, self.layout, self.heads, 0.2, &mut y[1..]);
        y.split_off(1)
    }
}

/// Every remainder of a head's dimensions, with groups of one query, of some, and of more than share a tile.
#[test]
fn attention_is_the_same_at_every_level_and_in_every_company() {
    let shapes: [(usize, usize, &[usize]); 5] =
        [(6, 2, &[8, 33, 80]), (1, 1, &[6, 64, 112]), (8, 1, &[64, 48, 96]), (3, 3, &[8, 128]), (40, 1, &[16, 80])];
    for (q, kv, dim) in shapes.into_iter().flat_map(|(q, kv, dims)| dims.iter().map(move |&dim| (q, kv, dim))) {
        for (kind, wild) in CacheType::ALL.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
            let attended = Attended::new(kind, Heads { q, kv, dim }, wild);
            let what = |what: &str| format!("attention {what}, {q} and {kv} heads of {dim}, {kind:?}, wild {wild}");
            at_every_level(&what("together"), |m| attended.attend(m, 0..20));
            at_every_level(&what("in pieces"), |m| {
                [0..1, 1..3, 3..16, 16..20].into_iter().flat_map(|rows| attended.attend(m, rows)).collect()
            });
            let m = Machine::new(Level::best(), 2);
            let alone: Vec<f32> = (0..20).flat_map(|t| attended.attend(&m, t..t + 1)).collect();
            assert_same(&attended.attend(&m, 0..20), &alone, |i| format!("{}: {i} in company", what("")));
            let numbers = alone.iter().filter(|y| y.is_finite()).count();
            assert!(numbers == alone.len() || wild && numbers > alone.len() / 4, "{numbers} of {}", alone.len());
        }
    }
}
