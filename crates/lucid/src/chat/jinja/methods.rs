//! The methods of Python's types, those that change nothing. Of texts: `methods/texts.rs`.

mod texts;

use super::{
    Run,
    calls::{Given, required, whole_or},
    failed, format,
    machine::Machine,
    operators::equal,
    value::{Object, Value, View},
};

pub(super) use texts::{capitalized, center, lines, replaced};

const STR: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];
const MAP: &[&str] = &["copy", "get", "items", "keys", "values"];
const LIST: &[&str] = &["copy", "count", "index"];

/// The methods that the sandbox forbids, because they change what they belong to.
const CHANGE_LIST: &[&str] = &["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];
const CHANGE_MAP: &[&str] = &["clear", "pop", "popitem", "setdefault", "update"];

/// The method of this name, if a value has it.
pub(super) fn find(of: &Value, name: &str) -> Option<&'static str> {
    let known: &[&'static str] = match of {
        Value::Str(_) | Value::Safe(_) => STR,
        Value::Map(_) => MAP,
        Value::List(_) => LIST,
        Value::Tuple(_) | Value::Range(_) => &LIST[1..],
        Value::Float(_) => &["is_integer"],
        Value::Int(_) | Value::Bool(_) => &["bit_length"],
        Value::Object(Object::Loop(..)) => &["cycle", "changed"],
        Value::Object(Object::Cycler(..)) => &["next", "reset"],
        _ => &[],
    };
    known.iter().copied().find(|known| *known == name)
}

/// Whether a value has a method of this name that the sandbox forbids.
pub(super) fn changes(of: &Value, name: &str) -> bool {
    match of {
        Value::List(_) => CHANGE_LIST.contains(&name),
        Value::Map(_) => CHANGE_MAP.contains(&name),
        _ => false,
    }
}

impl Machine<'_> {
    /// `of.name(…)`
    pub(super) fn method(&mut self, of: &Value, name: &'static str, given: Given) -> Run<Value> {
        match (of, name) {
            (Value::Str(text) | Value::Safe(text), "format") => {
                format::braces(self, text, &given, matches!(of, Value::Safe(_)))
            }
            (Value::Str(text) | Value::Safe(text), "format_map") => {
                let [map] = given.bind(name, ["mapping"])?;
                let Value::Map(map) = required(map, name, "mapping")? else {
                    return failed("format_map() wants a dict");
                };
                let mut given = Given::default();
                self.budget.values(map.entries.len())?;
                for (key, value) in &map.entries {
                    given.named.extend(key.as_str().map(|key| (key.clone(), value.clone())));
                }
                format::braces(self, text, &given, matches!(of, Value::Safe(_)))
            }
            (Value::Str(text) | Value::Safe(text), _) => texts::method(of, text, name, given, &self.budget),
            (Value::Map(map), "get") => {
                let [key, default] = given.bind(name, ["key", "default"])?;
                let found = map.get(&required(key, name, "key")?, &self.budget)?.cloned();
                Ok(found.or(default).unwrap_or(Value::None))
            }
            (Value::Map(map), "items") => given.none(name).map(|()| Value::View(View::Items, map.clone())),
            (Value::Map(map), "keys") => given.none(name).map(|()| Value::View(View::Keys, map.clone())),
            (Value::Map(map), "values") => given.none(name).map(|()| Value::View(View::Values, map.clone())),
            (Value::Map(_) | Value::List(_), "copy") => given.none(name).map(|()| of.clone()),
            (Value::List(_) | Value::Tuple(_) | Value::Range(_), "count") => {
                let [item] = given.bind(name, ["value"])?;
                let item = required(item, name, "value")?;
                let mut n = 0;
                for other in of.elements(&self.budget)? {
                    n += i128::from(equal(&other, &item, &self.budget)?);
                }
                Ok(Value::Int(n))
            }
            (Value::List(_) | Value::Tuple(_) | Value::Range(_), "index") => {
                let [item, from, to] = given.bind(name, ["value", "start", "stop"])?;
                let item = required(item, name, "value")?;
                let items = of.elements(&self.budget)?;
                let [from, to] = texts::ends(whole_or(from, 0)?, whole_or(to, i128::MAX)?, items.len());
                for (at, other) in items.iter().enumerate().take(to).skip(from) {
                    if equal(other, &item, &self.budget)? {
                        return Ok(Value::Int(at as i128));
                    }
                }
                failed("the value is not in the list")
            }
            (Value::Float(x), "is_integer") => given.none(name).map(|()| Value::Bool(x.fract() == 0.0)),
            (Value::Int(_) | Value::Bool(_), "bit_length") => {
                given.none(name)?;
                let size = of.as_index().unwrap_or(0).unsigned_abs();
                Ok(Value::Int(i128::from(128 - size.leading_zeros())))
            }
            (Value::Object(Object::Loop(at, serial)), "cycle") => self.loop_cycle(*at, *serial, given),
            (Value::Object(Object::Loop(at, serial)), "changed") => self.loop_changed(*at, *serial, given),
            (Value::Object(Object::Cycler(items, at)), "next") => {
                given.none(name)?;
                let current = at.get();
                at.set((current + 1) % items.items.len());
                Ok(items.items[current].clone())
            }
            (Value::Object(Object::Cycler(_, at)), "reset") => {
                given.none(name)?;
                at.set(0);
                Ok(Value::None)
            }
            _ => failed(format!("'{}' object has no method '{name}'", of.type_name())),
        }
    }
}
