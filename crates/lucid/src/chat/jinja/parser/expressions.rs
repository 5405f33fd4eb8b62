//! Expressions, by precedence, the loosest first:
//!
//! ```text
//! a if c else b      or      and      not      == != < <= > >= in      + -      ~      * / // %      **
//! -x +x, then x.y x[y] x(y), then | filter, is test
//! ```

use super::{Parsed, Parser};
use crate::chat::jinja::{
    ast::{Args, Comparison, Expr, Filter, Operation},
    lexer::Kind,
};
use std::sync::Arc;

impl Parser {
    /// An expression.
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.deeper(Self::choice)
    }

    /// An expression, or several with commas between: a tuple. Without `choices` an `if` ends it; with `recursive` that
    /// word does.
    pub(super) fn tuple(&mut self, choices: bool, recursive: bool) -> Parsed<Expr> {
        let one = |p: &mut Self| if choices { p.expression() } else { p.deeper(Self::or) };
        let first = one(self)?;
        if !self.is_op(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.skip_op(",") {
            let ends = matches!(self.kind(), Kind::BlockEnd | Kind::VariableEnd | Kind::Operator(")"));
            if ends || (recursive && self.is_name("recursive")) {
                break;
            }
            items.push(one(self)?);
        }
        Ok(Expr::Tuple(items))
    }

    fn choice(&mut self) -> Parsed<Expr> {
        let mut value = self.or()?;
        while self.skip_name("if") {
            self.link()?;
            let condition = self.or()?;
            let otherwise = if self.skip_name("else") { Some(self.expression()?) } else { None };
            value = Expr::Choice(Box::new((condition, value, otherwise)));
        }
        Ok(value)
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut items = vec![self.and()?];
        while self.skip_name("or") {
            items.push(self.and()?);
        }
        Ok(one_or(items, Expr::Or))
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut items = vec![self.not()?];
        while self.skip_name("and") {
            items.push(self.not()?);
        }
        Ok(one_or(items, Expr::And))
    }

    fn not(&mut self) -> Parsed<Expr> {
        if self.skip_name("not") {
            return Ok(Expr::Not(Box::new(self.deeper(Self::not)?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let comparison = match self.kind() {
                Kind::Operator("==") => Comparison::Equal,
                Kind::Operator("!=") => Comparison::NotEqual,
                Kind::Operator("<") => Comparison::Less,
                Kind::Operator("<=") => Comparison::LessEqual,
                Kind::Operator(">") => Comparison::Greater,
                Kind::Operator(">=") => Comparison::GreaterEqual,
                Kind::Name(name) if name == "in" => Comparison::In,
                Kind::Name(name) if name == "not" => match self.following() {
                    Some(Kind::Name(next)) if next == "in" => {
                        self.at += 1;
                        Comparison::NotIn
                    }
                    _ => break,
                },
                _ => break,
            };
            self.at += 1;
            rest.push((comparison, self.sum()?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Compare(Box::new(first), rest) })
    }

    fn sum(&mut self) -> Parsed<Expr> {
        self.arithmetic(Self::concat, &[("+", Operation::Add), ("-", Operation::Subtract)])
    }

    fn concat(&mut self) -> Parsed<Expr> {
        let mut items = vec![self.product()?];
        while self.skip_op("~") {
            items.push(self.product()?);
        }
        Ok(one_or(items, Expr::Concat))
    }

    fn product(&mut self) -> Parsed<Expr> {
        use Operation::{Divide, FloorDivide, Modulo, Multiply};
        self.arithmetic(Self::power, &[("*", Multiply), ("//", FloorDivide), ("/", Divide), ("%", Modulo)])
    }

    fn power(&mut self) -> Parsed<Expr> {
        self.arithmetic(|p| p.unary(true), &[("**", Operation::Power)])
    }

    fn arithmetic(
        &mut self,
        operand: impl Fn(&mut Self) -> Parsed<Expr>,
        operations: &[(&str, Operation)],
    ) -> Parsed<Expr> {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some(&(_, operation)) = operations.iter().find(|(sign, _)| self.is_op(sign)) {
            self.at += 1;
            rest.push((operation, operand(self)?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Arithmetic(Box::new(first), rest) })
    }

    fn unary(&mut self, filters: bool) -> Parsed<Expr> {
        let beside = std::mem::take(&mut self.height);
        let value = self.unary_alone(filters);
        self.height = beside.max(self.height);
        value
    }

    fn unary_alone(&mut self, filters: bool) -> Parsed<Expr> {
        let value = if self.skip_op("-") {
            Expr::Negative(Box::new(self.deeper(|p| p.unary(false))?))
        } else if self.skip_op("+") {
            Expr::Positive(Box::new(self.deeper(|p| p.unary(false))?))
        } else {
            self.primary()?
        };
        let value = self.postfix(value)?;
        if filters { self.filtered(value) } else { Ok(value) }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let value = match self.kind() {
            Kind::Name(name) => match name.as_str() {
                "true" | "True" => Expr::Bool(true),
                "false" | "False" => Expr::Bool(false),
                "none" | "None" => Expr::None,
                _ => {
                    let name = self.name()?;
                    return Ok(Expr::Name(self.symbol(name)));
                }
            },
            Kind::Text(text) => {
                let mut whole = text.clone();
                self.at += 1;
                while let Kind::Text(next) = self.kind() {
                    whole.push_str(next); // literals side by side are one
                    self.at += 1;
                }
                return Ok(Expr::Text(whole.into()));
            }
            Kind::Integer(n) => Expr::Integer(*n),
            Kind::Float(x) => Expr::Float(*x),
            Kind::Operator("(") => {
                self.at += 1;
                if self.skip_op(")") {
                    return Ok(Expr::Tuple(Vec::new()));
                }
                let inside = self.tuple(true, false)?;
                self.expect_op(")")?;
                return Ok(inside);
            }
            Kind::Operator("[") => {
                self.at += 1;
                return Ok(Expr::List(self.items("]", Self::expression)?));
            }
            Kind::Operator("{") => {
                self.at += 1;
                let entry = |p: &mut Self| {
                    let key = p.expression()?;
                    p.expect_op(":")?;
                    Ok((key, p.expression()?))
                };
                return Ok(Expr::Map(self.items("}", entry)?));
            }
            _ => return self.unexpected("an expression"),
        };
        self.at += 1;
        Ok(value)
    }

    /// Items with commas between, up to and past `end`.
    fn items<T>(&mut self, end: &str, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.skip_op(end) {
            if !items.is_empty() {
                self.expect_op(",")?;
                if self.skip_op(end) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn postfix(&mut self, mut value: Expr) -> Parsed<Expr> {
        loop {
            value = if self.skip_op(".") {
                match self.kind() {
                    Kind::Integer(index) => {
                        let index = Expr::Integer(*index);
                        self.at += 1;
                        Expr::Item(Box::new((value, index)))
                    }
                    _ => Expr::Attribute(Box::new(value), self.name()?),
                }
            } else if self.skip_op("[") {
                self.subscript(value)?
            } else if self.is_op("(") {
                Expr::Call(Box::new(value), self.args()?)
            } else {
                return Ok(value);
            };
            self.link()?;
        }
    }

    fn subscript(&mut self, value: Expr) -> Parsed<Expr> {
        let part = |p: &mut Self| match p.kind() {
            Kind::Operator(":" | "]") => Ok(None),
            _ => p.expression().map(Some),
        };
        let from = part(self)?;
        if !self.skip_op(":") {
            let Some(index) = from else { return self.unexpected("an index") };
            self.expect_op("]")?;
            return Ok(Expr::Item(Box::new((value, index))));
        }
        let to = part(self)?;
        let step = if self.skip_op(":") { part(self)? } else { None };
        self.expect_op("]")?;
        Ok(Expr::Slice(Box::new(value), Box::new([from, to, step])))
    }

    /// `(a, b=c, *d, **e)`
    pub(super) fn args(&mut self) -> Parsed<Args> {
        self.expect_op("(")?;
        let mut args = Args::default();
        let mut first = true;
        while !self.skip_op(")") {
            if !first {
                self.expect_op(",")?;
                if self.skip_op(")") {
                    break;
                }
            }
            first = false;
            if self.skip_op("**") {
                args.map = Some(Box::new(self.expression()?));
            } else if self.skip_op("*") {
                args.list = Some(Box::new(self.expression()?));
            } else if matches!(self.kind(), Kind::Name(_)) && self.following() == Some(&Kind::Operator("=")) {
                let name = self.name()?;
                self.at += 1;
                args.named.push((name, self.expression()?));
            } else if args.named.is_empty() && args.list.is_none() && args.map.is_none() {
                args.positional.push(self.expression()?);
            } else {
                return self.fault("an argument by place follows one by name");
            }
        }
        Ok(args)
    }

    fn filtered(&mut self, mut value: Expr) -> Parsed<Expr> {
        loop {
            value = if self.skip_op("|") {
                Expr::Filter(Box::new(value), self.filter()?)
            } else if self.skip_name("is") {
                let negated = self.skip_name("not");
                let test = Expr::Test(Box::new(value), self.test()?);
                if negated { Expr::Not(Box::new(test)) } else { test }
            } else if self.is_op("(") {
                Expr::Call(Box::new(value), self.args()?)
            } else {
                return Ok(value);
            };
            self.link()?;
        }
    }

    /// A filter from behind its bar.
    pub(super) fn filter(&mut self) -> Parsed<Filter> {
        let name = self.name()?;
        let args = if self.is_op("(") { self.args()? } else { Args::default() };
        Ok(Filter { name, args })
    }

    /// A test from behind `is`: an argument may stand without parentheses.
    fn test(&mut self) -> Parsed<Filter> {
        let name: Arc<str> = self.name()?;
        let args = match self.kind() {
            Kind::Operator("(") => self.args()?,
            Kind::Name(word) if word == "is" => return self.fault("tests cannot be chained with \"is\""),
            Kind::Name(word) if ["else", "or", "and"].contains(&word.as_str()) => Args::default(),
            Kind::Name(_) | Kind::Text(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Operator("[" | "{") => {
                let value = self.primary()?;
                Args { positional: vec![self.postfix(value)?], ..Args::default() }
            }
            _ => Args::default(),
        };
        Ok(Filter { name, args })
    }
}

/// The only item, or all of them under a node.
fn one_or(mut items: Vec<Expr>, node: impl Fn(Vec<Expr>) -> Expr) -> Expr {
    match items.len() {
        1 => items.pop().unwrap_or(Expr::None),
        _ => node(items),
    }
}
