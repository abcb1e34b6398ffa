//! A value that a service keeps fresh: a token that lives for a second is fetched again when 90 % of that have passed.
//! Readers wait for the first one only. One fetch fails; the old token is valid meanwhile, then the next try succeeds.
//! Ends by itself after three seconds; SIGTERM and Ctrl-C end it before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backgroundjobs_core::RetryPolicy;
use backgroundjobs_core::hosting::{
    Fresh, Host, RefreshError, Refresher, Refreshing, ServiceResult, Stopping, signals,
};

const LIFETIME: Duration = Duration::from_secs(1);
const READS: u32 = 30;

/// Stands for the server that gives out tokens. The third time it does not answer.
async fn fetch(fetched: &AtomicU32) -> ServiceResult<Fresh<String>> {
    let number = fetched.fetch_add(1, Ordering::Relaxed) + 1;
    tokio::time::sleep(Duration::from_millis(30)).await;
    if number == 3 {
        return Err("no answer from the server".into());
    }
    println!("token {number} is fetched");
    Ok(Fresh::new(format!("token {number}"), LIFETIME))
}

/// Uses the token ten times a second.
async fn use_token(token: Refreshing<String>, stopping: Stopping) -> ServiceResult {
    for _ in 0..READS {
        match token.get().await {
            Ok(token) => println!("used {token}"),
            Err(RefreshError::Stopped) => return Ok(()),
            // As after a long time without the server.
            Err(expired) => println!("not used: {expired}"),
        }
        if !stopping.sleep(Duration::from_millis(100)).await.has_elapsed() {
            return Ok(());
        }
    }
    stopping.stop_host();
    stopping.cancelled().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fetched = Arc::new(AtomicU32::new(0));
    let counter = fetched.clone();
    let refresher = Refresher::new(move || {
        let fetched = counter.clone();
        async move { fetch(&fetched).await }
    })
    .retry(RetryPolicy::new().first(Duration::from_millis(50)).jitter(0.0));
    let token = refresher.value();
    let host = Host::builder()
        .background("token", refresher)
        .background_fn_with("reader", token, use_token)
        .on_report(|report| println!("{} of {} failed: {}", report.what, report.service, report.error))
        .build()?;
    let (stop, stop_now) = signals()?;
    host.run_until(stop, stop_now).await?;
    println!("stopped; {} fetches", fetched.load(Ordering::Relaxed));
    Ok(())
}
