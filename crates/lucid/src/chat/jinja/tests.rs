//! What no golden shows: limits, lines of errors, and that rendering never panics.

use super::*;
use crate::chat::zone::Zone;
use proptest::prelude::*;
use std::{
    borrow::Cow,
    time::{Instant, SystemTime},
};

fn render(source: &str) -> Result<String, String> {
    let jinja = Jinja::parse(source).map_err(|fault| format!("line {}: {}", fault.line, fault.what))?;
    let words = serde_json::json!(["a", "b"]);
    let now = Now::at(SystemTime::UNIX_EPOCH, &Zone::default());
    jinja
        .render(&[("words", Cow::Owned(words))], now)
        .map_err(|failure| format!("line {}: {:?}", failure.line, failure.stop))
}

/// The template is refused in these words, and soon.
fn refused(source: &str, words: &str) {
    let started = Instant::now();
    let error = render(source).map(|text| text.len()).expect_err(&source[..source.len().min(100)]);
    assert!(error.contains(words), "{:.100}: {error}", source);
    // A second is what a user may wait on a machine of his own. This clock also runs while other programs do, so it only
    // tells what ends from what does not: the budget above is what is tested.
    assert!(started.elapsed().as_secs_f64() < 60.0, "{:.100}: took {:?}", source, started.elapsed());
}

#[test]
fn time_is_bounded() {
    const LOOP: &str = "{% for i in range(100000) %}";
    refused(&format!("{LOOP}{LOOP}{LOOP}{{% endfor %}}{{% endfor %}}{{% endfor %}}"), "more steps or memory");
    refused(&format!("{LOOP}{LOOP}{{{{ i ~ i }}}}{{% endfor %}}{{% endfor %}}"), "more steps or memory");
    refused(
        &format!("{LOOP}{LOOP}{{% set x = i in range(100000) %}}{{% endfor %}}{{% endfor %}}"),
        "more steps or memory",
    );
    refused("{{ range(10 ** 9) }}", "more than 100000 numbers");
    refused("{% set l = range(100000) | list %}{% for i in l %}{{ l == l[:] }}{% endfor %}", "more steps or memory");
    refused(
        "{% set l = range(100000) | list %}{% for i in l %}{{ l | sort | first }}{% endfor %}",
        "more steps or memory",
    );
    refused(
        "{% set s = 'ab' * 1000000 %}{% for i in range(99999) %}{{ 'x' in s }}{% endfor %}",
        "more steps or memory",
    );
    refused("{% set s = 'ab' * 1000000 %}{% for i in range(99999) %}{{ s[1] }}{% endfor %}", "more steps or memory");
    refused(
        "{% set s = 'ab' * 1000000 %}{% for i in range(99999) %}{{ s.strip('ab') }}{% endfor %}",
        "more steps or memory",
    );
    refused(
        "{% set s = ('a' * 1000 ~ 'b') * 1000 %}{% for i in range(99999) %}{{ s.find('a' * 1000 ~ 'c') }}{% endfor %}",
        "more steps or memory",
    );
    refused("{% for i in range(99999) %}{{ '%1000.1000f' % 1e300 }}{% endfor %}", "more steps or memory");
    refused("{% set l = ['é' * 50000] %}{% for i in range(99999) %}{{ l }}{% endfor %}", "more steps or memory");
    refused("{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nests deeper");
}

