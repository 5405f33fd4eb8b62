//! The chain as a whole.

use super::*;

/// Logits of a vocabulary, another for every step, as a model gives them: mostly noise, some peaks.
fn logits(step: u64) -> Vec<f32> {
    let mut rng = Rng::new(1000 + step);
    (0..500).map(|i| if i % 50 == 7 { 6.0 } else { 0.0 } + 3.0 * rng.uniform() as f32).collect()
}

fn chain(change: impl Fn(&mut Params)) -> Chain {
    let mut p = Params::default();
    change(&mut p);
    Chain::new(&p, 500, 4096, Breakers::from_tokens([vec![3]])).unwrap()
}

fn text(chain: &mut Chain, n: u64) -> Vec<u32> {
    let next = |step| {
        let token = chain.sample(&logits(step)).unwrap();
        chain.accept(token);
        token
    };
    (0..n).map(next).collect()
}

/// Every sampler at work.
fn all(p: &mut Params) {
    p.logit_bias = vec![(7, -2.0), (57, f32::NEG_INFINITY)];
    (p.penalty_repeat, p.penalty_freq, p.penalty_present) = (1.1, 0.1, 0.1);
    p.dry_multiplier = 0.8;
    p.top_n_sigma = 3.0;
    p.typ_p = 0.95;
    p.min_p = 0.02;
    (p.xtc_probability, p.xtc_threshold) = (0.3, 0.1);
    p.dynatemp_range = 0.5;
}

#[test]
fn a_seed_is_a_text() {
    for change in [|_: &mut Params| (), all, |p: &mut Params| p.mirostat = 1, |p: &mut Params| p.mirostat = 2] {
        let once = text(&mut chain(change), 40);
        assert_eq!(text(&mut chain(change), 40), once);
        let other = text(
            &mut chain(|p| {
                change(p);
                p.seed = 43;
            }),
            40,
        );
        assert_ne!(other, once);
    }
    assert_ne!(text(&mut chain(|p| p.seed = 0), 40), text(&mut chain(|p| p.seed = u64::MAX), 40));
}

/// The promise across versions and platforms: these change only with a note in the changelog.
#[test]
fn the_text_of_a_seed_is_fixed() {
    let default = text(&mut chain(|_| ()), 12);
    let everything = text(&mut chain(all), 12);
    let one = text(&mut chain(|p| p.mirostat = 1), 12);
    let two = text(&mut chain(|p| p.mirostat = 2), 12);
    assert_eq!([default, everything, one, two], FIXED);
}

const FIXED: [[u32; 12]; 4] = [
    [307, 107, 57, 257, 57, 157, 457, 457, 157, 407, 407, 307],
    [457, 157, 107, 407, 207, 257, 307, 407, 457, 157, 407, 307],
    [407, 107, 57, 57, 57, 157, 457, 457, 407, 407, 407, 257],
    [407, 107, 57, 57, 57, 157, 457, 457, 357, 407, 407, 257],
];

#[test]
fn explaining_changes_nothing() {
    for change in [|_: &mut Params| (), all, |p: &mut Params| p.mirostat = 1, |p: &mut Params| p.mirostat = 2] {
        let mut explained = chain(change);
        let mut plain = chain(change);
        for step in 0..30 {
            let logits = logits(step);
            let trace = explained.explain(&logits, 0.0).unwrap();
            assert_eq!(trace.token, plain.sample(&logits).unwrap());
            assert_eq!(trace.candidates, plain.candidates());
            // what is left is what no stage removed, and probabilities sum to one
            let removed: usize = trace.steps.iter().map(|s| s.removed.len()).sum();
            assert_eq!(removed + trace.candidates.len(), 500);
            let mut left = 500;
            for s in &trace.steps {
                assert_eq!(s.before, left, "{}", s.sampler);
                left -= s.removed.len();
            }
            let sum: f64 = trace.candidates.iter().map(|c| c.p).sum();
            assert!((sum - 1.0).abs() <= 1000.0 * f64::EPSILON);
            explained.accept(trace.token);
            plain.accept(trace.token);
        }
    }
}

#[test]
fn a_trace_names_every_stage_and_what_it_did() {
    let mut c = chain(|p| {
        all(p);
        p.top_n_sigma = 10.0;
    });
    [10, 20, 10, 20].into_iter().for_each(|t| c.accept(t));
    let trace = c.explain(&logits(0), 0.0).unwrap();
    let names: Vec<_> = trace.steps.iter().map(|s| s.sampler).collect();
    let order = Sampler::ORDER.map(Sampler::name);
    assert_eq!(names[0], "logit_bias");
    assert_eq!(names[1..], order);
    let moved: Vec<Vec<u32>> = trace.steps.iter().map(|s| s.moved.iter().map(|m| m.id).collect()).collect();
    assert_eq!(moved[..3], [vec![7, 57], vec![10, 20], vec![10]]);
    assert!(moved[3..].iter().all(Vec::is_empty));
    let top_k = &trace.steps[4];
    assert_eq!(top_k.setting, "k 40");
    assert_eq!(top_k.before - top_k.removed.len(), 40);
    assert!(top_k.removed.is_sorted_by(|a, b| a.logit >= b.logit));
    assert_eq!(chain(|_| ()).explain(&logits(0), 0.0).unwrap().steps.len(), 3, "top_k, top_p, temperature");
}

