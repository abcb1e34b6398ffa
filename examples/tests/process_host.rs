//! Hosts in processes of their own: real signals, real exit codes.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::error::Error;
use std::future::pending;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use backgroundjobs_core::hosting::{Host, HostBuilder, Stopping, Tick, TimedService, signals};
use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

const JOBS: usize = 50;

/// Nothing here takes longer, on a busy machine either.
const LIMIT: Duration = Duration::from_secs(60);

/// Says to a child what it is to do.
const SCENARIO: &str = "BACKGROUNDJOBS_HOST_SCENARIO";

/// Run by the other tests in a process of its own, with the variable set; by itself it does nothing.
#[test]
fn scenario() {
    let Ok(name) = std::env::var(SCENARIO) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    // Never dropped: that would wait for a thread that is blocked.
    let runtime = runtime.expect("a runtime");
    let ended = runtime.block_on(async {
        match name.as_str() {
            "jobs" => jobs_at_work().await,
            "deaf" => run(deaf()).await,
            "blocks" => run(blocks()).await,
            "fails" => run(ends_by(async |_: Stopping| Err("no route to host".into()))).await,
            "panics" => run(ends_by(async |_: Stopping| panic!("fell over"))).await,
            "returns" => run(ends_by(async |_: Stopping| Ok(()))).await,
            "cannot start" => run(cannot_start()).await,
            other => panic!("there is no scenario {other:?}"),
        }
    });
    // As a `main` that returns this does.
    let code = ended.map_or_else(
        |error| {
            eprintln!("Error: {error:?}");
            1
        },
        |()| 0,
    );
    std::process::exit(code);
}

async fn run(builder: HostBuilder) -> Result<(), Box<dyn Error>> {
    let host = builder
        .on_started(async || {
            println!("started");
            Ok(())
        })
        .on_stopping(async || {
            println!("stopping");
            Ok(())
        })
        .build()?;
    let (stop, stop_now) = signals()?;
    Ok(host.run_until(stop, stop_now).await?)
}

#[derive(Serialize, Deserialize)]
struct Work {
    number: usize,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

/// Each job begins before the signal and goes on after it.
async fn jobs_at_work() -> Result<(), Box<dyn Error>> {
    let (stopping, has_begun) = watch::channel(false);
    let jobs = BackgroundJobs::builder(|options| options.use_in_memory().queue("default", JOBS))
        .register_fn_with(
            has_begun,
            async |mut has_begun: watch::Receiver<bool>, work: Work, _: JobContext| {
                println!("begin {}", work.number);
                has_begun.wait_for(|has_begun| *has_begun).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
                println!("end {}", work.number);
                Ok(())
            },
        )
        .build()?;
    let jobs = Arc::new(jobs);
    jobs.manager().enqueue_many((0..JOBS).map(|number| Work { number })).await?;
    let stopping = Arc::new(stopping);
    let ticker = TimedService::every(Duration::from_millis(10)).run_fn(async |_: Tick| Ok(()));
    let builder = Host::builder()
        .shared_service("jobs", jobs.clone())
        .background("ticker", ticker)
        .on_stopping(move || {
            stopping.send_replace(true);
            std::future::ready(Ok(()))
        });
    run(builder).await?;
    println!("succeeded {}", jobs.stats().succeeded);
    Ok(())
}

fn deaf() -> HostBuilder {
    Host::builder().background_fn("deaf", async |_: Stopping| pending().await).background_fn(
        "polite",
        async |stopping: Stopping| {
            stopping.cancelled().await;
            Ok(())
        },
    )
}

/// Blocks its thread for longer than the test lasts.
fn blocks() -> HostBuilder {
    Host::builder().stop_timeout(Duration::from_millis(200)).background_fn("blocks", async |_: Stopping| {
        println!("blocks");
        thread::sleep(LIMIT * 2);
        Ok(())
    })
}

fn ends_by<F, Fut>(end: F) -> HostBuilder
where
    F: Fn(Stopping) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send,
{
    Host::builder().background_fn("faulty", end).background_fn("other", async |stopping: Stopping| {
        stopping.cancelled().await;
        println!("other is told to stop");
        Ok(())
    })
}

fn cannot_start() -> HostBuilder {
    let stop = async |_| {
        println!("pool is closed");
        Ok(())
    };
    let fails = async |_: Stopping| Err("port 80 is taken".into());
    Host::builder().service_fn("pool", async |_: Stopping| Ok(()), stop).service_fn(
        "listener",
        fails,
        async |_| Ok(()),
    )
}

/// A scenario in a process of its own.
struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    fn start(scenario: &str) -> Self {
        let this = std::env::current_exe().expect("a path");
        let mut again = Command::new(this);
        again.args(["--exact", "scenario", "--nocapture"]).env(SCENARIO, scenario);
        again.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = again.spawn().expect("it runs");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            // Nobody listens any more when a test has failed.
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits until it has printed so many lines that end so.
    fn wait_for(&mut self, count: usize, is_one: impl Fn(&str) -> bool) {
        let mut found = self.seen.iter().filter(|line| is_one(line)).count();
        while found < count {
            let line = self.lines.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("only {found} of {count} lines came: {:?}", self.seen));
            found += usize::from(is_one(&line));
            self.seen.push(line);
        }
    }

