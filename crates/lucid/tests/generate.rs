//! Generation on a trained model: what ends it, what it costs, and that nothing but the request decides the text.

#[path = "common/fixtures.rs"]
mod fixtures;
#[path = "common/run.rs"]
mod run;

use lucid::{
    backend::{Backend, Reference},
    file::ModelFile,
    generate::{End, Outcome, Request, Session, logit_bound, stop_ids},
    models::{Loader, Model},
    sample::{Breakers, Chain, Params},
    tokenizer::{Encode, Tokenizer},
};
use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// A model and its words.
struct Story {
    file: ModelFile,
    tokenizer: Tokenizer,
}

impl Story {
    /// The demonstration model.
    fn tiny() -> Story {
        Story::open(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny/tiny.gguf")))
    }

    fn open(path: &Path) -> Story {
        Story { file: ModelFile::open(path).unwrap(), tokenizer: Tokenizer::open(path).unwrap() }
    }

    /// A model whose continuations another engine computed, and these.
    fn golden(test: &str) -> Option<(Story, serde_json::Value)> {
        let folder = fixtures::fixtures(test)?.join("models/stories260K");
        Some((Story::open(&folder.join("stories260K-F32.gguf")), run::json(&folder.join("golden.json"))))
    }

    fn model(&self) -> Model<'_, Reference> {
        Model::load(&Loader::new(&Reference, &self.file).unwrap()).unwrap()
    }

    fn ids(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text, Encode::default()).unwrap()
    }

    fn request(&self, prompt: &str, most: usize) -> Request {
        let stop_ids = stop_ids(&self.file, &self.tokenizer).unwrap();
        Request { prompt: self.ids(prompt), max_tokens: Some(most), stop_ids, ..Request::default() }
    }
}

fn greedy() -> Params {
    Params { temperature: 0.0, ..Params::default() }
}

/// What one request brings.
struct Run {
    ids: Vec<u32>,
    text: String,
    outcome: Outcome,
}

fn generate(session: &mut Session<'_, '_, Reference>, story: &Story, params: &Params, request: &Request) -> Run {
    let chain = Chain::new(params, story.tokenizer.vocab_size(), session.context(), Breakers::default()).unwrap();
    let cancel = AtomicBool::new(false);
    let mut generation = session.generate(&story.tokenizer, chain, request, &cancel, &mut |_, _| {}).unwrap();
    let (mut ids, mut text) = (Vec::new(), String::new());
    for token in &mut generation {
        let token = token.unwrap();
        ids.push(token.id);
        text.push_str(&token.text);
    }
    let outcome = generation.finish();
    text.push_str(&outcome.rest);
    assert_eq!(outcome.generated, ids.len());
    Run { ids, text, outcome }
}

#[test]
fn greedy_ids_are_those_of_another_engine() {
    let Some((story, golden)) = Story::golden("greedy_ids_are_those_of_another_engine") else { return };
    let model = story.model();
    for case in golden["cases"].as_array().unwrap() {
        let all = run::tokens(&case["greedy_ids_120"]);
        let prompt = run::tokens(&case["prompt_ids"]);
        let request = Request { max_tokens: Some(all.len() - prompt.len()), prompt, ..Request::default() };
        let mut session = Session::new(&model, &Reference, 512).unwrap();
        let got = generate(&mut session, &story, &greedy(), &request);
        assert_eq!([request.prompt.clone(), got.ids].concat(), all, "{}", case["prompt"]);
        assert_eq!(got.outcome.end, End::MaxTokens);
    }
}

#[test]
fn a_seed_is_a_text_and_what_was_cached_before_does_not_show() {
    let story = Story::tiny();
    let model = story.model();
    let fresh = |prompt: &str, seed: u64| {
        let mut session = Session::new(&model, &Reference, 512).unwrap();
        generate(&mut session, &story, &Params { seed, ..Params::default() }, &story.request(prompt, 40))
    };
    let (a, b) = (fresh("Once upon a time", 7), fresh("Once upon a time", 8));
    assert_ne!(a.text, b.text);
    // one session for all: the same beginning, a longer one, a shorter one, another, the same twice
    let mut session = Session::new(&model, &Reference, 512).unwrap();
    let long = format!("Once upon a time{}", b.text);
    for (prompt, same) in [("Once upon a time", 0), (&long, 5), ("Once upon", 2), ("Tom", 1), ("Tom", 1)] {
        let params = Params { seed: 7, ..Params::default() };
        let got = generate(&mut session, &story, &params, &story.request(prompt, 40));
        let expected = fresh(prompt, 7);
        assert_eq!((got.ids, &got.text), (expected.ids, &expected.text), "{prompt}");
        assert!(got.outcome.reused >= same && got.outcome.reused < got.outcome.prompt, "{prompt}");
    }
}

