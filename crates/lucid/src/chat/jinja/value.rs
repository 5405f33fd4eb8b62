//! What a template computes with: Python's values.
//!
//! Nothing that a value holds can be changed: transformers' sandbox forbids `append` and its like. What does change
//! (namespaces, the state of loops) lies with the machine, and a value only names it. So no value can contain itself, and
//! dropping one is all that memory management has to do.

use super::{
    Run,
    budget::{Budget, exhausted},
    failed,
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    vec,
};

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing of this name: prints as nothing, and most of what is done with it fails.
    Undefined(Rc<Missing>),
    None,
    Bool(bool),
    /// Python's integers have no end; those of templates are small.
    Int(i128),
    Float(f64),
    Str(Arc<str>),
    /// What `safe` and `escape` make: adding text to it escapes the text.
    Safe(Arc<str>),
    List(Rc<List>),
    Tuple(Rc<List>),
    Map(Rc<Map>),
    /// `map.keys()`, `map.values()`, `map.items()`
    View(View, Rc<Map>),
    Range(Rc<Range>),
    /// A generator: what was read of it once is gone.
    Stream(Rc<RefCell<Stream>>),
    Object(Object),
}

/// Why a value is undefined.
#[derive(Debug)]
pub(super) enum Missing {
    Name(Arc<str>),
    Parameter(Arc<str>),
    Attribute { of: &'static str, name: Arc<str> },
    Element { of: &'static str, key: String },
    Unsafe { of: &'static str, name: Arc<str> },
    Because(&'static str),
}

/// The elements of a list or tuple.
#[derive(Debug)]
pub(super) struct List {
    pub(super) items: Vec<Value>,
    /// A pair that `groupby` made: `.grouper` and `.list` are its elements.
    pub(super) group: bool,
    depth: u32,
}

/// Which part of a map a view shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum View {
    Keys,
    Values,
    Items,
}

/// `range(from, to, step)`, by its length.
#[derive(Debug, PartialEq)]
pub(super) struct Range {
    pub(super) start: i128,
    pub(super) stop: i128,
    pub(super) step: i128,
    pub(super) len: usize,
}

/// What is left of a generator.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) items: vec::IntoIter<Value>,
    /// Python's name of its type.
    pub(super) name: &'static str,
    depth: u32,
}

/// What can be called, or has attributes of its own. The numbers are places in the machine.
#[derive(Clone, Debug)]
pub(super) enum Object {
    Namespace(usize),
    Macro(usize),
    /// A loop's place, and the number that tells it from a later one there.
    Loop(usize, u64),
    Function(Function),
    /// A method and what it belongs to.
    Method(Rc<(Value, &'static str)>),
    /// What it goes through, and where it is.
    Cycler(Rc<List>, Rc<Cell<usize>>),
    Joiner(Rc<(Arc<str>, Cell<bool>)>),
}

/// A function that every template can call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    Range,
    Dict,
    Namespace,
    Cycler,
    Joiner,
    RaiseException,
    StrftimeNow,
}

impl Function {
    /// All of them, by name.
    pub(super) const ALL: [(&'static str, Function); 7] = [
        ("range", Function::Range),
        ("dict", Function::Dict),
        ("namespace", Function::Namespace),
        ("cycler", Function::Cycler),
        ("joiner", Function::Joiner),
        ("raise_exception", Function::RaiseException),
        ("strftime_now", Function::StrftimeNow),
    ];
}

/// A dict: keys in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Map {
    pub(super) entries: Vec<(Value, Value)>,
    places: HashMap<Key, usize>,
    depth: u32,
}

/// A key as it is compared: 1, 1.0 and true are the same one.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Undefined,
    None,
    Int(i128),
    Float(u64),
    Str(Arc<str>),
    Tuple(Vec<Key>),
}

/// How deep lists and maps may nest. JSON that is read here nests 128 levels at most.
const DEPTH: u32 = 150;

fn deeper(depth: u32) -> Run<u32> {
    if depth >= DEPTH { exhausted(format!("makes lists that nest deeper than {DEPTH} levels")) } else { Ok(depth + 1) }
}

fn deepest<'v>(values: impl IntoIterator<Item = &'v Value>) -> u32 {
    values.into_iter().map(Value::depth).max().unwrap_or(0)
}

impl Value {
    /// A text.
    pub(super) fn str(text: impl Into<Arc<str>>) -> Value {
        Value::Str(text.into())
    }

    /// A list; its elements are paid for here.
    pub(super) fn list(items: Vec<Value>, budget: &Budget) -> Run<Value> {
        budget.values(items.len())?;
        let depth = deeper(deepest(&items))?;
        Ok(Value::List(Rc::new(List { items, group: false, depth })))
    }

    /// A tuple; its elements are paid for here.
    pub(super) fn tuple(items: Vec<Value>, budget: &Budget) -> Run<Value> {
        budget.values(items.len())?;
        let depth = deeper(deepest(&items))?;
        Ok(Value::Tuple(Rc::new(List { items, group: false, depth })))
    }