#[test]
fn the_top_two_are_the_models_own() {
    let mut logits = vec![0.0; 500];
    (logits[5], logits[9]) = (2.0, 2.125);
    let trace = chain(|p| p.logit_bias = vec![(9, -9.0)]).explain(&logits, 0.25).unwrap();
    assert_eq!((trace.top, trace.close), (vec![(9, 2.125), (5, 2.0)], true));
    assert!(!chain(|_| ()).explain(&logits, 0.125).unwrap().close);
}

#[test]
fn temperature_zero_is_the_argmax_and_the_lowest_id_among_equals() {
    let mut greedy = chain(|p| p.temperature = 0.0);
    for step in 0..20 {
        let mut logits = logits(step);
        let max = logits.iter().copied().fold(f32::MIN, f32::max);
        let first = logits.iter().position(|&l| l == max).unwrap();
        logits[499] = max;
        assert_eq!(greedy.sample(&logits).unwrap(), first as u32);
        assert_eq!(greedy.candidates().len(), 1);
    }
}

#[test]
fn no_order_of_samplers_removes_everything() {
    let strict = |p: &mut Params| {
        all(p);
        (p.top_n_sigma, p.top_k, p.top_p, p.typ_p, p.min_p) = (1e-9, 1, 0.0, 0.0, 1.0);
        (p.xtc_probability, p.xtc_threshold, p.temperature) = (1.0, 0.0, 0.0);
    };
    let mut order = Sampler::ORDER.to_vec();
    for _ in 0..9 {
        order.rotate_left(1);
        let mut forwards = chain(|p| {
            strict(p);
            p.samplers = order.clone();
        });
        let mut backwards = chain(|p| {
            strict(p);
            p.samplers = order.iter().rev().copied().collect();
        });
        for c in [&mut forwards, &mut backwards] {
            text(c, 3);
            assert_eq!(c.candidates().len(), 1);
        }
    }
}

#[test]
fn the_order_is_the_users() {
    // top-k of 1 before or after a bias-like penalty on the best
    let best = |names: &str| {
        let mut c = chain(|p| {
            p.samplers = Sampler::from_names(names).unwrap();
            (p.penalty_present, p.top_k) = (100.0, 1);
        });
        c.accept(499);
        let mut logits = logits(0);
        logits[499] = 50.0;
        c.sample(&logits).unwrap()
    };
    assert_eq!(best("top_k;penalties"), 499);
    assert_ne!(best("penalties;top_k"), 499);
    assert_eq!(best("top_k"), 499, "a sampler left out is off");
}

#[test]
fn a_forbidden_token_never_comes_and_forbidding_all_is_an_error() {
    let mut c = chain(|p| {
        p.logit_bias = vec![(1, f32::NEG_INFINITY)];
        (p.top_k, p.top_p) = (0, 1.0);
    });
    let mut logits = vec![f32::NEG_INFINITY; 500];
    (logits[1], logits[2]) = (50.0, -50.0);
    assert_eq!((0..50).map(|_| c.sample(&logits).unwrap()).max(), Some(2));
    logits[2] = f32::NEG_INFINITY;
    assert!(c.sample(&logits).unwrap_err().to_string().contains("no token is allowed"));
}

#[test]
fn mirostat_replaces_the_chain() {
    for version in [1, 2] {
        let trace = chain(|p| {
            all(p);
            p.mirostat = version;
        })
        .explain(&logits(0), 0.0)
        .unwrap();
        let names: Vec<_> = trace.steps.iter().map(|s| s.sampler).collect();
        assert_eq!(names, ["logit_bias", "temperature", "mirostat"]);
        assert_eq!(trace.steps[1].setting, "0.8");
        assert_eq!(trace.steps[2].setting, format!("version {version}, mu 10.000"));
    }
}

#[test]
fn buffers_stay_where_they_are() {
    let mut c = chain(all);
    text(&mut c, 70); // more than the windows of 64
    let place = |c: &Chain| (c.candidates.items.as_ptr(), c.candidates.items.capacity());
    let before = place(&c);
    text(&mut c, 20);
    assert_eq!(place(&c), before);
}

#[test]
fn whole_context_windows_are_the_context() {
    let mut p = Params { penalty_last_n: -1, penalty_present: 1e9, temperature: 0.0, ..Params::default() };
    p.samplers = vec![Sampler::Penalties, Sampler::Temperature];
    let mut c = Chain::new(&p, 3, 2, Breakers::default()).unwrap();
    [0, 1, 2].into_iter().for_each(|t| c.accept(t));
    assert_eq!(c.sample(&[5.0, 4.0, 3.0]).unwrap(), 0, "token 0 left the context of 2");
    assert!(Chain::new(&Params { top_p: 2.0, ..p }, 3, 2, Breakers::default()).is_err());
}
