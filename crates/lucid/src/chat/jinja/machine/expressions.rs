//! Expressions to values.

use super::Machine;
use crate::chat::jinja::{
    Run,
    ast::{Args, Expr},
    calls::{Given, range_of, whole},
    failed, methods,
    operators::{self, arithmetic, compare, signed},
    text,
    value::{Map, Missing, Object, Value, char_str},
};
use std::{rc::Rc, sync::Arc};

impl<'p> Machine<'p> {
    /// The value of an expression.
    pub(super) fn eval(&mut self, expr: &'p Expr) -> Run<Value> {
        self.budget.enter()?;
        let value = match expr {
            Expr::None => Value::None,
            Expr::Bool(b) => Value::Bool(*b),
            Expr::Integer(n) => Value::Int(*n),
            Expr::Float(x) => Value::Float(*x),
            Expr::Text(text) => Value::Str(text.clone()),
            Expr::Name(symbol) => match self.lookup(*symbol)? {
                Some(value) => value,
                None => Value::Undefined(Rc::new(Missing::Name(self.program.names[*symbol as usize].clone()))),
            },
            Expr::List(items) => Value::list(self.all(items)?, &self.budget)?,
            Expr::Tuple(items) => Value::tuple(self.all(items)?, &self.budget)?,
            Expr::Map(entries) => self.literal(entries)?,
            Expr::Attribute(of, name) => {
                let of = self.eval(of)?;
                self.attribute(&of, name)?
            }
            Expr::Item(pair) => {
                let of = self.eval(&pair.0)?;
                let key = self.eval(&pair.1)?;
                self.item(&of, &key)?
            }
            Expr::Slice(of, bounds) => self.slice_of(of, bounds)?,
            Expr::Call(callee, args) => {
                let callee = self.eval(callee)?;
                let given = self.given(args)?;
                self.call(callee, given)?
            }
            Expr::Filter(value, filter) => {
                let value = self.eval(value)?;
                let given = self.given(&filter.args)?;
                self.filter(&filter.name, value, given)?
            }
            Expr::Test(value, test) => {
                let value = self.eval(value)?;
                let given = self.given(&test.args)?;
                Value::Bool(self.test(&test.name, value, given)?)
            }
            Expr::Not(value) => Value::Bool(!self.eval(value)?.truth()),
            Expr::Negative(value) => signed(&self.eval(value)?, true)?,
            Expr::Positive(value) => signed(&self.eval(value)?, false)?,
            Expr::And(items) => self.until(items, false)?,
            Expr::Or(items) => self.until(items, true)?,
            Expr::Compare(first, rest) => {
                let mut left = self.eval(first)?;
                let mut holds = true;
                for (comparison, right) in rest {
                    let right = self.eval(right)?;
                    holds = compare(*comparison, &left, &right, &self.budget)?;
                    if !holds {
                        break;
                    }
                    left = right;
                }
                Value::Bool(holds)
            }
            Expr::Arithmetic(first, rest) => {
                let mut left = self.eval(first)?;
                for (operation, right) in rest {
                    let right = self.eval(right)?;
                    left = arithmetic(*operation, &left, &right, &self.budget)?;
                }
                left
            }
            Expr::Concat(items) => self.concat(items)?,
            Expr::Choice(choice) => self.choice(choice)?,
        };
        self.budget.leave();
        Ok(value)
    }

    fn all(&mut self, items: &'p [Expr]) -> Run<Vec<Value>> {
        items.iter().map(|item| self.eval(item)).collect()
    }

    fn literal(&mut self, entries: &'p [(Expr, Expr)]) -> Run<Value> {
        let mut map = Map::default();
        for (key, value) in entries {
            let key = self.eval(key)?;
            let value = self.eval(value)?;
            map.insert(key, value, &self.budget)?;
        }
        Ok(Value::map(map))
    }

    /// The first value that is `wanted`, or else the last.
    fn until(&mut self, items: &'p [Expr], wanted: bool) -> Run<Value> {
        let mut value = Value::None;
        for item in items {
            value = self.eval(item)?;
            if value.truth() == wanted {
                break;
            }
        }
        Ok(value)
    }