    /// What `groupby` makes of a key and its values.
    pub(super) fn group(key: Value, values: Value, budget: &Budget) -> Run<Value> {
        budget.values(2)?;
        let items = vec![key, values];
        let depth = deeper(deepest(&items))?;
        Ok(Value::Tuple(Rc::new(List { items, group: true, depth })))
    }

    /// A generator; its elements are paid for here.
    pub(super) fn stream(items: Vec<Value>, name: &'static str, budget: &Budget) -> Run<Value> {
        budget.values(items.len())?;
        let depth = deeper(deepest(&items))?;
        Ok(Value::Stream(Rc::new(RefCell::new(Stream { items: items.into_iter(), name, depth }))))
    }

    /// A dict.
    pub(super) fn map(map: Map) -> Value {
        Value::Map(Rc::new(map))
    }

    /// A method of `self`.
    pub(super) fn method(self, name: &'static str) -> Value {
        Value::Object(Object::Method(Rc::new((self, name))))
    }

    /// `cycler(…)`
    pub(super) fn cycler(items: Rc<List>) -> Value {
        Value::Object(Object::Cycler(items, Rc::new(Cell::new(0))))
    }

    /// Nothing, and why.
    pub(super) fn missing(why: &'static str) -> Value {
        Value::Undefined(Rc::new(Missing::Because(why)))
    }

    /// How many levels of lists it holds.
    fn depth(&self) -> u32 {
        match self {
            Value::List(list) | Value::Tuple(list) => list.depth,
            Value::Map(map) | Value::View(_, map) => map.depth,
            Value::Stream(stream) => stream.borrow().depth,
            Value::Object(Object::Method(method)) => method.0.depth() + 1,
            Value::Object(Object::Cycler(list, _)) => list.depth,
            _ => 0,
        }
    }

    /// What JSON says.
    pub(super) fn from_json(json: &serde_json::Value, budget: &Budget) -> Run<Value> {
        use serde_json::Value as Json;
        budget.steps(1)?;
        Ok(match json {
            Json::Null => Value::None,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(n), _) => Value::Int(n.into()),
                (_, Some(n)) => Value::Int(n.into()),
                _ => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => {
                budget.bytes(text.len())?;
                Value::str(text.as_str())
            }
            Json::Array(list) => {
                let items = list.iter().map(|item| Value::from_json(item, budget)).collect::<Run<Vec<Value>>>()?;
                Value::list(items, budget)?
            }
            Json::Object(members) => {
                let mut map = Map::default();
                for (key, value) in members {
                    budget.bytes(key.len())?;
                    map.insert(Value::str(key.as_str()), Value::from_json(value, budget)?, budget)?;
                }
                Value::map(map)
            }
        })
    }

