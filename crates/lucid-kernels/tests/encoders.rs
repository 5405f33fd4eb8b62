//! Every encoder through its decoder: derived bounds, what must come back exactly, and ceilings against regressions.

use lucid_kernels::formats::{Format, Unencodable};
use proptest::prelude::*;

fn encodable() -> impl Iterator<Item = Format> {
    Format::ALL.iter().copied().filter(|f| f.can_encode())
}

fn encoded(format: Format, x: &[f32], importance: Option<&[f32]>) -> Vec<u8> {
    let mut bytes = vec![0xAA; format.row_bytes(x.len()).expect("whole blocks")];
    format.encode(x, importance, &mut bytes).unwrap_or_else(|e| panic!("{}: {e}", format.name()));
    bytes
}

fn decoded(format: Format, bytes: &[u8]) -> Vec<f32> {
    let mut x = vec![f32::NAN; bytes.len() / format.block_bytes() * format.block_len()];
    format.decode(bytes, &mut x);
    x
}

/// What a decoder reads of `x` once it is encoded.
fn restored(format: Format, x: &[f32], importance: Option<&[f32]>) -> Vec<f32> {
    decoded(format, &encoded(format, x, importance))
}

/// √(Σ w·(x − y)² / Σ w)
fn rmse(x: &[f32], y: &[f32], w: impl Fn(usize) -> f32) -> f64 {
    let (mut error, mut weight) = (0f64, 0f64);
    for (i, (&x, &y)) in x.iter().zip(y).enumerate() {
        error += f64::from(w(i)) * (f64::from(x) - f64::from(y)).powi(2);
        weight += f64::from(w(i));
    }
    (error / weight).sqrt()
}

