//! Operators as Python has them.

use super::{
    Run,
    ast::{Comparison, Operation},
    budget::{Budget, exhausted},
    failed,
    filters::escaped,
    format,
    value::{List, Value, View},
};
use std::{cmp::Ordering, rc::Rc, sync::Arc};

/// Integers are those of 128 bits.
const TOO_LARGE: &str = "computes with numbers of more than 38 digits";

/// A number: what arithmetic works on.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    /// The number that a value is; a bool is one.
    pub(super) fn of(value: &Value) -> Option<Number> {
        match value {
            Value::Float(x) => Some(Number::Float(*x)),
            _ => value.as_index().map(Number::Int),
        }
    }

    /// As a float, rounded.
    pub(super) fn float(self) -> f64 {
        match self {
            Number::Int(n) => n as f64,
            Number::Float(x) => x,
        }
    }
}

/// An error when the value is undefined.
pub(super) fn defined(value: &Value) -> Run<()> {
    match value {
        Value::Undefined(why) => failed(why.message()),
        _ => Ok(()),
    }
}

/// `a ? b`
pub(super) fn arithmetic(operation: Operation, a: &Value, b: &Value, budget: &Budget) -> Run<Value> {
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return numbers(operation, a, b);
    }
    if let (Operation::Modulo, Some(text)) = (operation, a.as_str()) {
        return format::percent(text, a, b, budget);
    }
    defined(a)?;
    defined(b)?;
    match (operation, a, b) {
        (Operation::Add, Value::Str(_) | Value::Safe(_), Value::Str(_) | Value::Safe(_)) => add_texts(a, b, budget),
        (Operation::Add, Value::List(x), Value::List(y)) => Value::list(joined(x, y, budget)?, budget),
        (Operation::Add, Value::Tuple(x), Value::Tuple(y)) => Value::tuple(joined(x, y, budget)?, budget),
        (Operation::Multiply, many, times) if is_sequence(many) && times.as_index().is_some() => {
            repeat(many, times.as_index().unwrap_or(0), budget)
        }
        (Operation::Multiply, times, many) if is_sequence(many) && times.as_index().is_some() => {
            repeat(many, times.as_index().unwrap_or(0), budget)
        }
        _ => {
            let (sign, a, b) = (operation.sign(), a.type_name(), b.type_name());
            failed(format!("unsupported operand type(s) for {sign}: '{a}' and '{b}'"))
        }
    }
}

fn is_sequence(value: &Value) -> bool {
    matches!(value, Value::Str(_) | Value::Safe(_) | Value::List(_) | Value::Tuple(_))
}

fn joined(x: &Rc<List>, y: &Rc<List>, budget: &Budget) -> Run<Vec<Value>> {
    budget.values(x.items.len() + y.items.len())?;
    Ok(x.items.iter().chain(&y.items).cloned().collect())
}

fn add_texts(a: &Value, b: &Value, budget: &Budget) -> Run<Value> {
    let (Some(x), Some(y)) = (a.as_str(), b.as_str()) else { return failed("texts alone are added to texts") };
    budget.bytes(x.len() + y.len())?;
    // what is safe stays so, and the other is made so
    Ok(match (a, b) {
        (Value::Str(_), Value::Str(_)) => Value::Str([&**x, y].concat().into()),
        (Value::Safe(_), Value::Safe(_)) => Value::Safe([&**x, y].concat().into()),
        (Value::Safe(_), _) => Value::Safe([&**x, &escaped(y, budget)?].concat().into()),
        _ => Value::Safe([&escaped(x, budget)?, &**y].concat().into()),
    })
}

fn repeat(many: &Value, times: i128, budget: &Budget) -> Run<Value> {
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    let text = |text: &Arc<str>| -> Run<Arc<str>> {
        budget.bytes(text.len().saturating_mul(times))?;
        Ok(if text.is_empty() { text.clone() } else { text.repeat(times).into() })
    };
    let list = |list: &Rc<List>| -> Run<Vec<Value>> {
        budget.values(list.items.len().saturating_mul(times))?;
        let times = if list.items.is_empty() { 0 } else { times };
        Ok((0..times).flat_map(|_| list.items.iter().cloned()).collect())
    };
    match many {
        Value::Str(s) => Ok(Value::Str(text(s)?)),
        Value::Safe(s) => Ok(Value::Safe(text(s)?)),
        Value::List(items) => Value::list(list(items)?, budget),
        Value::Tuple(items) => Value::tuple(list(items)?, budget),
        other => failed(format!("'{}' object cannot be repeated", other.type_name())),
    }
}

