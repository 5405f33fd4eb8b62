//! Any text at all is refused as a chat template, or rendered, or ends in an error: within the budget and without a panic.
//!
//! ```text
//! cargo +nightly fuzz run -s none jinja fuzz/corpus/jinja fuzz/seeds/jinja -- -max_len=4096 -dict=fuzz/jinja.dict -timeout=10
//! ```
#![no_main]

use lucid::chat::{Conversation, Template};
use serde_json::json;
use std::time::SystemTime;

/// What the budget lets a template print: 32 bytes a step, of some eight million.
const LONGEST: usize = 300 << 20;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let Ok(mut template) = Template::parse("template", source) else { return };
    template.set_token("bos_token", "<s>");
    template.set_token("eos_token", "</s>");
    let call = json!({"name": "f", "arguments": {"é": [1, 2.5, null, true]}});
    let messages = [
        json!({"role": "system", "content": " Be brief.\n"}),
        json!({"role": "user", "content": [{"type": "text", "text": "<Hi> 'there'"}]}),
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": "1", "function": call}]}),
        json!({"role": "tool", "content": "{}"}),
    ];
    let tools = [json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}})];
    let conversation = Conversation {
        messages: &messages,
        tools: Some(&tools),
        add_generation_prompt: true,
        now: Some(SystemTime::UNIX_EPOCH),
        ..Conversation::default()
    };
    if let Ok(text) = template.render(&conversation) {
        assert!(text.len() <= LONGEST, "{}", text.len());
    }
});
