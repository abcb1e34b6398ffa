//! The example of a web service: what it accepts is done once, what it refuses it refuses with a reason, and it
//! ends in good order.

mod http;
mod kill;
mod server;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::Place;
use http::{Connection, Reply};
pub(super) use kill::registers_all_it_accepted;
use server::Server;

const CONNECTIONS: usize = 8;
const REQUESTS: usize = 1_000;
/// Each client sends to each of them in turn.
const PATHS: &[&str] = &["/users", "/users/static"];

/// For all jobs to be done, not optimised, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// In which a request that was sent has long been read.
const UNDER_WAY: Duration = Duration::from_millis(200);

/// No job has this id.
const STRANGE_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

pub(super) fn does_each_job_once(place: &Place) -> Result<(), String> {
    let server = Server::start(place, &[])?;
    let address = server.address();
    let clients: Vec<_> =
        (0..CONNECTIONS).map(|number| thread::spawn(move || register_users(address, number))).collect();
    let mut ids = BTreeSet::new();
    for client in clients {
        ids.append(&mut client.join().map_err(|_| "a client panicked")??);
    }
    if ids.len() != REQUESTS {
        return Err(format!("{REQUESTS} requests were answered with {} different ids", ids.len()));
    }
    let registered = Connection::open(address)?.send("GET", "/users", None)?;
    let mut names: Vec<String> = (0..REQUESTS).map(|number| format!("\"user {number}\":1")).collect();
    names.sort_unstable();
    if registered.body != format!("{{{}}}", names.join(",")) {
        return Err(format!("not every name was registered once: {}", registered.body));
    }
    server.end("TERM")
}

/// Sends this client's part of the requests over one connection, then asks after each job until it succeeded.
fn register_users(address: SocketAddr, client: usize) -> Result<BTreeSet<String>, String> {
    let mut connection = Connection::open(address)?;
    let mut ids = BTreeSet::new();
    for number in (client..REQUESTS).step_by(CONNECTIONS) {
        let path = PATHS[number / CONNECTIONS % PATHS.len()];
        let reply = connection.send("POST", path, Some(&format!("{{\"name\": \"user {number}\"}}")))?;
        reply.expect(202)?;
        ids.insert(reply.text("id")?.to_owned());
    }
    let deadline = Instant::now() + LIMIT;
    for id in &ids {
        loop {
            let reply = connection.send("GET", &format!("/jobs/{id}"), None)?;
            reply.expect(200)?;
            match reply.text("state")? {
                "succeeded" if reply.text("id")? == id && reply.text("kind")? == "register_user" => break,
                "waiting" | "running" if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
                _ => return Err(format!("the job {id} did not succeed within {LIMIT:?}: {}", reply.body)),
            }
        }
    }
    Ok(ids)
}

/// Letters sent to the queue of the service.
const LETTERS: usize = 5;

pub(super) fn hosts_its_services(place: &Place) -> Result<(), String> {
    let server = Server::start(place, &[])?;
    let mut connection = Connection::open(server.address())?;
    let health = connection.send("GET", "/health", None)?;
    health.expect(200)?;
    for service in ["jobs", "census", "letters", "motto", "server"] {
        if !health.body.contains(&format!("\"{service} is running since ")) {
            return Err(format!("{service} is not running: {}", health.body));
        }
    }
    connection.send("POST", "/users", Some("{\"name\": \"masa\"}"))?.expect(202)?;
    for _ in 0..LETTERS {
        connection.send("POST", "/letters", Some("{\"name\": \"masa\"}"))?.expect(202)?;
    }
    let done = format!("{{\"users\":1,\"letters\":{LETTERS},\"motto\":\"motto ");
    let deadline = Instant::now() + LIMIT;
    loop {
        let about = connection.send("GET", "/about", None)?;
        about.expect(200)?;
        if about.body.starts_with(&done) {
            break;
        }
        if Instant::now() > deadline {
            return Err(format!("the services had not done their work within {LIMIT:?}: {}", about.body));
        }
        thread::sleep(POLL_INTERVAL);
    }
    // The connection is still open, which keeps nobody from ending.
    server.end("TERM")
}

pub(super) fn answers_what_is_under_way(place: &Place) -> Result<(), String> {
    let server = Server::start(place, &[])?;
    let address = server.address();
    let (mut waits, mut other) = (Connection::open(address)?, Connection::open(address)?);
    waits.ask("POST", "/users/wait", Some("{\"name\": \"masa\"}"))?;
    // Its job is not due for a second, so the request is under way when the signal comes.
    other.send("GET", "/health", None)?.expect(200)?;
    thread::sleep(UNDER_WAY);
    server.signal("TERM")?;
    let reply = waits.answer()?;
    reply.expect(200)?;
    if reply.text("state")? != "succeeded" {
        return Err(format!("the job of a request under way has not ended: {}", reply.body));
    }
    server.has_ended("TERM")
}

pub(super) fn refuses_with_a_reason(place: &Place) -> Result<(), String> {
    let server = Server::start(place, &[])?;
    let mut connection = Connection::open(server.address())?;
    let strange_job = format!("/jobs/{STRANGE_ID}");
    let too_long = format!("{{\"name\": \"{}\"}}", "x".repeat(1024 * 1024));
    let refused: &[(&str, &str, Option<&str>, u16, &str)] = &[
        ("POST", "/users", Some("{\"name\": "), 400, "JSON"),
        ("POST", "/users/static", Some("masa"), 400, "JSON"),
        ("GET", "/users/wait", None, 405, "method"),
        ("POST", "/letters", Some("{\"nom\": \"masa\"}"), 422, "name"),
        ("POST", "/health", None, 405, "method"),
        ("POST", "/users", Some("{\"nom\": \"masa\"}"), 422, "name"),
        ("POST", "/users/static", Some("[1]"), 422, "expected a string"),
        ("POST", "/users/later", Some("{\"nom\": \"masa\"}"), 422, "name"),
        ("POST", "/users", None, 415, "Content-Type"),
        ("POST", "/users", Some(&too_long), 413, "bytes"),
        ("GET", "/jobs/1", None, 400, "not a job id"),
        ("GET", "/jobs/%ff", None, 400, "UTF-8"),
        ("GET", &strange_job, None, 404, STRANGE_ID),
        ("POST", &strange_job, Some("{}"), 405, "method"),
        ("DELETE", "/users", None, 405, "method"),
        ("GET", "/users/static", None, 405, "method"),
        ("GET", "/users/later", None, 405, "method"),
        ("GET", "/", None, 404, "path"),
        ("POST", "/user", Some("{\"name\": \"masa\"}"), 404, "path"),
    ];
    for (method, path, body, status, reason) in refused {
        let reply = connection.send(method, path, *body)?;
        let expect = || {
            reply.expect(*status)?;
            let error = reply.text("error")?;
            if error.contains(reason) { Ok(()) } else { Err(format!("`{error}` does not say {reason}")) }
        };
        expect().map_err(|failure: String| format!("{method} {path}: {failure}"))?;
    }
    let Reply { body, .. } = connection.send("GET", "/users", None)?;
    if body != "{}" {
        return Err(format!("a refused request registered somebody: {body}"));
    }
    server.end("INT")
}
