//! Hostile and honest JSON.

use serde_json::json;

use super::*;

fn limits() -> Limits {
    Limits::default()
}

fn refused(body: impl AsRef<[u8]>) -> Violation {
    match parse(body.as_ref(), &limits()) {
        Ok(value) => panic!("accepted {value}"),
        Err(violations) => violations.0[0].clone(),
    }
}

#[test]
fn reads_what_serde_json_reads() {
    for text in [
        "null",
        " true ",
        "false",
        "0",
        "-0.5e-7",
        "\"\"",
        "[]",
        "{}",
        "[1,[2,{\"a\":[]}],\"x\"]\n",
        r#"{"a":{"b":{"c":[1,2,{"d":null}]}},"e":"é\n\t\"\\\/\b\f\r\u0041\uD83D\uDE00"}"#,
        "\t{ \"k\" : [ ] , \"l\" : { } }\r\n",
    ] {
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(parse(text.as_bytes(), &limits()).unwrap(), expected, "{text}");
    }
}

#[test]
fn keeps_order_and_digits() {
    // Only the spelling of an exponent is made one: 1E400 becomes 1e+400.
    let text = r#"{"z":1.0,"a":12345678901234567890.123456789012345678901234567890,"m":[1e+400,1e-5,-0,0.10]}"#;
    assert_eq!(parse(text.as_bytes(), &limits()).unwrap().to_string(), text);
}

#[test]
fn refuses_what_is_no_json_and_says_where() {
    for (text, at) in [
        ("", 0),
        ("  ", 2),
        ("{", 1),
        ("[", 1),
        ("[1", 2),
        ("[1,]", 3),
        ("[,1]", 1),
        ("{\"a\"}", 4),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("{a:1}", 1),
        ("{'a':1}", 1),
        ("01", 1),
        ("1.", 2),
        (".5", 0),
        ("+1", 0),
        ("1e", 2),
        ("-", 1),
        ("tru", 0),
        ("nul", 0),
        ("True", 0),
        ("NaN", 0),
        ("[1] 2", 4),
        ("{}{}", 2),
        ("\"a", 2),
        ("\"\\x\"", 2),
        ("\"\\u12G4\"", 3),
        ("\"\\u12", 3),
        ("\"a\nb\"", 2),
        ("\"a\u{0}b\"", 2),
        ("// x", 0),
        ("]", 0),
        ("[1}", 2),
        ("{\"a\":1]", 6),
        ("\"\\u+123\"", 3),
    ] {
        let violation = refused(text);
        assert_eq!(violation.rule, rule::JSON_SYNTAX, "{text:?}");
        assert!(violation.message.ends_with(&format!("(byte {at} of the body)")), "{text:?}: {}", violation.message);
    }
}

