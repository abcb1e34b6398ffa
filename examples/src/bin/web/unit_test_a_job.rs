//! Tests of the service's jobs as a user would write them: the real routes, called without a listener, and the
//! real jobs, on a clock that only the test moves.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::{Json, Router};
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Builder, CancelStatus, JobId};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Attempt, TestKit};
use serde::Deserialize;
use tower::ServiceExt;

use super::services::Services;
use super::{LATER, RegisterUser, Registry, Users, background_jobs, register, routes, routes_of_services};

#[tokio::test]
async fn a_sign_up_is_registered_three_seconds_later() {
    let (kit, users) = (TestKit::new(), Users::in_memory());
    let jobs = kit.start(program(&users)).await;
    let web = routes(jobs.manager(), users);

    let id = sign_up(&web, "/users/later", "masa").await;
    let stored = kit.jobs().await;
    stored.assert_enqueued::<RegisterUser>().id(id).with(|user| user.name == "masa").due_in(LATER).once();

    assert!(kit.advance(LATER - Duration::from_millis(1)).await.is_quiet());
    assert_eq!(get(&web, "/users").await, "{}");

    assert_eq!(kit.advance(Duration::from_millis(1)).await.succeeded, 1);
    assert_eq!(get(&web, "/users").await, r#"{"masa":1}"#);
    kit.jobs().await.assert_ran::<RegisterUser>().id(id).after(LATER).ended(Attempt::Succeeded).once();
    kit.finish().await;
}

#[tokio::test]
async fn a_handler_that_fails_twice_is_tried_again_after_one_minute_and_then_two() {
    let (kit, users) = (TestKit::new(), Users::in_memory());
    let registry = registry(&users);
    let mail_server_down_at_first = move |user: RegisterUser, ctx: JobContext| {
        let registry = registry.clone();
        async move {
            if ctx.attempt() <= 2 {
                return Err("the mail server is down".into());
            }
            register(registry, user, ctx).await
        }
    };
    let program = BackgroundJobs::builder(|options| options.use_in_memory());
    let jobs = kit.start(program.register_fn(mail_server_down_at_first)).await;
    let web = routes(jobs.manager(), users);

    sign_up(&web, "/users", "masa").await;
    let report = kit.advance(Duration::from_secs(180)).await;
    assert_eq!((report.retried, report.succeeded), (2, 1), "{report}");
    let seconds = Duration::from_secs;
    kit.jobs().await.assert_attempts::<RegisterUser>(&[
        (seconds(0), Attempt::Failed),
        (seconds(60), Attempt::Failed),
        (seconds(180), Attempt::Succeeded),
    ]);
    assert_eq!(get(&web, "/users").await, r#"{"masa":1}"#);
    kit.finish().await;
}

#[tokio::test]
async fn a_cancelled_job_never_runs() {
    let (kit, users) = (TestKit::new(), Users::in_memory());
    let jobs = kit.start(program(&users)).await;
    let web = routes(jobs.manager(), users);

    let id = sign_up(&web, "/users/later", "masa").await;
    let answer = jobs.manager().cancel(id).await.expect("the store answers");
    assert_eq!(answer, CancelStatus::Cancelled);
    assert_eq!(kit.advance(Duration::from_secs(24 * 3_600)).await.claimed, 0);

    let after_a_day = kit.jobs().await;
    after_a_day.assert_ran::<RegisterUser>().never();
    after_a_day.assert_enqueued::<RegisterUser>().id(id).state(JobState::Cancelled).once();
    assert_eq!(get(&web, "/users").await, "{}");
    assert!(get(&web, &format!("/jobs/{id}")).await.contains(r#""state":"cancelled""#));
    kit.finish().await;
}

#[tokio::test]
async fn the_services_of_the_host_work_beside_the_jobs() {
    let (kit, users) = (TestKit::new(), Users::in_memory());
    let jobs = kit.build(program(&users));
    let (services, host) = Services::new(jobs.clone(), users.clone());
    let host = kit.start_host(host).await;
    let web = routes(jobs.manager(), users).merge(routes_of_services(services.clone()));

    sign_up(&web, "/users", "masa").await;
    _ = kit.settle().await;
    for waiting in 1..=10 {
        assert_eq!(
            post(&web, "/letters").await,
            (StatusCode::ACCEPTED, format!(r#"{{"waiting":{waiting}}}"#))
        );
    }
    let (status, reason) = post(&web, "/letters").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reason.contains("with room for 10"), "{reason}");
    assert_eq!(get(&web, "/about").await, r#"{"users":0,"letters":0,"motto":"motto 1"}"#);

    _ = kit.advance(Duration::from_secs(9)).await;
    assert_eq!(get(&web, "/about").await, r#"{"users":1,"letters":10,"motto":"motto 2"}"#);
    assert!(host.health().is_ready());
    kit.run(host.stop()).await.expect("all stop well");
    assert_eq!(post(&web, "/letters").await.0, StatusCode::SERVICE_UNAVAILABLE);
    kit.finish().await;
}

/// Posts a name to this path.
async fn post(web: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::post(path).header("content-type", "application/json");
    send(web, request.body(Body::from(r#"{"name": "masa"}"#)).expect("a request")).await
}

#[tokio::test]
async fn a_job_that_runs_twice_registers_its_user_once() {
    let (kit, users) = (TestKit::new(), Users::in_memory());
    let jobs = kit.start(program(&users)).await;
    let web = routes(jobs.manager(), users);

    let id = sign_up(&web, "/users", "masa").await;
    assert_eq!(kit.settle().await.succeeded, 1);
    jobs.manager().requeue(id).await.expect("the store answers");
    assert_eq!(kit.settle().await.succeeded, 1);
    assert_eq!(get(&web, "/users").await, r#"{"masa":1}"#);

    sign_up(&web, "/users", "masa").await;
    assert_eq!(kit.settle().await.succeeded, 1);
    assert_eq!(get(&web, "/users").await, r#"{"masa":2}"#, "another job is another registration");
    kit.finish().await;
}

fn program(users: &Users) -> Builder {
    background_jobs(|options| options.use_in_memory(), registry(users))
}

fn registry(users: &Users) -> Registry {
    Registry { users: users.clone(), work: Duration::ZERO }
}

/// Posts the name and answers the job's id.
async fn sign_up(web: &Router, path: &str, name: &str) -> JobId {
    #[derive(Deserialize)]
    struct Accepted {
        id: JobId,
    }
    let request = Request::post(path).header("content-type", "application/json");
    let body = Body::from(format!(r#"{{"name": "{name}"}}"#));
    let (status, answer) = send(web, request.body(body).expect("a request")).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let Json(Accepted { id }) = Json::from_bytes(answer.as_bytes()).expect("an answer with an id");
    id
}

async fn get(web: &Router, path: &str) -> String {
    let (status, answer) = send(web, Request::get(path).body(Body::empty()).expect("a request")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

/// Calls the routes as the server would.
async fn send(web: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response = web.clone().oneshot(request).await.expect("a router always answers");
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("the body is in memory");
    (status, String::from_utf8(body.into()).expect("JSON is UTF-8"))
}
