//! The interpreter: statements here, expressions in `machine/expressions.rs`, loops and macros in `machine/blocks.rs`.
//!
//! Names live in scopes, each with the one around it. A template has one, and so has every turn of a loop, every call of a
//! macro, every `with`; an `if` has none. A macro sees the scopes around its own text, as they are when it is called.
//! Scopes, macros and namespaces lie in lists here, and values name them by place: so there are no cycles to be freed.

mod blocks;
mod expressions;

use super::{
    Failure, Run, Stop,
    ast::{Filter, Macro, Program, Stmt, StmtKind, Symbol, Target},
    budget::Budget,
    failed, text,
    value::{Function, Object, Value},
};
use crate::chat::date::Now;
use blocks::Loop;
use std::{borrow::Cow, sync::Arc};

/// Everything that changes while a template runs.
pub(super) struct Machine<'p> {
    pub(super) program: &'p Program,
    pub(super) budget: Budget,
    pub(super) now: Now,
    /// The attributes of every namespace.
    pub(super) namespaces: Vec<Vec<(Arc<str>, Value)>>,
    /// Every macro, and the scope that it was made in.
    macros: Vec<(&'p Macro, usize)>,
    loops: Vec<Loop<'p>>,
    /// How many loops there have been.
    serial: u64,
    scopes: Vec<Scope>,
    /// The innermost scope.
    scope: usize,
    /// The line of the statement that runs.
    line: u32,
}

