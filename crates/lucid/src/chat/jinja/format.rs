//! Formatting: `'%5.1f' % x`, `'{:>8}'.format(x)`, and the little language between the braces.

use super::{
    Run,
    budget::{Budget, exhausted},
    calls::Given,
    failed,
    filters::escaped,
    machine::Machine,
    operators::{Number, defined},
    text,
    value::Value,
};
use std::sync::Arc;

/// What a value is to look like: `[[fill]align][sign][#][0][width][grouping][.precision][type]`.
#[derive(Clone, Debug, Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// More digits than this are refused: no number has so many.
const PRECISION: usize = 1_000;

/// The number at the beginning of a text, and the rest.
fn count(s: &str) -> (Option<usize>, &str) {
    let digits = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    if digits == 0 {
        return (None, s);
    }
    (Some(s[..digits].parse().unwrap_or(usize::MAX)), &s[digits..])
}

fn precision(n: Option<usize>) -> Run<usize> {
    match n {
        Some(n) if n <= PRECISION => Ok(n),
        Some(_) => exhausted(format!("formats with more than {PRECISION} digits")),
        None => failed("Format specifier missing precision"),
    }
}

impl Spec {
    fn parse(source: &str) -> Run<Spec> {
        let mut spec = Spec::default();
        let mut rest = source;
        let is_align = |c: char| "<>=^".contains(c);
        let mut chars = source.chars();
        match (chars.next(), chars.next()) {
            (Some(fill), Some(align)) if is_align(align) => {
                (spec.fill, spec.align) = (Some(fill), Some(align));
                rest = chars.as_str();
            }
            (Some(align), _) if is_align(align) => {
                spec.align = Some(align);
                rest = &source[1..];
            }
            _ => {}
        }
        let mut take = |set: &str| {
            let found = rest.chars().next().filter(|c| set.contains(*c));
            rest = &rest[found.map_or(0, char::len_utf8)..];
            found
        };
        spec.sign = take("+- ");
        spec.alternate = take("#").is_some();
        if take("0").is_some() && spec.align.is_none() {
            spec.fill = spec.fill.or(Some('0'));
            spec.align = Some('=');
        }
        let (width, after) = count(rest);
        spec.width = width.unwrap_or(0);
        rest = after;
        spec.grouping = rest.chars().next().filter(|c| ",_".contains(*c));
        rest = &rest[spec.grouping.map_or(0, char::len_utf8)..];
        if let Some(after) = rest.strip_prefix('.') {
            let (n, after) = count(after);
            spec.precision = Some(precision(n)?);
            rest = after;
        }
        let mut kinds = rest.chars();
        spec.kind = kinds.next();
        match kinds.next() {
            Some(_) => failed(format!("Invalid format specifier '{source}'")),
            None => Ok(spec),
        }
    }

