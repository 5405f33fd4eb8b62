//! From the text of a pattern to its operations.

use super::{Assert, Op, Pattern, Set};
use std::collections::HashMap;

/// Groups within groups. Real patterns have three.
const MAX_DEPTH: usize = 32;
/// Operations. Real patterns have some fifty; repeated groups are written out, and repeats of repeats grow fast.
const MAX_OPS: usize = 4096;

/// What a pattern means, before it is laid out.
enum Node {
    Set(usize),
    Assert(Assert),
    All(Vec<Node>),
    Any(Vec<Node>),
    Repeat { node: Box<Node>, min: u32, max: u32, how: How },
    Look { node: Box<Node>, negative: bool },
    Atomic(Box<Node>),
}

/// In which order a repeat tries its lengths.
#[derive(Clone, Copy, PartialEq)]
enum How {
    Greedy,
    Lazy,
    Possessive,
}

pub(super) fn compile(source: &str) -> Result<Pattern, String> {
    let mut parser = Parser { rest: source, ignore_case: false, sets: Vec::new(), known: HashMap::new() };
    let node = parser.any(0)?;
    if !parser.rest.is_empty() {
        return Err("an unmatched ) is not supported".into());
    }
    let mut ops = Vec::new();
    emit(&node, &mut ops)?;
    ops.push(Op::Accept);
    let leading_run = match ops.first() {
        Some(Op::Run { set, max: u32::MAX, .. }) => Some(*set),
        _ => None,
    };
    Ok(Pattern { ops, sets: parser.sets, leading_run })
}

