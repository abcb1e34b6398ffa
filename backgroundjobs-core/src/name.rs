//! Names that are checked once, where they enter: kinds and queues.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::ptr;
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

/// Whether a text is a name.
pub(crate) fn check(name: &str) -> Result<(), NameError> {
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

/// The text of a name, compared and hashed as text. One that the program has in its code is cloned without a
/// count of clones, which would be memory that every thread writes several times for each job.
#[derive(Clone)]
enum Text {
    Static(&'static str),
    /// Boxed, so that a name is not larger for having two forms.
    Shared(Arc<Box<str>>),
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        // Most names that meet are clones of one.
        ptr::eq(&**self, &**other) || **self == **other
    }
}

impl Eq for Text {}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        if ptr::eq(&**self, &**other) { Ordering::Equal } else { (**self).cmp(&**other) }
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 255 bytes of UTF-8 without control characters and without white space at its ends; compared
        /// byte for byte. Cloning is cheap.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Text);

        impl $name {
            /// Checks `name` and keeps it.
            ///
            /// # Errors
            /// [`NameError`] says what is wrong with it.
            pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
                check(name.as_ref())?;
                Ok(Self(Text::Shared(Arc::new(name.as_ref().into()))))
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
                fmt::Debug::fmt(&*self.0, f)
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
    pub const fn default_queue() -> Self {
        Self(Text::Static(DEFAULT_QUEUE))
    }
}

impl Kind {
    /// As [`new`](Self::new), of a name in the program's code: cloning is free.
    pub(crate) fn of_static(name: &'static str) -> Result<Self, NameError> {
        check(name)?;
        Ok(Self(Text::Static(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_text_wherever_that_lies() {
        assert_eq!(size_of::<Kind>(), size_of::<&str>());
        let (fixed, shared) = (Kind::of_static("mail").expect("a name"), Kind::new("mail").expect("a name"));
        assert_eq!((&fixed, fixed.cmp(&shared)), (&shared, Ordering::Equal));
        assert!(fixed < Kind::new("report").expect("a name"));
        let kinds = std::collections::HashSet::from([fixed]);
        assert!(kinds.contains(&shared) && kinds.contains("mail"));
    }

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