    /// Fills up to the width.
    fn pad(&self, sign: &str, text: &str, align: char, budget: &Budget) -> Run<String> {
        let missing = self.width.saturating_sub(text.chars().count() + sign.len());
        let fill = self.fill.unwrap_or(' ');
        budget.bytes(missing.saturating_mul(fill.len_utf8()).saturating_add(text.len()))?;
        let fill = |n: usize| -> String { std::iter::repeat_n(fill, n).collect() };
        Ok(match self.align.unwrap_or(align) {
            '<' => format!("{sign}{text}{}", fill(missing)),
            '^' => format!("{}{sign}{text}{}", fill(missing / 2), fill(missing - missing / 2)),
            '=' => format!("{sign}{}{text}", fill(missing)),
            _ => format!("{}{sign}{text}", fill(missing)),
        })
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            _ => "",
        }
    }

    fn integer(&self, n: i128, budget: &Budget) -> Run<String> {
        let size = n.unsigned_abs();
        let kind = self.kind.unwrap_or('d');
        if self.precision.is_some() && !"eEfFgG%".contains(kind) {
            return failed("Precision not allowed in integer format specifier");
        }
        let (prefix, digits) = match kind {
            'd' | 'n' => ("", size.to_string()),
            'b' => ("0b", format!("{size:b}")),
            'o' => ("0o", format!("{size:o}")),
            'x' => ("0x", format!("{size:x}")),
            'X' => ("0X", format!("{size:X}")),
            'c' => match u32::try_from(n).ok().and_then(char::from_u32) {
                Some(c) => return self.pad("", &c.to_string(), '<', budget),
                None => return failed("%c arg not in range(0x110000)"),
            },
            _ => return self.float(n as f64, budget),
        };
        let digits = match (self.grouping, kind) {
            (Some(mark), 'd') => grouped(&digits, mark, 3),
            (Some('_'), _) => grouped(&digits, '_', 4),
            (Some(mark), _) => return failed(format!("Cannot specify '{mark}' with '{kind}'.")),
            (None, _) => digits,
        };
        let sign = format!("{}{}", self.sign(n < 0), if self.alternate { prefix } else { "" });
        self.pad(&sign, &digits, '>', budget)
    }

    fn float(&self, x: f64, budget: &Budget) -> Run<String> {
        // the digits before the point are 309 at most
        budget.steps(if size_is_short(x) { 8 } else { 96 } + self.precision.unwrap_or(0) / 2)?;
        let size = x.abs();
        let digits = match self.kind {
            Some('f' | 'F') => fixed(size, self.precision.unwrap_or(6)),
            Some('e') => exponent(size, self.precision.unwrap_or(6)),
            Some('E') => exponent(size, self.precision.unwrap_or(6)).to_uppercase(),
            Some('g' | 'n') => general(size, self.precision.unwrap_or(6)),
            Some('G') => general(size, self.precision.unwrap_or(6)).to_uppercase(),
            Some('%') => fixed(size * 100.0, self.precision.unwrap_or(6)) + "%",
            None => match self.precision {
                None => text::float(size),
                Some(precision) => {
                    let digits = general(size, precision);
                    if digits.contains(['.', 'e', 'n']) { digits } else { digits + ".0" }
                }
            },
            Some(kind) => return failed(format!("Unknown format code '{kind}' for object of type 'float'")),
        };
        let digits = match (self.grouping, digits.split_once('.')) {
            (None, _) => digits,
            (Some(mark), None) => grouped(&digits, mark, 3),
            (Some(mark), Some((whole, rest))) => format!("{}.{rest}", grouped(whole, mark, 3)),
        };
        self.pad(self.sign(x.is_sign_negative() && !x.is_nan()), &digits, '>', budget)
    }

    fn string(&self, text: &str, budget: &Budget) -> Run<String> {
        if self.sign.is_some() || self.align == Some('=') && self.fill != Some('0') {
            return failed("Sign and '=' alignment are not allowed in string format specifier");
        }
        let end = self.precision.and_then(|n| text.char_indices().nth(n)).map_or(text.len(), |(end, _)| end);
        let spec = Spec { align: self.align.map(|c| if c == '=' { '<' } else { c }), ..self.clone() };
        spec.pad("", &text[..end], '<', budget)
    }
}

/// Whether a number has few digits before its point and no long way to the first behind it.
fn size_is_short(x: f64) -> bool {
    x == 0.0 || (1e-20..1e20).contains(&x.abs())
}

fn grouped(digits: &str, mark: char, size: usize) -> String {
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(size) {
            out.push(mark);
        }
        out.push(c);
    }
    out
}

/// `%.3f`
fn fixed(x: f64, precision: usize) -> String {
    if x.is_finite() { format!("{x:.precision$}") } else { text::float(x) }
}

