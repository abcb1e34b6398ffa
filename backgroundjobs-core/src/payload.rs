//! What travels with a job as text: its args and its metadata.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// The largest buffer, in bytes, that a thread keeps for the next args.
const KEPT_BUFFER: usize = 16 * 1024;

thread_local! {
    /// Args that write others on their way find it empty, and get one of their own.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The args of a job: the exact JSON text that was given. Cloning is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// Writes `args` as JSON.
    ///
    /// # Errors
    /// What `serde_json` says when `args` cannot be written (a map whose keys are not text, say).
    pub fn from_args<A: Serialize>(args: &A) -> Result<Self, serde_json::Error> {
        // Written where the last args were written: the length is known only at the end, and a text of its own
        // would have to be found, copied and let go for each job.
        let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
        buffer.clear();
        let text = serde_json::to_writer(&mut buffer, args).map(|()| json_text(&buffer));
        if buffer.capacity() <= KEPT_BUFFER {
            // A thread that ends keeps nothing.
            _ = BUFFER.try_with(|kept| kept.set(buffer));
        }
        text.map(Self)
    }

    /// Takes a text from outside, after checking that it is JSON.
    ///
    /// # Errors
    /// What `serde_json` says when it is not.
    pub fn from_json(text: impl Into<Arc<str>>) -> Result<Self, serde_json::Error> {
        let text = text.into();
        serde_json::from_str::<IgnoredAny>(&text)?;
        Ok(Self(text))
    }

    /// Takes a text as it lies in a store, unchecked: a damaged row must still be readable, so that its bytes
    /// can be looked at.
    #[must_use]
    pub fn from_store(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text, byte for byte as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the args back.
    ///
    /// # Errors
    /// What `serde_json` says when the text does not fit `A`.
    pub fn decode<A: DeserializeOwned>(&self) -> Result<A, serde_json::Error> {
        serde_json::from_str(&self.0)
    }
}

fn json_text(written: &[u8]) -> Arc<str> {
    str::from_utf8(written).expect("serde_json writes UTF-8").into()
}

impl fmt::Debug for Payload {
    /// Shows the size only: args may hold secrets and must not reach a log by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// Small notes that travel with a job (a trace id, a tenant): text by text, never looked at by the runtime.
pub type Metadata = BTreeMap<String, String>;
