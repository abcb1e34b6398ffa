//! [`Sql`]: statements with the table prefix filled in.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// So many texts are kept; a store has far fewer, unless its shapes of claims differ wildly.
const KEPT: usize = 500;

/// Fills in the prefix, once for each text. What callers say is never part of a text: it is bound.
pub(crate) struct Sql {
    prefix: String,
    texts: Mutex<HashMap<Box<str>, Arc<str>>>,
}

impl Sql {
    /// With a prefix that was checked.
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), texts: Mutex::default() }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `template` with the prefix for each `{p}`.
    pub(crate) fn text(&self, template: &str) -> Arc<str> {
        let mut texts = self.texts.lock();
        if let Some(text) = texts.get(template) {
            return text.clone();
        }
        if texts.len() >= KEPT {
            texts.clear();
        }
        let text: Arc<str> = template.replace("{p}", &self.prefix).into();
        texts.insert(template.into(), text.clone());
        text
    }
}