fn numbers(operation: Operation, a: Number, b: Number) -> Run<Value> {
    let (Number::Int(x), Number::Int(y)) = (a, b) else { return floats(operation, a.float(), b.float()) };
    let whole = |n: Option<i128>| n.map_or_else(|| exhausted(TOO_LARGE), |n| Ok(Value::Int(n)));
    match operation {
        Operation::Add => whole(x.checked_add(y)),
        Operation::Subtract => whole(x.checked_sub(y)),
        Operation::Multiply => whole(x.checked_mul(y)),
        Operation::Divide if y == 0 => failed("division by zero"),
        Operation::Divide => Ok(Value::Float(x as f64 / y as f64)),
        Operation::FloorDivide | Operation::Modulo if y == 0 => failed("integer division or modulo by zero"),
        // Python rounds towards minus infinity
        Operation::FloorDivide => {
            let exact = x.checked_rem(y).is_some_and(|rest| rest == 0);
            whole(x.checked_div(y).map(|q| if (x < 0) != (y < 0) && !exact { q - 1 } else { q }))
        }
        Operation::Modulo => {
            whole(Some(x.checked_rem(y).unwrap_or(0)).map(|r| if r != 0 && (r < 0) != (y < 0) { r + y } else { r }))
        }
        Operation::Power if y < 0 => floats(operation, x as f64, y as f64),
        Operation::Power => match (x, u32::try_from(y)) {
            (0 | 1, Err(_)) => Ok(Value::Int(x)),
            (-1, Err(_)) => Ok(Value::Int(if y % 2 == 0 { 1 } else { -1 })),
            (_, Ok(y)) => whole(x.checked_pow(y)),
            _ => whole(None),
        },
    }
}

fn floats(operation: Operation, x: f64, y: f64) -> Run<Value> {
    Ok(Value::Float(match operation {
        Operation::Add => x + y,
        Operation::Subtract => x - y,
        Operation::Multiply => x * y,
        Operation::Divide | Operation::FloorDivide | Operation::Modulo if y == 0.0 => {
            return failed("float division by zero");
        }
        Operation::Divide => x / y,
        Operation::FloorDivide => floor_div(x, y),
        Operation::Modulo => modulo(x, y),
        Operation::Power if x == 0.0 && y < 0.0 => return failed("0.0 cannot be raised to a negative power"),
        Operation::Power if x < 0.0 && y.fract() != 0.0 && x.is_finite() => {
            return failed("a negative number to a fractional power is complex");
        }
        Operation::Power => {
            let power = x.powf(y);
            if power.is_infinite() && x.is_finite() && y.is_finite() {
                return failed("(34, 'Numerical result out of range')");
            }
            power
        }
    }))
}

/// The remainder, with the sign of the divisor.
fn modulo(x: f64, y: f64) -> f64 {
    let rest = x % y;
    match rest != 0.0 {
        true if (rest < 0.0) != (y < 0.0) => rest + y,
        true => rest,
        false => 0.0f64.copysign(y),
    }
}

/// The quotient rounded down, computed from the remainder as Python does.
fn floor_div(x: f64, y: f64) -> f64 {
    let rest = x % y;
    let mut quotient = (x - rest) / y;
    if rest != 0.0 && (rest < 0.0) != (y < 0.0) {
        quotient -= 1.0;
    }
    match quotient != 0.0 {
        true if quotient - quotient.floor() > 0.5 => quotient.floor() + 1.0,
        true => quotient.floor(),
        false => 0.0f64.copysign(x / y),
    }
}

/// `-x`, `+x`
pub(super) fn signed(value: &Value, negative: bool) -> Run<Value> {
    defined(value)?;
    match (Number::of(value), negative) {
        (Some(Number::Int(n)), true) => match n.checked_neg() {
            Some(n) => Ok(Value::Int(n)),
            None => exhausted(TOO_LARGE),
        },
        (Some(Number::Int(n)), false) => Ok(Value::Int(n)),
        (Some(Number::Float(x)), true) => Ok(Value::Float(-x)),
        (Some(Number::Float(x)), false) => Ok(Value::Float(x)),
        _ => {
            failed(format!("bad operand type for unary {}: '{}'", if negative { '-' } else { '+' }, value.type_name()))
        }
    }
}

/// `a == b`, `a < b`, `a in b` and the like.
pub(super) fn compare(comparison: Comparison, a: &Value, b: &Value, budget: &Budget) -> Run<bool> {
    match comparison {
        Comparison::Equal => equal(a, b, budget),
        Comparison::NotEqual => Ok(!equal(a, b, budget)?),
        Comparison::In => contains(b, a, budget),
        Comparison::NotIn => Ok(!contains(b, a, budget)?),
        Comparison::Less => ordered(a, b, "<", &[Ordering::Less], budget),
        Comparison::LessEqual => ordered(a, b, "<=", &[Ordering::Less, Ordering::Equal], budget),
        Comparison::Greater => ordered(a, b, ">", &[Ordering::Greater], budget),
        Comparison::GreaterEqual => ordered(a, b, ">=", &[Ordering::Greater, Ordering::Equal], budget),
    }
}

/// `a < b`
pub(super) fn less(a: &Value, b: &Value, budget: &Budget) -> Run<bool> {
    compare(Comparison::Less, a, b, budget)
}

fn ordered(a: &Value, b: &Value, sign: &str, wanted: &[Ordering], budget: &Budget) -> Run<bool> {
    Ok(order(a, b, sign, budget)?.is_some_and(|found| wanted.contains(&found)))
}

