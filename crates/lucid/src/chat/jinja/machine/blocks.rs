//! Loops, macros and calls.

use super::{Flow, Machine, not_callable};
use crate::chat::jinja::{
    Run,
    ast::{Expr, For, Macro},
    calls::Given,
    failed, text,
    value::{Map, Missing, Object, Value},
};
use std::rc::Rc;

/// A loop that runs.
pub(super) struct Loop<'p> {
    /// What tells it from another at the same place.
    serial: u64,
    items: Vec<Value>,
    /// Which of them it is at.
    index: usize,
    /// How many loops it was called within by its own name.
    depth: usize,
    /// What `loop.changed` saw last.
    changed: Option<Value>,
    /// For a recursive loop: itself, and the scope it stands in.
    again: Option<(&'p For, usize)>,
}

impl<'p> Machine<'p> {
    pub(super) fn for_loop(&mut self, looped: &'p For, out: &mut String) -> Run<()> {
        let over = self.eval(&looped.iter)?;
        self.turns(looped, over, 0, out)
    }

    /// Runs a loop over the elements of a value, in the current scope.
    fn turns(&mut self, looped: &'p For, over: Value, depth: usize, out: &mut String) -> Run<()> {
        let mut items = over.elements(&self.budget)?;
        if let Some(test) = &looped.test {
            let mut fitting = Vec::new();
            for item in items {
                let outside = self.open(self.scope)?;
                self.assign(&looped.target, item.clone())?;
                if self.eval(test)?.truth() {
                    fitting.push(item);
                }
                self.close(outside);
            }
            items = fitting;
        }
        if items.is_empty() {
            let outside = self.open(self.scope)?;
            // a loop cannot be left from behind its end: the parser sees to that
            self.body(&looped.otherwise, out)?;
            self.close(outside);
            return Ok(());
        }
        self.serial += 1;
        let (at, serial) = (self.loops.len(), self.serial);
        let again = looped.recursive.then_some((looped, self.scope));
        self.budget.steps(4)?;
        self.loops.push(Loop { serial, items, index: 0, depth, changed: None, again });
        let name = self.program.special.r#loop;
        while let Some(item) = self.loops[at].items.get(self.loops[at].index).cloned() {
            let outside = self.open(self.scope)?;
            if let Some(name) = name {
                self.set(name, Value::Object(Object::Loop(at, serial)))?;
            }
            self.assign(&looped.target, item)?;
            let flow = self.body(&looped.body, out)?;
            self.close(outside);
            if flow == Flow::Break {
                break;
            }
            self.loops[at].index += 1;
        }
        self.loops.truncate(at);
        Ok(())
    }