/// `%.3e`
fn exponent(x: f64, precision: usize) -> String {
    if !x.is_finite() {
        return text::float(x);
    }
    let text = format!("{x:.precision$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

/// `%.3g`: so many digits that mean something, without zeros at the end.
fn general(x: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let scientific = exponent(x, precision - 1);
    let Some((digits, power)) = scientific.split_once('e') else { return scientific };
    let power: i64 = power.parse().unwrap_or(0);
    let bare = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    match power < -4 || power >= precision as i64 {
        true => format!("{}{}", bare(digits), &scientific[digits.len()..]),
        false => bare(&fixed(x, (precision as i64 - 1 - power) as usize)),
    }
}

/// `format(value, spec)`
fn formatted(value: &Value, spec: &str, budget: &Budget) -> Run<String> {
    if spec.is_empty() {
        let text = text::str(value, budget)?;
        budget.bytes(text.len())?;
        return Ok(text.to_string());
    }
    let parsed = Spec::parse(spec)?;
    match value {
        Value::Bool(_) if parsed.kind.is_none_or(|kind| kind == 's') && parsed.kind.is_some() => {
            failed("Unknown format code 's' for object of type 'bool'")
        }
        Value::Bool(b) => parsed.integer(i128::from(*b), budget),
        Value::Int(n) if parsed.kind.is_none_or(|kind| "dnboxXceEfFgG%".contains(kind)) => parsed.integer(*n, budget),
        Value::Float(x) => parsed.float(*x, budget),
        Value::Str(text) | Value::Safe(text) if parsed.kind.is_none_or(|kind| kind == 's') => {
            parsed.string(text, budget)
        }
        other => failed(format!("unsupported format string passed to {}.__format__", other.type_name())),
    }
}

/// `text % arguments`
pub(super) fn percent(template: &Arc<str>, left: &Value, arguments: &Value, budget: &Budget) -> Run<Value> {
    budget.bytes(template.len())?;
    let safe = matches!(left, Value::Safe(_));
    let one = std::slice::from_ref(arguments);
    let mut list = match arguments {
        Value::Tuple(tuple) => tuple.items.iter(),
        _ => one.iter(),
    };
    let mut out = String::new();
    let mut rest = &**template;
    let mut named = false;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut value = None;
        if let Some(after) = rest.strip_prefix('(') {
            let Some(end) = after.find(')') else { return failed("incomplete format key") };
            let Value::Map(map) = arguments else { return failed("format requires a mapping") };
            let key = &after[..end];
            let Some(found) = map.get_str(&key.into()) else { return failed(format!("KeyError: '{key}'")) };
            (value, named) = (Some(found), true);
            rest = &after[end + 1..];
        }
        let mut spec = Spec::default();
        let mut left = false;
        while let Some(flag) = rest.chars().next().filter(|c| "-+ #0".contains(*c)) {
            match flag {
                '-' => left = true,
                '+' => spec.sign = Some('+'),
                ' ' => spec.sign = spec.sign.or(Some(' ')),
                '#' => spec.alternate = true,
                _ => (spec.fill, spec.align) = (Some('0'), Some('=')),
            }
            rest = &rest[1..];
        }
        let mut star = |rest: &mut &str| -> Run<Option<i128>> {
            let Some(after) = rest.strip_prefix('*') else { return Ok(None) };
            *rest = after;
            let Some(n) = list.next().and_then(Value::as_index) else { return failed("* wants int") };
            Ok(Some(n))
        };
        match star(&mut rest)? {
            Some(n) => {
                left |= n < 0;
                spec.width = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
            }
            None => {
                let (n, after) = count(rest);
                (spec.width, rest) = (n.unwrap_or(0), after);
            }
        }
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            spec.precision = Some(match star(&mut rest)? {
                Some(n) => precision(Some(usize::try_from(n.max(0)).unwrap_or(usize::MAX)))?,
                None => {
                    let (n, after) = count(rest);
                    rest = after;
                    precision(Some(n.unwrap_or(0)))?
                }
            });
        }
        rest = rest.trim_start_matches(['h', 'l', 'L']);
        if left {
            (spec.fill, spec.align) = (None, Some('<'));
        }
        let Some(kind) = rest.chars().next() else { return failed("incomplete format") };
        rest = &rest[kind.len_utf8()..];
        if kind == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = value.or_else(|| list.next()) else {
            return failed("not enough arguments for format string");
        };
        out.push_str(&converted(value, kind, spec, safe, budget)?);
    }
    out.push_str(rest);
    let scalar = !matches!(
        arguments,
        Value::Map(_) | Value::List(_) | Value::Undefined(_) | Value::Range(_) | Value::View(..) | Value::Object(_)
    );
    if !named && scalar && list.next().is_some() {
        return failed("not all arguments converted during string formatting");
    }
    Ok(if safe { Value::Safe(out.into()) } else { Value::str(out) })
}

/// One value after a `%`.
fn converted(value: &Value, kind: char, mut spec: Spec, safe: bool, budget: &Budget) -> Run<String> {
    let number = || {
        let fault = || format!("%{kind} format: a real number is required, not {}", value.type_name());
        defined(value).and_then(|()| Number::of(value).map_or_else(|| failed(fault()), Ok))
    };
    match kind {
        's' | 'r' | 'a' => {
            let mut shown = text::str(value, budget)?;
            if kind != 's' {
                let mut out = String::new();
                text::repr(value, &mut out, budget)?;
                shown = out.into();
            } else if safe && !matches!(value, Value::Safe(_)) {
                shown = escaped(&shown, budget)?.into();
            }
            let align = spec.align.filter(|&c| c == '<').or(Some('>'));
            let end = spec.precision.and_then(|n| shown.char_indices().nth(n)).map_or(shown.len(), |(end, _)| end);
            Spec { fill: None, align, ..spec }.pad("", &shown[..end], '>', budget)
        }
        'c' => match value {
            Value::Str(text) | Value::Safe(text) if text.chars().count() == 1 => spec.pad("", text, '>', budget),
            _ => match value.as_index().and_then(|n| u32::try_from(n).ok()).and_then(char::from_u32) {
                Some(c) => spec.pad("", &c.to_string(), '>', budget),
                None => failed("%c requires int or char"),
            },
        },
        'd' | 'i' | 'u' | 'o' | 'x' | 'X' => {
            let n = match number()? {
                Number::Int(n) => n,
                Number::Float(x) if !"diu".contains(kind) => {
                    return failed(format!("%{kind} format: an integer is required, not float: {x}"));
                }
                Number::Float(x) if x.is_finite() && x.abs() < 1e38 => x as i128,
                Number::Float(_) => return failed("cannot convert float to integer"),
            };
            let digits = spec.precision.take().unwrap_or(0);
            spec.kind = Some(if "iu".contains(kind) { 'd' } else { kind });
            if digits == 0 {
                return spec.integer(n, budget);
            }
            let plain =
                Spec { kind: spec.kind, ..Spec::default() }.integer(n.checked_abs().unwrap_or(i128::MAX), budget)?;
            spec.pad(spec.sign(n < 0), &format!("{plain:0>digits$}"), '>', budget)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let x = number()?.float();
            spec.kind = Some(kind);
            spec.float(x, budget)
        }
        other => failed(format!("unsupported format character '{other}'")),
    }
}

