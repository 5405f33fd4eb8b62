//! Values as text: Python's `str` and `repr`, and JSON as `json.dumps` writes it.

use super::{
    Run,
    budget::Budget,
    failed,
    operators::less,
    value::{Object, Value, View},
};
use std::{borrow::Cow, fmt::Write as _, sync::Arc, sync::OnceLock};

/// What printing the value shows: `str(value)`.
pub(super) fn str(value: &Value, budget: &Budget) -> Run<Arc<str>> {
    match value {
        Value::Undefined(_) => Ok("".into()),
        Value::Str(text) | Value::Safe(text) => Ok(text.clone()),
        other => {
            let mut out = String::new();
            repr(other, &mut out, budget)?;
            Ok(out.into())
        }
    }
}

/// Appends `repr(value)`.
pub(super) fn repr(value: &Value, out: &mut String, budget: &Budget) -> Run<()> {
    budget.steps(1)?;
    let list = |items: &[Value], out: &mut String| -> Run<()> {
        for (i, item) in items.iter().enumerate() {
            out.push_str(if i > 0 { ", " } else { "" });
            repr(item, out, budget)?;
        }
        Ok(())
    };
    match value {
        Value::Undefined(_) => out.push_str("Undefined"),
        Value::None => out.push_str("None"),
        Value::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
        Value::Int(n) => push(out, format_args!("{n}")),
        Value::Float(x) => out.push_str(&float(*x)),
        Value::Str(text) => quoted(text, out, budget)?,
        Value::Safe(text) => {
            out.push_str("Markup(");
            quoted(text, out, budget)?;
            out.push(')');
        }
        Value::List(items) => {
            out.push('[');
            list(&items.items, out)?;
            out.push(']');
        }
        Value::Tuple(items) => {
            out.push('(');
            list(&items.items, out)?;
            out.push_str(if items.items.len() == 1 { ",)" } else { ")" });
        }
        Value::Map(map) => {
            out.push('{');
            for (i, (key, value)) in map.entries.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                repr(key, out, budget)?;
                out.push_str(": ");
                repr(value, out, budget)?;
            }
            out.push('}');
        }
        Value::View(view, _) => {
            out.push_str(match view {
                View::Keys => "dict_keys([",
                View::Values => "dict_values([",
                View::Items => "dict_items([",
            });
            list(&value.elements(budget)?, out)?;
            out.push_str("])");
        }
        Value::Range(r) if r.step == 1 => push(out, format_args!("range({}, {})", r.start, r.stop)),
        Value::Range(r) => push(out, format_args!("range({}, {}, {})", r.start, r.stop, r.step)),
        Value::Stream(_) | Value::Object(Object::Function(_) | Object::Method(_)) => {
            push(out, format_args!("<{} object>", value.type_name()));
        }
        Value::Object(_) => push(out, format_args!("<{}>", value.type_name())),
    }
    Ok(())
}

/// Appends something whose writing does not fail.
fn push(out: &mut String, what: std::fmt::Arguments) {
    let _ = out.write_fmt(what);
}

/// `repr` of a float: the shortest digits that give it back, with an exponent where Python has one.
pub(super) fn float(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if x == 0.0 || (1e-4..1e16).contains(&x.abs()) {
        return format!("{x:?}");
    }
    let text = format!("{x:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

/// A text in quotes, single ones where there is a choice.
fn quoted(text: &str, out: &mut String, budget: &Budget) -> Run<()> {
    budget.search(text.len().saturating_mul(2))?;
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if c == quote => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ if printable(c) => out.push(c),
            _ if (c as u32) < 0x100 => push(out, format_args!("\\x{:02x}", c as u32)),
            _ if (c as u32) < 0x1_0000 => push(out, format_args!("\\u{:04x}", c as u32)),
            _ => push(out, format_args!("\\U{:08x}", c as u32)),
        }
    }
    out.push(quote);
    Ok(())
}

/// Python's `str.isprintable`: neither a control, nor unassigned, nor a space other than `' '`.
pub(super) fn printable(c: char) -> bool {
    use regex_syntax::hir::{Class, HirKind};
    static HIDDEN: OnceLock<Vec<(char, char)>> = OnceLock::new();
    let hidden = HIDDEN.get_or_init(|| {
        let class = regex_syntax::parse(r"[\p{C}\p{Z}]").ok();
        match class.as_ref().map(|hir| hir.kind()) {
            Some(HirKind::Class(Class::Unicode(class))) => class.iter().map(|r| (r.start(), r.end())).collect(),
            _ => Vec::new(), // the class is a constant, and it is one
        }
    });
    let after = hidden.partition_point(|&(start, _)| start <= c);
    c == ' ' || after == 0 || hidden[after - 1].1 < c
}

