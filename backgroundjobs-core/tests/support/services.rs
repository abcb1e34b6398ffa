//! Services that do as a test says, and note what they do.

#![allow(dead_code, reason = "each test that includes this module uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::Env;
use backgroundjobs_core::hosting::{
    BackgroundService, HostError, HostedService, ServiceReport, ServiceResult, Stopping,
};
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// Longer than any test looks.
const FOR_EVER: Duration = Duration::from_secs(1_000_000_000);

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.0.lock().push(line.into());
    }

    /// What was noted since the last look.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }

    /// A listener that notes reports.
    pub(crate) fn reports(&self) -> impl Fn(&ServiceReport) + Send + Sync + 'static {
        let log = self.clone();
        move |report| log.note(format!("{}: {}: {}", report.service, report.what, report.error))
    }
}

/// What one method of a service does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Well,
    Fail(&'static str),
    Panic(&'static str),
    /// Takes this long, and ends well.
    Take(Duration),
    Hang,
}

impl Act {
    pub(crate) async fn act(self, env: &Env) -> ServiceResult {
        match self {
            Self::Well => Ok(()),
            Self::Fail(why) => Err(why.into()),
            Self::Panic(why) => panic!("{why}"),
            Self::Take(time) => {
                env.sleep(time).await;
                Ok(())
            }
            Self::Hang => {
                env.sleep(FOR_EVER).await;
                Ok(())
            }
        }
    }
}

/// A hosted service that notes its calls.
pub(crate) struct Noted {
    name: &'static str,
    log: Log,
    env: Env,
    start: Act,
    stop: Act,
}

/// One of a kit's.
pub(crate) fn noted(kit: &TestKit, log: &Log, name: &'static str) -> Noted {
    Noted { name, log: log.clone(), env: kit.env(), start: Act::Well, stop: Act::Well }
}

impl Noted {
    pub(crate) fn on_start(self, start: Act) -> Self {
        Self { start, ..self }
    }

    pub(crate) fn on_stop(self, stop: Act) -> Self {
        Self { stop, ..self }
    }
}

impl HostedService for Noted {
    async fn start(&self, _: Stopping) -> ServiceResult {
        self.log.note(format!("start {}", self.name));
        self.start.act(&self.env).await?;
        self.log.note(format!("{} is started", self.name));
        Ok(())
    }

    async fn stop(&self, limit: Duration) -> ServiceResult {
        self.log.note(format!("stop {} within {limit:?}", self.name));
        self.stop.act(&self.env).await?;
        self.log.note(format!("{} is stopped", self.name));
        Ok(())
    }
}

/// A background service that works until it is told to stop, and notes that.
pub(crate) struct Works {
    pub(crate) name: &'static str,
    pub(crate) log: Log,
}

impl BackgroundService for Works {
    async fn execute(&self, stopping: Stopping) -> ServiceResult {
        self.log.note(format!("{} works", self.name));
        stopping.cancelled().await;
        self.log.note(format!("{} is told to stop", self.name));
        Ok(())
    }
}

/// A background service that runs for so long, then does as it says, once for each entry; then it works until it is
/// told to stop.
pub(crate) struct Scripted {
    runs: Mutex<Vec<(Duration, Act)>>,
}

impl Scripted {
    pub(crate) fn new(runs: impl IntoIterator<Item = (Duration, Act)>) -> Self {
        let mut runs: Vec<_> = runs.into_iter().collect();
        runs.reverse();
        Self { runs: Mutex::new(runs) }
    }

    /// Does so at once, each time.
    pub(crate) fn always(act: Act) -> Self {
        Self::new(std::iter::repeat_n((Duration::ZERO, act), 1_000))
    }
}

impl BackgroundService for Scripted {
    async fn execute(&self, stopping: Stopping) -> ServiceResult {
        let next = self.runs.lock().pop();
        let Some((time, act)) = next else {
            stopping.cancelled().await;
            return Ok(());
        };
        match stopping.sleep(time).await.has_elapsed() {
            true => act.act(&Env::builder().build()).await,
            false => Ok(()),
        }
    }
}

/// The texts of what failed.
pub(crate) fn failures(outcome: Result<(), HostError>) -> Vec<String> {
    let error = outcome.expect_err("something failed");
    error.failures().iter().map(|failure| format!("{failure:?}")).collect()
}
