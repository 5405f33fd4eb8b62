//! The methods of texts. Places and lengths count characters.

use crate::chat::jinja::{
    Run,
    budget::Budget,
    calls::{Given, required, size_or, string, whole_or},
    failed,
    filters::escaped,
    lexer::{is_name, is_space},
    text::printable,
    value::Value,
};
use std::sync::Arc;

/// `text.name(…)`; `of` is the value whose text it is.
pub(super) fn method(of: &Value, text: &Arc<str>, name: &'static str, given: Given, budget: &Budget) -> Run<Value> {
    budget.bytes(text.len())?;
    let safe = matches!(of, Value::Safe(_));
    // what is made of a safe text is safe
    let like = |text: String| if safe { Value::Safe(text.into()) } else { Value::str(text) };
    let all = |test: fn(char) -> bool| Ok(Value::Bool(!text.is_empty() && text.chars().all(test)));
    match name {
        "upper" | "lower" | "casefold" | "swapcase" | "title" | "capitalize" => {
            given.none(name)?;
            budget.search(text.len())?;
            budget.bytes(text.len().saturating_mul(3))?; // one letter becomes three at most
            Ok(like(match name {
                "upper" => text.to_uppercase(),
                "lower" => text.to_lowercase(),
                "casefold" => text.to_lowercase().replace('ß', "ss").replace('ς', "σ"),
                "swapcase" => text.chars().map(swapped).collect(),
                "title" => title(text),
                _ => capitalized(text),
            }))
        }
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = given.bind(name, ["chars"])?;
            Ok(like(stripped(text, chars.as_ref(), name != "rstrip", name != "lstrip", budget)?.to_owned()))
        }
        "split" | "rsplit" => {
            let [separator, most] = given.bind(name, ["sep", "maxsplit"])?;
            let most = usize::try_from(whole_or(most, -1)?).unwrap_or(usize::MAX);
            let parts = match separator {
                None | Some(Value::None) => {
                    budget.values(text.len() / 4)?; // before they are collected, as below
                    by_space(text, most, name == "rsplit")
                }
                Some(separator) => {
                    let separator = string(&separator)?;
                    if separator.is_empty() {
                        return failed("empty separator");
                    }
                    budget.search(text.len() + separator.len())?;
                    let count = text.matches(&*separator).count().min(most);
                    budget.values(count)?;
                    match name {
                        "rsplit" => {
                            let mut parts: Vec<&str> = text.rsplitn(count + 1, &*separator).collect();
                            parts.reverse();
                            parts
                        }
                        _ => text.splitn(count + 1, &*separator).collect(),
                    }
                }
            };
            texts(parts, like, budget)
        }
        "splitlines" => {
            let [keep] = given.bind(name, ["keepends"])?;
            budget.values(text.len() / 4)?;
            texts(lines(text, keep.is_some_and(|keep| keep.truth())), like, budget)
        }
        "partition" | "rpartition" => {
            let [separator] = given.bind(name, ["sep"])?;
            let separator = string(&required(separator, name, "sep")?)?;
            if separator.is_empty() {
                return failed("empty separator");
            }
            budget.search(text.len() + separator.len())?;
            let found = if name == "partition" { text.find(&*separator) } else { text.rfind(&*separator) };
            let parts = match found {
                Some(at) => [&text[..at], &*separator, &text[at + separator.len()..]],
                None if name == "partition" => [&**text, "", ""],
                None => ["", "", &**text],
            };
            Value::tuple(parts.map(|part| like(part.to_owned())).to_vec(), budget)
        }
        "removeprefix" | "removesuffix" => {
            let [part] = given.bind(name, ["part"])?;
            let part = string(&required(part, name, "part")?)?;
            let rest = if name == "removeprefix" { text.strip_prefix(&*part) } else { text.strip_suffix(&*part) };
            Ok(like(rest.unwrap_or(text).to_owned()))
        }
        "replace" => {
            let [old, new, most] = given.bind(name, ["old", "new", "count"])?;
            let old = string(&required(old, name, "old")?)?;
            let new = required(new, name, "new")?;
            let new = if safe && !matches!(new, Value::Safe(_)) {
                escaped(&string(&new)?, budget)?.into()
            } else {
                string(&new)?
            };
            replaced(text, &old, &new, whole_or(most, -1)?, budget).map(like)
        }
        "join" => {
            let [items] = given.bind(name, ["iterable"])?;
            let mut out = String::new();
            for (i, item) in required(items, name, "iterable")?.elements(budget)?.iter().enumerate() {
                let Some(part) = item.as_str() else {
                    return failed(format!("sequence item {i}: expected str instance, {} found", item.type_name()));
                };
                budget.bytes(text.len() + part.len())?;
                out.push_str(if i > 0 { text } else { "" });
                match safe && !matches!(item, Value::Safe(_)) {
                    true => out.push_str(&escaped(part, budget)?),
                    false => out.push_str(part),
                }
            }
            Ok(like(out))
        }
        "center" | "ljust" | "rjust" => {
            let [width, fill] = given.bind(name, ["width", "fillchar"])?;
            let width = size_or(Some(required(width, name, "width")?), 0)?;
            let fill = fill.map_or(Ok(" ".into()), |fill| string(&fill))?;
            let mut fill = fill.chars();
            let (Some(fill), None) = (fill.next(), fill.next()) else {
                return failed("The fill character must be exactly one character long");
            };
            let missing = width.saturating_sub(text.chars().count());
            match name {
                "center" => center(text, width, fill, budget),
                "ljust" => padded(text, 0, missing, fill, budget),
                _ => padded(text, missing, 0, fill, budget),
            }
            .map(like)
        }
        "zfill" => {
            let [width] = given.bind(name, ["width"])?;
            let width = size_or(Some(required(width, name, "width")?), 0)?;
            let missing = width.saturating_sub(text.chars().count());
            let sign = text.len() - text.strip_prefix(['+', '-']).unwrap_or(text).len();
            Ok(like(text[..sign].to_owned() + &padded(&text[sign..], missing, 0, '0', budget)?))
        }
        "expandtabs" => {
            let [size] = given.bind(name, ["tabsize"])?;
            expand_tabs(text, size_or(size, 8)?, budget).map(like)
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let [part, from, to] = given.bind(name, ["sub", "start", "end"])?;
            let part = string(&required(part, name, "sub")?)?;
            budget.search(text.len() + part.len())?;
            let Some((before, window)) = window(text, whole_or(from, 0)?, whole_or(to, i128::MAX)?) else {
                return match name {
                    "count" => Ok(Value::Int(0)),
                    "index" | "rindex" => failed("substring not found"),
                    _ => Ok(Value::Int(-1)),
                };
            };
            let found = match name {
                "count" => return Ok(Value::Int(window.matches(&*part).count() as i128)),
                "find" | "index" => window.find(&*part),
                _ => window.rfind(&*part),
            };
            match found {
                Some(at) => Ok(Value::Int((before + window[..at].chars().count()) as i128)),
                None if name.ends_with("index") => failed("substring not found"),
                None => Ok(Value::Int(-1)),
            }
        }
        "startswith" | "endswith" => {
            let [part, from, to] = given.bind(name, ["prefix", "start", "end"])?;
            let part = required(part, name, "prefix")?;
            let parts = match &part {
                Value::Tuple(parts) => parts.items.as_slice(),
                one => std::slice::from_ref(one),
            };
            let window = window(text, whole_or(from, 0)?, whole_or(to, i128::MAX)?);
            for part in parts {
                let part = string(part)?;
                budget.bytes(part.len())?;
                let fits =
                    |text: &str| if name == "startswith" { text.starts_with(&*part) } else { text.ends_with(&*part) };
                if window.is_some_and(|(_, window)| fits(window)) {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        "isalnum" => all(char::is_alphanumeric),
        "isalpha" => all(char::is_alphabetic),
        "isdecimal" => all(|c| c.is_ascii_digit() || !c.is_ascii() && c.is_numeric()),
        "isdigit" | "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "isascii" => Ok(Value::Bool(text.is_ascii())),
        "isprintable" => Ok(Value::Bool(text.chars().all(printable))),
        "isidentifier" => Ok(Value::Bool(is_name(text))),
        "islower" => Ok(Value::Bool(cased(text) && !text.chars().any(char::is_uppercase))),
        "isupper" => Ok(Value::Bool(cased(text) && !text.chars().any(char::is_lowercase))),
        "istitle" => Ok(Value::Bool(cased(text) && title(text) == **text)),
        other => failed(format!("'str' object has no method '{other}'")),
    }
}

fn texts(parts: Vec<&str>, like: impl Fn(String) -> Value, budget: &Budget) -> Run<Value> {
    budget.values(parts.len())?;
    for part in &parts {
        budget.bytes(part.len())?;
    }
    Value::list(parts.into_iter().map(|part| like(part.to_owned())).collect(), budget)
}

fn cased(text: &str) -> bool {
    text.chars().any(|c| c.is_uppercase() || c.is_lowercase())
}

fn swapped(c: char) -> String {
    if c.is_lowercase() { c.to_uppercase().collect() } else { c.to_lowercase().collect() }
}

/// The first letter large, the others small.
pub(in crate::chat::jinja) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars.as_str().to_lowercase().chars()).collect(),
        None => String::new(),
    }
}