    fn concat(&mut self, items: &'p [Expr]) -> Run<Value> {
        let mut out = String::new();
        for item in items {
            let value = self.eval(item)?;
            let shown = text::str(&value, &self.budget)?;
            self.budget.bytes(shown.len())?;
            out.push_str(&shown);
        }
        Ok(Value::str(out))
    }

    fn choice(&mut self, (condition, value, otherwise): &'p (Expr, Expr, Option<Expr>)) -> Run<Value> {
        match (self.eval(condition)?.truth(), otherwise) {
            (true, _) => self.eval(value),
            (false, Some(otherwise)) => self.eval(otherwise),
            (false, None) => {
                Ok(Value::missing("the inline if-expression evaluated to false and no else section was defined."))
            }
        }
    }

    /// Arguments to values.
    pub(super) fn given(&mut self, args: &'p Args) -> Run<Given> {
        let mut given = Given { positional: self.all(&args.positional)?, named: Vec::new() };
        for (name, value) in &args.named {
            given.named.push((name.clone(), self.eval(value)?));
        }
        if let Some(list) = &args.list {
            given.positional.extend(self.eval(list)?.elements(&self.budget)?);
        }
        if let Some(map) = &args.map {
            let Value::Map(map) = self.eval(map)? else { return failed("argument after ** must be a mapping") };
            self.budget.values(map.entries.len())?;
            for (key, value) in &map.entries {
                let Some(name) = key.as_str() else { return failed("keywords must be strings") };
                given.named.push((name.clone(), value.clone()));
            }
        }
        Ok(given)
    }

    /// `of.name`: an attribute if it has one, or else an element.
    pub(in crate::chat::jinja) fn attribute(&mut self, of: &Value, name: &Arc<str>) -> Run<Value> {
        self.budget.steps(1)?;
        if let Some(found) = self.own_attribute(of, name)? {
            return Ok(found);
        }
        if let Value::Map(map) = of
            && let Some(found) = map.get_str(name)
        {
            return Ok(found.clone());
        }
        Ok(Value::Undefined(Rc::new(Missing::Attribute { of: of.type_name(), name: name.clone() })))
    }

    /// The attribute that a value has by its type.
    fn own_attribute(&mut self, of: &Value, name: &Arc<str>) -> Run<Option<Value>> {
        operators::defined(of)?;
        let unsafe_name = name.starts_with("__") || methods::changes(of, name);
        if unsafe_name && !matches!(of, Value::Object(Object::Namespace(_))) {
            return Ok(Some(Value::Undefined(Rc::new(Missing::Unsafe { of: of.type_name(), name: name.clone() }))));
        }
        Ok(match of {
            Value::Object(Object::Namespace(at)) => {
                let attributes = &self.namespaces[*at];
                self.budget.steps(attributes.len() / 16)?;
                attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
            }
            Value::Object(Object::Loop(at, serial)) => match self.loop_attribute(*at, *serial, name)? {
                Some(value) => Some(value),
                None => methods::find(of, name).map(|name| of.clone().method(name)),
            },
            Value::Object(Object::Macro(at)) if **name == *"name" => {
                Some(Value::Str(self.program.names[self.macros[*at].0.name as usize].clone()))
            }
            Value::Object(Object::Cycler(items, at)) if **name == *"current" => Some(items.items[at.get()].clone()),
            Value::Tuple(pair) if pair.group && **name == *"grouper" => pair.items.first().cloned(),
            Value::Tuple(pair) if pair.group && **name == *"list" => pair.items.last().cloned(),
            _ => methods::find(of, name).map(|name| of.clone().method(name)),
        })
    }

