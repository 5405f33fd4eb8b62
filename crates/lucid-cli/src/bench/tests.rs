//! What needs no clock.

use super::*;

#[test]
fn tests_have_llama_benchs_names() {
    let test = Test { n_prompt: 512, n_gen: 0, n_depth: 0, n_seq: 1 };
    assert_eq!((test.name().as_str(), test.end(), test.tokens()), ("pp512", 512, 512));
    let test = Test { n_prompt: 0, n_gen: 128, n_depth: 2048, n_seq: 4 };
    assert_eq!((test.name().as_str(), test.end(), test.tokens()), ("tg128x4 d2048", 2176, 512));
}

#[test]
fn tokens_are_of_the_vocabulary_and_depend_on_sequence_and_position() {
    let some: Vec<u32> = (0..1000).map(|position| token(0, position, 32)).collect();
    for id in 0..32 {
        let times = some.iter().filter(|&&t| t == id).count();
        // 1000 draws of 1/32: 31 ± 5.5; eight deviations would be wrong code
        assert!((1..75).contains(&times), "{id} comes {times} times");
    }
    assert!(some.iter().all(|&t| t < 32));
    assert!((1..4).all(|sequence| (0..1000).map(|p| token(sequence, p, 32)).collect::<Vec<_>>() != some));
}

#[test]
fn the_hash_is_fnv_1a() {
    assert_eq!(fnv1a(&[]), 0xcbf2_9ce4_8422_2325);
    // the published hash of "foobar", and two bytes more to fill a number
    let of =
        |bytes: &[u8]| fnv1a(&bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>());
    let foobar = 0x8594_4171_f739_67e8u64;
    let more = b"!!".iter().fold(foobar, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(of(b"foobar!!"), more);
    assert_ne!(fnv1a(&[0.0]), fnv1a(&[-0.0]), "bits, not values");
}

#[test]
fn a_median_is_the_middle_or_between_two() {
    assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
}

#[test]
fn the_same_tokens_must_give_the_same_bits() {
    let mut known = Digests::new();
    let of = (16, CacheType::F16);
    agree(&mut known, of, 7, "pp16, threads 1, repetition 1".into()).unwrap();
    agree(&mut known, of, 7, "tg16, threads 2, repetition 1".into()).unwrap();
    agree(&mut known, (16, CacheType::F32), 8, "pp16, threads 1, repetition 1".into()).unwrap();
    let error = agree(&mut known, of, 8, "tg16x2, threads 2, repetition 3".into()).unwrap_err().to_string();
    assert_eq!(
        error,
        "tg16x2, threads 2, repetition 3: the last logits' digest is 0000000000000008, and 0000000000000007 in pp16, \
         threads 1, repetition 1; the same tokens must give the same bits"
    );
}
