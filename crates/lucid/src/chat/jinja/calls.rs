//! Calls: arguments as they are given, and the functions that every template has.

use super::{
    Run, Stop,
    budget::exhausted,
    failed,
    machine::Machine,
    text,
    value::{Function, Map, Object, Range, Value},
};
use std::{cell::Cell, rc::Rc, sync::Arc};

/// What a call is given.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) positional: Vec<Value>,
    pub(super) named: Vec<(Arc<str>, Value)>,
}

impl Given {
    /// The arguments by parameter: those given by place, then those by name. `function` is for messages.
    pub(super) fn bind<const N: usize>(self, function: &str, params: [&str; N]) -> Run<[Option<Value>; N]> {
        let mut bound = [const { None }; N];
        if self.positional.len() > N {
            let given = self.positional.len();
            return failed(format!("{function}() takes at most {N} arguments ({given} given)"));
        }
        for (place, value) in bound.iter_mut().zip(self.positional) {
            *place = Some(value);
        }
        for (name, value) in self.named {
            match params.iter().position(|param| **param == *name) {
                Some(at) if bound[at].is_none() => bound[at] = Some(value),
                Some(_) => return failed(format!("{function}() got multiple values for argument '{name}'")),
                None => return failed(format!("{function}() got an unexpected keyword argument '{name}'")),
            }
        }
        Ok(bound)
    }

    /// The same once more.
    pub(super) fn again(&self) -> Given {
        Given { positional: self.positional.clone(), named: self.named.clone() }
    }

    /// No arguments, for a function that takes none.
    pub(super) fn none(self, function: &str) -> Run<()> {
        self.bind::<0>(function, []).map(|_| ())
    }
}

/// An argument that must be there.
pub(super) fn required(argument: Option<Value>, function: &str, param: &str) -> Run<Value> {
    argument.map_or_else(|| failed(format!("{function}() missing required argument: '{param}'")), Ok)
}

/// A whole number.
pub(super) fn whole(value: &Value) -> Run<i128> {
    match value.as_index() {
        Some(n) => Ok(n),
        None => failed(format!("'{}' object cannot be interpreted as an integer", value.type_name())),
    }
}

/// A whole number, or what stands for none.
pub(super) fn whole_or(argument: Option<Value>, default: i128) -> Run<i128> {
    argument.map_or(Ok(default), |value| whole(&value))
}

/// A size: nothing below zero.
pub(super) fn size_or(argument: Option<Value>, default: usize) -> Run<usize> {
    argument.map_or(Ok(default), |value| Ok(usize::try_from(whole(&value)?.max(0)).unwrap_or(usize::MAX)))
}

/// A text.
pub(super) fn string(value: &Value) -> Run<Arc<str>> {
    match value.as_str() {
        Some(text) => Ok(text.clone()),
        None => {
            super::operators::defined(value)?;
            failed(format!("expected str, got {}", value.type_name()))
        }
    }
}

/// `range` makes at most so many numbers, as in the sandbox of jinja2.
const MAX_RANGE: usize = 100_000;

impl Machine<'_> {
    /// Calls a function.
    pub(super) fn function(&mut self, function: Function, given: Given) -> Run<Value> {
        match function {
            Function::Range => range(given),
            Function::Dict => Ok(Value::map(self.dict("dict", given)?)),
            Function::Namespace => {
                let map = self.dict("namespace", given)?;
                let mut attributes = Vec::new();
                for (key, value) in map.entries {
                    let name = string(&key)?;
                    self.budget.values(2)?;
                    attributes.push((checked(name)?, value));
                }
                self.namespaces.push(attributes);
                Ok(Value::Object(Object::Namespace(self.namespaces.len() - 1)))
            }
            Function::Cycler => {
                let Given { positional: items, named } = given;
                if items.is_empty() || !named.is_empty() {
                    return failed("at least one item has to be provided");
                }
                let Value::List(list) = Value::list(items, &self.budget)? else { return failed("a list is a list") };
                Ok(Value::cycler(list))
            }
            Function::Joiner => {
                let [separator] = given.bind("joiner", ["sep"])?;
                let separator = separator.map_or(Ok(", ".into()), |sep| text::str(&sep, &self.budget))?;
                Ok(Value::Object(Object::Joiner(Rc::new((separator, Cell::new(false))))))
            }
            Function::RaiseException => {
                let [message] = given.bind("raise_exception", ["message"])?;
                let message = required(message, "raise_exception", "message")?;
                Err(Stop::Raised(text::str(&message, &self.budget)?))
            }
            Function::StrftimeNow => {
                let [format] = given.bind("strftime_now", ["format"])?;
                let format = string(&required(format, "strftime_now", "format")?)?;
                self.budget.bytes(format.len().saturating_mul(16))?; // a directive of two bytes writes 24 at most
                Ok(Value::str(self.now.format(&format)))
            }
        }
    }

    /// `dict(other, name=value)`
    pub(super) fn dict(&mut self, function: &str, given: Given) -> Run<Map> {
        let mut map = Map::default();
        let named = given.named;
        let [first] = Given { positional: given.positional, named: Vec::new() }.bind(function, ["mapping"])?;
        match first {
            None => {}
            Some(Value::Map(other)) => {
                for (key, value) in &other.entries {
                    map.insert(key.clone(), value.clone(), &self.budget)?;
                }
            }
            Some(pairs) => {
                for pair in pairs.elements(&self.budget)? {
                    let mut pair = pair.elements(&self.budget)?;
                    match (pair.pop(), pair.pop(), pair.is_empty()) {
                        (Some(value), Some(key), true) => map.insert(key, value, &self.budget)?,
                        _ => return failed("dictionary update sequence element is no pair"),
                    }
                }
            }
        }
        for (name, value) in named {
            map.insert(Value::Str(name), value, &self.budget)?;
        }
        Ok(map)
    }
}

/// The name of an attribute of a namespace.
pub(super) fn checked(name: Arc<str>) -> Run<Arc<str>> {
    match name.starts_with('_') {
        true => failed(format!("a namespace cannot have the attribute '{name}': it begins with an underscore")),
        false => Ok(name),
    }
}

fn range(given: Given) -> Run<Value> {
    if !given.named.is_empty() {
        return failed("range() takes no keyword arguments");
    }
    let numbers = given.positional.iter().map(whole).collect::<Run<Vec<i128>>>()?;
    let (start, stop, step) = match numbers[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] => (start, stop, step),
        _ => return failed(format!("range expected 1 to 3 arguments, got {}", numbers.len())),
    };
    if step == 0 {
        return failed("range() arg 3 must not be zero");
    }
    range_of(start, stop, step)
}

/// The numbers from `start` to before `stop`.
pub(super) fn range_of(start: i128, stop: i128, step: i128) -> Run<Value> {
    let (low, high) = if step > 0 { (start, stop) } else { (stop, start) };
    let span = high.checked_sub(low).unwrap_or(i128::MAX).max(0) as u128;
    let len = span.div_ceil(step.unsigned_abs());
    match usize::try_from(len) {
        Ok(len) if len <= MAX_RANGE => Ok(Value::Range(Rc::new(Range { start, stop, step, len }))),
        _ => exhausted(format!("makes a range of more than {MAX_RANGE} numbers")),
    }
}
