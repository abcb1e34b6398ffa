//! Names from outside: accepted exactly where the rule says so, refused in a sentence that says why.

#[path = "support/properties.rs"]
mod properties;

use std::collections::HashMap;

use backgroundjobs_core::{Kind, NameError, QueueName};
use proptest::prelude::*;

use self::properties::{Seen, any_text, check, mutated, text_around};

/// Unicode's property `White_Space`, written out.
fn is_white_space(character: char) -> bool {
    matches!(
        character,
        '\u{9}'..='\u{d}' | ' ' | '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}'
            | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// Unicode's category `Cc`, written out.
fn is_control(character: char) -> bool {
    matches!(character, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}')
}

/// 1 to 255 bytes without control characters and without white space at the ends.
fn is_name(text: &str) -> bool {
    let ends = text.chars().next().into_iter().chain(text.chars().next_back());
    (1..=255).contains(&text.len()) && !text.chars().any(is_control) && !ends.into_iter().any(is_white_space)
}

fn any_name_or_not() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => any_text(12),
        3 => mutated("[a-z_]{1,12}"),
        1 => any_text(200),
        3 => text_around(255),
        1 => text_around(1_000),
    ]
}

#[test]
fn a_text_is_a_name_exactly_where_the_rule_says_so() {
    check(1_500, any_name_or_not(), |text| {
        let (kind, queue) = (Kind::new(&text), QueueName::new(&text));
        prop_assert_eq!(kind.is_ok(), is_name(&text));
        prop_assert_eq!(kind.as_ref().err(), queue.as_ref().err());
        if let (Ok(kind), Ok(queue)) = (kind, queue) {
            prop_assert_eq!((kind.as_str(), queue.as_str()), (&*text, &*text));
            prop_assert_eq!((kind.to_string(), queue.to_string()), (text.clone(), text));
        }
        Ok(())
    });
}

#[test]
fn what_is_no_name_is_told_why_in_a_bounded_sentence() {
    let seen = Seen::default();
    check(1_500, any_name_or_not(), |text| {
        let Err(error) = Kind::new(&text) else {
            seen.saw("a name");
            return Ok(());
        };
        let told = error.to_string();
        // The longest is 255 bytes of which each takes six to be shown.
        prop_assert!(told.len() < 2_000, "{} bytes", told.len());
        prop_assert!(!told.chars().any(is_control), "{told:?}");
        match error {
            NameError::TooLong { start, bytes } => {
                seen.saw("too long");
                prop_assert!(text.starts_with(&start) && bytes == text.len() && bytes > 255);
                prop_assert!(told.contains(&bytes.to_string()) && told.contains("255"), "{told}");
            }
            NameError::Control { name, at } => {
                seen.saw("control");
                prop_assert_eq!(&name, &text);
                prop_assert!(text[at..].starts_with(is_control) && !text[..at].contains(is_control));
            }
            NameError::Padded { name } => {
                seen.saw("padded");
                prop_assert!(
                    name == text && (name.starts_with(is_white_space) || name.ends_with(is_white_space))
                );
            }
            NameError::Blank => prop_assert!(text.chars().all(is_white_space)),
            other => return Err(TestCaseError::fail(format!("a new reason: {other:?}"))),
        }
        Ok(())
    });
    seen.expect(20, &["a name", "too long", "control", "padded"]);
}

#[test]
fn names_are_equal_ordered_and_found_as_their_texts() {
    let name = || prop_oneof![any_text(3), mutated("[ab]{1,3}"), text_around(255)];
    check(2_000, (name(), name()), |(a, b)| {
        let (Ok(kind_a), Ok(kind_b)) = (Kind::new(&a), Kind::new(&b)) else { return Ok(()) };
        prop_assert_eq!(kind_a.cmp(&kind_b), a.cmp(&b));
        prop_assert_eq!(kind_a == kind_b, a == b);
        prop_assert_eq!(kind_a == *b, a == b);
        let known = HashMap::from([(kind_a, ())]);
        prop_assert_eq!(known.contains_key(b.as_str()), a == b);
        Ok(())
    });
}
