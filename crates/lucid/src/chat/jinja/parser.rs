//! Tokens to the tree: statements here, expressions in `parser/expressions.rs`.

mod expressions;

use super::{
    Fault,
    ast::{Expr, Filter, For, Macro, Program, Special, Stmt, StmtKind, Symbol, Target},
    lexer::{Kind, Token, tokens},
};
use std::{collections::HashMap, sync::Arc};

/// How deep statements and expressions may nest, a chain like `a.b.c` counted by its links. Real templates reach 20.
const DEPTH: usize = 100;

/// Parses a template.
pub(super) fn parse(source: &str) -> Result<Program, Fault> {
    let tokens = tokens(source)?;
    let mut parser =
        Parser { tokens, at: 0, names: Vec::new(), symbols: HashMap::new(), depth: 0, height: 0, loops: 0 };
    let body = parser.body(&[])?;
    let symbol = |name: &str| parser.symbols.get(name).copied();
    let special = Special {
        r#loop: symbol("loop"),
        caller: symbol("caller"),
        varargs: symbol("varargs"),
        kwargs: symbol("kwargs"),
    };
    Ok(Program { body, names: parser.names, special })
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    names: Vec<Arc<str>>,
    symbols: HashMap<Arc<str>, Symbol>,
    /// How many levels surround what is being parsed.
    depth: usize,
    /// How many levels the tallest of what was parsed on this level has.
    height: usize,
    /// How many loops surround the statement, within the same macro.
    loops: usize,
}

type Parsed<T> = Result<T, Fault>;

impl Parser {
    fn kind(&self) -> &Kind {
        // the last token is End, and nothing goes past it
        &self.tokens[self.at.min(self.tokens.len() - 1)].kind
    }

    fn line(&self) -> u32 {
        self.tokens[self.at.min(self.tokens.len() - 1)].line
    }

    fn following(&self) -> Option<&Kind> {
        self.tokens.get(self.at + 1).map(|t| &t.kind)
    }

    fn fault<T>(&self, what: impl Into<String>) -> Parsed<T> {
        Err(Fault { line: self.line(), what: what.into() })
    }

    fn unexpected<T>(&self, wanted: &str) -> Parsed<T> {
        let found = match self.kind() {
            Kind::Data(_) => "text".to_owned(),
            Kind::BlockBegin => "{%".to_owned(),
            Kind::BlockEnd => "%}".to_owned(),
            Kind::VariableBegin => "{{".to_owned(),
            Kind::VariableEnd => "}}".to_owned(),
            Kind::Name(name) => format!("{name:?}"),
            Kind::Text(_) => "a string".to_owned(),
            Kind::Integer(_) | Kind::Float(_) => "a number".to_owned(),
            Kind::Operator(op) => format!("{op:?}"),
            Kind::End => "the end of the template".to_owned(),
        };
        self.fault(format!("expected {wanted}, and there is {found}"))
    }