/// Output `i` of splitmix64 started at `seed`.
fn random(seed: u64, i: u64) -> u64 {
    let z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A bell-shaped value between −2 and 2, the sum of four uniform ones; every step is exact in f32.
fn bell(seed: u64, i: u64) -> f32 {
    let sum: u64 = (0..4).map(|k| random(seed, 4 * i + k) >> 42).sum();
    (sum as i64 - (1 << 23)) as f32 / (1 << 22) as f32
}

/// A square between 0 and 4: most columns matter little, a few much.
fn importance(columns: usize) -> Vec<f32> {
    (0..columns as u64).map(|i| 2.0 * (random(99, i) >> 40) as f32 / (1 << 24) as f32).map(|v| v * v).collect()
}

const COLUMNS: usize = 1024;

/// The matrix that `scripts/compare_encoders.py --ceilings` builds too: 16 rows, each of a different size.
fn matrix() -> Vec<f32> {
    (0..16 * COLUMNS as u64).map(|i| bell(7, i) * (1.0 + (i / COLUMNS as u64) as f32 / 4.0)).collect()
}

#[test]
fn the_written_formats_are_these() {
    let names: Vec<_> = encodable().map(Format::name).collect();
    assert_eq!(
        names.join(" "),
        "F32 F16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS BF16 TQ1_0 TQ2_0 MXFP4"
    );
    for &format in Format::ALL.iter().filter(|f| !f.can_encode()) {
        let mut out = vec![7; format.block_bytes()];
        let refused = format.encode(&vec![0.0; format.block_len()], None, &mut out);
        assert_eq!(refused, Err(Unencodable::Format(format)));
        assert!(out.iter().all(|&b| b == 7), "{} wrote all the same", format.name());
    }
}

/// The error of one start bounds the error of the search, which keeps the best.
///
/// Without an offset, the value p of largest magnitude is first put on the lowest step −n (127 for Q8_0, where nothing is
/// cut off): d = p/−n. A value is then within d/2 of a step, or, when it is −p, one step beyond the highest: within d.
/// With an offset the range is spread over n steps, and each value is within half a step.
///
/// Scale and offset are rounded to f16, which moves a value by at most 2⁻¹¹ of the largest |d·q| and of |o|; together with
/// the thousandth by which another start must be better, and the 1e-8 of the squared size that count as equal, that is
/// less than 2⁻⁹ of the largest magnitude for all three.
#[test]
fn legacy_formats_stay_within_a_step() {
    for (name, steps, cut) in [
        ("Q4_0", 8.0, true),
        ("Q5_0", 16.0, true),
        ("Q8_0", 127.0, false),
        ("Q4_1", 15.0, false),
        ("Q5_1", 31.0, false),
    ] {
        let format = Format::from_name(name).expect("a format");
        let x = matrix();
        for x in x.chunks(format.block_len()) {
            let y = restored(format, x, None);
            let (low, high) = x.iter().fold((0f32, 0f32), |(l, h), &v| (l.min(v), h.max(v)));
            let largest = high.max(-low);
            let step = if name.ends_with('1') { high - low } else { largest } / steps;
            let bound = if cut { step } else { step / 2.0 } + largest / 512.0;
            let error = rmse(x, &y, |_| 1.0);
            assert!(error <= f64::from(bound), "{name}: {error} is above {bound}");
        }
    }
}

#[test]
fn plain_floats_are_rounded_to_nearest() {
    for &x in &matrix() {
        assert_eq!(restored(Format::F32, &[x], None), [x]);
        assert_eq!(restored(Format::F16, &[x], None), [half::f16::from_f32(x).to_f32()]);
        assert_eq!(restored(Format::BF16, &[x], None), [half::bf16::from_f32(x).to_f32()]);
    }
}

#[test]
fn zeros_come_back_as_zeros() {
    for format in encodable() {
        for importance in [None, Some(&[1.0; 512][..]), Some(&[0.0; 512][..])] {
            assert_eq!(restored(format, &[0.0; 512], importance), [0.0; 512], "{}", format.name());
            assert_eq!(restored(format, &[-0.0; 512], importance), [0.0; 512], "{}", format.name());
        }
    }
}

/// One value needs one step: what is left is the rounding of an f16 scale, at most 2⁻¹² of the value, and the 1e-8 of its
/// square that count as equal: √(2⁻²⁴ + 1e-8) < 2⁻¹¹. MXFP4 has a power of two for a scale and the steps …, 4, 6, 8, 12: the
/// worst value is 5 or 10, a fifth of it from the next step. The values are large enough for no scale to be subnormal.
#[test]
fn constant_rows_are_limited_by_the_scale_alone() {
    for format in encodable() {
        let bound = match format {
            Format::F32 => 0.0,
            Format::BF16 => 1.0 / 256.0,
            Format::MXFP4 => 0.2,
            _ => 1.0 / 2048.0,
        };
        for i in 0..200 {
            let c = bell(3, i);
            let c = c + 0.5f32.copysign(c);
            let x = [c; 256];
            let error = rmse(&x, &restored(format, &x, None), |_| 1.0);
            assert!(error <= bound * f64::from(c.abs()), "{} of {c}: {error:e}", format.name());
        }
    }
}

/// The smallest f16 is 2⁻²⁴. Values of at most six times that lie within half of it of a step, however small a scale the
/// range alone would ask for; and so does what is kept, save for the thousandth and the 1e-8 of above.
#[test]
fn tiny_values_find_the_smallest_scale() {
    for format in [Format::Q4_0, Format::Q5_0, Format::Q8_0, Format::Q6_K] {
        let x: Vec<f32> = (0..512).map(|i| bell(5, i) * 3.0 * 2f32.powi(-24)).collect();
        let error = rmse(&x, &restored(format, &x, None), |_| 1.0);
        assert!(error <= 1.001 * 2f64.powi(-25), "{}: {error:e}", format.name());
    }
}

/// Offsets of K blocks have one sign, which the block's own scale may turn: what lies above zero is served as what lies below.
#[test]
fn values_on_one_side_of_zero_are_served_alike_on_either() {
    let x: Vec<f32> = (0..512).map(|i| 10.0 + bell(6, i) / 4.0).collect();
    let mirrored: Vec<f32> = x.iter().map(|v| -v).collect();
    for format in [Format::Q2_K, Format::Q4_K, Format::Q5_K] {
        let y: Vec<f32> = restored(format, &mirrored, None).iter().map(|v| -v).collect();
        assert_eq!(restored(format, &x, None), y, "{}", format.name());
    }
}

/// How values of a format come about: x = d · c · q − m · k, with q of these levels in every group, c and k one of these
/// in every group of so many values.
struct Recipe {
    format: Format,
    levels: Vec<i32>,
    group: usize,
    c: (i32, i32),
    k: (i32, i32),
}

fn recipes() -> Vec<Recipe> {
    let iq4 = vec![-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    let recipe = |format, levels, group, c, k| Recipe { format, levels, group, c, k };
    vec![
        recipe(Format::Q4_0, (-8..=7).collect(), 32, (1, 1), (0, 0)),
        recipe(Format::Q4_1, (0..=15).collect(), 32, (1, 1), (1, 1)),
        recipe(Format::Q5_0, (-16..=15).collect(), 32, (1, 1), (0, 0)),
        recipe(Format::Q5_1, (0..=31).collect(), 32, (1, 1), (1, 1)),
        recipe(Format::Q8_0, (-126..=127).collect(), 32, (1, 1), (0, 0)),
        recipe(Format::Q2_K, (0..=3).collect(), 16, (15, 1), (15, 0)),
        recipe(Format::Q3_K, (-4..=3).collect(), 16, (-32, 31), (0, 0)),
        recipe(Format::Q4_K, (0..=15).collect(), 32, (63, 1), (63, 0)),
        recipe(Format::Q5_K, (0..=31).collect(), 32, (63, 1), (63, 0)),
        recipe(Format::Q6_K, (-32..=31).collect(), 16, (-128, 127), (0, 0)),
        recipe(Format::IQ4_NL, iq4.clone(), 32, (1, 1), (0, 0)),
        recipe(Format::IQ4_XS, iq4, 32, (-32, 31), (0, 0)),
        recipe(Format::TQ1_0, vec![-1, 0, 1], 256, (1, 1), (0, 0)),
        recipe(Format::TQ2_0, vec![-1, 0, 1], 256, (1, 1), (0, 0)),
        recipe(Format::MXFP4, vec![-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12], 32, (1, 1), (0, 0)),
    ]
}

/// Where each group uses its lowest and highest level, and the first group of a block the extreme c and k, the first start of
/// every search is the very scale and offset that the values were made with, and what is exact stays.
#[test]
fn values_a_format_can_hold_come_back_exactly() {
    for recipe in recipes() {
        for seed in 0..50 {
            let pick = |i, (a, b): (i32, i32)| a.min(b) + (random(seed, i) % (a.abs_diff(b) as u64 + 1)) as i32;
            // Eight bits, so that every product and sum below is exact in f32. MXFP4 has powers of two for scales.
            let f16 = |i| if recipe.format == Format::MXFP4 { 256.0 } else { (128 + random(seed, i) % 128) as f32 };
            let (d, m) = (f16(0) / 65536.0, f16(1) / 65536.0);
            let x: Vec<f32> = (0..512)
                .map(|i| {
                    let group = i / recipe.group;
                    let first = i / recipe.format.block_len() * recipe.format.block_len() == group * recipe.group;
                    let (c, k) = match first {
                        true => (recipe.c.0, recipe.k.0),
                        false => (pick(1000 + group as u64, recipe.c), pick(2000 + group as u64, recipe.k)),
                    };
                    let q = match i % recipe.group {
                        0 => recipe.levels[0],
                        1 => recipe.levels[recipe.levels.len() - 1],
                        _ => recipe.levels[random(seed, 3000 + i as u64) as usize % recipe.levels.len()],
                    };
                    d * (c * q) as f32 - m * k as f32
                })
                .collect();
            assert_eq!(restored(recipe.format, &x, None), x, "{} seed {seed}", recipe.format.name());
        }
    }
}

/// What a decoder reads is closer to what the encoder can write than the values were: encoding it again loses no more.
#[test]
fn encoding_again_loses_no_more() {
    let x = matrix();
    for format in encodable() {
        let y = restored(format, &x, None);
        let z = restored(format, &y, None);
        let (first, second) = (rmse(&x, &y, |_| 1.0), rmse(&y, &z, |_| 1.0));
        assert!(second <= first, "{}: {second:e} after {first:e}", format.name());
        // One level reaches the largest magnitude in every block, so that the scale is read off it again.
        let exact = ["F32", "F16", "BF16", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4"].contains(&format.name());
        assert!(!exact || y == z, "{} changed what it had written", format.name());
    }
}

/// A scale is fitted to the weighted error, so over a matrix that error is lower than without weights. (Not in every block:
/// the search is no proof of the best.) The plain floats have nothing to choose.
#[test]
fn importance_lowers_the_error_it_weighs() {
    let x = matrix();
    let w = importance(COLUMNS);
    for format in encodable() {
        let with: Vec<f32> = x.chunks(COLUMNS).flat_map(|x| restored(format, x, Some(&w))).collect();
        let weigh = |i: usize| w[i % COLUMNS];
        let (with, without) = (rmse(&x, &with, weigh), rmse(&x, &restored(format, &x, None), weigh));
        if format.block_len() == 1 {
            assert_eq!(with, without, "{}", format.name());
        } else {
            assert!(with < without, "{}: {with:e} with importance, {without:e} without", format.name());
        }
    }
}

#[test]
fn only_the_proportions_of_importance_matter() {
    let x = &matrix()[..COLUMNS];
    let w = importance(COLUMNS);
    let scaled: Vec<f32> = w.iter().map(|w| w * 2f32.powi(-90)).collect();
    let huge: Vec<f32> = w.iter().map(|w| w * 2f32.powi(100)).collect();
    for format in encodable() {
        let bytes = encoded(format, x, Some(&w));
        assert_eq!(bytes, encoded(format, x, Some(&scaled)), "{}", format.name());
        assert_eq!(bytes, encoded(format, x, Some(&huge)), "{}", format.name());
    }
}

/// A block never looks at its neighbours, whatever they hold, and encoding has no memory.
#[test]
fn blocks_are_independent_and_deterministic() {
    let x = &matrix()[..COLUMNS];
    let w = importance(COLUMNS);
    for format in encodable() {
        let whole = encoded(format, x, Some(&w));
        let n = format.block_len();
        let blocks: Vec<u8> = x.chunks(n).zip(w.chunks(n)).flat_map(|(x, w)| encoded(format, x, Some(w))).collect();
        assert_eq!(whole, blocks, "{}", format.name());
    }
}

/// The root mean square errors of llama.cpp's encoder on [`matrix`], times 1.02: without importance, and weighted with it.
/// They were measured and printed by `scripts/compare_encoders.py --ceilings`.
#[rustfmt::skip]
const CEILINGS: &[(Format, f64, f64)] = &[
    (Format::F16, 3.699394e-04, 3.691691e-04),
    (Format::Q4_0, 1.490245e-01, 1.358499e-01),
    (Format::Q4_1, 1.375815e-01, 1.162233e-01),
    (Format::Q5_0, 7.473527e-02, 6.739079e-02),
    (Format::Q5_1, 6.655926e-02, 5.581394e-02),
    (Format::Q8_0, 9.388156e-03, 9.396900e-03),
    (Format::Q2_K, 5.230386e-01, 4.293062e-01),
    (Format::Q3_K, 2.651198e-01, 2.392628e-01),
    (Format::Q4_K, 1.258996e-01, 1.179627e-01),
    (Format::Q5_K, 6.347460e-02, 5.888117e-02),
    (Format::Q6_K, 3.072144e-02, 2.842103e-02),
    (Format::IQ4_NL, 1.355740e-01, 1.276903e-01),
    (Format::IQ4_XS, 1.366557e-01, 1.291088e-01),
    (Format::BF16, 2.971788e-03, 2.973709e-03),
    (Format::TQ1_0, 1.402807e+00, 1.402404e+00),
    (Format::TQ2_0, 1.402807e+00, 1.402404e+00),
    (Format::MXFP4, 2.030485e-01, 2.015211e-01),
];

#[test]
fn errors_stay_below_those_of_llama_cpp() {
    let x = matrix();
    let w = importance(COLUMNS);
    for &(format, plain, weighted) in CEILINGS {
        let without = rmse(&x, &restored(format, &x, None), |_| 1.0);
        assert!(without <= plain, "{}: {without} is above {plain}", format.name());
        let with: Vec<f32> = x.chunks(COLUMNS).flat_map(|x| restored(format, x, Some(&w))).collect();
        let with = rmse(&x, &with, |i| w[i % COLUMNS]);
        assert!(with <= weighted, "{} with importance: {with} is above {weighted}", format.name());
    }
    let measured: Vec<_> = CEILINGS.iter().map(|c| c.0).collect();
    assert_eq!(measured, encodable().filter(|&f| f != Format::F32).collect::<Vec<_>>());
}

#[test]
fn what_is_no_weight_is_refused_by_its_column() {
    for format in encodable() {
        let mut out = vec![7; format.row_bytes(512).expect("whole blocks")];
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = [0.5; 512];
            (x[300], x[400]) = (bad, bad);
            let refused = format.encode(&x, None, &mut out).expect_err(format.name());
            assert!(matches!(refused, Unencodable::Value { index: 300, .. }), "{refused:?}");
            assert!(refused.to_string().starts_with("column 300 "), "{refused}");
        }
        for bad in [f32::NAN, f32::INFINITY, -1.0] {
            let mut w = [1.0; 512];
            w[511] = bad;
            let refused = format.encode(&[0.5; 512], Some(&w), &mut out).expect_err(format.name());
            assert!(matches!(refused, Unencodable::Importance { index: 511, .. }), "{refused:?}");
        }
        let huge = format.encode(&[f32::MAX; 512], None, &mut out);
        let holds_f32 = [Format::F32, Format::MXFP4].contains(&format);
        assert_eq!(huge.is_ok(), holds_f32, "{}", format.name());
        assert!(holds_f32 || out.iter().all(|&b| b == 7), "{} wrote all the same", format.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any row of acceptable numbers, of any size from subnormal to the largest, and any importance.
    #[test]
    fn any_row_decodes_to_finite_values(
        row in proptest::collection::vec(prop_oneof![-65504f32..=65504.0, -1f32..1.0, -1e-7f32..1e-7, Just(0.0),
            Just(65504.0), Just(-65504.0), Just(f32::MIN_POSITIVE), Just(1e-45)], 256),
        importance in proptest::option::of(proptest::collection::vec(
            prop_oneof![0f32..10.0, Just(0.0), Just(1e-45), Just(f32::MAX)], 256)),
    ) {
        for format in encodable() {
            let y = restored(format, &row, importance.as_deref());
            prop_assert!(y.iter().all(|v| v.is_finite()), "{}", format.name());
        }
    }
}
