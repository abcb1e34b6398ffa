//! [`Refreshing`]: a value that a service keeps fresh, as an access token.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::readable::debug_is_text;
use crate::{Env, ErrorText, Timestamp};

/// A value that a [`Refresher`](super::Refresher) keeps fresh. Readers wait for the first one only.
///
/// Cloning makes another handle on the same value.
pub struct Refreshing<T> {
    shared: Arc<Shared<T>>,
}

/// What a refresh brings: a value, and how long it lives, counted from when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fresh<T> {
    /// The value.
    pub value: T,
    /// How long it is valid; zero is a failed refresh.
    pub lifetime: Duration,
}

impl<T> Fresh<T> {
    /// A value that lives so long.
    #[must_use]
    pub const fn new(value: T, lifetime: Duration) -> Self {
        Self { value, lifetime }
    }
}

pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
    /// A refresh has ended, or there will be none.
    changed: Notify,
    /// A reader wants a refresh now.
    pub(super) wanted: Notify,
}

struct State<T> {
    held: Option<Held<T>>,
    /// Refreshes that have ended.
    ended: u64,
    /// How the last refresh failed, if it did.
    last_error: Option<ErrorText>,
    is_wanted: bool,
    /// Nobody refreshes it any more.
    is_over: bool,
}

struct Held<T> {
    value: Arc<T>,
    expires: Timestamp,
    env: Env,
}

impl<T> Refreshing<T> {
    pub(super) const fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared }
    }

    /// The value as it is. Never waits.
    ///
    /// # Errors
    /// [`RefreshError`]: there is none yet, it has expired, or there will be none.
    pub fn current(&self) -> Result<Arc<T>, RefreshError> {
        self.shared.state.lock().current()
    }

    /// The value. Waits for the first one; later it never does.
    ///
    /// Cancel safety: may be dropped and called again.
    ///
    /// # Errors
    /// [`RefreshError`]: it has expired, or there will be none.
    pub async fn get(&self) -> Result<Arc<T>, RefreshError> {
        loop {
            let changed = self.shared.changed.notified();
            match self.current() {
                Err(RefreshError::NotYet { .. }) => changed.await,
                other => return other,
            }
        }
    }

    /// Has the value refreshed now, and answers the new one: for a token that was refused before its time. All who ask
    /// while a refresh is under way share that one. After a failed refresh the next one comes after a while, and
    /// this answers the failure at once: it does not hurry a service that is in trouble.
    ///
    /// Cancel safety: dropped before its end, the refresh goes on.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn refresh(&self) -> Result<Arc<T>, RefreshError> {
        let before = {
            let mut state = self.shared.state.lock();
            if state.is_over {
                return Err(RefreshError::Stopped);
            }
            if let Some(error) = &state.last_error {
                return Err(RefreshError::Failed { error: error.clone() });
            }
            state.is_wanted = true;
            state.ended
        };
        self.shared.wanted.notify_one();
        loop {
            let changed = self.shared.changed.notified();
            {
                let state = self.shared.state.lock();
                if state.ended > before {
                    let error = state.last_error.clone();
                    return error
                        .map_or_else(|| state.current(), |error| Err(RefreshError::Failed { error }));
                }
                if state.is_over {
                    return Err(RefreshError::Stopped);
                }
            }
            changed.await;
        }
    }
}

impl<T> State<T> {
    fn current(&self) -> Result<Arc<T>, RefreshError> {
        let last_error = self.last_error.clone();
        match &self.held {
            Some(held) if held.env.now() < held.expires => Ok(held.value.clone()),
            Some(held) => Err(RefreshError::Expired { since: held.expires, last_error }),
            None if self.is_over => Err(RefreshError::Stopped),
            None => Err(RefreshError::NotYet { last_error }),
        }
    }
}

impl<T> Shared<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                held: None,
                ended: 0,
                last_error: None,
                is_wanted: false,
                is_over: false,
            }),
            changed: Notify::new(),
            wanted: Notify::new(),
        }
    }

    /// A refresh has brought this.
    pub(super) fn fill(&self, value: T, expires: Timestamp, env: &Env) {
        let before = {
            let mut state = self.state.lock();
            state.refresh_ended(None);
            state.held.replace(Held { value: Arc::new(value), expires, env: env.clone() })
        };
        // The program's own drop is not called under the lock.
        drop(before);
        self.changed.notify_waiters();
    }

    /// A refresh has failed.
    pub(super) fn fail(&self, error: ErrorText) {
        self.state.lock().refresh_ended(Some(error));
        self.changed.notify_waiters();
    }

    /// Whether somebody has asked for a refresh since the last one ended.
    pub(super) fn is_wanted(&self) -> bool {
        self.state.lock().is_wanted
    }

    /// Whether there is somebody who refreshes.
    pub(super) fn set_over(&self, is_over: bool) {
        self.state.lock().is_over = is_over;
        self.changed.notify_waiters();
    }
}

impl<T> State<T> {
    fn refresh_ended(&mut self, error: Option<ErrorText>) {
        self.ended += 1;
        self.is_wanted = false;
        self.last_error = error;
    }
}

impl<T> Clone for Refreshing<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

/// Without the value, which may be a secret.
impl<T> fmt::Debug for Refreshing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("Refreshing")
            .field("expires", &state.held.as_ref().map(|held| held.expires))
            .field("refreshes", &state.ended)
            .field("last_error", &state.last_error)
            .finish_non_exhaustive()
    }
}

/// Why there is no valid value.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// It was never refreshed yet.
    #[error("the value is not there yet: its first refresh {}", why_not_yet(last_error.as_ref()))]
    NotYet {
        /// How the last refresh failed, if one did.
        last_error: Option<ErrorText>,
    },
    /// It was not refreshed in time.
    #[error(
        "the value has expired at {since}{}",
        last_error.as_ref().map_or_else(String::new, |error| format!(", and its last refresh failed: {error}"))
    )]
    Expired {
        /// When it expired.
        since: Timestamp,
        /// How the last refresh failed, if it did.
        last_error: Option<ErrorText>,
    },
    /// The last refresh failed; the next one comes after a while.
    #[error("the value could not be refreshed: {error}")]
    Failed {
        /// How it failed.
        error: ErrorText,
    },
    /// Nobody refreshes it any more.
    #[error("nobody refreshes the value: its service is not in a host, or has stopped")]
    Stopped,
}

fn why_not_yet(last_error: Option<&ErrorText>) -> String {
    last_error.map_or_else(
        || "has not ended, or the host was not started".to_owned(),
        |error| format!("failed, and is tried again: {error}"),
    )
}

debug_is_text!(RefreshError);