#[test]
fn memory_is_bounded() {
    refused("{{ 'a' * 10 ** 12 }}", "more steps or memory");
    refused("{{ [1] * 10 ** 12 }}", "more steps or memory");
    refused("{{ 'a' * (10 ** 38 - 1) }}", "more steps or memory");
    refused(
        "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "more steps or memory",
    );
    refused(
        "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "more steps or memory",
    );
    refused(
        "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "more steps or memory",
    );
    refused(
        "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s.replace('', ns.s) %}{% endfor %}",
        "more steps or memory",
    );
    refused(
        "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s.join(ns.s) ~ 'ab' %}{% endfor %}",
        "more steps or memory",
    );
    for width in ["10 ** 12", "10 ** 37"] {
        for pad in [
            "'a' | center(W)",
            "'a'.center(W)",
            "'a'.ljust(W)",
            "'a'.rjust(W)",
            "'a'.zfill(W)",
            "'a\\nb' | indent(W)",
            "[1] | tojson(indent=W)",
            "'a\\tb'.expandtabs(W)",
            "[1] | batch(W, 0) | list",
            "[1] | slice(W) | list",
            "'%*d' % (W, 1)",
            "'{:{}}'.format(1, W)",
        ] {
            refused(&format!("{{{{ {} }}}}", pad.replace('W', &format!("({width})"))), "");
        }
    }
    refused("{{ '%1000000000000d' % 1 }}", "more steps or memory");
    refused("{{ '%99999999999999999999999d' % 1 }}", "more steps or memory");
    refused("{{ '{:1000000000000}'.format(1) }}", "more steps or memory");
    refused("{{ '%.1000000f' % 1.5 }}", "more than 1000 digits");
    refused("{{ '{:.1000000f}'.format(1.5) }}", "more than 1000 digits");
    refused("{{ 10 ** 10 ** 10 }}", "38 digits");
    refused("{{ 9 ** 9999999999999999 }}", "38 digits");
    refused("{{ (2 ** 126 + 2 ** 126) * 2 }}", "38 digits");
    refused("{{ -(-(2 ** 126) - 2 ** 126) }}", "38 digits");
    refused("{{ 123456789012345678901234567890123456789012345678901234567890 }}", "too large");
    // what is printed counts too
    let four = "{% for a in range(99999) %}{{ s }}{% endfor %}";
    refused(&format!("{{% set s = 'a' * 1000000 %}}{four}"), "more steps or memory");
}

#[test]
fn depth_is_bounded() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{1:", "}"),
        ("not ", ""),
        ("-", ""),
        ("a(", ")"),
        ("a[", "]"),
        ("1 + (", ")"),
        ("x if y else ", ""),
    ] {
        refused(&format!("{{{{ {}1{} }}}}", open.repeat(50_000), close.repeat(50_000)), "nests deeper");
    }
    for chain in [".a", "[0]", "()", "|upper", " is x", " if x"] {
        refused(&format!("{{{{ x{} }}}}", chain.repeat(50_000)), "");
    }
    refused(&"{% if 1 %}".repeat(50_000), "nests deeper");
    refused(&format!("{}{}", "{% for i in [1] %}".repeat(5_000), "{% endfor %}".repeat(5_000)), "nests deeper");
    refused(&format!("{{% set {}a{} = 1 %}}", "(".repeat(50_000), ")".repeat(50_000)), "nests deeper");
    refused("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself");
    refused(
        "{% macro f(x) %}{% if x %}{{ g(x) }}{% endif %}{% endmacro %}{% macro g(x) %}{% for i in [1] %}{{ f(x) }}{% endfor %}{% endmacro %}{{ f(1) }}",
        "calls itself",
    );
    refused("{% macro f() %}{% call f() %}{% endcall %}{% endmacro %}{{ f() }}", "calls itself");
    refused(
        "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
        "nest deeper",
    );
    refused(
        "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = {'a': ns.l} %}{% endfor %}{{ ns.l }}",
        "nest deeper",
    );
    refused(
        "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = [ns.l] | map('list') %}{% endfor %}",
        "nest deeper",
    );
    refused(
        "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = cycler(ns.l) %}{% endfor %}",
        "nest deeper",
    );
}

#[test]
fn long_is_not_deep() {
    let sum = format!("{{{{ {} }}}}", vec!["1"; 20_000].join(" + "));
    assert_eq!(render(&sum).unwrap(), "20000");
    let joined = format!("{{{{ {} }}}}", vec!["'a'"; 20_000].join(" ~ "));
    assert_eq!(render(&joined).unwrap().len(), 20_000);
    let branches = format!("{{% if 0 %}}{}{{% else %}}x{{% endif %}}", "{% elif 0 %}".repeat(20_000));
    assert_eq!(render(&branches).unwrap(), "x");
    assert_eq!(render(&"{{ words[0] }}\n{% set x = 1 %}".repeat(10_000)).unwrap().len(), 20_000);
}

