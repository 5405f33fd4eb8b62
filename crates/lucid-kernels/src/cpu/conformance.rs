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

/// Every format at every level: few rows and panels, a whole number of rounds and not, outputs that fill no panel.
#[test]
fn products_of_every_format_equal_their_twin() {
    for level in Level::available() {
        let m = Machine::new(level, 2);
        for format in weight_formats() {
            let unit = format.block_len().max(32);
            for (n_in, n_out, rows) in [(unit, 1, 1), (unit * 3, 35, 3), (unit * 5, 50, 13), (unit * 18, 33, 2)] {
                let (w, x) = (random_rows(format, n_in, n_out), noise(80, rows * n_in));
                for mode in [Activations::Rounded, Activations::Exact] {
                    check_product(&m, format, &w, &x, n_in, mode);
                }
            }
        }
    }
}

/// Every number of rows up to 40, in one format of every shape of kernel: each height of a tile, by one panel and by two, of a
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

/// Many rows, and a width of several rounds, more than a strip of them, and a part of one.
#[test]
fn large_products_equal_their_twin() {
    for level in Level::available().filter(|&l| l != Level::SCALAR) {
        let m = Machine::new(level, 3);
        for format in [Format::Q4_K, Format::Q8_0, Format::Q6_K, Format::F16] {
            let n_in = 512 * 7 + 256;
            let w = random_rows(format, n_in, 70);
            for rows in [1, 4, 8, 9, 512] {
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
            let n_in = format.block_len().max(32) * 6;
            let bytes = 20 * format.row_bytes(n_in).unwrap();
            let w: Vec<u8> = noise(83, bytes).iter().map(|x| (x * 12345.0) as i32 as u8).collect();
            for rows in [2, 11] {
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

#[test]
fn attention_is_the_same_at_every_level_and_in_every_company() {
    for (heads, kind) in [(6, 2), (1, 1), (8, 1), (3, 3)].into_iter().flat_map(|h| CacheType::ALL.map(|k| (h, k))) {
        for dim in [8, 64, 80] {
            let heads = Heads { q: heads.0, kv: heads.1, dim };
            let layout = CacheLayout { kind, heads: heads.kv, dim };
            let n = 140;
            let (mut keys, mut values) = (vec![0xFF; layout.bytes(n)], vec![0xFF; layout.bytes(n)]);
            for j in 0..n {
                let (k, v) = (noise(96 + j as u64, heads.kv * dim), noise(396 + j as u64, heads.kv * dim));
                layout.store(j, &k, &v, &mut keys, &mut values);
            }
            let places: Vec<Place> = (0..20)
                .map(|t| Place { sequence: usize::from(t > 15), position: if t > 15 { t * 7 } else { 55 + t } })
                .collect();
            let width = heads.q * dim;
            let q: Vec<f32> = noise(97, 20 * width).iter().map(|q| q * 5.0).collect();
            let cache = |_: usize| Cache { keys: &keys, values: &values };
            let attend = |m: &Machine, rows: std::ops::Range<usize>| {
                let mut y = vec![0.0; rows.len() * width];
                attention(
                    m,
                    &q[rows.start * width..rows.end * width],
                    &places[rows],
                    &cache,
                    layout,
                    heads,
                    0.2,
                    &mut y,
                );
                y
            };
            at_every_level("attention", |m| attend(m, 0..20));
            at_every_level("attention in pieces", |m| {
                [0..1, 1..3, 3..16, 16..20].into_iter().flat_map(|rows| attend(m, rows)).collect()
            });
            let m = Machine::new(Level::best(), 2);
            let alone: Vec<f32> = (0..20).flat_map(|t| attend(&m, t..t + 1)).collect();
            assert_same(&attend(&m, 0..20), &alone, |i| format!("row {} in company", i / width));
        }
    }
}