/// How `json.dumps` is to write.
pub(super) struct Json<'j> {
    pub(super) ascii: bool,
    /// What each level is indented by; without, everything stands on one line.
    pub(super) indent: Option<Cow<'j, str>>,
    /// Between elements, and between key and value.
    pub(super) separators: (Cow<'j, str>, Cow<'j, str>),
    pub(super) sort_keys: bool,
}

impl Json<'_> {
    /// Appends `json.dumps(value)`.
    pub(super) fn write(&self, value: &Value, level: usize, out: &mut String, budget: &Budget) -> Run<()> {
        budget.steps(1)?;
        match value {
            Value::None => out.push_str("null"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Int(n) => push(out, format_args!("{n}")),
            Value::Float(x) => out.push_str(&json_float(*x)),
            Value::Str(text) | Value::Safe(text) => self.quoted(text, out, budget)?,
            Value::List(list) | Value::Tuple(list) => {
                out.push('[');
                for (i, item) in list.items.iter().enumerate() {
                    self.before(i, level, out, budget)?;
                    self.write(item, level + 1, out, budget)?;
                }
                self.end(list.items.len(), level, out, budget)?;
                out.push(']');
            }
            Value::Map(map) => {
                let mut entries: Vec<&(Value, Value)> = map.entries.iter().collect();
                if self.sort_keys {
                    let keys = entries.iter().map(|(key, _)| key.clone()).collect();
                    entries = sorted(keys, budget)?.into_iter().map(|at| entries[at]).collect();
                }
                out.push('{');
                for (i, (key, value)) in entries.into_iter().enumerate() {
                    self.before(i, level, out, budget)?;
                    match key {
                        Value::Str(text) | Value::Safe(text) => self.quoted(text, out, budget)?,
                        Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                            out.push('"');
                            self.write(key, level, out, budget)?;
                            out.push('"');
                        }
                        other => {
                            let name = other.type_name();
                            return failed(format!("keys must be str, int, float, bool or None, not {name}"));
                        }
                    }
                    budget.bytes(self.separators.1.len())?;
                    out.push_str(&self.separators.1);
                    self.write(value, level + 1, out, budget)?;
                }
                self.end(map.entries.len(), level, out, budget)?;
                out.push('}');
            }
            other => return failed(format!("Object of type {} is not JSON serializable", other.type_name())),
        }
        Ok(())
    }

    /// What stands before element `i`.
    fn before(&self, i: usize, level: usize, out: &mut String, budget: &Budget) -> Run<()> {
        if i > 0 {
            budget.bytes(self.separators.0.len())?;
            out.push_str(&self.separators.0);
        }
        self.line(level + 1, out, budget)
    }

    /// What stands behind the last of `n` elements.
    fn end(&self, n: usize, level: usize, out: &mut String, budget: &Budget) -> Run<()> {
        if n > 0 { self.line(level, out, budget) } else { Ok(()) }
    }

    fn line(&self, level: usize, out: &mut String, budget: &Budget) -> Run<()> {
        let Some(indent) = &self.indent else { return Ok(()) };
        budget.bytes(indent.len().saturating_mul(level))?;
        out.push('\n');
        (0..level).for_each(|_| out.push_str(indent));
        Ok(())
    }

    fn quoted(&self, text: &str, out: &mut String, budget: &Budget) -> Run<()> {
        budget.bytes(text.len().saturating_mul(2))?;
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                _ if c < ' ' || (self.ascii && c > '~') => {
                    c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| push(out, format_args!("\\u{unit:04x}")));
                }
                _ => out.push(c),
            }
        }
        out.push('"');
        Ok(())
    }
}

fn json_float(x: f64) -> String {
    match x {
        _ if x.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => float(x),
    }
}

/// The places of the keys in ascending order, equal ones as they stood. An error when two cannot be compared.
pub(super) fn sorted(keys: Vec<Value>, budget: &Budget) -> Run<Vec<usize>> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    merge_sort(&mut order, &|a, b| less(&keys[a], &keys[b], budget))?;
    Ok(order)
}

/// A stable sort whose comparison may fail: the standard library's may not.
fn merge_sort(order: &mut [usize], less: &impl Fn(usize, usize) -> Run<bool>) -> Run<()> {
    if order.len() < 2 {
        return Ok(());
    }
    let (left, right) = order.split_at_mut(order.len() / 2);
    merge_sort(left, less)?;
    merge_sort(right, less)?;
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut l, mut r) = (0, 0);
    while l < left.len() && r < right.len() {
        if less(right[r], left[l])? {
            merged.push(right[r]);
            r += 1;
        } else {
            merged.push(left[l]);
            l += 1;
        }
    }
    merged.extend_from_slice(&left[l..]);
    merged.extend_from_slice(&right[r..]);
    order.copy_from_slice(&merged);
    Ok(())
}
