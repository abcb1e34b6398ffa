//! What a run says in the log, and what it does not.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::Level;

#[derive(Serialize, Deserialize)]
struct SendMail {
    password: String,
    luck: u16,
}

impl JobArgs for SendMail {
    const KIND: &'static str = "send_mail";
}

#[derive(Debug, thiserror::Error)]
#[error("mail not sent")]
struct MailError(#[source] io::Error);

async fn send_mail(mail: SendMail, ctx: JobContext) -> JobResult {
    if ctx.attempt() < mail.luck {
        return Err(MailError(io::Error::other("connection refused")).into());
    }
    Ok(())
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("logs are UTF-8")
    }

    /// The lines of a job's span that end like this.
    fn of_job(&self, id: &str, level: &str, end: &str) -> Vec<String> {
        let text = self.text();
        let is_it = |line: &&str| line.contains(id) && line.contains(level) && line.contains(end);
        text.lines().filter(is_it).map(str::to_owned).collect()
    }
}

impl Lines {
    /// Collects what is logged on this thread while the guard lives.
    fn collect(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .without_time()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }
}

#[tokio::test]
async fn a_run_without_a_timeout_is_warned_about_each_hour() {
    let lines = Lines::default();
    let _guard = lines.collect();
    let kit = TestKit::new();
    let sleeps = async |_: SendMail, ctx: JobContext| {
        ctx.sleep(Duration::from_secs(3 * 3_600 + 60)).await;
        Ok(())
    };
    let builder = BackgroundJobs::builder(|options| options.use_in_memory()).register_fn(sleeps);
    let jobs = kit.start(builder).await;
    let mail = SendMail { password: String::new(), luck: 0 };
    let id = jobs.manager().enqueue(mail).await.expect("enqueued").id.to_string();
    assert_eq!(kit.advance(Duration::from_secs(4 * 3_600)).await.succeeded, 1);
    let warned = lines.of_job(&id, "WARN", "still running and without a timeout");
    assert_eq!(warned.len(), 3, "{}", lines.text());
}

#[tokio::test]
async fn a_run_logs_its_start_its_end_and_what_follows() {
    let lines = Lines::default();
    let _guard = lines.collect();
    let kit = TestKit::new();
    let jobs = kit
        .start(
            BackgroundJobs::builder(|options| options.use_in_memory().queue("mail", 1))
                .register_fn(send_mail)
                .retry(RetryPolicy::new().max_attempts(2)),
        )
        .await;
    let options = || EnqueueOptions::new().queue("mail");
    let mail = |luck| SendMail { password: "hunter2".into(), luck };
    let lucky = jobs.manager().enqueue_with(mail(2), options()).await.expect("enqueued").id.to_string();
    let dead = jobs.manager().enqueue_with(mail(9), options()).await.expect("enqueued").id.to_string();
    let report = kit.advance(Duration::from_secs(600)).await;
    assert_eq!((report.succeeded, report.retried, report.failed), (1, 2, 1));

    let started = lines.of_job(&lucky, "DEBUG", "started");
    assert_eq!(started.len(), 2, "{}", lines.text());
    assert!(started[1].contains("kind=send_mail queue=mail attempt=2"), "{}", started[1]);
    assert_eq!(lines.of_job(&lucky, "INFO", "succeeded").len(), 1);
    let retried = lines.of_job(&lucky, "WARN", "failed; again in 60s");
    assert_eq!(retried.len(), 1, "{}", lines.text());
    assert!(retried[0].contains("error=mail not sent: connection refused"), "{}", retried[0]);
    let failed = lines.of_job(&dead, "ERROR", "failed for good");
    assert_eq!(failed.len(), 1, "{}", lines.text());
    assert!(failed[0].contains("mail not sent: connection refused"), "{}", failed[0]);
    assert!(!lines.text().contains("hunter2"), "args may hold secrets");
}