    fn signal(&self, name: &str) {
        // The shell's own kill: the program of that name is not on every machine.
        let command = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &command]).status().expect("there is a shell");
        assert!(status.success(), "{command}");
    }

    /// Waits for its end; answers how it ended, all lines, and its standard error.
    fn finish(mut self) -> (ExitStatus, Vec<String>, String) {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            match self.child.try_wait().expect("it can be waited for") {
                Some(status) => break status,
                None if Instant::now() < deadline => pause(),
                None => panic!("it did not end: {:?}", self.seen),
            }
        };
        let mut stderr = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut stderr).expect("text");
        self.seen.extend(self.lines.iter());
        (status, std::mem::take(&mut self.seen), stderr)
    }
}

/// The one wait in real time, between two looks at a child.
fn pause() {
    thread::sleep(Duration::from_millis(5));
}

impl Drop for Process {
    /// A test that fails must not leave a process behind; whether it had ended does not matter.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What libtest prints of the scenario stands before the first line.
fn says(line: &str, word: &str) -> bool {
    line.ends_with(word)
}

#[test]
fn at_sigterm_fifty_running_jobs_come_to_their_end_and_the_process_ends_well() {
    for name in ["TERM", "INT"] {
        let mut process = Process::start("jobs");
        process.wait_for(JOBS, |line| line.contains("begin "));
        assert!(
            !process.seen.iter().any(|line| line.contains("end ")),
            "all are at work: {:?}",
            process.seen
        );
        process.signal(name);
        let (status, lines, stderr) = process.finish();
        assert_eq!(status.code(), Some(0), "after SIG{name}: {lines:?} {stderr}");
        let numbers = |word: &str| -> Vec<usize> {
            let after = lines.iter().filter_map(|line| line.rsplit_once(word));
            after.filter_map(|(_, number)| number.parse().ok()).collect()
        };
        let ended: BTreeSet<usize> = numbers("end ").into_iter().collect();
        assert_eq!(ended, (0..JOBS).collect(), "none is lost");
        assert_eq!((numbers("end ").len(), numbers("begin ").len()), (JOBS, JOBS), "none ran twice");
        assert_eq!(numbers("succeeded "), [JOBS]);
    }
}

#[test]
fn a_service_that_fails_panics_or_returns_ends_the_process_with_its_error() {
    for (scenario, error) in [
        ("fails", "Error: the host has failed: faulty failed while it ran: no route to host"),
        ("panics", "Error: the host has failed: faulty panicked while it ran: fell over"),
        ("returns", "Error: the host has failed: faulty returned although nobody told it to stop"),
    ] {
        let (status, lines, stderr) = Process::start(scenario).finish();
        assert_eq!(status.code(), Some(1), "{lines:?}");
        assert!(stderr.contains(error), "{stderr}");
        assert!(
            lines.iter().any(|line| says(line, "other is told to stop"))
                || !lines.iter().any(|line| says(line, "started")),
            "{lines:?}"
        );
    }
}

#[test]
fn a_host_that_cannot_start_ends_the_process_with_its_error() {
    let (status, lines, stderr) = Process::start("cannot start").finish();
    assert_eq!(status.code(), Some(1));
    assert!(
        stderr.contains("Error: the host has failed: listener failed as it was started: port 80 is taken"),
        "{stderr}"
    );
    assert!(lines.iter().any(|line| says(line, "pool is closed")), "{lines:?}");
}

#[test]
fn a_second_signal_ends_the_process_at_once_and_names_what_was_left() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM")] {
        let mut process = Process::start("deaf");
        process.wait_for(1, |line| says(line, "started"));
        process.signal(first);
        process.wait_for(1, |line| says(line, "stopping"));
        process.signal(second);
        let (status, lines, stderr) = process.finish();
        assert_eq!(status.code(), Some(1), "{lines:?}");
        let error = "Error: the host was told to end at once, before these services had stopped: deaf";
        assert!(stderr.contains(error), "{stderr}");
        assert!(!stderr.contains("polite"), "it had stopped: {stderr}");
    }
}

#[test]
fn a_service_that_blocks_its_thread_is_named_and_holds_up_nothing_else() {
    let mut process = Process::start("blocks");
    process.wait_for(1, |line| says(line, "blocks"));
    process.wait_for(1, |line| says(line, "started"));
    process.signal("TERM");
    let (status, lines, stderr) = process.finish();
    assert_eq!(status.code(), Some(1), "{lines:?}");
    let error = "blocks had not ended 200ms after it was told to stop, and cannot be dropped, because it blocks its thread";
    assert!(stderr.contains(error), "{stderr}");
}