#[test]
fn a_stop_string_ends_the_text_wherever_tokens_end() {
    let story = Story::tiny();
    let model = story.model();
    let mut session = Session::new(&model, &Reference, 512).unwrap();
    let whole = generate(&mut session, &story, &greedy(), &story.request("Once upon a time", 60)).text;
    // strings of 1 to 9 bytes from all over the text
    for (start, len) in (0..whole.len() - 9).step_by(17).zip((1..10).cycle()) {
        let stop = &whole[start..start + len];
        let mut request = story.request("Once upon a time", 60);
        request.stop_strings = vec![stop.to_owned(), "never to be found".into()];
        let got = generate(&mut session, &story, &greedy(), &request);
        assert_eq!(got.text, whole[..whole.find(stop).unwrap()], "{stop:?}");
        assert_eq!(got.outcome.end, End::StopString(stop.into()));
    }
}

#[test]
fn the_model_ends_its_text_and_the_id_is_no_part_of_it() {
    let story = Story::tiny();
    let model = story.model();
    let mut session = Session::new(&model, &Reference, 512).unwrap();
    let mut request = story.request("Once upon a time", 60);
    assert_eq!(request.stop_ids, [1, 3], "</s> and <|im_end|>");
    let free = generate(&mut session, &story, &greedy(), &request);
    // any id will do as the one that ends it: the first after the twentieth that is new
    let at = (20..).find(|&at| !free.ids[..at].contains(&free.ids[at])).unwrap();
    let stop = free.ids[at];
    request.stop_ids.push(stop);
    let got = generate(&mut session, &story, &greedy(), &request);
    assert_eq!((got.ids.as_slice(), got.outcome.end), (&free.ids[..at], End::StopId(stop)));
    assert!(free.text.starts_with(&got.text) && got.text.len() < free.text.len());
    assert_eq!(got.outcome.steps, at, "one step for each token but the first, and one for the id that ended it");
}

#[test]
fn a_full_context_ends_the_text_and_a_prompt_that_does_not_fit_is_refused() {
    let story = Story::tiny();
    let model = story.model();
    let mut free = Session::new(&model, &Reference, 512).unwrap();
    let free = generate(&mut free, &story, &greedy(), &story.request("Once upon a time", 40)).ids;
    let mut request = story.request("Once upon a time", 0);
    request.max_tokens = None;
    for room in [0, 1, 2, 19] {
        let mut session = Session::new(&model, &Reference, request.prompt.len() + room).unwrap();
        let got = generate(&mut session, &story, &greedy(), &request);
        // the last token needs no room: nothing follows it
        assert_eq!((got.ids.as_slice(), got.outcome.end), (&free[..=room], End::ContextFull));
    }
    let mut small = Session::new(&model, &Reference, 4).unwrap();
    let chain = Chain::new(&greedy(), 2048, 4, Breakers::default()).unwrap();
    let cancel = AtomicBool::new(false);
    let refused = small.generate(&story.tokenizer, chain.clone(), &request, &cancel, &mut |_, _| {}).err().unwrap();
    assert_eq!(
        refused.to_string(),
        "the prompt has 5 tokens and the context holds 4: raise it with --ctx, or say less"
    );
    request.prompt.clear();
    let refused = small.generate(&story.tokenizer, chain, &request, &cancel, &mut |_, _| {}).err().unwrap();
    assert!(refused.to_string().starts_with("the prompt is empty"), "{refused}");
    // and it is as good as new
    let got = generate(&mut small, &story, &greedy(), &Request { prompt: vec![1], ..Request::default() });
    assert_eq!((got.ids.len(), got.outcome.end), (4, End::ContextFull));
}