/// Every first letter of a word large, the others small.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut within = false;
    for c in text.chars() {
        match within {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }
        within = c.is_uppercase() || c.is_lowercase();
    }
    out
}

/// Without the characters at its ends that `chars` holds, or else white space.
fn stripped<'t>(text: &'t str, chars: Option<&Value>, left: bool, right: bool, budget: &Budget) -> Run<&'t str> {
    let set = match chars {
        None | Some(Value::None) => None,
        Some(chars) => Some(string(chars)?),
    };
    if let Some(set) = &set {
        budget.steps(text.len().saturating_mul(1 + set.len() / 16) / 16)?;
    }
    let goes = |c: char| set.as_ref().map_or_else(|| is_space(c), |set| set.contains(c));
    let text = if left { text.trim_start_matches(goes) } else { text };
    Ok(if right { text.trim_end_matches(goes) } else { text })
}

/// The words between white space. After `most` of them the rest stays whole, with the white space at its far end.
fn by_space(text: &str, most: usize, from_end: bool) -> Vec<&str> {
    let near =
        |text| if from_end { str::trim_end_matches(text, is_space) } else { str::trim_start_matches(text, is_space) };
    let mut parts = Vec::new();
    let mut rest = near(text);
    while !rest.is_empty() {
        let cut = if from_end { rest.rfind(is_space) } else { rest.find(is_space) };
        let Some(at) = cut.filter(|_| parts.len() < most) else {
            parts.push(rest);
            break;
        };
        let space = rest[at..].chars().next().map_or(0, char::len_utf8);
        let (part, after) = match from_end {
            true => (&rest[at + space..], &rest[..at]),
            false => (&rest[..at], &rest[at + space..]),
        };
        parts.push(part);
        rest = near(after);
    }
    if from_end {
        parts.reverse();
    }
    parts
}