#[test]
fn a_namespace_may_hold_itself() {
    let source = "{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns.ns.ns.ns is defined }}{{ ns }}";
    assert_eq!(render(source).unwrap(), "True<Namespace>");
    let kept = "{% set ns = namespace(l=none) %}{% for i in [1] %}{% set ns.l = loop %}{% endfor %}{{ ns.l.index }}";
    assert_eq!(render(kept).unwrap_err(), "line 1: Failed(\"this loop is over\")");
    let other = "{% set ns = namespace(l=none) %}{% for i in [1] %}{% set ns.l = loop %}{% endfor %}{% for i in [1] %}{{ loop.index }}{{ ns.l.index }}{% endfor %}";
    assert_eq!(render(other).unwrap_err(), "line 1: Failed(\"this loop is over\")");
}

#[test]
fn errors_name_their_line() {
    assert_eq!(render("a\n{{ 1 +\n }}").unwrap_err(), "line 3: expected an expression, and there is }}");
    assert_eq!(
        render("a\n\n{% if words %}\n{{ nothing.x }}{% endif %}").unwrap_err(),
        "line 4: Failed(\"'nothing' is undefined\")"
    );
    assert_eq!(render("\n{{ raise_exception('no') }}").unwrap_err(), "line 2: Raised(\"no\")");
    assert_eq!(render("\n{% wrong %}").unwrap_err(), "line 2: there is no statement \"wrong\"");
    let macros = "{% macro f() %}\n{{ 1 + 'a' }}\n{% endmacro %}\n{{ f() }}";
    assert_eq!(render(macros).unwrap_err(), "line 2: Failed(\"unsupported operand type(s) for +: 'int' and 'str'\")");
    assert_eq!(render(&"x".repeat(LONGEST + 1)).unwrap_err(), "line 1: has 1048577 bytes, and 1048576 are the most");
}

/// Pieces that templates are made of, so that random sequences of them mean something now and then.
const PIECES: [&str; 64] = [
    "{{ ",
    " }}",
    "{% if ",
    " %}",
    "{% endif %}",
    "{% for i in ",
    "{% endfor %}",
    "{% set x = ",
    "{%- ",
    " -%}",
    "{# ",
    " #}",
    "{% macro m(a, b=1) %}",
    "{% endmacro %}",
    "{% call m() %}",
    "{% endcall %}",
    "{% set x %}",
    "{% endset %}",
    "{% else %}",
    "{% raw %}",
    "{% endraw %}",
    "words",
    "x",
    "loop",
    "loop.index",
    "m(",
    "namespace(",
    "range(",
    "'a'",
    "\"é\"",
    "1",
    "2.5",
    "-",
    "+",
    "*",
    "**",
    "/",
    "//",
    "%",
    "~",
    " in ",
    " not ",
    " is ",
    "defined",
    " and ",
    " or ",
    " if ",
    " else ",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ":",
    ",",
    ".",
    "|",
    "upper",
    "tojson",
    "join",
    "\n",
    " ",
    "=",
];

proptest! {
    #[test]
    fn any_text_is_a_template_or_none(source in "\\PC*") {
        let _ = render(&source);
    }

    #[test]
    fn any_pieces_are_a_template_or_none(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)) {
        let _ = render(&pieces.concat());
    }

    #[test]
    fn any_expression_is_computed_or_refused(pieces in prop::collection::vec(prop::sample::select(&PIECES[21..]), 1..12)) {
        let _ = render(&format!("{{{{ {} }}}}", pieces.concat()));
    }

    #[test]
    fn text_without_tags_stays(text in "[a-z \n<>&'\"%}#]*[a-z]") {
        prop_assert_eq!(render(&text), Ok(text));
    }

    #[test]
    fn tojson_writes_json(text in any::<String>(), n in any::<i64>(), x in any::<f64>().prop_filter("", |x| x.is_finite())) {
        let value = serde_json::json!({ "text": text, "list": [n, x, null, true, {}], "é": [] });
        for template in ["{{ v | tojson }}", "{{ v | tojson(indent=2) }}", "{{ v | tojson(ensure_ascii=true) }}"] {
            let jinja = Jinja::parse(template).unwrap();
            let json = jinja.render(&[("v", Cow::Borrowed(&value))], Now::at(SystemTime::UNIX_EPOCH, &Zone::default())).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value.clone());
        }
    }
}
