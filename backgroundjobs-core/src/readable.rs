//! Errors that read well where a program only prints them, and values that read well in JSON.

/// Makes `{:?}` of an error its text with the chain of its sources: that is what a program shows whose `main`
/// returns it.
macro_rules! debug_is_text {
    ($($error:ty),* $(,)?) => {
        $(impl std::fmt::Debug for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::failure::chain(self))
            }
        })*
    };
}

/// Writes and reads a type as its text.
macro_rules! serde_is_text {
    ($($type:ty),* $(,)?) => {
        $(
            impl serde::Serialize for $type {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> serde::Deserialize<'de> for $type {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                }
            }
        )*
    };
}

pub(crate) use {debug_is_text, serde_is_text};

#[cfg(test)]
mod tests {
    use crate::{
        EnqueueError, IdleError, JobId, JobState, StoreError, StoreErrorKind, StoreOperation, Timestamp,
    };

    #[test]
    fn an_error_that_main_returns_can_be_read() {
        let source = StoreError::new(StoreOperation::Count, StoreErrorKind::Unavailable, "no route to host");
        let error: Box<dyn std::error::Error> = IdleError::Store(source).into();
        assert_eq!(
            format!("{error:?}"),
            "the store could not count the jobs that are left: the store failed to count: no route to host"
        );
        let error = EnqueueError::Stopped { kind: "mail".into(), store: "memory" };
        assert_eq!(format!("{error:?}"), error.to_string());
    }

    #[test]
    fn ids_instants_and_states_are_text_in_json() {
        let id: JobId = "01938f3a-7c1e-7000-8000-000000000001".parse().expect("an id");
        let value = (id, Timestamp::UNIX_EPOCH, JobState::Succeeded);
        let json = serde_json::to_string(&value).expect("can be written");
        assert_eq!(json, r#"["01938f3a-7c1e-7000-8000-000000000001","1970-01-01T00:00:00Z","succeeded"]"#);
        let read: (JobId, Timestamp, JobState) = serde_json::from_str(&json).expect("can be read");
        assert_eq!(read, value);
        let escaped = r#""1970-01-01T00:00:00\u005a""#;
        assert_eq!(serde_json::from_str::<Timestamp>(escaped).expect("can be read"), Timestamp::UNIX_EPOCH);
        let error = serde_json::from_str::<JobId>("\"none\"").expect_err("not an id");
        assert!(error.to_string().contains("not a job id"), "{error}");
    }
}
