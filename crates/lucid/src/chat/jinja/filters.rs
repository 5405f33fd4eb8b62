//! Filters: `value | name(…)`. Those that go through lists are in `filters/lists.rs`.

mod lists;

use super::{
    Run,
    ast::Operation,
    budget::Budget,
    calls::{Given, required, size_or, string, whole, whole_or},
    failed, format,
    machine::Machine,
    methods,
    operators::{Number, arithmetic, defined},
    text::{self, Json},
    value::{Map, Value},
};
use std::{borrow::Cow, sync::Arc};

/// The names of all filters.
const NAMES: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "from_json",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "wordcount",
];

/// Whether there is a filter of this name.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The text with the characters that mean something in HTML written otherwise.
pub(super) fn escaped(text: &str, budget: &Budget) -> Run<String> {
    budget.bytes(text.len().saturating_mul(5))?; // `&quot;` is longest, as `&#34;`
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            _ => out.push(c),
        }
    }
    Ok(out)
}

impl Machine<'_> {
    /// `value | name(…)`
    pub(super) fn filter(&mut self, name: &str, value: Value, given: Given) -> Run<Value> {
        self.budget.enter()?;
        let result = match name {
            "default" | "d" => {
                let [default, boolean] = given.bind(name, ["default_value", "boolean"])?;
                let falsy = boolean.is_some_and(|b| b.truth()) && !value.truth();
                let missing = matches!(value, Value::Undefined(_)) || falsy;
                if missing { default.unwrap_or_else(|| Value::str("")) } else { value }
            }
            "length" | "count" => {
                given.none(name)?;
                Value::Int(value.len(&self.budget)? as i128)
            }
            "tojson" => to_json(&value, given, &self.budget)?,
            "from_json" => self.parse_json(&value, given)?,
            "string" => {
                given.none(name)?;
                soft(&value, &self.budget)?
            }
            "safe" => {
                given.none(name)?;
                Value::Safe(text::str(&value, &self.budget)?)
            }
            "escape" | "e" | "forceescape" => {
                given.none(name)?;
                match &value {
                    Value::Safe(_) if name != "forceescape" => value,
                    _ => Value::Safe(escaped(&text::str(&value, &self.budget)?, &self.budget)?.into()),
                }
            }
            "abs" => match (Number::of(&value), given.none(name)?) {
                (Some(Number::Float(x)), ()) => Value::Float(x.abs()),
                (Some(Number::Int(n)), ()) => Value::Int(n.saturating_abs()),
                _ => {
                    defined(&value)?;
                    return failed(format!("bad operand type for abs(): '{}'", value.type_name()));
                }
            },
            "int" => to_int(&value, given)?,
            "float" => {
                let [default] = given.bind(name, ["default"])?;
                defined(&value)?;
                match float_of(&value) {
                    Some(x) => Value::Float(x),
                    None => default.unwrap_or(Value::Float(0.0)),
                }
            }
            "round" => round(&value, given)?,
            "filesizeformat" => file_size(&value, given)?,
            "attr" => {
                let [attribute] = given.bind(name, ["name"])?;
                let attribute = string(&required(attribute, name, "name")?)?;
                match &value {
                    // a dict has attributes, and its keys are none
                    Value::Map(_) => self.attribute(&Value::map(Map::default()), &attribute)?,
                    _ => self.attribute(&value, &attribute)?,
                }
            }
            "upper" | "lower" | "title" | "capitalize" | "trim" | "center" | "replace" | "indent" | "truncate"
            | "wordcount" | "format" => self.text_filter(name, &value, given)?,
            "pprint" => {
                given.none(name)?;
                let mut out = String::new();
                text::repr(&value, &mut out, &self.budget)?;
                Value::str(out)
            }
            _ => self.list_filter(name, value, given)?,
        };
        self.budget.leave();
        Ok(result)
    }

    /// Filters of texts; what is none is first made one.
    fn text_filter(&mut self, name: &str, value: &Value, given: Given) -> Run<Value> {
        let soft = soft(value, &self.budget)?;
        let source = text::str(value, &self.budget)?;
        let budget = &self.budget;
        let like = |text: String| if let Value::Safe(_) = soft { Value::Safe(text.into()) } else { Value::str(text) };
        match name {
            "upper" => self.method(&soft, "upper", given),
            "lower" => self.method(&soft, "lower", given),
            "title" => {
                given.none(name)?;
                budget.bytes(source.len().saturating_mul(4))?;
                Ok(like(words(&source).into_iter().map(methods::capitalized).collect()))
            }
            "capitalize" => self.method(&soft, "capitalize", given),
            "trim" => self.method(&soft, "strip", given),
            "center" => {
                let [width] = given.bind(name, ["width"])?;
                methods::center(&source, size_or(width, 80)?, ' ', budget).map(like)
            }
            "replace" => {
                let [old, new, count] = given.bind(name, ["old", "new", "count"])?;
                let old = text::str(&required(old, name, "old")?, budget)?;
                let new = text::str(&required(new, name, "new")?, budget)?;
                let count = count.filter(|count| !matches!(count, Value::None));
                methods::replaced(&source, &old, &new, whole_or(count, -1)?, budget).map(Value::str)
            }
            "indent" => {
                let source = string(value)?;
                indent(&source, given, budget).map(like)
            }
            "truncate" => {
                let source = string(value)?;
                truncate(&source, given, budget).map(like)
            }
            "wordcount" => {
                given.none(name)?;
                budget.bytes(source.len())?;
                let is_word = |c: char| c.is_alphanumeric() || c == '_';
                let count = source.split(|c| !is_word(c)).filter(|word| !word.is_empty()).count();
                Ok(Value::Int(count as i128))
            }
            _ => {
                // format: `'%s' | format(x)`
                let Given { positional, named } = given;
                if !positional.is_empty() && !named.is_empty() {
                    return failed("can't handle positional and keyword arguments at the same time");
                }
                let arguments = if named.is_empty() {
                    Value::tuple(positional, budget)?
                } else {
                    let mut map = Map::default();
                    for (key, value) in named {
                        map.insert(Value::Str(key), value, budget)?;
                    }
                    Value::map(map)
                };
                format::percent(&source, &soft, &arguments, budget)
            }
        }
    }

    /// Not of jinja2: templates that llama.cpp knows read with it the arguments that a client sent as text.
    fn parse_json(&mut self, value: &Value, given: Given) -> Run<Value> {
        given.none("from_json")?;
        let text = string(value)?;
        self.budget.steps(text.len())?; // a byte of JSON becomes more than a byte of values
        match serde_json::from_str(&text) {
            Ok(json) => Value::from_json(&json, &self.budget),
            Err(fault) => failed(format!("from_json: {fault}")),
        }
    }
}