#[test]
fn a_fault_knows_its_place() {
    assert_eq!(refused(r#"{"a":{"b/c":[1,2,x]}}"#).pointer, "/a/b~1c/2");
    assert_eq!(refused(r#"{"a":{"b":1 "c":2}}"#).pointer, "/a");
}

#[test]
fn refuses_text_that_is_not_utf_8() {
    for (body, at) in
        [(&b"\"\xFF\""[..], 1), (b"{\"a\":\"\xC3\"}", 6), (b"\"\xED\xA0\x80\"", 1), (b"\xFF\xFE{\0}\0", 0)]
    {
        let violation = refused(body);
        assert_eq!(violation.rule, rule::JSON_UTF8);
        assert!(violation.message.contains(&format!("byte {at} ")), "{}", violation.message);
    }
}

#[test]
fn a_byte_order_mark_is_ignored() {
    assert_eq!(parse("\u{FEFF}[1]".as_bytes(), &limits()).unwrap(), json!([1]));
}

#[test]
fn lone_surrogates_are_named() {
    for text in [r#""\uD800""#, r#""\uDC00""#, r#""\uD800\uD800""#, r#""\uD800x""#, r#""\uD800\n""#, r#"{"\uDFFF":1}"#]
    {
        let violation = refused(text);
        assert_eq!(violation.rule, rule::JSON_SURROGATE, "{text}");
        assert!(violation.message.contains("surrogate"), "{}", violation.message);
    }
}

/// A payload is stored as JSON text: there U+0000 is the six characters it came as, which every text column can hold.
#[test]
fn nul_characters_survive_as_six_characters() {
    let text = r#"{"a\u0000b":"\u0000"}"#;
    let value = parse(text.as_bytes(), &limits()).unwrap();
    assert_eq!(value, json!({ "a\0b": "\0" }));
    assert_eq!(value.to_string(), text);
    assert!(!value.to_string().contains('\0'));
}

#[test]
fn every_duplicate_key_is_refused_at_its_place() {
    let Err(Violations(list)) = parse(br#"{"a":1,"b":[{"c":1,"c":2}],"a":3,"\u0061":4}"#, &limits()) else {
        panic!("accepted")
    };
    let places: Vec<_> = list.iter().map(|v| (v.pointer.as_str(), v.rule)).collect();
    assert_eq!(places, [("/b/0/c", rule::JSON_DUPLICATE), ("/a", rule::JSON_DUPLICATE), ("/a", rule::JSON_DUPLICATE)]);
}

#[test]
fn no_more_duplicates_are_listed_than_the_limit() {
    let body = format!("{{{}\"a\":1}}", "\"a\":1,".repeat(10_000));
    let Err(Violations(list)) = parse(body.as_bytes(), &limits()) else { panic!("accepted") };
    assert_eq!(list.len(), limits().violations);
}

/// serde_json would turn these objects into numbers, or fail on them, when a stored payload is read back.
#[test]
fn keys_with_a_meaning_of_their_own_are_refused() {
    for key in ["$serde_json::private::Number", "$serde_json::private::RawValue"] {
        assert_eq!(refused(format!("{{\"a\":{{\"{key}\":\"1\"}}}}")).rule, rule::JSON_RESERVED);
    }
}

#[test]
fn depth_is_a_number_not_a_stack_overflow() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(parse(nested(64).as_bytes(), &limits()).is_ok());
        for depth in [65, 10_000, 1_000_000] {
            let violation = refused(nested(depth));
            assert_eq!(violation.rule, rule::JSON_DEPTH);
            assert!(violation.message.contains("64 levels"), "{}", violation.message);
        }
    }
    assert_eq!(refused("[".repeat(10_000)).rule, rule::JSON_DEPTH);
}

#[test]
fn a_small_body_cannot_become_a_huge_document() {
    let limits = Limits { values: 1_000, ..limits() };
    assert!(parse(format!("[{}0]", "0,".repeat(998)).as_bytes(), &limits).is_ok());
    let Err(Violations(list)) = parse(format!("[{}0]", "0,".repeat(100_000)).as_bytes(), &limits) else {
        panic!("accepted")
    };
    assert_eq!(list[0].rule, rule::JSON_VALUES);
    assert!(list[0].message.contains("1000 values"));
}

#[test]
fn a_string_of_sixteen_megabytes_is_one_string() {
    let text = "é".repeat(8 << 20);
    let body = format!("\"{text}\"");
    assert_eq!(parse(body.as_bytes(), &limits()).unwrap(), Value::String(text));
    let escaped = format!("\"{}\"", "\\u00e9".repeat(1 << 20));
    assert_eq!(parse(escaped.as_bytes(), &limits()).unwrap().as_str().map(str::len), Some(2 << 20));
}

#[test]
fn in_a_batch_a_place_is_a_statement_and_a_pointer() {
    let place = |body: &str| {
        let Err(Violations(list)) = parse_batch(body.as_bytes(), &limits()) else { panic!("accepted") };
        (list[0].statement, list[0].pointer.clone())
    };
    assert_eq!(place(r#"[{},{"a":{"b":1,"b":2}}]"#), (Some(1), "/a/b".to_owned()));
    assert_eq!(place(r#"{"a":1,"a":2}"#), (Some(0), "/a".to_owned()));
    assert_eq!(place(r#"[{},{"a":nope}]"#), (Some(1), "/a".to_owned()));
    assert_eq!(place("x"), (None, String::new()));
}

#[test]
fn a_statement_that_is_too_large_is_not_read_to_its_end() {
    let limits = Limits { statement_bytes: 1_000, ..limits() };
    let members: String = (0..10_000).map(|n| format!("\"k{n}\":{n},")).collect();
    for (body, statement) in [(format!("{{{members}nope"), 0), (format!("[{{}},{{\"x\":{{{members}nope"), 1)] {
        let Err(Violations(list)) = parse_batch(body.as_bytes(), &limits) else { panic!("accepted") };
        assert_eq!((list.len(), list[0].rule, list[0].statement), (1, rule::STATEMENT_BYTES, Some(statement)));
        assert!(list[0].pointer.contains("/k") && list[0].message.contains("the limit is 1000"), "{:?}", list[0]);
    }
}

#[test]
fn limits_on_statements_answer_with_their_numbers() {
    let limits = Limits { statements: 2, statement_bytes: 20, ..limits() };
    assert!(parse_batch(br#"[{"a":"0123456789"}, {}]"#, &limits).is_ok());
    let Err(Violations(list)) = parse_batch(b"[{},{},{},{}]", &limits) else { panic!("accepted") };
    assert_eq!((list[0].rule, list[0].message.contains("more than 2 statements")), (rule::BATCH_STATEMENTS, true));
    let large = r#"{"a":"0123456789012345678"}"#;
    for (body, statement) in [(format!("[{{}},{large}]"), Some(1)), (large.to_owned(), Some(0))] {
        let Err(Violations(list)) = parse_batch(body.as_bytes(), &limits) else { panic!("accepted") };
        assert_eq!((list[0].rule, list[0].statement), (rule::STATEMENT_BYTES, statement));
        assert!(list[0].message.contains("the limit is 20"), "{}", list[0].message);
    }
}