/// `template.format(…)`
pub(super) fn braces(machine: &mut Machine, template: &Arc<str>, given: &Given, safe: bool) -> Run<Value> {
    let mut next = Some(0);
    let out = fields(machine, template, given, &mut next, safe, 0)?;
    Ok(if safe { Value::Safe(out.into()) } else { Value::str(out) })
}

/// The text with its fields filled in. `next` is the place of the next field without a name, while there is one.
fn fields(
    machine: &mut Machine,
    template: &str,
    given: &Given,
    next: &mut Option<usize>,
    safe: bool,
    level: usize,
) -> Run<String> {
    if level > 1 {
        return failed("Max string recursion exceeded");
    }
    machine.budget.bytes(template.len())?;
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return failed("Single '}' encountered in format string");
        }
        let Some(end) = closing(after) else { return failed("Single '{' encountered in format string") };
        let field = &after[..end];
        rest = &after[end + 1..];
        // a colon or an exclamation mark within [ ] belongs to the name
        let mut depth = 0;
        let stop = field.find(|c| {
            depth += (c == '[') as i32 - (c == ']') as i32;
            depth <= 0 && (c == ':' || c == '!')
        });
        let (name, tail) = field.split_at(stop.unwrap_or(field.len()));
        let (conversion, spec) = match tail.strip_prefix('!') {
            Some(tail) => match tail.split_once(':') {
                Some((conversion, spec)) => (conversion, spec),
                None => (tail, ""),
            },
            None => ("", tail.strip_prefix(':').unwrap_or("")),
        };
        let mut value = argument(machine, name, given, next)?;
        match conversion {
            "" => {}
            "s" => value = Value::Str(text::str(&value, &machine.budget)?),
            "r" | "a" => {
                let mut out = String::new();
                text::repr(&value, &mut out, &machine.budget)?;
                value = Value::str(out);
            }
            other => return failed(format!("Unknown conversion specifier '{other}'")),
        }
        let spec = match spec.is_empty() {
            true => String::new(),
            false => fields(machine, spec, given, next, false, level + 1)?,
        };
        let shown = formatted(&value, &spec, &machine.budget)?;
        match safe && !matches!(value, Value::Safe(_)) {
            true => out.push_str(&escaped(&shown, &machine.budget)?),
            false => out.push_str(&shown),
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the brace that is open at the beginning closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The argument that a field names: `0`, `name`, `name.attribute[key]`, or nothing for the next one.
fn argument(machine: &mut Machine, name: &str, given: &Given, next: &mut Option<usize>) -> Run<Value> {
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut rest) = name.split_at(end);
    let index = match (first.is_empty(), first.parse::<usize>()) {
        (true, _) => match next {
            Some(n) => {
                *n += 1;
                Some(*n - 1)
            }
            None => return failed("cannot switch from manual field specification to automatic field numbering"),
        },
        (false, Ok(n)) => {
            if next.is_some_and(|n| n > 0) {
                return failed("cannot switch from automatic field numbering to manual field specification");
            }
            *next = None;
            Some(n)
        }
        _ => None,
    };
    let found = match index {
        Some(n) => given.positional.get(n),
        None => given.named.iter().find(|(known, _)| **known == *first).map(|(_, value)| value),
    };
    let Some(mut value) = found.cloned() else {
        return failed(format!("the format string has a field {first:?} without an argument"));
    };
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            value = machine.attribute(&value, &after[..end].into())?;
            rest = &after[end..];
        } else if let Some((key, after)) = rest.strip_prefix('[').and_then(|s| s.split_once(']')) {
            let key = key.parse().map_or_else(|_| Value::str(key), Value::Int);
            value = machine.item(&value, &key)?;
            rest = after;
        } else {
            return failed("Only '.' or '[' may follow ']' in format field specifier");
        }
    }
    Ok(value)
}