/// The value as text, and what is text already as it is.
fn soft(value: &Value, budget: &Budget) -> Run<Value> {
    match value {
        Value::Str(_) | Value::Safe(_) => Ok(value.clone()),
        other => Ok(Value::Str(text::str(other, budget)?)),
    }
}

/// `tojson`, as transformers replaces jinja2's own: nothing is escaped for HTML, and text stays as it is.
fn to_json(value: &Value, given: Given, budget: &Budget) -> Run<Value> {
    let params = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ascii, indent, separators, sort_keys] = given.bind("tojson", params)?;
    let truth = |argument: Option<Value>| argument.is_some_and(|value| value.truth());
    let indent: Option<Cow<str>> = match indent {
        None | Some(Value::None) => None,
        Some(Value::Str(text) | Value::Safe(text)) => Some(text.to_string().into()),
        Some(width) => {
            let width = size_or(Some(width), 0)?;
            budget.bytes(width)?;
            Some(" ".repeat(width).into())
        }
    };
    let separators: (Cow<str>, Cow<str>) = match separators {
        None | Some(Value::None) if indent.is_some() => (",".into(), ": ".into()),
        None | Some(Value::None) => (", ".into(), ": ".into()),
        Some(pair) => match &pair.elements(budget)?[..] {
            [item, key] => (string(item)?.to_string().into(), string(key)?.to_string().into()),
            _ => return failed("separators must be two texts"),
        },
    };
    let how = Json { ascii: truth(ascii), indent, separators, sort_keys: truth(sort_keys) };
    let mut out = String::new();
    how.write(value, 0, &mut out, budget)?;
    budget.bytes(out.len())?;
    Ok(Value::str(out))
}

