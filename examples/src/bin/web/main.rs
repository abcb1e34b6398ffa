//! A web service that answers at once and works later: `web [--listen ADDRESS:PORT] [--store memory|sqlite]`,
//! 127.0.0.1:3000 and memory unless given.
//!
//! - `POST /users` with `{"name": "masa"}` enqueues a job, through a manager that is handed to the handler.
//! - `POST /users/later` does the same, but the job is not due before three seconds have passed.
//! - `POST /users/static` does the same as the first, through the manager that was installed for the whole program.
//! - `GET /jobs/{id}` says how a job stands.
//! - `GET /users` says who was registered, and by how many jobs.
//!
//! With `--store sqlite` jobs and users are in the file `web.db`, or `--file PATH`: whoever got a 202 is registered,
//! also when the program is killed and started again. It is behind a feature of its own: `--features web,sqlite`.
//!
//! SIGTERM and Ctrl-C end it in good order. Its tests, on a clock that they move themselves, are in
//! `unit_test_a_job.rs`: `cargo test -p examples --features web unit_test_a_job`.

mod refusal;
mod settings;
#[cfg(test)]
mod unit_test_a_job;
mod users;

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Builder, Enqueued, JobId, Options};
use backgroundjobs_memory::prelude::*;
#[cfg(feature = "sqlite")]
use backgroundjobs_sqlite::prelude::*;
use refusal::Refusal;
use serde::{Deserialize, Serialize};
use settings::{Settings, Store};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use users::{Trouble, Users};

/// What requests and jobs under way are given, one after the other, before the program ends without them.
const DRAIN: Duration = Duration::from_secs(10);

/// How much later `POST /users/later` is.
const LATER: Duration = Duration::from_secs(3);

/// How long a job is kept for a worker that is silent.
const LEASE: Duration = Duration::from_secs(5);
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// What a job waits, after a lease that ran out, before it runs again.
const CRASH_BACKOFF: Duration = Duration::from_secs(1);

/// The args of the job, and the body of the request: one shape for both is enough here.
#[derive(Serialize, Deserialize)]
struct RegisterUser {
    name: String,
}

impl JobArgs for RegisterUser {
    const KIND: &'static str = "register_user";
}

/// What a job needs.
#[derive(Clone)]
struct Registry {
    users: Users,
    work: Duration,
}

/// May run twice for one job, as every handler may: the second time changes nothing.
async fn register(registry: Registry, user: RegisterUser, ctx: JobContext) -> JobResult {
    ctx.sleep(registry.work).await;
    registry.users.add(user.name, ctx.id()).await?;
    Ok(())
}

/// Everything that this program's jobs are, wherever they are kept. The tests build the same.
fn background_jobs(store: impl FnOnce(Options) -> Options, registry: Registry) -> Builder {
    // What a killed program was at is taken up again a few seconds after the next start, not a minute.
    BackgroundJobs::builder(|options| store(options).lease(LEASE, RENEW_EVERY).crashes(3, CRASH_BACKOFF))
        .register_fn_with(registry, register)
}

/// The jobs and the users, where the settings say.
async fn open(settings: &Settings) -> Result<(Builder, Users), Trouble> {
    let work = settings.work;
    match &settings.store {
        Store::Memory => {
            let users = Users::in_memory();
            let registry = Registry { users: users.clone(), work };
            Ok((background_jobs(|options| options.use_in_memory(), registry), users))
        }
        #[cfg(feature = "sqlite")]
        Store::Sqlite(file) => {
            let users = Users::in_sqlite(file).await?;
            let registry = Registry { users: users.clone(), work };
            Ok((background_jobs(|options| options.use_sqlite(file.as_path()), registry), users))
        }
        #[cfg(not(feature = "sqlite"))]
        Store::Sqlite(file) => Err(format!(
            "{} is not opened: this program was built without SQLite; build it with --features web,sqlite",
            file.display()
        )
        .into()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("web: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Trouble> {
    let settings = Settings::read(std::env::args().skip(1))?;
    let listener = TcpListener::bind(settings.listen).await?;
    let (jobs, users) = open(&settings).await?;
    let jobs = jobs.build()?;
    jobs.install()?;
    jobs.start().await?;

    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, routes(jobs.manager(), users)).await?;

    // What still waits is lost with the memory; from a file it is run after the next start.
    let report = jobs.stop(DRAIN).await?;
    println!("drained: {} running jobs ended, {} were cut off", report.finished, report.interrupted.len());
    Ok(())
}

fn routes(manager: Arc<dyn JobManager>, users: Users) -> Router {
    Router::new()
        .route("/users", get(registered).with_state(users).post(enqueue))
        .route("/users/later", post(enqueue_later))
        .route("/users/static", post(enqueue_static))
        .route("/jobs/{id}", get(job))
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path is there, but not for this method")
        })
        .with_state(manager)
}

