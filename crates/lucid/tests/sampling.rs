//! The samplers against cases that nobody here wrote: 41 with expected probabilities, and 24 chains over 10,000 tokens
//! whose survivors have closed forms.

#[path = "common/fixtures.rs"]
mod fixtures;

use fixtures::fixtures;
use lucid::sample::{
    Breakers, Candidates, Dry, Penalties, Rng, draw, min_p, temperature, top_k, top_n_sigma, top_p, typ_p, xtc,
};

/// A function's name, and its arguments as they are written in C++.
struct Case {
    name: String,
    args: Vec<Arg>,
    text: String,
}

#[derive(Clone, Debug)]
enum Arg {
    Number(f32),
    List(Vec<Arg>),
    Text(String),
}

impl Arg {
    fn number(&self) -> f32 {
        match self {
            Arg::Number(n) => *n,
            other => panic!("{other:?} is no number"),
        }
    }

    fn list(&self) -> &[Arg] {
        match self {
            Arg::List(items) => items,
            other => panic!("{other:?} is no list"),
        }
    }

    fn numbers(&self) -> Vec<f32> {
        self.list().iter().map(Arg::number).collect()
    }

    fn tokens(&self) -> Vec<u32> {
        self.numbers().into_iter().map(|n| n as u32).collect()
    }
}

/// `{0.1, {3}, {}}, "kp", 0.3/0.7`
fn parse(text: &mut &str) -> Vec<Arg> {
    let mut args = Vec::new();
    loop {
        *text = text.trim_start();
        if let Some(rest) = text.strip_prefix('{') {
            *text = rest;
            args.push(Arg::List(parse(text)));
            *text = text.trim_start().strip_prefix('}').expect("a closing brace");
        } else if let Some(rest) = text.strip_prefix('"') {
            let (inside, rest) = rest.split_once('"').expect("a closing quote");
            args.push(Arg::Text(inside.to_owned()));
            *text = rest;
        } else {
            let end = text.find([',', '}']).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            *text = rest;
            if !word.trim().is_empty() {
                let parts: Vec<f32> = word.split('/').map(|n| n.trim().parse().expect("a number")).collect();
                args.push(Arg::Number(parts[1..].iter().fold(parts[0], |a, b| a / b)));
            }
        }
        *text = text.trim_start();
        match text.strip_prefix(',') {
            Some(rest) => *text = rest,
            None => return args,
        }
    }
}