#[test]
fn it_can_be_cancelled_between_two_tokens_and_between_two_chunks() {
    let story = Story::tiny();
    let model = story.model();
    let mut session = Session::new(&model, &Reference, 512).unwrap();
    let request = story.request("Once upon a time", 100);
    let chain = Chain::new(&greedy(), 2048, 512, Breakers::default()).unwrap();
    let cancel = AtomicBool::new(false);
    let mut generation = session.generate(&story.tokenizer, chain.clone(), &request, &cancel, &mut |_, _| {}).unwrap();
    for _ in 0..3 {
        generation.next().unwrap().unwrap();
    }
    cancel.store(true, Ordering::Relaxed);
    assert!(generation.next().is_none() && generation.next().is_none());
    assert_eq!((generation.finish().end, session.tokens().len()), (End::Cancelled, 7));

    // a prompt of three chunks; the flag goes up after the first
    let ids = (0..150).map(|i| 4 + i * 7 % 2000).collect();
    let long = Request { prompt: ids, max_tokens: Some(5), ..Request::default() };
    let mut heard = Vec::new();
    cancel.store(false, Ordering::Relaxed);
    let mut generation = session
        .generate(&story.tokenizer, chain, &long, &cancel, &mut |done, of| {
            heard.push((done, of));
            cancel.store(true, Ordering::Relaxed);
        })
        .unwrap();
    assert!(generation.next().is_none());
    assert_eq!((generation.finish().end, heard.len(), session.tokens().len() < 150), (End::Cancelled, 1, true));
    // what was computed is used, and cannot be seen
    let got = generate(&mut session, &story, &greedy(), &long);
    let mut fresh = Session::new(&model, &Reference, 512).unwrap();
    assert!(got.outcome.reused > 0);
    assert_eq!(got.ids, generate(&mut fresh, &story, &greedy(), &long).ids);
}

#[test]
fn logits_computed_in_double_precision_are_within_the_bound() {
    let Some((story, golden)) = Story::golden("logits_computed_in_double_precision_are_within_the_bound") else {
        return;
    };
    let model = story.model();
    for case in golden["cases"].as_array().unwrap() {
        let logits = run::logits(&story.file.path, &run::tokens(&case["prompt_ids"]));
        let last = logits.last().unwrap();
        let off = run::largest_difference(last, &run::floats(&case["logits_last_prompt_pos"]));
        let bound = f64::from(logit_bound(model.layers(), Reference.rounding(), last));
        println!("{}: off by {off:.1e}, bound {bound:.1e}", case["prompt"]);
        assert!(off <= bound, "{}: off by {off:e}, more than {bound:e}", case["prompt"]);
    }
}

#[test]
fn explaining_changes_nothing_and_tells_of_every_draw() {
    let story = Story::tiny();
    let model = story.model();
    let mut session = Session::new(&model, &Reference, 512).unwrap();
    let mut request = story.request("Once upon a time", 30);
    let plain = generate(&mut session, &story, &Params::default(), &request);
    request.explain = true;
    let chain = Chain::new(&Params::default(), 2048, 512, Breakers::default()).unwrap();
    let cancel = AtomicBool::new(false);
    let generation = session.generate(&story.tokenizer, chain, &request, &cancel, &mut |_, _| {}).unwrap();
    for (token, id) in generation.zip(plain.ids) {
        let token = token.unwrap();
        let trace = token.trace.unwrap();
        assert_eq!((token.id, trace.token), (id, id));
        assert!(trace.candidates.iter().any(|c| c.id == id));
    }
}

#[test]
fn a_folder_says_in_three_places_what_ends_a_text() {
    let Some(fixtures) = fixtures::fixtures("a_folder_says_in_three_places_what_ends_a_text") else { return };
    let scratch = std::env::temp_dir().join(format!("lucid-stop-ids-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).unwrap();
    let hf = fixtures.join("models/stories260K/hf");
    let mut config = run::json(&hf.join("config.json"));
    config["eos_token_id"] = serde_json::json!([5, 6]);
    std::fs::write(scratch.join("config.json"), config.to_string()).unwrap();
    std::fs::write(scratch.join("generation_config.json"), r#"{"eos_token_id": 9}"#).unwrap();
    std::fs::copy(hf.join("model.safetensors"), scratch.join("model.safetensors")).unwrap();
    let words = Tokenizer::open(&fixtures.join("models/stories260K/stories260K-F32.gguf")).unwrap();
    let ids = |path: &Path| stop_ids(&ModelFile::open(path).unwrap(), &words).unwrap();
    assert_eq!(ids(&scratch), [2, 5, 6, 9]);
    assert_eq!(ids(&scratch.join("model.safetensors")), [2, 5, 6, 9]);
    std::fs::remove_dir_all(&scratch).unwrap();
}