struct Parser<'s> {
    rest: &'s str,
    ignore_case: bool,
    sets: Vec<Set>,
    known: HashMap<(String, bool), usize>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, prefix: &str) -> bool {
        self.rest.strip_prefix(prefix).map(|rest| self.rest = rest).is_some()
    }

    /// `a|b|c`, up to the end or a closing parenthesis.
    fn any(&mut self, depth: usize) -> Result<Node, String> {
        if depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} groups within groups are not supported"));
        }
        let outer = self.ignore_case;
        let mut ways = vec![self.all(depth)?];
        while self.eat("|") {
            ways.push(self.all(depth)?);
        }
        self.ignore_case = outer; // `(?i)` holds to the end of its group
        Ok(if ways.len() == 1 { ways.swap_remove(0) } else { Node::Any(ways) })
    }

    /// One item after another.
    fn all(&mut self, depth: usize) -> Result<Node, String> {
        let mut items = Vec::new();
        while let Some(c) = self.peek() {
            if c == '|' || c == ')' {
                break;
            }
            if self.eat("(?i)") {
                self.ignore_case = true;
                continue;
            }
            let item = self.item(depth)?;
            items.push(self.repeats(item)?);
        }
        Ok(if items.len() == 1 { items.swap_remove(0) } else { Node::All(items) })
    }

    fn item(&mut self, depth: usize) -> Result<Node, String> {
        let start = self.rest;
        Ok(match self.next() {
            Some('(') => self.group(depth)?,
            Some('[') => {
                let len = class_len(start)?;
                self.rest = &start[len..];
                self.set(&start[..len])?
            }
            Some('.') => self.set("[^\\n]")?,
            Some('^') => Node::Assert(Assert::LineStart),
            Some('$') => Node::Assert(Assert::LineEnd),
            Some('\\') => self.escape(start)?,
            Some(c @ ('*' | '+' | '?')) => return Err(format!("a {c} that repeats nothing is not supported")),
            Some(c) => self.set(&literal(c))?,
            None => return Err("it ends in the middle".into()),
        })
    }

    fn group(&mut self, depth: usize) -> Result<Node, String> {
        let outer = self.ignore_case;
        let mut wrap: fn(Box<Node>) -> Node = |node| *node;
        if self.eat("?=") {
            wrap = |node| Node::Look { node, negative: false };
        } else if self.eat("?!") {
            wrap = |node| Node::Look { node, negative: true };
        } else if self.eat("?>") {
            wrap = Node::Atomic;
        } else if self.eat("?i:") {
            self.ignore_case = true;
        } else if self.rest.starts_with('?') && !self.eat("?:") {
            let what: String = self.rest.chars().take(4).collect();
            return Err(format!("the group ({what} is not supported"));
        }
        let node = self.any(depth + 1)?;
        self.ignore_case = outer;
        if !self.eat(")") {
            return Err("a group is not closed".into());
        }
        Ok(wrap(Box::new(node)))
    }

    /// `\s`, `\p{L}`, `\n`, `\.`; `start` begins with the backslash, which is already taken.
    fn escape(&mut self, start: &str) -> Result<Node, String> {
        let c = self.next().ok_or("it ends with a backslash")?;
        match c {
            'A' => return Ok(Node::Assert(Assert::TextStart)),
            'z' => return Ok(Node::Assert(Assert::TextEnd)),
            'b' | 'B' => {
                let Node::Set(word) = self.set("\\w")? else { return Err("\\w is no class".into()) };
                return Ok(Node::Assert(Assert::Boundary { word, negative: c == 'B' }));
            }
            'p' | 'P' | 'x' | 'u' if self.rest.starts_with('{') => {
                let end = self.rest.find('}').ok_or("a { is not closed")?;
                self.rest = &self.rest[end + 1..];
            }
            'x' | 'u' => {
                let digits = if c == 'x' { 2 } else { 4 };
                self.rest = self.rest.get(digits..).ok_or("it ends in the middle of a code point")?;
            }
            's' | 'S' | 'd' | 'D' | 'w' | 'W' | 'n' | 'r' | 't' | 'f' | 'v' => {}
            c if c.is_ascii_alphanumeric() => return Err(format!("\\{c} is not supported")),
            c => return self.set(&literal(c)),
        }
        self.set(&start[..start.len() - self.rest.len()])
    }

    /// The class that `source` writes.
    fn set(&mut self, source: &str) -> Result<Node, String> {
        let key = (source.to_owned(), self.ignore_case);
        if let Some(&at) = self.known.get(&key) {
            return Ok(Node::Set(at));
        }
        self.sets.push(Set::parse(source, self.ignore_case)?);
        self.known.insert(key, self.sets.len() - 1);
        Ok(Node::Set(self.sets.len() - 1))
    }

    /// The quantifiers after an item.
    fn repeats(&mut self, mut node: Node) -> Result<Node, String> {
        loop {
            let (min, max, interval) = match self.peek() {
                Some('*') => (0, u32::MAX, false),
                Some('+') => (1, u32::MAX, false),
                Some('?') => (0, 1, false),
                Some('{') => match interval(self.rest) {
                    Some((min, max, len)) => {
                        self.rest = &self.rest[len - 1..]; // all but the brace, which is taken below
                        (min, max, true)
                    }
                    None => return Err("a { that repeats nothing is not supported".into()),
                },
                _ => return Ok(node),
            };
            if min > max {
                return Err(format!("{{{min},{max}}} is not supported"));
            }
            self.next();
            let how = match self.peek() {
                Some('?') if interval => return Err("a lazy interval is not supported".into()),
                Some('?') => How::Lazy,
                // after an interval, a + repeats the interval
                Some('+') if !interval => How::Possessive,
                _ => How::Greedy,
            };
            if how != How::Greedy {
                self.next();
            }
            if max != 1 && !matches!(node, Node::Set(_)) && can_be_empty(&node) {
                return Err("repeating a group that can match nothing is not supported".into());
            }
            node = Node::Repeat { node: Box::new(node), min, max, how };
        }
    }
}

/// `c` as a pattern of its own.
fn literal(c: char) -> String {
    regex_syntax::escape(c.encode_utf8(&mut [0; 4]))
}

/// The length of the class that `text` begins with, brackets included.
fn class_len(text: &str) -> Result<usize, String> {
    let mut depth = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '[' if text[at..].starts_with("[:") => return Err("[:name:] is not supported".into()),
            '[' => depth += 1,
            ']' => depth -= 1,
            // operators to the parser of classes, ordinary characters in this dialect
            '-' | '~' if chars.peek().is_some_and(|(_, next)| *next == c) => {
                return Err(format!("{c}{c} in a class is not supported"));
            }
            _ => {}
        }
        if depth == 0 {
            return Ok(at + 1);
        }
    }
    Err("a [ is not closed".into())
}

