//! [`Refresher`]: the service that keeps a [`Refreshing`] value fresh.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::failure::outcome;
use super::refreshing::Shared;
use super::{BackgroundService, Fresh, Refreshing, ServiceFuture, ServiceResult, Stopping};
use crate::catch_panic::CatchPanic;
use crate::limits::{REFRESH_AT, REFRESH_RETRY_CAP, REFRESH_RETRY_FIRST, REFRESH_TIMEOUT};
use crate::step_aside::step_aside;
use crate::{BoxFuture, ErrorText, RetryPolicy, Timestamp};

/// The service that keeps a [`Refreshing`] value fresh: at once when it starts, then when 90 % of the value's lifetime
/// have passed. One refresh runs at a time. One that fails is reported and tried again after a while; meanwhile the old
/// value is valid until it expires.
///
/// ```
/// use std::time::Duration;
/// use backgroundjobs_core::hosting::{Fresh, Host, Refresher};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let refresher = Refresher::new(async || Ok(Fresh::new("a token".to_owned(), Duration::from_secs(3600))));
/// let token = refresher.value();
/// let host = Host::builder().background("token", refresher).build()?;
/// host.start().await?;
///
/// assert_eq!(*token.get().await?, "a token"); // waits for the first one only
/// host.stop().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a refresher does nothing until a host runs it"]
pub struct Refresher<T> {
    shared: Arc<Shared<T>>,
    refresh: Box<dyn Fn() -> BoxFuture<'static, ServiceResult<Fresh<T>>> + Send + Sync>,
    retry: RetryPolicy,
    timeout: Duration,
}

impl<T: Send + Sync + 'static> Refresher<T> {
    /// Refreshes by this async function or closure.
    pub fn new<F, Fut>(refresh: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: ServiceFuture<Output = ServiceResult<Fresh<T>>> + Send + 'static,
    {
        Self {
            shared: Arc::new(Shared::new()),
            refresh: Box::new(move || Box::pin(refresh())),
            retry: RetryPolicy::new().first(REFRESH_RETRY_FIRST).cap(REFRESH_RETRY_CAP),
            timeout: REFRESH_TIMEOUT,
        }
    }

    /// The waits after failed refreshes; unless set 1 s, twice as long each time, at most 1 min. It is tried again
    /// until it succeeds, whatever number of attempts the policy has.
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How long one refresh may take before it is dropped and counts as failed; 30 s unless set.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The value, for those who read it.
    #[must_use]
    pub fn value(&self) -> Refreshing<T> {
        Refreshing::new(self.shared.clone())
    }

    /// Refreshes once; answers when to refresh again, none when it failed.
    async fn refresh(&self, stopping: &Stopping) -> Option<Timestamp> {
        let (cell, begun) = (stopping.cell(), stopping.now());
        let refresh = cell.guarded("refresh", CatchPanic::new(|| (self.refresh)()));
        let ended = tokio::select! {
            biased;
            ended = refresh => ended,
            () = cell.env.sleep(self.timeout) => {
                Ok(Err(format!("it had not ended after {:?}, and was dropped", self.timeout).into()))
            }
        };
        let problem = match outcome(ended) {
            Ok(Fresh { value, lifetime }) => {
                let expires = begun + lifetime;
                if stopping.now() < expires {
                    self.shared.fill(value, expires, &cell.env);
                    return Some(begun + lifetime.mul_f64(REFRESH_AT));
                }
                ErrorText::new(&format!(
                    "what it brought, with a lifetime of {lifetime:?}, had expired when it came"
                ))
            }
            Err(error) => error,
        };
        cell.report("refresh".to_owned(), problem.clone());
        self.shared.fail(problem);
        None
    }

    /// Waits until it is time, or somebody wants a refresh.
    async fn wait(&self, stopping: &Stopping, until: Timestamp) {
        let cell = stopping.cell();
        loop {
            tokio::select! {
                biased;
                () = cell.env.sleep_until(until) => return,
                () = self.shared.wanted.notified() => if self.shared.is_wanted() { return },
            }
        }
    }
}

impl<T: Send + Sync + 'static> BackgroundService for Refresher<T> {
    async fn execute(&self, stopping: Stopping) -> ServiceResult {
        self.shared.set_over(false);
        let _over = Over(&self.shared);
        let refreshing = async {
            let mut failures: u16 = 0;
            loop {
                match self.refresh(&stopping).await {
                    Some(next) => {
                        failures = 0;
                        self.wait(&stopping, next).await;
                    }
                    None => {
                        failures = failures.saturating_add(1);
                        let env = &stopping.cell().env;
                        env.sleep(self.retry.jittered_delay(failures, env)).await;
                        // A wait of nothing is none.
                        step_aside().await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = stopping.cell().token.cancelled() => Ok(()),
            never = refreshing => never,
        }
    }

    fn check(&self) -> ServiceResult {
        if self.timeout.is_zero() {
            return Err("its timeout is zero, and no refresh could end in it: give it some seconds".into());
        }
        Ok(())
    }
}

/// Nobody refreshes any more, when this is dropped.
struct Over<'a, T>(&'a Shared<T>);

impl<T> Drop for Over<'_, T> {
    fn drop(&mut self) {
        self.0.set_over(true);
    }
}

impl<T> Drop for Refresher<T> {
    fn drop(&mut self) {
        self.shared.set_over(true);
    }
}

impl<T> fmt::Debug for Refresher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresher")
            .field("retry", &self.retry)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
