//! What a run says in the log, and what it does not.

#[path = "support/log_lines.rs"]
mod log_lines;

use std::io;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use serde::{Deserialize, Serialize};
use tracing::Level;

use self::log_lines::LogLines;

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

#[tokio::test]
async fn a_run_without_a_timeout_is_warned_about_each_hour() {
    let (lines, _guard) = LogLines::listen_from(Level::DEBUG);
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
    kit.finish().await;
}

#[tokio::test]
async fn a_run_logs_its_start_its_end_and_what_follows() {
    let (lines, _guard) = LogLines::listen_from(Level::DEBUG);
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
    kit.finish().await;
}
