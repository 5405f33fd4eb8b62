//! Source to tokens: text outside of tags, and the words inside.
//!
//! What happens to white space around tags is decided here, as transformers has Jinja do it (`trim_blocks`,
//! `lstrip_blocks`, no `keep_trailing_newline`):
//!
//! | tag | before it | after it |
//! |---|---|---|
//! | `{{ x }}` | stays | stays |
//! | `{% x %}`, `{# x #}` | spaces of its own line go | one newline goes |
//! | `{%- x -%}`, `{{- x -}}` | all white space goes | all white space goes |
//! | `{%+ x +%}` | stays | stays |
//!
//! One newline at the very end goes too, and `\r\n` and `\r` count as `\n`.

use super::Fault;

/// A token, and the line it stands on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: u32,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Text outside of tags.
    Data(String),
    /// `{%`
    BlockBegin,
    /// `%}`
    BlockEnd,
    /// `{{`
    VariableBegin,
    /// `}}`
    VariableEnd,
    Name(String),
    Text(String),
    Integer(i128),
    Float(f64),
    Operator(&'static str),
    End,
}

/// The longer first, so that the first that fits is the right one.
const OPERATORS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",",
];

/// White space as Python's `str.isspace` has it.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn skip_space(s: &str) -> &str {
    s.trim_start_matches(is_space)
}

/// Whether the word is a name.
pub(super) fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c == '_' || c.is_alphabetic()) && word.chars().all(is_name_char)
}

