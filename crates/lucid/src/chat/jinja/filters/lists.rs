//! Filters that go through lists, and the tests that they and `is` use.

use crate::chat::jinja::{
    Run,
    ast::{Comparison, Operation},
    calls::{Given, required, string, whole},
    failed,
    filters::exists,
    machine::Machine,
    operators::{Number, arithmetic, compare, contains, defined, equal, less, same},
    text::{self, sorted},
    value::{Map, Object, Value},
};
use std::sync::Arc;

/// The names of all tests.
const TESTS: &[&str] = &[
    "odd",
    "even",
    "divisibleby",
    "defined",
    "undefined",
    "filter",
    "test",
    "none",
    "boolean",
    "false",
    "true",
    "integer",
    "float",
    "lower",
    "upper",
    "string",
    "mapping",
    "number",
    "sequence",
    "iterable",
    "callable",
    "sameas",
    "escaped",
    "in",
    "==",
    "eq",
    "equalto",
    "!=",
    "ne",
    ">",
    "gt",
    "greaterthan",
    "ge",
    ">=",
    "<",
    "lt",
    "lessthan",
    "<=",
    "le",
];

impl Machine<'_> {
    /// Filters of lists, by name.
    pub(super) fn list_filter(&mut self, name: &str, value: Value, given: Given) -> Run<Value> {
        match name {
            "list" => {
                given.none(name)?;
                let items = value.elements(&self.budget)?;
                Value::list(items, &self.budget)
            }
            "first" => {
                given.none(name)?;
                let none = || Value::missing("No first item, sequence was empty.");
                match &value {
                    Value::List(list) | Value::Tuple(list) => Ok(list.items.first().cloned().unwrap_or_else(none)),
                    Value::Stream(stream) => Ok(stream.borrow_mut().items.next().unwrap_or_else(none)),
                    other => Ok(other.elements(&self.budget)?.into_iter().next().unwrap_or_else(none)),
                }
            }
            "last" => {
                given.none(name)?;
                if let Value::Stream(_) = value {
                    return failed(format!("'{}' object is not reversible", value.type_name()));
                }
                let last = value.elements(&self.budget)?.pop();
                Ok(last.unwrap_or_else(|| Value::missing("No last item, sequence was empty.")))
            }
            "join" => self.join(value, given),
            "items" => {
                given.none(name)?;
                let items = match &value {
                    Value::Undefined(_) => Vec::new(),
                    Value::Map(map) => {
                        let pair = |(key, value): &(Value, Value)| vec![key.clone(), value.clone()];
                        let pairs = map.entries.iter().map(|entry| Value::tuple(pair(entry), &self.budget));
                        pairs.collect::<Run<Vec<Value>>>()?
                    }
                    _ => return failed("Can only get item pairs from a mapping."),
                };
                Value::stream(items, "generator", &self.budget)
            }
            "reverse" => {
                given.none(name)?;
                if let Some(text) = value.as_str() {
                    self.budget.bytes(text.len())?;
                    return Ok(Value::str(text.chars().rev().collect::<String>()));
                }
                let mut items = value.elements(&self.budget)?;
                items.reverse();
                Value::stream(items, "list_reverseiterator", &self.budget)
            }
            "dictsort" => self.dict_sort(value, given),
            "sort" => {
                let [reverse, case, attribute] = given.bind(name, ["reverse", "case_sensitive", "attribute"])?;
                let items = value.elements(&self.budget)?;
                let mut keys = Vec::with_capacity(items.len());
                for item in &items {
                    keys.push(self.sort_key(item, attribute.as_ref(), truth(&case))?);
                }
                let order = self.ordered(keys, truth(&reverse))?;
                Value::list(order.into_iter().map(|at| items[at].clone()).collect(), &self.budget)
            }
            "unique" => {
                let [case, attribute] = given.bind(name, ["case_sensitive", "attribute"])?;
                let path = path(attribute.as_ref())?;
                let (mut seen, mut kept) = (Map::default(), Vec::new());
                for item in value.elements(&self.budget)? {
                    let key = self.follow(&item, &path, None)?;
                    let key = self.ignoring(key, truth(&case))?;
                    if seen.get(&key, &self.budget)?.is_none() {
                        seen.insert(key, Value::None, &self.budget)?;
                        kept.push(item);
                    }
                }
                Value::stream(kept, "generator", &self.budget)
            }
            "min" | "max" => {
                let [case, attribute] = given.bind(name, ["case_sensitive", "attribute"])?;
                let path = path(attribute.as_ref())?;
                let mut best: Option<(Value, Value)> = None;
                for item in value.elements(&self.budget)? {
                    let key = self.follow(&item, &path, None)?;
                    let key = self.ignoring(key, truth(&case))?;
                    let better = match &best {
                        None => true,
                        Some((_, known)) if name == "min" => less(&key, known, &self.budget)?,
                        Some((_, known)) => less(known, &key, &self.budget)?,
                    };
                    if better {
                        best = Some((item, key));
                    }
                }
                Ok(best.map_or_else(|| Value::missing("No aggregated item, sequence was empty."), |(item, _)| item))
            }
            "sum" => {
                let [attribute, start] = given.bind(name, ["attribute", "start"])?;
                let path = path(attribute.as_ref())?;
                let mut sum = start.unwrap_or(Value::Int(0));
                if sum.as_str().is_some() {
                    return failed("sum() can't sum strings [use ''.join(seq) instead]");
                }
                for item in value.elements(&self.budget)? {
                    let item = self.follow(&item, &path, None)?;
                    sum = arithmetic(Operation::Add, &sum, &item, &self.budget)?;
                }
                Ok(sum)
            }
            "map" => self.map(value, given),
            "select" | "reject" | "selectattr" | "rejectattr" => self.select(name, value, given),
            "groupby" => self.group_by(value, given),
            "batch" => {
                let [count, fill] = given.bind(name, ["linecount", "fill_with"])?;
                let count = whole(&required(count, name, "linecount")?)?;
                let items = value.elements(&self.budget)?;
                let count = usize::try_from(count).unwrap_or(0);
                if count == 0 {
                    return failed("batch wants a count above zero");
                }
                let mut rows = Vec::new();
                for row in items.chunks(count) {
                    let mut row = row.to_vec();
                    if let Some(fill) = fill.as_ref().filter(|fill| !matches!(fill, Value::None)) {
                        self.budget.values(count)?;
                        row.resize(count, fill.clone());
                    }
                    rows.push(Value::list(row, &self.budget)?);
                }
                Value::stream(rows, "generator", &self.budget)
            }
            "slice" => {
                let [slices, fill] = given.bind(name, ["slices", "fill_with"])?;
                let slices = whole(&required(slices, name, "slices")?)?;
                let items = value.elements(&self.budget)?;
                let slices = usize::try_from(slices).unwrap_or(0);
                if slices == 0 {
                    return failed("slice wants a count above zero");
                }
                self.budget.values(slices)?;
                let (each, more) = (items.len() / slices, items.len() % slices);
                let (mut rows, mut at) = (Vec::new(), 0);
                for slice in 0..slices {
                    let end = at + each + usize::from(slice < more);
                    let mut row = items[at..end].to_vec();
                    if let Some(fill) = fill.as_ref().filter(|fill| slice >= more && !matches!(fill, Value::None)) {
                        row.push(fill.clone());
                    }
                    rows.push(Value::list(row, &self.budget)?);
                    at = end;
                }
                Value::stream(rows, "generator", &self.budget)
            }
            _ => failed(format!("No filter named '{name}'.")),
        }
    }

    fn join(&mut self, value: Value, given: Given) -> Run<Value> {
        let [separator, attribute] = given.bind("join", ["d", "attribute"])?;
        let path = path(attribute.as_ref())?;
        let separator = separator.map_or(Ok("".into()), |separator| text::str(&separator, &self.budget))?;
        let mut out = String::new();
        for (i, item) in value.elements(&self.budget)?.iter().enumerate() {
            let item = self.follow(item, &path, None)?;
            let part = text::str(&item, &self.budget)?;
            self.budget.bytes(part.len() + separator.len())?;
            out.push_str(if i > 0 { &separator } else { "" });
            out.push_str(&part);
        }
        Ok(Value::str(out))
    }

    fn dict_sort(&mut self, value: Value, given: Given) -> Run<Value> {
        let [case, by, reverse] = given.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
        let by_value = match by.as_ref().map(string).transpose()?.as_deref() {
            None | Some("key") => false,
            Some("value") => true,
            Some(_) => return failed("You can only sort by either \"key\" or \"value\""),
        };
        defined(&value)?;
        let Value::Map(map) = &value else {
            return failed(format!("'{}' object has no attribute 'items'", value.type_name()));
        };
        let mut keys = Vec::with_capacity(map.entries.len());
        for (key, value) in &map.entries {
            let key = if by_value { value } else { key };
            keys.push(self.ignoring(key.clone(), truth(&case))?);
        }
        let order = self.ordered(keys, truth(&reverse))?;
        let mut pairs = Vec::with_capacity(order.len());
        for at in order {
            let (key, value) = &map.entries[at];
            pairs.push(Value::tuple(vec![key.clone(), value.clone()], &self.budget)?);
        }
        Value::list(pairs, &self.budget)
    }

    /// The places of keys in order; equal ones stay as they stood, in reverse too.
    fn ordered(&self, mut keys: Vec<Value>, reverse: bool) -> Run<Vec<usize>> {
        let last = keys.len().saturating_sub(1);
        if !reverse {
            return sorted(keys, &self.budget);
        }
        keys.reverse();
        let mut order = sorted(keys, &self.budget)?;
        order.reverse();
        Ok(order.into_iter().map(|at| last - at).collect())
    }

    /// What an item is sorted by: itself, or the attributes that `a,b` names.
    fn sort_key(&mut self, item: &Value, attribute: Option<&Value>, case: bool) -> Run<Value> {
        let names = match attribute.and_then(Value::as_str) {
            Some(names) => names.split(',').map(|name| Some(Value::str(name))).collect(),
            None => vec![attribute.cloned()],
        };
        let mut keys = Vec::with_capacity(names.len());
        for name in names {
            let key = self.follow(item, &path(name.as_ref())?, None)?;
            keys.push(self.ignoring(key, case)?);
        }
        Value::list(keys, &self.budget)
    }

    /// A text in small letters, unless `case` matters.
    fn ignoring(&mut self, key: Value, case: bool) -> Run<Value> {
        match key.as_str() {
            Some(text) if !case => {
                self.budget.bytes(text.len().saturating_mul(2))?;
                Ok(Value::str(text.to_lowercase()))
            }
            _ => Ok(key),
        }
    }

    /// The element at the end of a path.
    fn follow(&mut self, item: &Value, path: &[Value], default: Option<&Value>) -> Run<Value> {
        let mut value = item.clone();
        for key in path {
            value = self.item(&value, key)?;
            if let (Value::Undefined(_), Some(default)) = (&value, default) {
                value = default.clone();
            }
        }
        Ok(value)
    }

    fn map(&mut self, value: Value, mut given: Given) -> Run<Value> {
        let mut mapped = Vec::new();
        if !value.truth() {
            return Value::stream(mapped, "generator", &self.budget);
        }
        let by_attribute = given.positional.is_empty() && given.named.iter().any(|(name, _)| **name == *"attribute");
        if by_attribute {
            let [attribute, default] = given.bind("map", ["attribute", "default"])?;
            let path = path(attribute.as_ref())?;
            let default = default.filter(|default| !matches!(default, Value::None));
            for item in value.elements(&self.budget)? {
                mapped.push(self.follow(&item, &path, default.as_ref())?);
            }
            return Value::stream(mapped, "generator", &self.budget);
        }
        if given.positional.is_empty() {
            return failed("map requires a filter argument");
        }
        let name = string(&given.positional.remove(0))?;
        for item in value.elements(&self.budget)? {
            mapped.push(self.filter(&name, item, given.again())?);
        }
        Value::stream(mapped, "generator", &self.budget)
    }

    /// `select(test, …)`, `selectattr(path, test, …)`, and what does not pass for `reject`.
    fn select(&mut self, name: &str, value: Value, mut given: Given) -> Run<Value> {
        let mut kept = Vec::new();
        if !value.truth() {
            return Value::stream(kept, "generator", &self.budget);
        }
        let steps = match name.ends_with("attr") {
            false => Vec::new(),
            true if given.positional.is_empty() => return failed("Missing parameter for attribute name"),
            true => path(Some(&given.positional.remove(0)))?,
        };
        let test = if given.positional.is_empty() { None } else { Some(string(&given.positional.remove(0))?) };
        for item in value.elements(&self.budget)? {
            let tested = self.follow(&item, &steps, None)?;
            let passes = match &test {
                Some(test) => self.test(test, tested, given.again())?,
                None => tested.truth(),
            };
            if passes != name.starts_with("reject") {
                kept.push(item);
            }
        }
        Value::stream(kept, "generator", &self.budget)
    }

    fn group_by(&mut self, value: Value, given: Given) -> Run<Value> {
        let [attribute, default, case] = given.bind("groupby", ["attribute", "default", "case_sensitive"])?;
        let path = path(Some(&required(attribute, "groupby", "attribute")?))?;
        let default = default.filter(|default| !matches!(default, Value::None));
        let items = value.elements(&self.budget)?;
        let (mut names, mut keys) = (Vec::new(), Vec::new());
        for item in &items {
            let name = self.follow(item, &path, default.as_ref())?;
            keys.push(self.ignoring(name.clone(), truth(&case))?);
            names.push(name);
        }
        let order = sorted(keys.clone(), &self.budget)?;
        let mut groups: Vec<(usize, Vec<Value>)> = Vec::new();
        for at in order {
            match groups.last_mut() {
                Some((first, group)) if equal(&keys[*first], &keys[at], &self.budget)? => group.push(items[at].clone()),
                _ => groups.push((at, vec![items[at].clone()])),
            }
        }
        let mut pairs = Vec::with_capacity(groups.len());
        for (first, group) in groups {
            let group = Value::list(group, &self.budget)?;
            pairs.push(Value::group(names[first].clone(), group, &self.budget)?);
        }
        Value::list(pairs, &self.budget)
    }

    /// `value is name(…)`
    pub(in crate::chat::jinja) fn test(&mut self, name: &str, value: Value, given: Given) -> Run<bool> {
        self.budget.steps(1)?;
        let comparison = match name {
            "==" | "eq" | "equalto" => Some(Comparison::Equal),
            "!=" | "ne" => Some(Comparison::NotEqual),
            ">" | "gt" | "greaterthan" => Some(Comparison::Greater),
            ">=" | "ge" => Some(Comparison::GreaterEqual),
            "<" | "lt" | "lessthan" => Some(Comparison::Less),
            "<=" | "le" => Some(Comparison::LessEqual),
            _ => None,
        };
        if let Some(comparison) = comparison {
            let [other] = given.bind(name, ["other"])?;
            return compare(comparison, &value, &required(other, name, "other")?, &self.budget);
        }
        match name {
            "divisibleby" => {
                let [number] = given.bind(name, ["num"])?;
                let number = required(number, name, "num")?;
                let rest = arithmetic(Operation::Modulo, &value, &number, &self.budget)?;
                return Ok(!rest.truth());
            }
            "in" => {
                let [container] = given.bind(name, ["seq"])?;
                return contains(&required(container, name, "seq")?, &value, &self.budget);
            }
            "sameas" => {
                let [other] = given.bind(name, ["other"])?;
                return Ok(same(&value, &required(other, name, "other")?));
            }
            _ => given.none(name)?,
        }
        Ok(match name {
            "defined" => !matches!(value, Value::Undefined(_)),
            "undefined" => matches!(value, Value::Undefined(_)),
            "none" => matches!(value, Value::None),
            "boolean" => matches!(value, Value::Bool(_)),
            "true" => matches!(value, Value::Bool(true)),
            "false" => matches!(value, Value::Bool(false)),
            "integer" => matches!(value, Value::Int(_)),
            "float" => matches!(value, Value::Float(_)),
            "number" => Number::of(&value).is_some(),
            "string" => value.as_str().is_some(),
            "escaped" => matches!(value, Value::Safe(_)),
            "mapping" => matches!(value, Value::Map(_)),
            "sequence" => {
                matches!(
                    value,
                    Value::Str(_) | Value::Safe(_) | Value::List(_) | Value::Tuple(_) | Value::Map(_) | Value::Range(_)
                ) || matches!(value, Value::Undefined(_))
            }
            "iterable" => {
                !matches!(value, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Object(_))
                    || matches!(value, Value::Object(Object::Loop(..)))
            }
            "callable" => matches!(
                value,
                Value::Undefined(_)
                    | Value::Object(Object::Function(_) | Object::Macro(_) | Object::Method(_) | Object::Joiner(_))
            ),
            "odd" | "even" => {
                let rest = arithmetic(Operation::Modulo, &value, &Value::Int(2), &self.budget)?;
                equal(&rest, &Value::Int(i128::from(name == "odd")), &self.budget)?
            }
            "lower" | "upper" => {
                let text = Value::Str(text::str(&value, &self.budget)?);
                let method = if name == "lower" { "islower" } else { "isupper" };
                self.method(&text, method, Given::default())?.truth()
            }
            "filter" => exists(&string(&value)?),
            "test" => TESTS.contains(&&*string(&value)?),
            _ => return failed(format!("No test named '{name}'.")),
        })
    }
}

fn truth(argument: &Option<Value>) -> bool {
    argument.as_ref().is_some_and(Value::truth)
}

/// The steps of `a.0.b`, of a number, of nothing.
fn path(attribute: Option<&Value>) -> Run<Vec<Value>> {
    let Some(text) = attribute.and_then(Value::as_str) else {
        let given = attribute.filter(|value| !matches!(value, Value::None));
        return Ok(given.cloned().into_iter().collect());
    };
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let step = |part: &str| match part.parse() {
        Ok(index) if is_index(part) => Value::Int(index),
        _ => Value::Str(Arc::from(part)),
    };
    Ok(text.split('.').map(step).collect())
}
