//! Texts that travel with a job: args in JSON, and errors.

#[path = "support/properties.rs"]
mod properties;

use std::collections::BTreeMap;

use backgroundjobs_core::limits::MAX_ERROR_BYTES;
use backgroundjobs_core::{ErrorText, Payload};
use proptest::prelude::*;
use serde_json::Value;

use self::properties::{Seen, any_text, check, mutated, text_around};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<Option<bool>>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text(6).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let fields = proptest::collection::btree_map(any_text(4), inner.clone(), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Texts that are JSON, nearly JSON, made of its characters, or anything.
fn any_json_or_not() -> impl Strategy<Value = String> {
    let written = any_json().prop_map(|value| value.to_string());
    let spaced = any_json().prop_map(|value| format!(" \n{value:#}\t"));
    prop_oneof![
        2 => written,
        1 => spaced,
        3 => mutated(any_json().prop_map(|value| value.to_string())),
        3 => "[\\[\\]{}\",:0-9eE+.tfn\\\\ud-]{0,20}",
        1 => r#"\[-?[1-9]e[+-]?[0-9]{3}\]|\{"a":"\\u(d[89a-f]|00|20)[0-9a-f]{2}"\}"#,
        1 => any_text(20),
    ]
}

/// `serde_json` reads what is JSON, but for what no Rust value holds: a number out of range, half a pair of
/// surrogates, and what lies too deep. As a payload these are JSON all the same.
fn is_json_that_no_value_holds(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    [
        "number out of range",
        "surrogate",
        "unexpected end of hex escape",
        "recursion limit",
        "unicode code point",
    ]
    .iter()
    .any(|reason| text.contains(reason))
}

#[test]
fn a_payload_is_json_and_the_very_text_that_was_given() {
    let seen = Seen::default();
    check(3_000, any_json_or_not(), |text| {
        let value = serde_json::from_str::<Value>(&text);
        match (Payload::from_json(text.as_str()), value) {
            (Ok(payload), Ok(value)) => {
                seen.saw("JSON");
                prop_assert_eq!(payload.as_str(), &text);
                prop_assert_eq!(payload.decode::<Value>().ok(), Some(value));
            }
            (Ok(payload), Err(error)) => {
                seen.saw("JSON that no value holds");
                prop_assert!(is_json_that_no_value_holds(&error), "{error}");
                prop_assert!(payload.decode::<Value>().is_err());
            }
            (Err(refused), Ok(_)) => prop_assert!(false, "JSON was refused: {refused}"),
            (Err(refused), Err(_)) => {
                seen.saw("no JSON");
                prop_assert!(refused.to_string().len() < 200, "{refused}");
            }
        }
        prop_assert!(Payload::from_store(text.as_str()).as_str() == text);
        Ok(())
    });
    seen.expect(100, &["JSON", "no JSON"]);
    seen.expect(20, &["JSON that no value holds"]);
}

#[test]
fn args_are_written_as_json_and_read_back() {
    let args =
        (any_json(), any_text(20), any::<Option<i128>>(), proptest::collection::vec(any::<u8>(), 0..9));
    check(1_000, args, |args| {
        let payload = Payload::from_args(&args).expect("can be written");
        prop_assert_eq!(payload.as_str(), serde_json::to_string(&args).expect("can be written"));
        prop_assert_eq!(Payload::from_json(payload.as_str()).expect("JSON"), payload.clone());
        let read: (Value, String, Option<i128>, Vec<u8>) = payload.decode().expect("its own text");
        prop_assert_eq!((&read.1, &read.2, &read.3), (&args.1, &args.2, &args.3));
        Ok(())
    });
}

#[test]
fn any_text_is_read_as_the_args_that_it_is_or_is_an_error() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Args {
        name: String,
        #[serde(default)]
        age: Option<u8>,
    }
    let good = (any_text(5), any::<Option<u8>>()).prop_map(|(name, age)| {
        let name = serde_json::to_string(&name).expect("can be written");
        format!(
            "{{\"name\":{name},\"age\":{}}}",
            age.map_or_else(|| "null".to_owned(), |age| age.to_string())
        )
    });
    check(2_000, prop_oneof![mutated(good), any_json_or_not()], |text| {
        let payload = Payload::from_store(text.as_str());
        let args = payload.decode::<Args>();
        prop_assert!(args.is_err() || Payload::from_json(text.as_str()).is_ok());
        prop_assert_eq!(args.ok(), serde_json::from_str::<Args>(&text).ok());
        // Read as nearly anything: never a panic, and never a value out of nothing.
        _ = payload.decode::<BTreeMap<String, Vec<u64>>>();
        _ = payload.decode::<(u8, Option<char>, f32)>();
        _ = payload.decode::<()>();
        Ok(())
    });
}

/// JSON as deep as the largest args can hold. The main thread of a test has a small stack.
#[test]
fn what_lies_too_deep_is_an_error_and_no_overflow() {
    let depth = prop_oneof![0..300_usize, 1_000..200_000_usize];
    check(30, (depth, any::<bool>(), any::<bool>()), |(depth, object, closed)| {
        let (open, close) = if object { ("{\"a\":", "}") } else { ("[", "]") };
        let inner = if object { "1" } else { "" };
        let text = format!(
            "{}{inner}{}",
            open.repeat(depth),
            if closed { close.repeat(depth) } else { String::new() }
        );
        let whole = Payload::from_json(text.as_str());
        prop_assert_eq!(whole.is_ok(), closed && !text.is_empty() || depth == 0 && object);
        let read = Payload::from_store(text.as_str()).decode::<Value>();
        prop_assert!(read.is_err() || depth < 128);
        if closed && (1..127).contains(&depth) {
            prop_assert!(read.is_ok(), "{depth} deep is fine");
        }
        Ok(())
    });
}

#[test]
fn a_payload_shows_its_size_and_nothing_of_its_text() {
    check(500, "[\\[\\]0-9,]{0,30}", |text| {
        let shown = format!("{:?}", Payload::from_store(text.as_str()));
        prop_assert_eq!(shown, format!("Payload({} bytes)", text.len()));
        Ok(())
    });
}

#[test]
fn an_error_text_is_the_text_without_nul_cut_at_a_character() {
    let text = prop_oneof![
        4 => any_text(40),
        3 => text_around(MAX_ERROR_BYTES),
        1 => text_around(MAX_ERROR_BYTES * 4),
        1 => text_around(MAX_ERROR_BYTES).prop_map(|text| text.replace('x', "\0")),
    ];
    check(1_500, text, |text| {
        let kept = ErrorText::new(&text);
        let cleaned = text.replace('\0', " ");
        prop_assert!(kept.as_str().len() <= MAX_ERROR_BYTES && !kept.as_str().contains('\0'));
        if text.len() <= MAX_ERROR_BYTES {
            prop_assert_eq!(kept.as_str(), &cleaned);
        } else {
            let start = kept.as_str().strip_suffix(" …").expect("it says that there was more");
            prop_assert!(cleaned.starts_with(start));
            prop_assert!(start.len() + " …".len() + 4 > MAX_ERROR_BYTES, "no more is cut than must be");
        }
        prop_assert_eq!(ErrorText::new(kept.as_str()), kept);
        Ok(())
    });
}
