//! A web service that answers at once and works later: `web [--listen ADDRESS:PORT] [--store memory|sqlite]`,
//! 127.0.0.1:3000 and memory unless given.
//!
//! - `POST /users` with `{"name": "masa"}` enqueues a job, through a manager that is handed to the handler.
//! - `POST /users/later` does the same, but the job is not due before three seconds have passed.
//! - `POST /users/static` does the same as the first, through the manager that was installed for the whole program.
//! - `POST /users/wait` does it a second later, and answers when the job is over.
//! - `GET /jobs/{id}` says how a job stands.
//! - `GET /users` says who was registered, and by how many jobs.
//! - `POST /letters` with `{"name": "masa"}` puts a letter into a queue that is worked through one by one.
//! - `GET /about` says what the services beside the routes have done: a timer, that queue, and a value kept fresh.
//! - `GET /health` says how each service stands; 503 when not all are well.
//!
//! With `--store sqlite` jobs and users are in the file `web.db`, or `--file PATH`: whoever got a 202 is registered,
//! also when the program is killed and started again. It is behind a feature of its own: `--features web,sqlite`.
//!
//! Everything is a service of one host (`services.rs`), the web server too. SIGTERM and Ctrl-C end it in good order, a
//! second one at once. Its tests, on a clock that they move themselves, are in
//! `unit_test_a_job.rs`: `cargo test -p examples --features web unit_test_a_job`.

mod refusal;
mod services;
mod settings;
#[cfg(test)]
mod unit_test_a_job;
mod users;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use backgroundjobs_core::hosting::{Stopping, signals};
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Builder, Enqueued, JobId, Options};
use backgroundjobs_memory::prelude::*;
#[cfg(feature = "sqlite")]
use backgroundjobs_sqlite::prelude::*;
use refusal::Refusal;
use serde::{Deserialize, Serialize};
use services::{Server, Services};
use settings::{Settings, Store};
use tokio::net::TcpListener;
use users::{Trouble, Users};

/// How much later `POST /users/later` is.
const LATER: Duration = Duration::from_secs(3);

/// How much later `POST /users/wait` is.
const SOON: Duration = Duration::from_secs(1);

/// How long it waits for its job.
const WAIT: Duration = Duration::from_secs(4);

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
            let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
            eprintln!("web: {error}{cause}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Trouble> {
    let settings = Settings::read(std::env::args().skip(1))?;
    let listener = TcpListener::bind(settings.listen).await?;
    let address = listener.local_addr()?;
    let (jobs, users) = open(&settings).await?;
    let jobs = Arc::new(jobs.build()?);
    jobs.install()?;
    let (services, host) = Services::new(jobs.clone(), users.clone());
    let routes = routes(jobs.manager(), users).merge(routes_of_services(services.clone()));
    let host = Arc::new(host.background("server", Server::new(listener, routes)).build()?);
    let (stop, stop_now) = signals()?;
    services.host.get_or_init(|| Arc::downgrade(&host));

    println!("listening on http://{address}");
    host.run_until(stop, stop_now).await?;

    // What still waits is lost with the memory; from a file it is run after the next start.
    let (jobs, letters) = (jobs.stats().succeeded, services.written.load(Ordering::Relaxed));
    println!("drained: {jobs} jobs have succeeded, {letters} letters were written");
    Ok(())
}

fn routes(manager: Arc<dyn JobManager>, users: Users) -> Router {
    Router::new()
        .route("/users", get(registered).with_state(users).post(enqueue))
        .route("/users/later", post(enqueue_later))
        .route("/users/static", post(enqueue_static))
        .route("/users/wait", post(enqueue_and_wait))
        .route("/jobs/{id}", get(job))
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(wrong_method)
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

/// The answer comes when the job is over: also while the program drains, because the server stops before the jobs.
async fn enqueue_and_wait(
    State(manager): State<Arc<dyn JobManager>>,
    body: Result<Json<RegisterUser>, JsonRejection>,
) -> Result<Json<JobView>, Refusal> {
    let Json(user) = body?;
    let id = manager.enqueue_in(user, SOON).await?.id;
    manager.wait(id, WAIT).await?;
    view(&*manager, id).await
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
    view(&*manager, id.parse()?).await
}

async fn view(manager: &dyn JobManager, id: JobId) -> Result<Json<JobView>, Refusal> {
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

fn routes_of_services(services: Services) -> Router {
    Router::new()
        .route("/letters", post(write_letter))
        .route("/about", get(about))
        .route("/health", get(health))
        .method_not_allowed_fallback(wrong_method)
        .with_state(services)
}

async fn wrong_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path is there, but not for this method")
}

/// What is answered once a letter is queued.
#[derive(Serialize)]
struct Queued {
    waiting: usize,
}

async fn write_letter(
    State(services): State<Services>,
    body: Result<Json<RegisterUser>, JsonRejection>,
) -> Result<(StatusCode, Json<Queued>), Refusal> {
    let Json(user) = body?;
    let written = services.written.clone();
    let write = async move |_: Stopping| {
        written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    services.letters.enqueue(format!("letter to {}", user.name), write).await?;
    Ok((StatusCode::ACCEPTED, Json(Queued { waiting: services.letters.len() })))
}

/// What the services have done.
#[derive(Serialize)]
struct About {
    users: u64,
    letters: u64,
    motto: String,
}

async fn about(State(services): State<Services>) -> Result<Json<About>, Refusal> {
    Ok(Json(About {
        users: services.counted.load(Ordering::Relaxed),
        letters: services.written.load(Ordering::Relaxed),
        motto: services.motto.get().await?.to_string(),
    }))
}

/// How the host stands.
#[derive(Serialize)]
struct Health {
    ready: bool,
    live: bool,
    services: Vec<String>,
}

async fn health(State(services): State<Services>) -> Result<(StatusCode, Json<Health>), Refusal> {
    let host = services.host.get().and_then(Weak::upgrade);
    let host = host.ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the program is ending"))?;
    let health = host.health();
    let (ready, live) = (health.is_ready(), health.is_live());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let services = health.services.iter().map(ToString::to_string).collect();
    Ok((status, Json(Health { ready, live, services })))
}
