//! The format of every tensor, compared with what llama-quantize chooses: `golden/quantize/*.txt`, which
//! `scripts/make_quantize_goldens.py` describes and writes.

use std::{collections::BTreeMap, fs, path::Path};

use lucid::quantize::{Mix, Model, Options, Source, TensorType, plan, weight_format};
use lucid_kernels::formats::Format;

/// One model shape and what was asked about it.
struct Listing {
    model: Model,
    tensors: Vec<Source>,
    cases: Vec<Case>,
}

struct Case {
    /// The flags and the TYPE.
    flags: Vec<String>,
    fallbacks: usize,
    /// The tensors that get another type.
    changed: BTreeMap<String, Format>,
}

#[test]
fn every_tensor_gets_the_type_that_llama_quantize_gives_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/quantize");
    let mut compared = 0;
    let mut mixes = Vec::new();
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let listing = Listing::read(&fs::read_to_string(&path).unwrap());
        for case in &listing.cases {
            let (options, importance) = options(&case.flags);
            let plan = plan(&listing.model, &listing.tensors, &options, importance).unwrap();
            let at = format!("{} {:?}", path.file_stem().unwrap().display(), case.flags);
            for (source, got) in listing.tensors.iter().zip(&plan.tensors) {
                let expected = case.changed.get(&source.name).copied().unwrap_or(source.format);
                assert_eq!(got.to, expected, "{at}: {} of {:?}, because {:?}", got.name, got.shape, got.why);
                compared += 1;
            }
            let fallbacks = plan.tensors.iter().filter(|t| t.instead_of.is_some()).count();
            assert_eq!(fallbacks, case.fallbacks, "{at}: tensors that fell back");
            mixes.push(options.mix);
        }
    }
    assert!(Mix::ALL.iter().all(|m| mixes.contains(m)), "every mix is listed");
    assert!(compared > 100_000, "only {compared} choices were compared");
}

fn options(flags: &[String]) -> (Options, bool) {
    let (mix, flags) = flags.split_last().unwrap();
    let mut options = Options::new(Mix::from_name(mix).unwrap());
    let mut importance = false;
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let mut format = || weight_format(flags.next().unwrap()).unwrap();
        match &**flag {
            "--pure" => options.pure = true,
            "--imatrix" => importance = true,
            "--output-tensor-type" => options.output = Some(format()),
            "--token-embedding-type" => options.embedding = Some(format()),
            "--tensor-type" => options.tensor_types.push(TensorType::parse(flags.next().unwrap()).unwrap()),
            other => panic!("{other}"),
        }
    }
    (options, importance)
}

impl Listing {
    fn read(text: &str) -> Listing {
        let mut listing = Listing { model: Model::default(), tensors: Vec::new(), cases: Vec::new() };
        let model = &mut listing.model;
        let mut kv_heads = None;
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |i: usize| words[i].parse::<usize>().unwrap();
            match words[0] {
                "arch" => model.arch = words[1].into(),
                "key" => match words[1] {
                    "block_count" => model.layers = number(2),
                    "attention.head_count" => model.heads = number(2),
                    "attention.head_count_kv" => kv_heads = Some(number(2)),
                    "expert_count" => model.experts = number(2),
                    other => panic!("{other}"),
                },
                "tensor" => {
                    let shape: Vec<usize> =
                        words[2..words.len() - 1].iter().rev().map(|n| n.parse().unwrap()).collect();
                    let format = Format::from_name(words[words.len() - 1]).unwrap();
                    let source = |name| Source { name, shape: shape.clone(), format };
                    listing.tensors.extend(names(words[1]).into_iter().map(source));
                }
                "case" => {
                    let flags = words[1..].iter().map(|w| w.to_string()).collect();
                    listing.cases.push(Case { flags, fallbacks: 0, changed: BTreeMap::new() });
                }
                "fallback" => listing.cases.last_mut().unwrap().fallbacks = number(1),
                format => {
                    let format = Format::from_name(format).unwrap();
                    let changed = &mut listing.cases.last_mut().unwrap().changed;
                    changed.extend(words[1..].iter().flat_map(|w| names(w)).map(|name| (name, format)));
                }
            }
        }
        listing.model.kv_heads = kv_heads.unwrap_or(listing.model.heads);
        listing
    }
}

/// The names that one pattern stands for: `blk.0-2,5.{attn_q,attn_k}.weight`.
fn names(pattern: &str) -> Vec<String> {
    if let Some((start, rest)) = pattern.split_once('{') {
        let (stems, end) = rest.split_once('}').unwrap();
        return stems.split(',').flat_map(|stem| names(&format!("{start}{stem}{end}"))).collect();
    }
    let Some((start, rest)) = pattern.split_once("blk.") else { return vec![pattern.into()] };
    let (ranges, end) = rest.split_once('.').unwrap();
    let numbers = ranges.split(',').flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<usize>().unwrap()..=last.parse().unwrap()
    });
    numbers.map(|n| format!("{start}blk.{n}.{end}")).collect()
}