/// The lines of a text, with their ends or without.
pub(in crate::chat::jinja) fn lines(text: &str, keep: bool) -> Vec<&str> {
    let is_end =
        |c: char| matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(is_end).unwrap_or(rest.len());
        let mark = match rest[end..].starts_with("\r\n") {
            true => 2,
            false => rest[end..].chars().next().map_or(0, char::len_utf8),
        };
        lines.push(&rest[..end + if keep { mark } else { 0 }]);
        rest = &rest[end + mark..];
    }
    lines
}

/// With the first `most` of `old` replaced; all when it is negative.
pub(in crate::chat::jinja) fn replaced(text: &str, old: &str, new: &str, most: i128, budget: &Budget) -> Run<String> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    budget.search(text.len() + old.len())?;
    let times = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() }.min(most);
    budget.bytes(new.len().saturating_mul(times).saturating_add(text.len()))?;
    Ok(text.replacen(old, new, times))
}

/// In the middle of `width` characters.
pub(in crate::chat::jinja) fn center(text: &str, width: usize, fill: char, budget: &Budget) -> Run<String> {
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2 + (missing & width & 1);
    padded(text, left, missing - left, fill, budget)
}

fn padded(text: &str, before: usize, after: usize, fill: char, budget: &Budget) -> Run<String> {
    budget.bytes(before.saturating_add(after).saturating_mul(fill.len_utf8()).saturating_add(text.len()))?;
    let fill = |n: usize| -> String { std::iter::repeat_n(fill, n).collect() };
    Ok(fill(before) + text + &fill(after))
}

fn expand_tabs(text: &str, size: usize, budget: &Budget) -> Run<String> {
    let mut out = String::new();
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' if size == 0 => {}
            '\t' => {
                let spaces = size - column % size;
                budget.bytes(spaces)?;
                (0..spaces).for_each(|_| out.push(' '));
                column += spaces;
            }
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            _ => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(out)
}

/// From and to as places in a list of `len`: negative ones count from the end.
pub(super) fn ends(from: i128, to: i128, len: usize) -> [usize; 2] {
    let len = len as i128;
    [from, to].map(|at| if at < 0 { at.saturating_add(len).max(0) } else { at.min(len) } as usize)
}

/// The characters from and to these places, and how many are before them. `None` where it begins behind the end.
fn window(text: &str, from: i128, to: i128) -> Option<(usize, &str)> {
    if (from, to) == (0, i128::MAX) {
        return Some((0, text));
    }
    let len = text.chars().count();
    let [start, end] = ends(from, to, len);
    if from > len as i128 || start > end {
        return None;
    }
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    Some((start, &text[byte(start)..byte(end)]))
}