    /// `of[key]`: an element if there is one, or else an attribute.
    pub(in crate::chat::jinja) fn item(&mut self, of: &Value, key: &Value) -> Run<Value> {
        self.budget.steps(1)?;
        operators::defined(of)?;
        let found = match (of, key.as_index()) {
            (Value::Map(map), _) => match map.get(key, &self.budget) {
                Ok(found) => found.cloned(),
                Err(stop @ crate::chat::jinja::Stop::Exhausted(_)) => return Err(stop),
                Err(_) => None, // no dict has such a key
            },
            (Value::List(list) | Value::Tuple(list), Some(at)) => {
                place(at, list.items.len()).map(|at| list.items[at].clone())
            }
            (Value::Str(text) | Value::Safe(text), Some(at)) => {
                let len = of.len(&self.budget)?;
                let found = place(at, len).and_then(|at| text.chars().nth(at)).map(char_str);
                found.map(|c| if let Value::Safe(_) = of { Value::Safe(c) } else { Value::Str(c) })
            }
            (Value::Range(range), Some(at)) => {
                place(at, range.len).map(|at| Value::Int(range.start + at as i128 * range.step))
            }
            _ => None,
        };
        if let Some(found) = found {
            return Ok(found);
        }
        if let Some(name) = key.as_str() {
            if let Some(found) = self.own_attribute(of, name)? {
                return Ok(found);
            }
            return Ok(Value::Undefined(Rc::new(Missing::Attribute { of: of.type_name(), name: name.clone() })));
        }
        let mut shown = String::new();
        text::repr(key, &mut shown, &self.budget)?;
        Ok(Value::Undefined(Rc::new(Missing::Element { of: of.type_name(), key: shown })))
    }

    fn slice_of(&mut self, of: &'p Expr, parts: &'p [Option<Expr>; 3]) -> Run<Value> {
        let of = self.eval(of)?;
        let mut numbers = [None; 3];
        for (number, bound) in numbers.iter_mut().zip(parts) {
            let Some(bound) = bound else { continue };
            *number = match self.eval(bound)? {
                Value::None => None,
                value => Some(whole(&value)?),
            };
        }
        operators::defined(&of)?;
        let [from, to, step] = numbers;
        let step = step.unwrap_or(1);
        if step == 0 {
            return failed("slice step cannot be zero");
        }
        let budget = &self.budget;
        let picked = |len: usize| -> Run<Vec<usize>> {
            let places = places(from, to, step, len);
            budget.values(places.len())?;
            Ok(places)
        };
        match &of {
            Value::Str(text) | Value::Safe(text) => {
                budget.bytes(text.len().saturating_mul(4))?;
                let chars: Vec<char> = text.chars().collect();
                let text: String = places(from, to, step, chars.len()).into_iter().map(|at| chars[at]).collect();
                Ok(if let Value::Safe(_) = of { Value::Safe(text.into()) } else { Value::str(text) })
            }
            Value::List(list) => {
                let places = picked(list.items.len())?;
                Value::list(places.into_iter().map(|at| list.items[at].clone()).collect(), budget)
            }
            Value::Tuple(list) => {
                let places = picked(list.items.len())?;
                Value::tuple(places.into_iter().map(|at| list.items[at].clone()).collect(), budget)
            }
            Value::Range(range) => {
                let [from, to] = bounds(from, to, step, range.len);
                let at = |place: i128| range.start + place * range.step;
                range_of(at(from), at(to), range.step.saturating_mul(step))
            }
            // jinja2 looks the slice up, finds nothing, and says so when the value is used
            other => Ok(Value::Undefined(Rc::new(Missing::Element { of: other.type_name(), key: "slice".into() }))),
        }
    }
}

/// Where index `at` is in a list of `len`: from the end when it is negative.
pub(super) fn place(at: i128, len: usize) -> Option<usize> {
    let at = if at < 0 { at.checked_add(len as i128)? } else { at };
    usize::try_from(at).ok().filter(|&at| at < len)
}

/// Where `[from:to:step]` begins and ends in a list of `len`: before the first or behind the last, it ends there.
fn bounds(from: Option<i128>, to: Option<i128>, step: i128, len: usize) -> [i128; 2] {
    let len = len as i128;
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let clamp = |at: i128| if at < 0 { at.saturating_add(len).clamp(low, high) } else { at.clamp(low, high) };
    let (first, last) = if step > 0 { (low, high) } else { (high, low) };
    [from.map_or(first, clamp), to.map_or(last, clamp)]
}

/// The places that `[from:to:step]` picks.
fn places(from: Option<i128>, to: Option<i128>, step: i128, len: usize) -> Vec<usize> {
    let [mut at, to] = bounds(from, to, step, len);
    let mut places = Vec::new();
    while if step > 0 { at < to } else { at > to } {
        places.push(at as usize);
        at = at.saturating_add(step);
    }
    places
}