/// The number that a text writes, as `float` reads it.
fn float_of(value: &Value) -> Option<f64> {
    let Some(text) = value.as_str() else { return Number::of(value).map(Number::float) };
    let text = text.trim_matches(super::lexer::is_space);
    let digits = |c: char| c.is_ascii_digit();
    // underscores stand between digits only
    let fits = |at: usize| text[..at].ends_with(digits) && text[at + 1..].starts_with(digits);
    if text.match_indices('_').any(|(at, _)| !fits(at)) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// `int`: what has no whole number in it becomes the default.
fn to_int(value: &Value, given: Given) -> Run<Value> {
    let [default, base] = given.bind("int", ["default", "base"])?;
    let base = whole_or(base, 10)?;
    defined(value)?;
    let default = default.unwrap_or(Value::Int(0));
    let of_float = |x: f64| match x.is_finite() {
        true if x.abs() < 1e38 => Ok(Value::Int(x as i128)),
        true => super::budget::exhausted("computes with numbers of more than 38 digits"),
        false => Ok(default.clone()),
    };
    match value {
        Value::Float(x) => of_float(*x),
        Value::Str(text) | Value::Safe(text) => {
            let Ok(base) = u32::try_from(base) else { return Ok(default) };
            match parse_int(text, base) {
                Some(n) => Ok(Value::Int(n)),
                None => float_of(value).map_or(Ok(default.clone()), of_float),
            }
        }
        other => Ok(other.as_index().map_or(default, Value::Int)),
    }
}

/// `int(text, base)`
fn parse_int(text: &str, base: u32) -> Option<i128> {
    let text = text.trim_matches(super::lexer::is_space);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixed = |mark: &str, radix: u32| lower.strip_prefix(mark).filter(|_| base == radix || base == 0);
    let (digits, base) = match (prefixed("0x", 16), prefixed("0o", 8), prefixed("0b", 2)) {
        (Some(rest), _, _) => (rest, 16),
        (_, Some(rest), _) => (rest, 8),
        (_, _, Some(rest)) => (rest, 2),
        _ => (lower.as_str(), if base == 0 { 10 } else { base }),
    };
    let plain = digits.replace('_', "");
    let badly_joined = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    if !(2..=36).contains(&base) || badly_joined || plain.starts_with(['+', '-']) {
        return None;
    }
    let n = i128::from_str_radix(&plain, base).ok()?;
    Some(if negative { -n } else { n })
}

/// `round`: half goes to the even neighbour, as Python has it.
fn round(value: &Value, given: Given) -> Run<Value> {
    let [precision, method] = given.bind("round", ["precision", "method"])?;
    let precision = whole_or(precision, 0)?;
    defined(value)?;
    let Some(number) = Number::of(value) else {
        return failed(format!("type {} doesn't define __round__ method", value.type_name()));
    };
    let method = method.map_or(Ok("common".into()), |method| string(&method))?;
    let x = number.float();
    let power = |n: i128| 10f64.powi(n.clamp(-400, 400) as i32);
    match &*method {
        "common" => match number {
            Number::Int(n) if precision >= 0 => Ok(Value::Int(n)),
            Number::Int(n) => {
                let Some(unit) = u32::try_from(-precision).ok().and_then(|p| 10i128.checked_pow(p)) else {
                    return Ok(Value::Int(0));
                };
                let (floor, rest) = (n.div_euclid(unit), n.rem_euclid(unit));
                let up = rest * 2 > unit || rest * 2 == unit && floor % 2 != 0;
                Ok(Value::Int((floor + i128::from(up)).saturating_mul(unit)))
            }
            Number::Float(_) if !x.is_finite() => Ok(Value::Float(x)),
            // printing rounds the exact value, and half to even
            Number::Float(_) if (0..=330).contains(&precision) => {
                let digits = precision as usize;
                Ok(Value::Float(format!("{x:.digits$}").parse().unwrap_or(x)))
            }
            Number::Float(_) if precision > 0 => Ok(Value::Float(x)),
            Number::Float(_) => Ok(Value::Float((x / power(-precision)).round_ties_even() * power(-precision))),
        },
        "ceil" | "floor" => {
            let scaled = arithmetic(Operation::Multiply, value, &Value::Float(power(precision)), &Budget::unlimited())?;
            let scaled = Number::of(&scaled).map_or(x, Number::float);
            let rounded = if *method == *"ceil" { scaled.ceil() } else { scaled.floor() };
            Ok(Value::Float(rounded / power(precision)))
        }
        _ => failed("method must be common, ceil or floor"),
    }
}

/// `1.5 MB`
fn file_size(value: &Value, given: Given) -> Run<Value> {
    let [binary] = given.bind("filesizeformat", ["binary"])?;
    let binary = binary.is_some_and(|b| b.truth());
    let Some(bytes) = float_of(value) else { return failed("filesizeformat wants a number") };
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok(Value::str("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::str(format!("{} Bytes", bytes as i128)));
    }
    let mut unit = base * base;
    let letters = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
    for (i, letter) in letters.iter().enumerate() {
        if bytes < unit || i + 1 == letters.len() {
            let size = base * bytes / unit;
            let unit = if binary { format!("{}iB", letter.to_uppercase()) } else { format!("{letter}B") };
            return Ok(Value::str(format!("{size:.1} {unit}")));
        }
        unit *= base;
    }
    failed("filesizeformat wants a number")
}

/// A text cut where jinja2's `title` sees the beginnings of words.
fn words(text: &str) -> Vec<&str> {
    let breaks = |c: char| super::lexer::is_space(c) || "-({[<".contains(c);
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let first = rest.find(breaks).unwrap_or(rest.len());
        let end = if first > 0 { first } else { rest.find(|c| !breaks(c)).unwrap_or(rest.len()) };
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after;
    }
    words
}

/// `indent(width, first, blank)`
fn indent(source: &Arc<str>, given: Given, budget: &Budget) -> Run<String> {
    let [width, first, blank] = given.bind("indent", ["width", "first", "blank"])?;
    let truth = |argument: Option<Value>| argument.is_some_and(|value| value.truth());
    let (first, blank) = (truth(first), truth(blank));
    let indent: Cow<str> = match width {
        Some(Value::Str(text) | Value::Safe(text)) => text.to_string().into(),
        width => {
            let width = size_or(width, 4)?;
            budget.bytes(width)?;
            " ".repeat(width).into()
        }
    };
    budget.values(source.len() / 4)?;
    budget.bytes(source.len())?;
    // one newline more, as jinja2 has it, so that an empty last line counts
    let source = format!("{source}\n");
    let lines = methods::lines(&source, false);
    budget.bytes(lines.len().saturating_mul(indent.len() + 1).saturating_add(source.len()))?;
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        out.push_str(if i > 0 { "\n" } else { "" });
        if (i == 0 && first) || (i > 0 && (blank || !line.is_empty())) {
            out.push_str(&indent);
        }
        out.push_str(line);
    }
    Ok(out)
}

/// `truncate(length, killwords, end, leeway)`
fn truncate(source: &Arc<str>, given: Given, budget: &Budget) -> Run<String> {
    let [length, kill, end, leeway] = given.bind("truncate", ["length", "killwords", "end", "leeway"])?;
    let length = length.map_or(Ok(255), |length| whole(&length))?;
    let end = end.map_or(Ok("...".into()), |end| string(&end))?;
    let leeway = whole_or(leeway.filter(|l| !matches!(l, Value::None)), 5)?;
    let end_len = end.chars().count() as i128;
    if length < end_len || leeway < 0 {
        return failed(format!("truncate: expected length >= {end_len} and leeway >= 0"));
    }
    budget.bytes(source.len())?;
    let chars = source.chars().count() as i128;
    if chars <= length.saturating_add(leeway) {
        return Ok(source.to_string());
    }
    let cut = source.char_indices().nth((length - end_len) as usize).map_or(source.len(), |(at, _)| at);
    let kept = &source[..cut];
    let kept = match kill.is_some_and(|kill| kill.truth()) {
        true => kept,
        false => kept.rfind(' ').map_or(kept, |space| &kept[..space]),
    };
    Ok(format!("{kept}{end}"))
}