/// Names and their values.
#[derive(Debug, Default)]
struct Scope {
    parent: Option<usize>,
    variables: Vec<(Symbol, Value)>,
    /// A macro was made within, which may still need it when it ends.
    captured: bool,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flow {
    Through,
    Break,
    Continue,
}

/// Renders a program with these variables.
pub(super) fn render(
    program: &Program,
    variables: &[(&str, Cow<serde_json::Value>)],
    now: Now,
) -> Result<String, Failure> {
    let given = Budget::unlimited();
    let mut globals = Scope::default();
    let symbol = |name: &str| program.names.iter().position(|known| **known == *name).map(|at| at as Symbol);
    for (name, function) in Function::ALL {
        globals.variables.extend(symbol(name).map(|symbol| (symbol, Value::Object(Object::Function(function)))));
    }
    for (name, json) in variables {
        let Some(symbol) = symbol(name) else { continue };
        let value = Value::from_json(json, &given).map_err(|stop| Failure { line: 1, stop })?;
        globals.variables.retain(|(known, _)| *known != symbol);
        globals.variables.push((symbol, value));
    }
    let root = Scope { parent: Some(0), ..Scope::default() };
    let mut machine = Machine {
        program,
        budget: Budget::after(&given),
        now,
        namespaces: Vec::new(),
        macros: Vec::new(),
        loops: Vec::new(),
        serial: 0,
        scopes: vec![globals, root],
        scope: 1,
        line: 1,
    };
    let mut out = String::new();
    match machine.body(&program.body, &mut out) {
        Ok(_) => Ok(out),
        Err(stop) => Err(Failure { line: machine.line, stop }),
    }
}

impl<'p> Machine<'p> {
    fn body(&mut self, body: &'p [Stmt], out: &mut String) -> Run<Flow> {
        for stmt in body {
            self.line = stmt.line;
            match self.statement(&stmt.kind, out)? {
                Flow::Through => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Through)
    }

    fn statement(&mut self, kind: &'p StmtKind, out: &mut String) -> Run<Flow> {
        self.budget.enter()?;
        let mut flow = Flow::Through;
        match kind {
            StmtKind::Data(text) => self.print(text, out)?,
            StmtKind::Print(expr) => {
                let value = self.eval(expr)?;
                let shown = text::str(&value, &self.budget)?;
                self.print(&shown, out)?;
            }
            StmtKind::If { branches, otherwise } => {
                let mut chosen = otherwise;
                for (condition, body) in branches {
                    if self.eval(condition)?.truth() {
                        chosen = body;
                        break;
                    }
                }
                flow = self.body(chosen, out)?;
            }
            StmtKind::For(looped) => self.for_loop(looped, out)?,
            StmtKind::Set { target, value } => {
                let value = self.eval(value)?;
                self.assign(target, value)?;
            }
            StmtKind::SetBlock { target, filters, body } => {
                let value = self.captured(body, filters)?;
                self.assign(target, value)?;
            }
            StmtKind::FilterBlock { filters, body } => {
                let value = self.captured(body, filters)?;
                let shown = text::str(&value, &self.budget)?;
                self.print(&shown, out)?;
            }
            StmtKind::Macro(made) => {
                let value = self.make_macro(made)?;
                self.set(made.name, value)?;
            }
            StmtKind::Call { caller, call } => self.call_block(caller, call, out)?,
            StmtKind::With { variables, body } => {
                // the values do not see each other
                let mut values = Vec::with_capacity(variables.len());
                for (_, value) in variables {
                    values.push(self.eval(value)?);
                }
                let outside = self.open(self.scope)?;
                for ((target, _), value) in variables.iter().zip(values) {
                    self.assign(target, value)?;
                }
                flow = self.body(body, out)?;
                self.close(outside);
            }
            StmtKind::Scope(body) => {
                let outside = self.open(self.scope)?;
                flow = self.body(body, out)?;
                self.close(outside);
            }
            StmtKind::Break => flow = Flow::Break,
            StmtKind::Continue => flow = Flow::Continue,
        }
        self.budget.leave();
        Ok(flow)
    }

    fn print(&mut self, text: &str, out: &mut String) -> Run<()> {
        self.budget.bytes(text.len())?;
        out.push_str(text);
        Ok(())
    }

    /// What a body prints, in a scope of its own, and what filters make of that.
    fn captured(&mut self, body: &'p [Stmt], filters: &'p [Filter]) -> Run<Value> {
        let outside = self.open(self.scope)?;
        let mut inside = String::new();
        self.body(body, &mut inside)?;
        self.close(outside);
        self.budget.bytes(inside.len())?;
        let mut value = Value::str(inside);
        for filter in filters {
            let given = self.given(&filter.args)?;
            value = self.filter(&filter.name, value, given)?;
        }
        Ok(value)
    }

    /// Begins a scope within another; what it returns goes to [`close`](Machine::close).
    fn open(&mut self, parent: usize) -> Run<usize> {
        self.budget.steps(2)?;
        self.scopes.push(Scope { parent: Some(parent), ..Scope::default() });
        Ok(std::mem::replace(&mut self.scope, self.scopes.len() - 1))
    }

    /// Ends the innermost scope, and frees it unless a macro needs it.
    fn close(&mut self, outside: usize) {
        if self.scope == self.scopes.len() - 1 && !self.scopes[self.scope].captured {
            self.scopes.pop();
        }
        self.scope = outside;
    }

    /// Makes a macro, for which the scopes around it stay.
    fn make_macro(&mut self, made: &'p Macro) -> Run<Value> {
        self.budget.steps(2)?;
        let mut next = Some(self.scope);
        while let Some(at) = next.filter(|&at| !self.scopes[at].captured) {
            self.scopes[at].captured = true;
            next = self.scopes[at].parent;
        }
        self.macros.push((made, self.scope));
        Ok(Value::Object(Object::Macro(self.macros.len() - 1)))
    }

    fn set(&mut self, symbol: Symbol, value: Value) -> Run<()> {
        let variables = &mut self.scopes[self.scope].variables;
        self.budget.steps(1 + variables.len() / 16)?;
        match variables.iter_mut().find(|(known, _)| *known == symbol) {
            Some((_, place)) => *place = value,
            None => variables.push((symbol, value)),
        }
        Ok(())
    }

    /// The value of a name, from the innermost scope that has it.
    fn lookup(&mut self, symbol: Symbol) -> Run<Option<Value>> {
        let mut next = Some(self.scope);
        while let Some(at) = next {
            let scope = &self.scopes[at];
            self.budget.steps(1 + scope.variables.len() / 16)?;
            if let Some((_, value)) = scope.variables.iter().find(|(known, _)| *known == symbol) {
                return Ok(Some(value.clone()));
            }
            next = scope.parent;
        }
        Ok(None)
    }

    fn assign(&mut self, target: &'p Target, value: Value) -> Run<()> {
        match target {
            Target::Name(symbol) => self.set(*symbol, value),
            Target::Attribute(symbol, name) => {
                let Some(Value::Object(Object::Namespace(at))) = self.lookup(*symbol)? else {
                    return failed("cannot assign attribute on non-namespace object");
                };
                let name = super::calls::checked(name.clone())?;
                let attributes = &mut self.namespaces[at];
                self.budget.steps(2 + attributes.len() / 16)?;
                match attributes.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, place)) => *place = value,
                    None => attributes.push((name, value)),
                }
                Ok(())
            }
            Target::Tuple(targets) => {
                let values = value.elements(&self.budget)?;
                if values.len() != targets.len() {
                    let (wanted, found) = (targets.len(), values.len());
                    return failed(format!("expected {wanted} values to unpack, got {found}"));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value)?;
                }
                Ok(())
            }
        }
    }
}

/// Why something that cannot be called is not.
fn not_callable(value: &Value) -> Stop {
    match value {
        Value::Undefined(why) => Stop::Failed(why.message()),
        other => Stop::Failed(format!("'{}' object is not callable", other.type_name())),
    }
}