    fn is_op(&self, op: &str) -> bool {
        matches!(self.kind(), Kind::Operator(found) if *found == op)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.kind(), Kind::Name(found) if found == name)
    }

    fn skip_op(&mut self, op: &str) -> bool {
        let found = self.is_op(op);
        self.at += found as usize;
        found
    }

    fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.at += found as usize;
        found
    }

    fn expect_op(&mut self, op: &str) -> Parsed<()> {
        if self.skip_op(op) { Ok(()) } else { self.unexpected(&format!("{op:?}")) }
    }

    fn expect_name(&mut self, name: &str) -> Parsed<()> {
        if self.skip_name(name) { Ok(()) } else { self.unexpected(&format!("{name:?}")) }
    }

    fn name(&mut self) -> Parsed<Arc<str>> {
        match self.kind() {
            Kind::Name(name) => {
                let name = Arc::from(name.as_str());
                self.at += 1;
                Ok(name)
            }
            _ => self.unexpected("a name"),
        }
    }

    fn symbol(&mut self, name: Arc<str>) -> Symbol {
        if let Some(&known) = self.symbols.get(&name) {
            return known;
        }
        let symbol = self.names.len() as Symbol;
        self.names.push(name.clone());
        self.symbols.insert(name, symbol);
        symbol
    }

    /// Runs `parse` one level deeper, if there is one.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        let beside = std::mem::take(&mut self.height);
        let parsed = if self.depth > DEPTH { self.too_deep() } else { parse(self) };
        self.height = beside.max(self.height + 1);
        self.depth -= 1;
        parsed
    }

    /// What was parsed becomes part of a node above it.
    fn link(&mut self) -> Parsed<()> {
        self.height += 1;
        if self.height > DEPTH { self.too_deep() } else { Ok(()) }
    }

    fn too_deep<T>(&self) -> Parsed<T> {
        self.fault(format!("nests deeper than {DEPTH} levels"))
    }

    /// Statements up to a block that begins with one of `ends`, whose name is then the current token; or to the end of the
    /// template when `ends` is empty.
    fn body(&mut self, ends: &[&str]) -> Parsed<Vec<Stmt>> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let kind = match self.kind() {
                Kind::Data(text) => {
                    let text = text.clone();
                    self.at += 1;
                    StmtKind::Data(text)
                }
                Kind::VariableBegin => {
                    self.at += 1;
                    let value = self.deeper(|p| p.tuple(true, false))?;
                    match self.kind() {
                        Kind::VariableEnd => self.at += 1,
                        _ => return self.unexpected("}}"),
                    }
                    StmtKind::Print(value)
                }
                Kind::BlockBegin => {
                    self.at += 1;
                    if matches!(self.kind(), Kind::Name(name) if ends.contains(&name.as_str())) {
                        return Ok(body);
                    }
                    let kind = self.deeper(Self::statement)?;
                    self.block_end()?;
                    kind
                }
                Kind::End if ends.is_empty() => return Ok(body),
                _ => return self.unexpected(&format!("{{% {} %}}", ends.join(" %} or {% "))),
            };
            body.push(Stmt { line, kind });
        }
    }

    fn block_end(&mut self) -> Parsed<()> {
        match self.kind() {
            Kind::BlockEnd => {
                self.at += 1;
                Ok(())
            }
            _ => self.unexpected("%}"),
        }
    }

    /// `%}`, the body, and the name of its end.
    fn body_to(&mut self, end: &str) -> Parsed<Vec<Stmt>> {
        self.block_end()?;
        let body = self.body(&[end])?;
        self.at += 1;
        Ok(body)
    }

    /// The same for a body that becomes a function: it cannot end a loop around it.
    fn function_to(&mut self, end: &str) -> Parsed<Vec<Stmt>> {
        let outside = std::mem::take(&mut self.loops);
        let body = self.body_to(end);
        self.loops = outside;
        body
    }

    fn statement(&mut self) -> Parsed<StmtKind> {
        let name = self.name()?;
        match &*name {
            "if" => self.if_statement(),
            "for" => self.for_statement(),
            "set" => self.set_statement(),
            "macro" => {
                let name = self.name()?;
                let name = self.symbol(name);
                let params = self.params()?;
                Ok(StmtKind::Macro(Macro { name, params, body: self.function_to("endmacro")? }))
            }
            "call" => {
                let params = if self.is_op("(") { self.params()? } else { Vec::new() };
                let call = self.expression()?;
                if !matches!(call, Expr::Call(..)) {
                    return self.fault("{% call %} needs a call");
                }
                let name = self.symbol("caller".into());
                Ok(StmtKind::Call { caller: Macro { name, params, body: self.function_to("endcall")? }, call })
            }
            "filter" => {
                let filters = self.filters(true)?;
                Ok(StmtKind::FilterBlock { filters, body: self.function_to("endfilter")? })
            }
            "with" => {
                let mut variables = Vec::new();
                while !matches!(self.kind(), Kind::BlockEnd) {
                    if !variables.is_empty() {
                        self.expect_op(",")?;
                    }
                    let target = self.target(false)?;
                    self.expect_op("=")?;
                    variables.push((target, self.expression()?));
                }
                Ok(StmtKind::With { variables, body: self.body_to("endwith")? })
            }
            // marks what the assistant said, for training; here a scope like any other
            "generation" => Ok(StmtKind::Scope(self.function_to("endgeneration")?)),
            "block" => {
                let name = self.name()?;
                self.skip_name("scoped");
                let body = self.function_to("endblock")?;
                self.skip_name(&name);
                Ok(StmtKind::Scope(body))
            }
            "print" => Ok(StmtKind::Print(self.tuple(true, false)?)),
            "break" | "continue" if self.loops == 0 => self.fault(format!("{{% {name} %}} stands outside of a loop")),
            "break" => Ok(StmtKind::Break),
            "continue" => Ok(StmtKind::Continue),
            "include" | "import" | "from" | "extends" => {
                self.fault(format!("{{% {name} %}}: a chat template stands alone, there are no others"))
            }
            other => self.fault(format!("there is no statement {other:?}")),
        }
    }

    fn if_statement(&mut self) -> Parsed<StmtKind> {
        let mut branches = Vec::new();
        loop {
            let condition = self.tuple(false, false)?;
            self.block_end()?;
            branches.push((condition, self.body(&["elif", "else", "endif"])?));
            if self.skip_name("elif") {
                continue;
            }
            let otherwise = if self.skip_name("else") { self.body_to("endif")? } else { self.end("endif")? };
            return Ok(StmtKind::If { branches, otherwise });
        }
    }

    /// The name of the end itself, with nothing before it.
    fn end(&mut self, end: &str) -> Parsed<Vec<Stmt>> {
        self.expect_name(end)?;
        Ok(Vec::new())
    }

    fn for_statement(&mut self) -> Parsed<StmtKind> {
        let target = self.target(false)?;
        self.expect_name("in")?;
        let iter = self.tuple(false, true)?;
        let test = if self.skip_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.skip_name("recursive");
        self.block_end()?;
        self.loops += 1;
        let body = self.body(&["else", "endfor"])?;
        self.loops -= 1;
        let otherwise = if self.skip_name("else") { self.body_to("endfor")? } else { self.end("endfor")? };
        Ok(StmtKind::For(For { target, iter, test, recursive, body, otherwise }))
    }

    fn set_statement(&mut self) -> Parsed<StmtKind> {
        let target = self.target(true)?;
        if self.skip_op("=") {
            return Ok(StmtKind::Set { target, value: self.tuple(true, false)? });
        }
        let filters = self.filters(false)?;
        Ok(StmtKind::SetBlock { target, filters, body: self.function_to("endset")? })
    }

    /// `x`, `x, y`, `(x, y)`, and `ns.x` where namespaces may be.
    fn target(&mut self, namespaces: bool) -> Parsed<Target> {
        let first = self.single_target(namespaces)?;
        if !self.is_op(",") {
            return Ok(first);
        }
        let mut targets = vec![first];
        while self.skip_op(",") {
            if !matches!(self.kind(), Kind::Name(name) if name != "in") && !self.is_op("(") {
                break;
            }
            targets.push(self.single_target(namespaces)?);
        }
        Ok(Target::Tuple(targets))
    }

    fn single_target(&mut self, namespaces: bool) -> Parsed<Target> {
        if self.skip_op("(") {
            let inside = self.deeper(|p| p.target(namespaces))?;
            self.expect_op(")")?;
            return Ok(inside);
        }
        let name = self.name()?;
        if ["true", "false", "none", "True", "False", "None"].contains(&&*name) {
            return self.fault(format!("cannot assign to {name}"));
        }
        let symbol = self.symbol(name);
        match namespaces && self.skip_op(".") {
            true => Ok(Target::Attribute(symbol, self.name()?)),
            false => Ok(Target::Name(symbol)),
        }
    }

    /// `(a, b=1)`
    fn params(&mut self) -> Parsed<Vec<(Symbol, Option<Expr>)>> {
        self.expect_op("(")?;
        let mut params: Vec<(Symbol, Option<Expr>)> = Vec::new();
        while !self.skip_op(")") {
            if !params.is_empty() {
                self.expect_op(",")?;
            }
            let name = self.name()?;
            let symbol = self.symbol(name);
            let default = if self.skip_op("=") { Some(self.expression()?) } else { None };
            if default.is_none() && params.last().is_some_and(|(_, before)| before.is_some()) {
                return self.fault("a parameter without a default follows one that has one");
            }
            params.push((symbol, default));
        }
        Ok(params)
    }

    /// `| a | b(1)`; `start` when the first stands without its bar.
    fn filters(&mut self, start: bool) -> Parsed<Vec<Filter>> {
        let mut filters = Vec::new();
        while (start && filters.is_empty()) || self.skip_op("|") {
            filters.push(self.filter()?);
        }
        Ok(filters)
    }
}
