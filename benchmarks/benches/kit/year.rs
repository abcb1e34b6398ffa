//! Jobs and a timer under the kit, on the memory store, for a long virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Clock, Timestamp};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{KitReport, TestKit, VirtualClock};
use serde::{Deserialize, Serialize};

const HOUR: Duration = Duration::from_secs(3_600);
const TEN_SECONDS: Duration = Duration::from_secs(10);
const TWO_HOURS: Duration = Duration::from_secs(2 * 3_600);

/// How much of the year is simulated.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) name: &'static str,
    pub(crate) whole: Duration,
    /// How long, from the beginning, there is a job every ten seconds.
    pub(crate) busy: Duration,
}

impl Span {
    pub(crate) const fn hourly(&self) -> u64 {
        self.whole.as_secs() / HOUR.as_secs()
    }

    pub(crate) const fn often(&self) -> u64 {
        self.busy.as_secs() / TEN_SECONDS.as_secs()
    }

    pub(crate) const fn ticks(&self) -> u64 {
        self.whole.as_secs() / TWO_HOURS.as_secs()
    }

    /// All that the program itself does: runs of jobs and ticks of its timer.
    pub(crate) const fn events(&self) -> u64 {
        self.hourly() + self.often() + self.ticks()
    }
}

/// One simulation: its real time, from the new kit to its checked end, and all timers that fired, the runtime's
/// own among them.
#[derive(Clone, Copy)]
pub(crate) struct Simulated {
    pub(crate) took: Duration,
    pub(crate) timers: u64,
}

/// Which run it is, counted from 1.
#[derive(Serialize, Deserialize)]
struct Hourly(u64);

impl JobArgs for Hourly {
    const KIND: &'static str = "hourly";
}

/// Which run it is, counted from 1.
#[derive(Serialize, Deserialize)]
struct Often(u64);

impl JobArgs for Often {
    const KIND: &'static str = "often";
}

/// How often something happened at the instant at which it should.
struct Beat {
    clock: VirtualClock,
    start: Timestamp,
    every: Duration,
    count: AtomicU64,
}

impl Beat {
    fn new(kit: &TestKit, every: Duration) -> Arc<Self> {
        Arc::new(Self { clock: kit.clock(), start: kit.now(), every, count: AtomicU64::new(0) })
    }

    /// It is the `number`th time. What comes at another instant or out of turn is not counted, so that the
    /// count is short at the end.
    fn note(&self, number: u64) {
        let due = self.start + Duration::from_secs(self.every.as_secs() * number);
        if self.clock.now() == due && self.count() + 1 == number {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// Simulates the span.
pub(crate) async fn simulate(span: Span) -> Result<Simulated, String> {
    let begun = Instant::now();
    let kit = TestKit::new();
    let start = kit.now();
    let beats = [Beat::new(&kit, HOUR), Beat::new(&kit, TEN_SECONDS), Beat::new(&kit, TWO_HOURS)];
    let [hourly, often, ticks] = beats.clone();
    let last = span.often();
    let builder = BackgroundJobs::builder(|options| options.use_in_memory())
        .register_fn(move |Hourly(number): Hourly, ctx: JobContext| {
            hourly.note(number);
            async move {
                ctx.manager().enqueue_in(Hourly(number + 1), HOUR).await?;
                Ok(())
            }
        })
        .register_fn(move |Often(number): Often, ctx: JobContext| {
            often.note(number);
            async move {
                if number < last {
                    ctx.manager().enqueue_in(Often(number + 1), TEN_SECONDS).await?;
                }
                Ok(())
            }
        });
    let jobs = kit.start(builder).await;
    let manager = jobs.manager();
    manager.enqueue_in(Hourly(1), HOUR).await.map_err(|error| error.to_string())?;
    manager.enqueue_in(Often(1), TEN_SECONDS).await.map_err(|error| error.to_string())?;
    let env = kit.env();
    let _abort = kit.scheduler().spawn("timer", async move {
        for number in 1.. {
            env.sleep(TWO_HOURS).await;
            ticks.note(number);
        }
    });
    let report = kit.advance(span.whole).await;
    let checked = check(span, &beats, &report).and_then(|()| stands_at(kit.now(), start + span.whole));
    if checked.is_err() {
        // Else the kit's own complaint would hide what is wrong.
        kit.abandon();
    }
    checked?;
    kit.finish().await;
    Ok(Simulated { took: begun.elapsed(), timers: report.timers_fired() })
}

fn check(span: Span, [hourly, often, ticks]: &[Arc<Beat>; 3], report: &KitReport) -> Result<(), String> {
    let seen = (hourly.count(), often.count(), ticks.count());
    let wanted = (span.hourly(), span.often(), span.ticks());
    if seen != wanted {
        return Err(format!(
            "hourly runs, ten-second runs and ticks on time are {seen:?}, not {wanted:?}: {report}"
        ));
    }
    let runs = span.hourly() + span.often();
    // The last job of the day has no successor.
    if (report.claimed, report.succeeded, report.enqueued) != (runs, runs, runs - 1) {
        return Err(format!("of {runs} runs not all were seen: {report}"));
    }
    if !report.steps.nondeterministic.is_empty() {
        return Err(format!("another run could differ: {report}"));
    }
    Ok(())
}

fn stands_at(now: Timestamp, end: Timestamp) -> Result<(), String> {
    if now == end { Ok(()) } else { Err(format!("the clock stands at {now} and not at {end}")) }
}
