//! Every format's decoder against the readings of others, bit for bit.
//!
//! The golden files lie in `golden/formats/<NAME>.bin`; `scripts/make_format_goldens.py` writes them, says who decoded
//! what, and draws the file. Equality is exact: each value is a short product of a few small integers and a scale, its
//! roundings happen in the order of the format's definition, and there is nothing left to tolerate.

use lucid_kernels::formats::Format;
use proptest::prelude::*;

struct Golden {
    blocks: Vec<u8>,
    hashes: Vec<u64>,
    /// The decoded bits of the last blocks.
    full: Vec<u32>,
}

/// The golden file of a format; a format without one fails here.
fn golden(format: Format) -> Golden {
    let path = format!("{}/tests/golden/formats/{}.bin", env!("CARGO_MANIFEST_DIR"), format.name());
    let file = std::fs::read(&path).unwrap_or_else(|e| panic!("{} has no golden file {path}: {e}", format.name()));
    let (head, rest) = file.split_at(16);
    let head: Vec<usize> = words(head).map(|w| w as usize).collect();
    let &[n, bytes, values, in_full] = &head[..] else { unreachable!("16 bytes are four words") };
    assert_eq!((bytes, values), (format.block_bytes(), format.block_len()), "{} has another block", format.name());
    let (blocks, rest) = rest.split_at(n * bytes);
    let (hashes, full) = rest.split_at(n * 8);
    assert_eq!(full.len(), in_full * values * 4, "{path} ends in the wrong place");
    Golden {
        blocks: blocks.to_vec(),
        hashes: words(hashes).collect::<Vec<_>>().chunks(2).map(|w| w[0] as u64 | (w[1] as u64) << 32).collect(),
        full: words(full).collect(),
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|w| u32::from_le_bytes(w.try_into().expect("chunks of four")))
}

/// The decoded bits, any NaN as one and the same: which NaN comes out of inf · 0 is nobody's promise.
fn decoded_bits(format: Format, bytes: &[u8]) -> Vec<u32> {
    let mut out = vec![f32::from_bits(0xDEAD_BEEF); bytes.len() / format.block_bytes() * format.block_len()];
    format.decode(bytes, &mut out);
    out.iter().map(|x| if x.is_nan() { 0x7FC0_0000 } else { x.to_bits() }).collect()
}

fn fnv1a(bits: &[u32]) -> u64 {
    let step = |h: u64, byte: u8| (h ^ byte as u64).wrapping_mul(0x100_0000_01B3);
    bits.iter().flat_map(|b| b.to_le_bytes()).fold(0xCBF2_9CE4_8422_2325, step)
}

#[test]
fn every_format_decodes_as_others_read_it() {
    for &format in Format::ALL {
        let golden = golden(format);
        let bits = decoded_bits(format, &golden.blocks);

        // The blocks given in full come first: they can say which value is wrong.
        let from = bits.len() - golden.full.len();
        for (i, (&got, &want)) in bits[from..].iter().zip(&golden.full).enumerate() {
            let (block, i) = ((from + i) / format.block_len(), i % format.block_len());
            let (got_value, want_value) = (f32::from_bits(got), f32::from_bits(want));
            assert_eq!(got, want, "{} block {block} value {i}: {got_value:e}, want {want_value:e}", format.name());
        }
        for (block, (bits, &want)) in bits.chunks(format.block_len()).zip(&golden.hashes).enumerate() {
            assert_eq!(fnv1a(bits), want, "{} block {block}: {bits:x?}", format.name());
        }
        assert_eq!(
            golden.hashes.len(),
            golden.blocks.len() / format.block_bytes(),
            "{} leaves blocks unread",
            format.name()
        );
    }
}

#[test]
fn decoding_does_not_depend_on_alignment() {
    for &format in Format::ALL {
        let golden = golden(format);
        let blocks = &golden.blocks[golden.blocks.len() - 4 * format.block_bytes()..];
        let want = decoded_bits(format, blocks);
        for offset in 0..64 {
            let mut moved = vec![0xA5; offset];
            moved.extend_from_slice(blocks);
            assert_eq!(decoded_bits(format, &moved[offset..]), want, "{} at offset {offset}", format.name());
        }
    }
}

proptest! {
    /// Whatever the bytes, nothing panics, and a block decodes alike alone and in a row.
    #[test]
    fn any_bytes_decode(bytes in prop::collection::vec(any::<u8>(), 3 * 292)) {
        for &format in Format::ALL {
            let bytes = &bytes[..3 * format.block_bytes()];
            let row = decoded_bits(format, bytes);
            let alone = bytes.chunks(format.block_bytes()).flat_map(|block| decoded_bits(format, block));
            prop_assert_eq!(row, alone.collect::<Vec<_>>(), "{}", format.name());
        }
    }
}