/// What is answered once a job is stored: where to ask for it.
#[derive(Serialize)]
struct Accepted {
    id: String,
}

fn accepted(job: Enqueued) -> (StatusCode, Json<Accepted>) {
    (StatusCode::ACCEPTED, Json(Accepted { id: job.id.to_string() }))
}

/// Taking the manager as state is what a test likes: it can hand in one of its own.
async fn enqueue(
    State(manager): State<Arc<dyn JobManager>>,
    body: Result<Json<RegisterUser>, JsonRejection>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let Json(user) = body?;
    Ok(accepted(manager.enqueue(user).await?))
}

async fn enqueue_later(
    State(manager): State<Arc<dyn JobManager>>,
    body: Result<Json<RegisterUser>, JsonRejection>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let Json(user) = body?;
    Ok(accepted(manager.enqueue_in(user, LATER).await?))
}

/// Code that is called from far away may not be given a manager: this one is found wherever it runs.
async fn enqueue_static(
    body: Result<Json<RegisterUser>, JsonRejection>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let Json(user) = body?;
    Ok(accepted(BackgroundJobManager::enqueue(user).await?))
}

/// How a job stands.
#[derive(Serialize)]
struct JobView {
    id: String,
    kind: String,
    state: &'static str,
    /// Attempts used up by failing: 0 for a job that succeeds at once.
    attempts: u16,
    /// How often it was claimed. More than once: its worker was gone before it was told how a run ended, a run failed,
    /// or the job was handed back unstarted.
    claims: u64,
    max_attempts: u16,
    run_at: String,
    last_error: Option<String>,
}

async fn job(
    State(manager): State<Arc<dyn JobManager>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<JobView>, Refusal> {
    let Path(id) = id?;
    let id: JobId = id.parse()?;
    let Some(record) = manager.get(id).await? else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no job {id}, or none any more")));
    };
    Ok(Json(JobView {
        id: record.id.to_string(),
        kind: record.kind.to_string(),
        state: record.state.as_str(),
        attempts: record.attempts,
        claims: record.generation,
        max_attempts: record.max_attempts,
        run_at: record.run_at.to_string(),
        last_error: record.failures.last().map(|last| last.failure.text.to_string()),
    }))
}

async fn registered(State(users): State<Users>) -> Result<Json<BTreeMap<String, u64>>, Refusal> {
    Ok(Json(users.counts().await?))
}

/// Serves until the program is asked to stop and the requests under way are answered.
async fn serve(listener: TcpListener, routes: Router) -> io::Result<()> {
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    let server =
        axum::serve(listener, routes).with_graceful_shutdown(async move { stopped.notified().await });
    tokio::select! {
        ended = server.into_future() => ended,
        () = async {
            asked_to_stop().await;
            println!("draining: no new requests, then no new jobs");
            stop.notify_one();
            // Somebody may hold a connection open for as long as they like.
            tokio::time::sleep(DRAIN).await;
        } => {
            eprintln!("some requests were not finished within {DRAIN:?} and are cut off");
            Ok(())
        }
    }
}

/// Ends at Ctrl-C, and at the signal by which service managers and containers end a program.
async fn asked_to_stop() {
    let interrupted = async { tokio::signal::ctrl_c().await.expect("a handler for Ctrl-C can be set") };
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).expect("a handler for SIGTERM can be set").recv().await;
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}
