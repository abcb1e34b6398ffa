//! Ids from outside: any text is read or refused, and an id is the same in each of its forms.

#[path = "support/properties.rs"]
mod properties;

use std::collections::BTreeMap;

use backgroundjobs_core::JobId;
use proptest::prelude::*;
use uuid::Uuid;

use self::properties::{Seen, any_text, check, mutated, text_around};

fn any_id() -> impl Strategy<Value = JobId> {
    let bits = prop_oneof![any::<u128>(), (0..128_u32).prop_map(|bit| 1 << bit), Just(0), Just(u128::MAX)];
    bits.prop_map(|bits| JobId::from_uuid(Uuid::from_u128(bits)))
}

/// An id in one of the forms that UUIDs are written in.
fn any_form() -> impl Strategy<Value = (JobId, String)> {
    (any_id(), 0..4_u8, any::<bool>()).prop_map(|(id, form, large)| {
        let uuid = id.as_uuid();
        let digits = |text: String| if large { text.to_uppercase() } else { text };
        let text = match form {
            0 => digits(uuid.hyphenated().to_string()),
            1 => digits(uuid.simple().to_string()),
            2 => format!("{{{}}}", digits(uuid.hyphenated().to_string())),
            _ => format!("urn:uuid:{}", digits(uuid.hyphenated().to_string())),
        };
        (id, text)
    })
}

#[test]
fn every_form_of_an_id_is_read_as_that_id() {
    check(1_000, any_form(), |(id, text)| {
        prop_assert_eq!(text.parse::<JobId>().ok(), Some(id));
        prop_assert_eq!(id.to_string().parse::<JobId>().ok(), Some(id));
        Ok(())
    });
}

/// What is read has the digits of the text and no other, whatever stands around them.
#[test]
fn any_text_is_read_as_its_digits_or_refused_in_a_bounded_sentence() {
    let near = mutated(any_form().prop_map(|(_, text)| text));
    let text = prop_oneof![4 => near, 2 => any_text(60), 1 => text_around(1_000), 1 => "[0-9a-f-]{30,40}"];
    let seen = Seen::default();
    check(2_000, text, |text| {
        match text.parse::<JobId>() {
            Ok(id) => {
                seen.saw("read");
                let inner = text.trim_start_matches("urn:uuid:").trim_matches(['{', '}']);
                let digits: String = inner.chars().filter(|character| *character != '-').collect();
                prop_assert_eq!(digits.to_ascii_lowercase(), id.as_uuid().simple().to_string());
            }
            Err(error) => {
                seen.saw("refused");
                let told = error.to_string();
                prop_assert!(told.contains("UUID") && told.len() < 200, "{told}");
                let source = std::error::Error::source(&error).map(ToString::to_string);
                prop_assert!(source.is_some_and(|source| source.len() < 200));
            }
        }
        Ok(())
    });
    seen.expect(100, &["read", "refused"]);
}

#[test]
fn ids_are_in_the_order_of_their_bytes_and_of_their_texts() {
    check(2_000, (any_id(), any_id()), |(a, b)| {
        prop_assert_eq!(a.cmp(&b), a.as_uuid().as_bytes().cmp(b.as_uuid().as_bytes()));
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        prop_assert_eq!(a == b, a.as_uuid() == b.as_uuid());
        Ok(())
    });
}

#[test]
fn an_id_in_json_is_its_text_as_a_value_and_as_a_key() {
    check(1_000, any_form(), |(id, text)| {
        let json = serde_json::to_string(&id).expect("can be written");
        prop_assert_eq!(&json, &format!("\"{id}\""));
        prop_assert_eq!(serde_json::from_str::<JobId>(&json).expect("its own text"), id);
        prop_assert_eq!(serde_json::from_value::<JobId>(text.clone().into()).expect("another form"), id);
        prop_assert_eq!(serde_json::from_reader::<_, JobId>(json.as_bytes()).expect("read"), id);
        let keys = BTreeMap::from([(id, ())]);
        let json = serde_json::to_string(&keys).expect("can be written");
        prop_assert_eq!(serde_json::from_str::<BTreeMap<JobId, ()>>(&json).expect("read"), keys);
        Ok(())
    });
}

#[test]
fn any_json_is_read_as_an_id_only_where_its_text_is_one() {
    let json = prop_oneof![
        any_text(50).prop_map(serde_json::Value::from),
        mutated(any_form().prop_map(|(_, text)| text)).prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<Option<bool>>().prop_map(serde_json::Value::from),
    ];
    check(2_000, json, |json| {
        let expected = json.as_str().and_then(|text| text.parse::<JobId>().ok());
        prop_assert_eq!(serde_json::from_value::<JobId>(json).ok(), expected);
        Ok(())
    });
}