fn cases(test: &str) -> Option<Vec<Case>> {
    let text = std::fs::read_to_string(fixtures(test)?.join("sampling/sampling-cases.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let case = |c: &serde_json::Value| {
        let text = c["args_cpp"].as_str().unwrap();
        Case { name: c["fn"].as_str().unwrap().into(), args: parse(&mut &*text), text: text.into() }
    };
    Some(json["cases"].as_array().unwrap().iter().map(case).collect())
}

fn of(p: &Arg) -> Candidates {
    Candidates::new(&p.numbers().iter().map(|p| p.ln()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn expected_probabilities() {
    let Some(cases) = cases("expected_probabilities") else { return };
    let mut checked = 0;
    for case in cases.iter().filter(|c| c.name != "test_sampler_queue") {
        let a = &case.args;
        let mut c = of(&a[0]);
        let mut rng = Rng::new(0);
        let n = |i: usize| a[i].number();
        // typical-p and XTC are compared by the probabilities they cut by, the others by what is left for the draw
        let (expected, drawn) = match case.name.as_str() {
            "test_temp" => {
                temperature(&mut c, n(2), 0.0, 1.0);
                (&a[1], true)
            }
            "test_temp_ext" => {
                temperature(&mut c, n(2), n(3), n(4));
                (&a[1], true)
            }
            "test_top_k" => {
                top_k(&mut c, n(2) as usize);
                (&a[1], true)
            }
            "test_top_p" => {
                top_p(&mut c, n(2), 0);
                (&a[1], true)
            }
            "test_min_p" => {
                min_p(&mut c, n(2), 0);
                (&a[1], true)
            }
            "test_top_n_sigma" => {
                top_n_sigma(&mut c, n(2));
                (&a[1], true)
            }
            "test_typical" => {
                typ_p(&mut c, n(2), 0);
                (&a[1], false)
            }
            "test_xtc" => {
                xtc(&mut c, n(2), n(3), 0, &mut rng);
                (&a[1], false)
            }
            "test_penalties" => {
                let text = a[1].tokens();
                let mut penalties = Penalties::new(c.len(), text.len(), n(3), n(4), n(5));
                text.iter().for_each(|&t| penalties.accept(t));
                penalties.apply(&mut c);
                (&a[2], true)
            }
            "test_dry" => {
                let breakers = a[7].list().iter().map(Arg::tokens);
                let mut dry = Dry::new(n(3), n(4), n(5) as usize, n(6) as usize, Breakers::from_tokens(breakers));
                a[1].tokens().iter().for_each(|&t| dry.accept(t));
                dry.apply(&mut c);
                (&a[2], true)
            }
            other => panic!("an unknown sampler {other}"),
        };
        if drawn {
            draw(&mut c, &mut rng);
        }
        // a token of probability 0 is a token removed
        let expected: Vec<f64> = expected.numbers().into_iter().map(f64::from).filter(|p| *p > 0.0).collect();
        let ours: Vec<f64> = c.items.iter().map(|c| c.p).filter(|p| *p >= 5e-7).collect();
        assert_eq!(ours.len(), expected.len(), "{} {}: {ours:?}", case.name, case.text);
        for (p, q) in ours.iter().zip(&expected) {
            // the expected values are written with five or six decimals
            assert!((p - q).abs() < 1e-5, "{} {}: {ours:?}", case.name, case.text);
        }
        checked += 1;
    }
    assert_eq!(checked, 41);
}

/// Token i has the probability i/Σ: so k keeps the k greatest ids, a minimum m those of at least m times the greatest, and p
/// the fewest of the greatest whose sum reaches p times the sum of all.
#[test]
fn survivors_of_chains() {
    let Some(cases) = cases("survivors_of_chains") else { return };
    let mut checked = 0;
    for case in cases.iter().filter(|c| c.name == "test_sampler_queue") {
        let [Arg::Number(vocab), Arg::Text(chain), Arg::Number(k), Arg::Number(p), Arg::Number(m)] = &case.args[..]
        else {
            panic!("{}", case.text)
        };
        let vocab = *vocab as u32;
        let mut c = Candidates::new(&(0..vocab).map(|i| (i as f32).ln()).collect::<Vec<_>>()).unwrap();
        let mut rng = Rng::new(0);
        let mut least = 0; // survivors are least..vocab
        for stage in chain.chars() {
            let ids = least..vocab;
            match stage {
                'k' => {
                    top_k(&mut c, *k as usize);
                    least = least.max(vocab.saturating_sub(*k as u32));
                }
                'p' => {
                    top_p(&mut c, *p, 1);
                    let reach = *p as f64 * ids.clone().map(f64::from).sum::<f64>();
                    let mut sum = 0.0;
                    let reached = ids.rev().find(|&id| {
                        sum += id as f64;
                        sum >= reach
                    });
                    // a p of 1 is off, and keeps token 0, which adds nothing to the sum
                    least = if *p >= 1.0 { least } else { reached.unwrap() };
                }
                'm' => {
                    min_p(&mut c, *m, 1);
                    least = ids.clone().find(|&id| id as f64 >= *m as f64 * (vocab - 1) as f64).unwrap();
                }
                other => panic!("an unknown stage {other}"),
            }
            // renormalised after each stage
            draw(&mut c, &mut rng);
            let mut ids: Vec<u32> = c.items.iter().map(|c| c.id).collect();
            if c.sorted {
                assert!(ids.is_sorted_by(|a, b| a > b), "{}", case.text);
                ids.reverse();
            }
            assert_eq!(ids, (least..vocab).collect::<Vec<_>>(), "{} after {stage}", case.text);
            let sum: f64 = (least..vocab).map(f64::from).sum();
            for c in &c.items {
                let exact = c.id as f64 / sum;
                // a logit of up to 9.3 is rounded to f32, 2⁻²¹ at most; in its own probability and in the sum of all
                assert!((c.p - exact).abs() <= 2.0 * exact * 2f64.powi(-21), "{}: token {}", case.text, c.id);
            }
        }
        checked += 1;
    }
    assert_eq!(checked, 24);
}