    /// The text of a string, safe or not.
    pub(super) fn as_str(&self) -> Option<&Arc<str>> {
        match self {
            Value::Str(text) | Value::Safe(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is true.
    pub(super) fn truth(&self) -> bool {
        match self {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(b) => *b,
            Value::Int(n) => *n != 0,
            Value::Float(x) => *x != 0.0,
            Value::Str(text) | Value::Safe(text) => !text.is_empty(),
            Value::List(list) | Value::Tuple(list) => !list.items.is_empty(),
            Value::Map(map) | Value::View(_, map) => !map.entries.is_empty(),
            Value::Range(range) => range.len > 0,
            Value::Stream(_) | Value::Object(_) => true,
        }
    }

    /// Python's name of its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Undefined(_) => "Undefined",
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "str",
            Value::Safe(_) => "Markup",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Map(_) => "dict",
            Value::View(View::Keys, _) => "dict_keys",
            Value::View(View::Values, _) => "dict_values",
            Value::View(View::Items, _) => "dict_items",
            Value::Range(_) => "range",
            Value::Stream(stream) => stream.borrow().name,
            Value::Object(Object::Namespace(_)) => "Namespace",
            Value::Object(Object::Macro(_)) => "Macro",
            Value::Object(Object::Loop(..)) => "LoopContext",
            Value::Object(Object::Function(_)) => "function",
            Value::Object(Object::Method(_)) => "builtin_function_or_method",
            Value::Object(Object::Cycler(..)) => "Cycler",
            Value::Object(Object::Joiner(_)) => "Joiner",
        }
    }

    /// The whole number that it is, as Python's index: a bool counts.
    pub(super) fn as_index(&self) -> Option<i128> {
        match self {
            Value::Int(n) => Some(*n),
            Value::Bool(b) => Some(i128::from(*b)),
            _ => None,
        }
    }

    /// How many elements, characters or entries it has.
    pub(super) fn len(&self, budget: &Budget) -> Run<usize> {
        Ok(match self {
            Value::Undefined(_) => 0,
            Value::Str(text) | Value::Safe(text) => {
                budget.bytes(text.len())?;
                text.chars().count()
            }
            Value::List(list) | Value::Tuple(list) => list.items.len(),
            Value::Map(map) | Value::View(_, map) => map.entries.len(),
            Value::Range(range) => range.len,
            other => return failed(format!("object of type '{}' has no len()", other.type_name())),
        })
    }

    /// Its elements, in order; a generator is empty afterwards.
    pub(super) fn elements(&self, budget: &Budget) -> Run<Vec<Value>> {
        let items: Vec<Value> = match self {
            Value::Undefined(_) => Vec::new(),
            Value::Str(text) | Value::Safe(text) => {
                budget.values(text.len())?;
                let of = |c: char| {
                    if let Value::Safe(_) = self { Value::Safe(char_str(c)) } else { Value::Str(char_str(c)) }
                };
                text.chars().map(of).collect()
            }
            Value::List(list) | Value::Tuple(list) => {
                budget.values(list.items.len())?;
                list.items.clone()
            }
            Value::Map(map) => {
                budget.values(map.entries.len())?;
                map.entries.iter().map(|(key, _)| key.clone()).collect()
            }
            Value::View(view, map) => {
                budget.values(map.entries.len())?;
                map.entries.iter().map(|entry| view.of(entry, budget)).collect::<Run<Vec<Value>>>()?
            }
            Value::Range(range) => {
                budget.values(range.len)?;
                (0..range.len as i128).map(|i| Value::Int(range.start + i * range.step)).collect()
            }
            Value::Stream(stream) => std::mem::take(&mut stream.borrow_mut().items).collect(),
            other => return failed(format!("'{}' object is not iterable", other.type_name())),
        };
        Ok(items)
    }
}

impl View {
    fn of(self, (key, value): &(Value, Value), budget: &Budget) -> Run<Value> {
        match self {
            View::Keys => Ok(key.clone()),
            View::Values => Ok(value.clone()),
            View::Items => Value::tuple(vec![key.clone(), value.clone()], budget),
        }
    }
}

/// A text of one character.
pub(super) fn char_str(c: char) -> Arc<str> {
    Arc::from(&*c.encode_utf8(&mut [0; 4]))
}

impl Missing {
    /// What jinja2 says when it is used.
    pub(super) fn message(&self) -> String {
        match self {
            Missing::Name(name) => format!("'{name}' is undefined"),
            Missing::Parameter(name) => format!("parameter '{name}' was not provided"),
            Missing::Attribute { of, name } => format!("'{}' has no attribute '{name}'", object(of)),
            Missing::Element { of, key } => format!("{} has no element {key}", object(of)),
            Missing::Unsafe { of, name } => format!("access to attribute '{name}' of '{of}' object is unsafe."),
            Missing::Because(why) => (*why).to_owned(),
        }
    }
}

fn object(of: &str) -> String {
    if of == "NoneType" { "None".to_owned() } else { format!("{of} object") }
}

impl Map {
    /// The value of a key. An error when no dict can have such a key.
    pub(super) fn get(&self, key: &Value, budget: &Budget) -> Run<Option<&Value>> {
        let key = Key::of(key, budget)?;
        Ok(self.places.get(&key).map(|&at| &self.entries[at].1))
    }

    /// The value of a key that is a text.
    pub(super) fn get_str(&self, key: &Arc<str>) -> Option<&Value> {
        self.places.get(&Key::Str(key.clone())).map(|&at| &self.entries[at].1)
    }

    /// Sets a key, where it is if it is there.
    pub(super) fn insert(&mut self, key: Value, value: Value, budget: &Budget) -> Run<()> {
        budget.values(4)?; // an entry, and its place
        let hashed = Key::of(&key, budget)?;
        self.depth = self.depth.max(deeper(key.depth().max(value.depth()))?);
        match self.places.get(&hashed) {
            Some(&at) => self.entries[at].1 = value,
            None => {
                self.places.insert(hashed, self.entries.len());
                self.entries.push((key, value));
            }
        }
        Ok(())
    }
}

impl Key {
    fn of(value: &Value, budget: &Budget) -> Run<Key> {
        Ok(match value {
            Value::Undefined(_) => Key::Undefined,
            Value::None => Key::None,
            Value::Bool(b) => Key::Int(i128::from(*b)),
            Value::Int(n) => Key::Int(*n),
            Value::Float(x) if x.fract() == 0.0 && x.abs() < 1e30 => Key::Int(*x as i128),
            Value::Float(x) => Key::Float(x.to_bits()),
            Value::Str(text) | Value::Safe(text) => {
                budget.bytes(text.len())?;
                Key::Str(text.clone())
            }
            Value::Tuple(list) => {
                budget.values(list.items.len())?;
                Key::Tuple(list.items.iter().map(|item| Key::of(item, budget)).collect::<Run<Vec<Key>>>()?)
            }
            other => return failed(format!("unhashable type: '{}'", other.type_name())),
        })
    }
}