/// Reads `{2}`, `{2,}`, `{2,3}` or `{,3}`: smallest, largest, length of the text.
fn interval(text: &str) -> Option<(u32, u32, usize)> {
    let end = text.find('}')?;
    let inner = &text[1..end];
    let number = |text: &str| text.parse::<u32>().ok().filter(|&n| n <= 1024);
    let (min, max) = match inner.split_once(',') {
        None => (number(inner)?, number(inner)?),
        Some(("", max)) => (0, number(max)?),
        Some((min, "")) => (number(min)?, u32::MAX),
        Some((min, max)) => (number(min)?, number(max)?),
    };
    Some((min, max, end + 1))
}

fn can_be_empty(node: &Node) -> bool {
    match node {
        Node::Set(_) => false,
        Node::Assert(_) | Node::Look { .. } => true,
        Node::All(nodes) => nodes.iter().all(can_be_empty),
        Node::Any(nodes) => nodes.iter().any(can_be_empty),
        Node::Repeat { node, min, .. } => *min == 0 || can_be_empty(node),
        Node::Atomic(node) => can_be_empty(node),
    }
}

/// Appends the operations of `node`.
fn emit(node: &Node, ops: &mut Vec<Op>) -> Result<(), String> {
    if ops.len() > MAX_OPS {
        return Err("a pattern of this size is not supported".into());
    }
    match node {
        Node::Set(set) => ops.push(Op::Run { set: *set, min: 1, max: 1, possessive: false }),
        Node::Assert(assert) => ops.push(Op::Assert(*assert)),
        Node::All(nodes) => {
            for node in nodes {
                emit(node, ops)?;
            }
        }
        Node::Any(nodes) => emit_any(nodes, ops)?,
        Node::Look { node, negative } => {
            let negative = *negative;
            enclosed(node, ops, |end| Op::Look { negative, end })?;
        }
        Node::Atomic(node) => enclosed(node, ops, |end| Op::Atomic { end })?,
        Node::Repeat { node, min, max, how } => match (&**node, how) {
            (Node::Set(set), How::Greedy | How::Possessive) => {
                ops.push(Op::Run { set: *set, min: *min, max: *max, possessive: *how == How::Possessive });
            }
            (_, How::Possessive) => {
                let at = ops.len();
                ops.push(Op::Accept);
                emit_repeat(node, *min, *max, false, ops)?;
                ops.push(Op::Accept);
                ops[at] = Op::Atomic { end: ops.len() };
            }
            (_, how) => emit_repeat(node, *min, *max, *how == How::Lazy, ops)?,
        },
    }
    Ok(())
}

/// `node` as operations of their own, behind the one that `head` makes from where they end.
fn enclosed(node: &Node, ops: &mut Vec<Op>, head: impl Fn(usize) -> Op) -> Result<(), String> {
    let at = ops.len();
    ops.push(Op::Accept);
    emit(node, ops)?;
    ops.push(Op::Accept);
    ops[at] = head(ops.len());
    Ok(())
}

fn emit_any(nodes: &[Node], ops: &mut Vec<Op>) -> Result<(), String> {
    let mut jumps = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        let last = i + 1 == nodes.len();
        let fork = ops.len();
        if !last {
            ops.push(Op::Accept);
        }
        emit(node, ops)?;
        if !last {
            jumps.push(ops.len());
            ops.push(Op::Accept);
            ops[fork] = Op::Fork { first: fork + 1, second: ops.len() };
        }
    }
    let end = ops.len();
    for jump in jumps {
        ops[jump] = Op::Jump(end);
    }
    Ok(())
}

/// A repeated group: `min` copies, then a loop, or nested optional copies.
fn emit_repeat(node: &Node, min: u32, max: u32, lazy: bool, ops: &mut Vec<Op>) -> Result<(), String> {
    let fork = |inside: usize, outside: usize| match lazy {
        false => Op::Fork { first: inside, second: outside },
        true => Op::Fork { first: outside, second: inside },
    };
    for _ in 0..min {
        emit(node, ops)?;
    }
    if max == u32::MAX {
        let at = ops.len();
        ops.push(Op::Accept);
        emit(node, ops)?;
        ops.push(Op::Jump(at));
        ops[at] = fork(at + 1, ops.len());
        return Ok(());
    }
    let mut forks = Vec::new();
    for _ in min..max {
        forks.push(ops.len());
        ops.push(Op::Accept);
        emit(node, ops)?;
    }
    let end = ops.len();
    for at in forks {
        ops[at] = fork(at + 1, end);
    }
    Ok(())
}