/// Which is greater; `None` when a number is none.
fn order(a: &Value, b: &Value, sign: &str, budget: &Budget) -> Run<Option<Ordering>> {
    budget.steps(1)?;
    defined(a)?;
    defined(b)?;
    if let (Some(x), Some(y)) = (Number::of(a), Number::of(b)) {
        return Ok(order_numbers(x, y));
    }
    match (a, b) {
        (Value::Str(x) | Value::Safe(x), Value::Str(y) | Value::Safe(y)) => {
            budget.bytes(x.len().min(y.len()))?;
            Ok(Some(x.cmp(y))) // UTF-8 is ordered as its characters are
        }
        (Value::List(x), Value::List(y)) | (Value::Tuple(x), Value::Tuple(y)) => {
            for (x, y) in x.items.iter().zip(&y.items) {
                if !equal(x, y, budget)? {
                    return order(x, y, sign, budget);
                }
            }
            Ok(Some(x.items.len().cmp(&y.items.len())))
        }
        _ => {
            let (a, b) = (a.type_name(), b.type_name());
            failed(format!("'{sign}' not supported between instances of '{a}' and '{b}'"))
        }
    }
}

fn order_numbers(x: Number, y: Number) -> Option<Ordering> {
    match (x, y) {
        (Number::Int(x), Number::Int(y)) => Some(x.cmp(&y)),
        _ => x.float().partial_cmp(&y.float()),
    }
}

/// `a == b`
pub(super) fn equal(a: &Value, b: &Value, budget: &Budget) -> Run<bool> {
    budget.steps(1)?;
    if let (Some(x), Some(y)) = (Number::of(a), Number::of(b)) {
        return Ok(order_numbers(x, y) == Some(Ordering::Equal));
    }
    Ok(match (a, b) {
        (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
        (Value::Str(x) | Value::Safe(x), Value::Str(y) | Value::Safe(y)) => {
            if x.len() == y.len() {
                budget.bytes(x.len())?;
            }
            x == y
        }
        (Value::List(x), Value::List(y)) | (Value::Tuple(x), Value::Tuple(y)) => {
            if x.items.len() != y.items.len() {
                return Ok(false);
            }
            for (x, y) in x.items.iter().zip(&y.items) {
                if !equal(x, y, budget)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(x), Value::Map(y)) => {
            if x.entries.len() != y.entries.len() {
                return Ok(false);
            }
            for (key, value) in &x.entries {
                match y.get(key, budget)? {
                    Some(other) if equal(value, other, budget)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Range(x), Value::Range(y)) => {
            x.len == y.len && (x.len == 0 || (x.start == y.start && (x.len == 1 || x.step == y.step)))
        }
        _ => same(a, b),
    })
}

/// `a is b`: the same object, where that can be told.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    use super::value::Object;
    match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Bool(x), Value::Bool(y)) => x == y,
        (Value::Int(x), Value::Int(y)) => x == y && (-5..=256).contains(x), // those that Python keeps
        (Value::Str(x) | Value::Safe(x), Value::Str(y) | Value::Safe(y)) => Arc::ptr_eq(x, y) || x == y,
        (Value::List(x), Value::List(y)) | (Value::Tuple(x), Value::Tuple(y)) => Rc::ptr_eq(x, y),
        (Value::Map(x), Value::Map(y)) => Rc::ptr_eq(x, y),
        (Value::Stream(x), Value::Stream(y)) => Rc::ptr_eq(x, y),
        (Value::Range(x), Value::Range(y)) => Rc::ptr_eq(x, y),
        (Value::Undefined(x), Value::Undefined(y)) => Rc::ptr_eq(x, y),
        (Value::Object(x), Value::Object(y)) => match (x, y) {
            (Object::Namespace(x), Object::Namespace(y)) | (Object::Macro(x), Object::Macro(y)) => x == y,
            (Object::Loop(x, n), Object::Loop(y, m)) => (x, n) == (y, m),
            (Object::Function(x), Object::Function(y)) => x == y,
            (Object::Cycler(_, x), Object::Cycler(_, y)) => Rc::ptr_eq(x, y),
            (Object::Joiner(x), Object::Joiner(y)) => Rc::ptr_eq(x, y),
            (Object::Method(x), Object::Method(y)) => Rc::ptr_eq(x, y),
            _ => false,
        },
        _ => false,
    }
}

/// `item in container`
pub(super) fn contains(container: &Value, item: &Value, budget: &Budget) -> Run<bool> {
    match container {
        Value::Str(text) | Value::Safe(text) => match item.as_str() {
            Some(part) => {
                budget.search(text.len() + part.len())?;
                Ok(text.contains(&**part))
            }
            None => {
                let name = item.type_name();
                failed(format!("'in <string>' requires string as left operand, not {name}"))
            }
        },
        Value::Map(map) | Value::View(View::Keys, map) => Ok(map.get(item, budget)?.is_some()),
        Value::Undefined(_)
        | Value::List(_)
        | Value::Tuple(_)
        | Value::View(..)
        | Value::Range(_)
        | Value::Stream(_) => {
            for other in container.elements(budget)? {
                if equal(&other, item, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        other => failed(format!("argument of type '{}' is not iterable", other.type_name())),
    }
}
