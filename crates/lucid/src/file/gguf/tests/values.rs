use super::Bytes;
use crate::{
    ErrorKind,
    file::gguf::{Array, Gguf, Type, Value},
};

/// A file with a value of every type, named after the type.
fn every_type() -> Gguf {
    let keys = Bytes::header(0, 13).key("u8", Type::U8).bytes(&[200]).key("i8", Type::I8).bytes(&[0xfe]);
    let keys = keys.key("u16", Type::U16).bytes(&[1, 2]).key("i16", Type::I16).bytes(&[0, 0x80]);
    let keys = keys.key("u32", Type::U32).u32(u32::MAX).key("i32", Type::I32).u32(-4i32 as u32);
    let keys = keys.key("f32", Type::F32).bytes(&0.1f32.to_le_bytes()).key("bool", Type::Bool).bytes(&[1]);
    let keys = keys.key("string", Type::String).string("grüße").array("array", Type::U16, 2).bytes(&[1, 0, 2, 0]);
    let keys = keys.key("u64", Type::U64).u64(u64::MAX).key("i64", Type::I64).u64(7);
    keys.key("f64", Type::F64).bytes(&0.1f64.to_le_bytes()).read().unwrap()
}

#[test]
fn every_type_reads_back() {
    let file = every_type();
    let found: Vec<(&str, Value<'_>)> = file.metadata.iter().collect();
    let expected = [
        ("u8", Value::U8(200)),
        ("i8", Value::I8(-2)),
        ("u16", Value::U16(0x201)),
        ("i16", Value::I16(i16::MIN)),
        ("u32", Value::U32(u32::MAX)),
        ("i32", Value::I32(-4)),
        ("f32", Value::F32(0.1)),
        ("bool", Value::Bool(true)),
        ("string", Value::String("grüße")),
        ("array", Value::Array(Array::from(&[1u16, 2][..]))),
        ("u64", Value::U64(u64::MAX)),
        ("i64", Value::I64(7)),
        ("f64", Value::F64(0.1)),
    ];
    assert_eq!(found, expected);
    for (key, value) in found {
        assert_eq!(value.ty().name(), key);
        assert_eq!(Type::from_id(value.ty() as u32), Some(value.ty()));
        assert_eq!(file.metadata.get(key), Some(value), "looked up by name");
    }
    assert_eq!(Type::from_id(13), None);
}

#[test]
fn integers_widen_and_narrow_where_they_fit() {
    let file = every_type();
    let md = &file.metadata;
    assert_eq!(md.u32("u8").unwrap(), 200);
    assert_eq!(md.u32("i64").unwrap(), 7);
    assert_eq!(md.usize("u16").unwrap(), 0x201);
    assert_eq!(md.u64("u64").unwrap(), u64::MAX);
    assert_eq!(md.find::<i32>("i16").unwrap(), Some(-32_768));
    assert_eq!(md.find::<i64>("u32").unwrap(), Some(4_294_967_295));
    assert_eq!(md.f32("f64").unwrap(), 0.1f32);
    assert_eq!(md.find::<f64>("f32").unwrap(), Some(f64::from(0.1f32)));
    assert!(md.bool("bool").unwrap());
    assert_eq!(md.string("string").unwrap(), "grüße");
    assert_eq!(md.u32s("array").unwrap().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(md.find::<u32>("absent").unwrap(), None);
}

#[test]
fn a_value_of_another_type_is_named() {
    let file = every_type();
    let md = &file.metadata;
    let cases = [
        (md.u32("i32").err(), r#"test.gguf: metadata key "i32" is i32 -4; expected an integer from 0 to 2^32 - 1"#),
        (md.u32("u64").err(), "is u64 18446744073709551615; expected an integer from 0 to 2^32 - 1"),
        (md.usize("f32").err(), "is f32 0.1; expected a non-negative integer"),
        (md.f32("u8").err(), "is u8 200; expected a float"),
        (md.bool("u8").err(), "is u8 200; expected a bool"),
        (md.string("array").err(), "is array of 2 u16; expected a string"),
        (md.array("string").err(), "is string \"grüße\"; expected an array"),
        (md.strings("array").err(), "is array of 2 u16; expected an array of strings"),
        (md.f32s("array").err(), "is array of 2 u16; expected an array of floats"),
        (md.u32("absent").err(), r#"metadata key "absent" is missing; expected an integer"#),
    ];
    for (error, words) in cases {
        let error = error.unwrap_or_else(|| panic!("accepted, instead of: {words}"));
        assert_eq!(error.kind(), ErrorKind::Value);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn arrays_are_walked_where_they_lie() {
    // The odd length of the first key leaves everything after it unaligned.
    let file = Bytes::header(0, 4)
        .array("odd", Type::String, 3)
        .string("a")
        .string(b"\xff\xfe")
        .string("")
        .array("f", Type::F32, 2)
        .bytes(&1.5f32.to_le_bytes())
        .bytes(&f32::NAN.to_le_bytes())
        .array("i", Type::I64, 3)
        .u64(1)
        .u64(1 << 40)
        .u64(u64::MAX)
        .array("b", Type::Bool, 2)
        .bytes(&[1, 0])
        .read()
        .unwrap();
    let md = &file.metadata;
    let strings = md.array("odd").unwrap();
    assert_eq!(strings.as_bytes().unwrap().collect::<Vec<_>>(), [&b"a"[..], b"\xff\xfe", b""]);
    let checked: Vec<bool> = strings.as_strings().unwrap().map(|s| s.is_ok()).collect();
    assert_eq!(checked, [true, false, true], "tokens need not be UTF-8");
    assert_eq!((strings.len(), strings.element(), strings.scalars().len()), (3, Type::String, 0));

    let floats: Vec<u32> = md.f32s("f").unwrap().map(f32::to_bits).collect();
    assert_eq!(floats, [1.5f32.to_bits(), f32::NAN.to_bits()]);
    let integers = md.array("i").unwrap();
    assert!(integers.as_u32s().is_none() && integers.as_i32s().is_none(), "2^40 does not fit");
    let found: Vec<_> = integers.scalars().collect();
    assert_eq!(found, [Value::I64(1), Value::I64(1 << 40), Value::I64(-1)]);
    assert_eq!(md.array("b").unwrap().as_bools().unwrap().collect::<Vec<_>>(), [true, false]);
    assert!(md.array("b").unwrap().as_u32s().is_none(), "a bool is no integer");
}