fn is_name_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The tokens of a template; the last is [`Kind::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, Fault> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer { source, rest: source, line: 1, tokens: Vec::new() };
    lexer.run()?;
    let line = lexer.line;
    lexer.tokens.push(Token { kind: Kind::End, line });
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    source: &'s str,
    rest: &'s str,
    line: u32,
    tokens: Vec<Token>,
}

impl<'s> Lexer<'s> {
    fn fault<T>(&self, what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { line: self.line, what: what.into() })
    }

    fn push(&mut self, kind: Kind) {
        self.tokens.push(Token { kind, line: self.line });
    }

    fn data(&mut self, text: &str) {
        if !text.is_empty() {
            self.push(Kind::Data(text.to_owned()));
        }
    }

    /// Goes on to `rest`, which is what remains of `self.rest`.
    fn advance(&mut self, rest: &'s str) {
        let passed = &self.rest[..self.rest.len() - rest.len()];
        self.line += passed.matches('\n').count() as u32;
        self.rest = rest;
    }

    /// Whether `self.rest` is the beginning of a line.
    fn line_starts(&self) -> bool {
        let passed = &self.source[..self.source.len() - self.rest.len()];
        passed.is_empty() || passed.ends_with('\n')
    }

    fn run(&mut self) -> Result<(), Fault> {
        loop {
            let Some(at) = self.tag() else {
                let rest = self.rest;
                self.data(rest);
                self.advance("");
                return Ok(());
            };
            let (text, tag, after) = (&self.rest[..at], &self.rest[at..at + 2], &self.rest[at + 2..]);
            let (sign, after) = sign_of(after);
            let kept = strip_before(text, sign, tag != "{{", self.line_starts());
            self.data(kept);
            self.advance(after);
            match tag {
                "{#" => self.comment()?,
                "{{" => {
                    self.push(Kind::VariableBegin);
                    self.words("}}")?;
                    self.push(Kind::VariableEnd);
                }
                _ => match raw_begins(after) {
                    Some(body) => {
                        self.advance(body);
                        self.raw()?;
                    }
                    None => {
                        self.push(Kind::BlockBegin);
                        self.words("%}")?;
                        self.push(Kind::BlockEnd);
                    }
                },
            }
        }
    }

    /// Where the next tag begins.
    fn tag(&self) -> Option<usize> {
        let is_tag = |at: &usize| self.rest[at + 1..].starts_with(['%', '{', '#']);
        self.rest.match_indices('{').map(|(at, _)| at).find(is_tag)
    }

    fn comment(&mut self) -> Result<(), Fault> {
        let Some(end) = self.rest.find("#}") else { return self.fault("a comment {# has no end #}") };
        let sign = self.rest[..end].chars().next_back();
        let after = &self.rest[end + 2..];
        self.advance(strip_after(after, sign.filter(|c| "+-".contains(*c)), true));
        Ok(())
    }

    /// Everything up to `{% endraw %}` is text.
    fn raw(&mut self) -> Result<(), Fault> {
        let mut from = 0;
        while let Some(at) = self.rest[from..].find("{%").map(|at| at + from) {
            let (sign, after) = sign_of(&self.rest[at + 2..]);
            if let Some(after) = skip_space(after).strip_prefix("endraw") {
                let (end_sign, after) = sign_of(skip_space(after));
                if let Some(after) = after.strip_prefix("%}") {
                    let text = strip_before(&self.rest[..at], sign, true, self.line_starts());
                    self.data(text);
                    self.advance(strip_after(after, end_sign, true));
                    return Ok(());
                }
            }
            from = at + 2;
        }
        self.fault("{% raw %} has no {% endraw %}")
    }

    /// The words up to the end of the tag, and past it.
    fn words(&mut self, end: &str) -> Result<(), Fault> {
        let mut open: Vec<&str> = Vec::new();
        loop {
            self.advance(skip_space(self.rest));
            if open.is_empty() {
                let (sign, after) = sign_of(self.rest);
                // a plus ends only blocks
                let sign_fits = sign != Some('+') || end == "%}";
                if let Some(after) = after.strip_prefix(end).filter(|_| sign_fits) {
                    self.advance(strip_after(after, sign, end == "%}"));
                    return Ok(());
                }
            }
            let Some(first) = self.rest.chars().next() else {
                return self.fault(format!("a tag is not closed by {end}"));
            };
            if first.is_ascii_digit() {
                self.number()?;
            } else if first == '_' || first.is_alphabetic() {
                let length = self.rest.find(|c| !is_name_char(c)).unwrap_or(self.rest.len());
                let (name, rest) = self.rest.split_at(length);
                self.push(Kind::Name(name.to_owned()));
                self.advance(rest);
            } else if first == '\'' || first == '"' {
                self.text(first)?;
            } else if let Some(op) = OPERATORS.iter().find(|op| self.rest.starts_with(**op)) {
                match *op {
                    "{" => open.push("}"),
                    "(" => open.push(")"),
                    "[" => open.push("]"),
                    "}" | ")" | "]" if open.pop() != Some(op) => return self.fault(format!("unexpected {op:?}")),
                    _ => {}
                }
                self.push(Kind::Operator(op));
                self.advance(&self.rest[op.len()..]);
            } else {
                return self.fault(format!("unexpected character {first:?}"));
            }
        }
    }

    /// `12`, `1_000`, `0x1f`, `1.5`, `1e3`, `2.5e-7`.
    fn number(&mut self) -> Result<(), Fault> {
        let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(s.len());
        let s = self.rest;
        let radix = match s.get(..2) {
            Some("0x" | "0X") => 16,
            Some("0o" | "0O") => 8,
            Some("0b" | "0B") => 2,
            _ => 10,
        };
        let prefix = if radix == 10 { 0 } else { 2 };
        let mut length = match radix {
            10 => digits(s),
            _ => 2 + s[2..].find(|c: char| !c.is_digit(radix) && c != '_').unwrap_or(s.len() - 2),
        };
        let mut float = false;
        // after a dot a number is an index: x.0.1
        let index = matches!(self.tokens.last(), Some(Token { kind: Kind::Operator("."), .. }));
        if radix == 10 && !index {
            let fraction = s[length..].strip_prefix('.').map_or(0, digits);
            if fraction > 0 && s[length + 1..].starts_with(|c: char| c.is_ascii_digit()) {
                (length, float) = (length + 1 + fraction, true);
            }
            if let Some(exponent) = s[length..].strip_prefix(['e', 'E']) {
                let signed = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if signed.starts_with(|c: char| c.is_ascii_digit()) {
                    (length, float) = (s.len() - signed.len() + digits(signed), true);
                }
            }
        }
        let plain = s[prefix..length].replace('_', "");
        let kind = match float {
            true => plain.parse().ok().map(Kind::Float),
            false => i128::from_str_radix(&plain, radix).ok().map(Kind::Integer),
        };
        let Some(kind) = kind else {
            let start: String = s[..length].chars().take(40).collect();
            return self.fault(format!("{start} is no number, or too large a one"));
        };
        self.push(kind);
        self.advance(&s[length..]);
        Ok(())
    }

    /// A string literal with Python's escapes; an unknown one stays as it is.
    fn text(&mut self, quote: char) -> Result<(), Fault> {
        let mut out = String::new();
        let mut chars = self.rest[1..].char_indices();
        while let Some((i, c)) = chars.next() {
            if c == quote {
                let rest = &self.rest[1 + i + 1..];
                self.push(Kind::Text(out));
                self.advance(rest);
                return Ok(());
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            let escape = chars.next().map_or('\\', |(_, c)| c);
            let hex = match escape {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            match escape {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'a' => out.push('\x07'),
                'b' => out.push('\x08'),
                'f' => out.push('\x0c'),
                'v' => out.push('\x0b'),
                '\\' | '\'' | '"' => out.push(escape),
                '\n' => {}
                '0'..='7' => {
                    let mut code = escape as u32 - '0' as u32;
                    for _ in 0..2 {
                        let Some(digit) = chars.as_str().chars().next().and_then(|c| c.to_digit(8)) else { break };
                        chars.next();
                        code = code * 8 + digit;
                    }
                    out.extend(char::from_u32(code));
                }
                _ if hex > 0 => {
                    let code = chars.as_str().get(..hex).and_then(|h| u32::from_str_radix(h, 16).ok());
                    let Some(c) = code.and_then(char::from_u32) else {
                        return self
                            .fault(format!("\\{escape} in a string is not followed by {hex} digits of a character"));
                    };
                    out.push(c);
                    chars.nth(hex - 1);
                }
                other => out.extend(['\\', other]),
            }
        }
        self.fault("a string is not closed")
    }
}

/// The sign of white space at the beginning of a tag or before its end.
fn sign_of(s: &str) -> (Option<char>, &str) {
    match s.chars().next() {
        Some(sign @ ('-' | '+')) => (Some(sign), &s[1..]),
        _ => (None, s),
    }
}

/// What is left of the text before a tag.
fn strip_before(text: &str, sign: Option<char>, block: bool, line_starts: bool) -> &str {
    if sign == Some('-') {
        return text.trim_end_matches(is_space);
    }
    if sign == Some('+') || !block {
        return text;
    }
    match text.rfind('\n') {
        Some(newline) if text[newline + 1..].chars().all(is_space) => &text[..=newline],
        None if line_starts && text.chars().all(is_space) => "",
        _ => text,
    }
}

/// What is left of the text after a tag.
fn strip_after(text: &str, sign: Option<char>, block: bool) -> &str {
    match sign {
        Some('-') => skip_space(text),
        Some(_) => text,
        None if block => text.strip_prefix('\n').unwrap_or(text),
        None => text,
    }
}

/// For `{% raw %}`: what follows it, from behind `{%` and its sign. No newline goes.
fn raw_begins(after: &str) -> Option<&str> {
    let after = skip_space(skip_space(after).strip_prefix("raw")?);
    match after.strip_prefix("-%}") {
        Some(after) => Some(skip_space(after)),
        None => after.strip_prefix("%}"),
    }
}