    fn running(&mut self, at: usize, serial: u64) -> Run<&mut Loop<'p>> {
        match self.loops.get_mut(at).filter(|l| l.serial == serial) {
            Some(running) => Ok(running),
            None => failed("this loop is over"),
        }
    }

    /// `loop.index` and the like; `None` for what it does not have.
    pub(super) fn loop_attribute(&mut self, at: usize, serial: u64, name: &str) -> Run<Option<Value>> {
        let l = self.running(at, serial)?;
        let (index, len) = (l.index, l.items.len());
        let number = |n: usize| Value::Int(n as i128);
        Ok(Some(match name {
            "index" => number(index + 1),
            "index0" => number(index),
            "revindex" => number(len - index),
            "revindex0" => number(len - index - 1),
            "first" => Value::Bool(index == 0),
            "last" => Value::Bool(index + 1 == len),
            "length" => number(len),
            "depth" => number(l.depth + 1),
            "depth0" => number(l.depth),
            "previtem" if index == 0 => Value::missing("there is no previous item"),
            "previtem" => l.items[index - 1].clone(),
            "nextitem" => l.items.get(index + 1).cloned().unwrap_or_else(|| Value::missing("there is no next item")),
            _ => return Ok(None),
        }))
    }

    /// `loop.cycle(…)`
    pub(in crate::chat::jinja) fn loop_cycle(&mut self, at: usize, serial: u64, given: Given) -> Run<Value> {
        let index = self.running(at, serial)?.index;
        match given.positional.len() {
            0 => failed("no items for cycling given"),
            n => Ok(given.positional[index % n].clone()),
        }
    }

    /// `loop.changed(…)`
    pub(in crate::chat::jinja) fn loop_changed(&mut self, at: usize, serial: u64, given: Given) -> Run<Value> {
        let seen = Value::tuple(given.positional, &self.budget)?;
        let before = self.running(at, serial)?.changed.clone();
        let same = match &before {
            Some(before) => crate::chat::jinja::operators::equal(before, &seen, &self.budget)?,
            None => false,
        };
        self.running(at, serial)?.changed = Some(seen);
        Ok(Value::Bool(!same))
    }

    /// Calls a value.
    pub(in crate::chat::jinja) fn call(&mut self, callee: Value, given: Given) -> Run<Value> {
        self.budget.enter()?;
        let result = match &callee {
            Value::Object(Object::Function(function)) => self.function(*function, given),
            Value::Object(Object::Macro(at)) => self.call_macro(*at, given),
            Value::Object(Object::Method(method)) => self.method(&method.0, method.1, given),
            Value::Object(Object::Loop(at, serial)) => self.loop_again(*at, *serial, given),
            Value::Object(Object::Joiner(joiner)) => {
                given.none("joiner")?;
                let first = !joiner.1.replace(true);
                Ok(if first { Value::str("") } else { Value::Str(joiner.0.clone()) })
            }
            other => Err(not_callable(other)),
        }?;
        self.budget.leave();
        Ok(result)
    }

    /// `loop(…)` in a recursive loop: the same for other elements.
    fn loop_again(&mut self, at: usize, serial: u64, given: Given) -> Run<Value> {
        let (again, depth) = {
            let running = self.running(at, serial)?;
            (running.again, running.depth)
        };
        let Some((looped, scope)) = again else {
            return failed("The loop must have the 'recursive' marker to be called recursively.");
        };
        let [over] = given.bind("loop", ["iterable"])?;
        let over = crate::chat::jinja::calls::required(over, "loop", "iterable")?;
        let outside = std::mem::replace(&mut self.scope, scope);
        let mut out = String::new();
        self.turns(looped, over, depth + 1, &mut out)?;
        self.scope = outside;
        self.budget.bytes(out.len())?;
        Ok(Value::str(out))
    }

    fn call_macro(&mut self, at: usize, given: Given) -> Run<Value> {
        let (called, scope) = self.macros[at];
        let special = &self.program.special;
        let name = &self.program.names[called.name as usize];
        let Given { positional, mut named } = given;
        let mut rest = positional.into_iter();
        let outside = self.open(scope)?;
        // jinja2 binds all that is given before it evaluates a default
        let mut defaults = Vec::new();
        for (symbol, default) in &called.params {
            let by_name = named.iter().position(|(known, _)| *known == self.program.names[*symbol as usize]);
            match rest.next().or_else(|| by_name.map(|at| named.remove(at).1)) {
                Some(value) => self.set(*symbol, value)?,
                None => defaults.push((*symbol, default)),
            }
        }
        let is_param = |symbol| called.params.iter().any(|(param, _)| Some(*param) == symbol);
        if special.caller.is_some() && !is_param(special.caller) {
            let caller = named.iter().position(|(known, _)| **known == *"caller").map(|at| named.remove(at).1);
            let none = || Value::missing("No caller defined");
            if let Some(symbol) = special.caller {
                self.set(symbol, caller.unwrap_or_else(none))?;
            }
        }
        match special.kwargs {
            Some(symbol) if !is_param(special.kwargs) => {
                let mut map = Map::default();
                for (key, value) in named.drain(..) {
                    map.insert(Value::Str(key), value, &self.budget)?;
                }
                self.set(symbol, Value::map(map))?;
            }
            _ => {
                if let Some((known, _)) = named.first() {
                    return failed(format!("macro '{name}' takes no keyword argument '{known}'"));
                }
            }
        }
        let rest: Vec<Value> = rest.collect();
        match special.varargs {
            Some(symbol) if !is_param(special.varargs) => {
                let rest = Value::tuple(rest, &self.budget)?;
                self.set(symbol, rest)?;
            }
            _ if !rest.is_empty() => {
                return failed(format!("macro '{name}' takes not more than {} argument(s)", called.params.len()));
            }
            _ => {}
        }
        for (symbol, default) in defaults {
            let value = match default {
                Some(default) => self.eval(default)?,
                None => Value::Undefined(Rc::new(Missing::Parameter(self.program.names[symbol as usize].clone()))),
            };
            self.set(symbol, value)?;
        }
        let line = self.line;
        let mut out = String::new();
        self.body(&called.body, &mut out)?;
        self.close(outside);
        self.line = line;
        self.budget.bytes(out.len())?;
        Ok(Value::str(out))
    }

    /// `{% call(args) f(…) %} … {% endcall %}`: the body is a macro, which `f` gets as `caller`.
    pub(super) fn call_block(&mut self, caller: &'p Macro, call: &'p Expr, out: &mut String) -> Run<()> {
        let Expr::Call(callee, args) = call else { return failed("{% call %} needs a call") };
        let callee = self.eval(callee)?;
        let mut given = self.given(args)?;
        let body = self.make_macro(caller)?;
        given.named.push(("caller".into(), body));
        let value = self.call(callee, given)?;
        let shown = text::str(&value, &self.budget)?;
        self.print(&shown, out)
    }
}
