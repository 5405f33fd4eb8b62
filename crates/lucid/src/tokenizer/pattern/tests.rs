use super::*;

/// The matches of `pattern` in `text`, non-overlapping, from left to right.
fn matches<'t>(pattern: &str, text: &'t str) -> Vec<&'t str> {
    let pattern = Pattern::new(pattern).unwrap();
    let mut fuel = Fuel::for_text(text.len());
    let (mut from, mut found) = (0, Vec::new());
    while let Some(range) = pattern.find(text, from, &mut fuel).unwrap() {
        from = range.end.max(range.start + text[range.start..].chars().next().map_or(1, char::len_utf8));
        found.push(&text[range]);
        if from > text.len() {
            break;
        }
    }
    found
}

#[test]
fn finds_what_a_backtracking_engine_finds() {
    let cases: &[(&str, &str, &[&str])] = &[
        (r"\p{L}+|\p{N}", "ab12ç", &["ab", "1", "2", "ç"]),
        (r"\s+(?!\S)|\s+", "a   b  ", &["  ", " ", "  "]),
        (r"\s*[\r\n]+|\s+(?!\S)", "x \n \n  y", &[" \n \n", " "]),
        (r"(?i:'s|'re)|'", "I'S we'Re 'x", &["'S", "'Re", "'"]),
        (r"\p{N}{1,3}", "1234567", &["123", "456", "7"]),
        (r"\s{4}(?!\S)|\s{1,2}(?!\S)|\s", "x     y", &["    ", " "]),
        (r"[a-z&&[^aeiou]]+", "rhythmic", &["rhythm", "c"]),
        (r"a+?b|a", "aaba", &["aab", "a"]),
        (r"a++a|b", "aaab", &["b"]),
        (r"[^x]?+\p{L}", "ab", &["ab"]),
        (r"(?>a|ab)c|b", "abc", &["b"]),
        (r"(?:ab|a)(?:bc|c)", "abc abbc", &["abc", "abbc"]),
        (r"(A|B){1,2}Z", "ABABZ AZ", &["ABZ", "AZ"]),
        (r"(?:ab){2,}", "ab abab ababab", &["abab", "ababab"]),
        (r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+", "e\u{301} a b, c", &["e\u{301} a b", "c"]),
        (r"\bab\b|\B!", "ab abc !a!", &["ab", "!"]),
        (r"^a|a$", "aa\na", &["a", "a", "a"]),
        (r"\Aa|a\z", "aa\na", &["a", "a"]),
        (r"(?i)straße|ſ", "STRAßE s", &["STRAßE", "s"]),
        (r"\x41\u0042\x{43}", "ABC", &["ABC"]),
        (r".+", "ab\ncd", &["ab", "cd"]),
        (r"(?=(\d{3})+(?!\d))", "12345", &[""]),
        (r"a{,2}b", "aaab", &["aab"]),
    ];
    for (pattern, text, expected) in cases {
        assert_eq!(matches(pattern, text), *expected, "{pattern} in {text:?}");
    }
}

#[test]
fn a_literal_is_itself() {
    for text in ["▁", "a.b", "[<|x|>]", "\\", "-- ~~ && #", " "] {
        let pattern = Pattern::literal(text).unwrap();
        let around = format!("x{text}y");
        assert_eq!(pattern.find(&around, 0, &mut Fuel::for_text(9)).unwrap(), Some(1..1 + text.len()));
    }
}

/// Three megabytes that a careless engine overflows its stack on, or looks at again from every place.
#[test]
fn long_runs_take_linear_time() {
    for (pattern, c, last) in [
        (r"\s*[\r\n]+|\s+(?!\S)|\s+", " ", "x"),
        (r"\s+$", " ", "x"),
        (r"[\p{Lu}\p{Lo}]*[\p{Ll}\p{Lo}]+|\p{Lu}+", "A", "!"),
        (r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+", "a ", "!"),
    ] {
        let text = c.repeat(3_000_000 / c.len()) + last;
        let pattern = Pattern::new(pattern).unwrap();
        assert!(pattern.find(&text, 0, &mut Fuel::for_text(text.len())).is_ok());
    }
}

#[test]
fn endless_backtracking_runs_out_of_fuel() {
    let pattern = Pattern::new(r"(?:a+)+b").unwrap();
    let text = "a".repeat(40);
    assert_eq!(pattern.find(&text, 0, &mut Fuel::for_text(text.len())), Err(OutOfFuel));
}

#[test]
fn what_is_not_supported_is_named() {
    for (pattern, what) in [
        ("(?<=a)b", "(?<="),
        ("(a*)*", "match nothing"),
        ("(?:(?=a))+", "match nothing"),
        (r"\R", r"\R"),
        ("[[:alpha:]]", "[:name:]"),
        ("[a--b]", "--"),
        ("[a", "not closed"),
        ("(a", "not closed"),
        ("a)", "unmatched"),
        ("*a", "repeats nothing"),
        ("a{3,2}", "{3,2}"),
        (r"\p{Nonsense}", "Nonsense"),
        (r"a\", "backslash"),
        (r"\x4", "code point"),
        ("((((a{999}){999}){999}){999})", "size"),
    ] {
        let message = Pattern::new(pattern).unwrap_err();
        assert!(message.contains(what), "{pattern}: {message}");
    }
    assert!(Pattern::new(&"(".repeat(50_000)).unwrap_err().contains("groups within groups"));
}
