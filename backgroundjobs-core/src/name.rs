//! Names that are checked once, where they enter: kinds and queues.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Empty, or nothing but white space.
    #[error("the name is blank")]
    Blank,
    /// Has a control character (a line break, a tab, NUL…) at this byte.
    #[error("the name {name:?} has a control character at byte {at}")]
    Control {
        /// The name as given.
        name: String,
        /// Where the character starts.
        at: usize,
    },
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("the name {start:?}… has {bytes} bytes, {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// The first characters of the name.
        start: String,
        /// Its length.
        bytes: usize,
    },
    /// Starts or ends with white space.
    #[error("the name {name:?} starts or ends with white space")]
    Padded {
        /// The name as given.
        name: String,
    },
}

fn check(name: &str) -> Result<(), NameError> {
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong { start: name.chars().take(32).collect(), bytes: name.len() });
    }
    if name.trim().is_empty() {
        return Err(NameError::Blank);
    }
    if let Some((at, _)) = name.char_indices().find(|(_, c)| c.is_control()) {
        return Err(NameError::Control { name: name.to_owned(), at });
    }
    if name.trim() != name {
        return Err(NameError::Padded { name: name.to_owned() });
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 255 bytes of UTF-8 without control characters and without white space at its ends; compared
        /// byte for byte. Cloning is cheap.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `name` and keeps it.
            ///
            /// # Errors
            /// [`NameError`] says what is wrong with it.
            pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
                check(name.as_ref())?;
                Ok(Self(name.as_ref().into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }
    };
}

name_type! {
    /// The stable name of a job type, as in `"register_user"`: what is stored, so never a Rust type name.
    Kind
}

name_type! {
    /// The name of a queue: jobs of one queue share its slots.
    QueueName
}

pub(crate) const DEFAULT_QUEUE: &str = "default";

impl QueueName {
    /// The queue that jobs go to when nothing names another: `default`.
    #[must_use]
    pub fn default_queue() -> Self {
        Self(DEFAULT_QUEUE.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_where_they_enter() {
        assert_eq!(Kind::new("register_user").expect("a fine name"), "register_user");
        assert_eq!(Kind::new("  "), Err(NameError::Blank));
        assert_eq!(Kind::new(""), Err(NameError::Blank));
        assert!(matches!(Kind::new("a\nb"), Err(NameError::Control { at: 1, .. })));
        assert!(matches!(QueueName::new(" mail"), Err(NameError::Padded { .. })));
        assert!(QueueName::new("é".repeat(127)).is_ok());
        assert!(matches!(QueueName::new("é".repeat(128)), Err(NameError::TooLong { bytes: 256, .. })));
    }
}
