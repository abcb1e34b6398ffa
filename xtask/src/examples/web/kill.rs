//! The web service on SQLite, killed in mid-work and started again: whoever was accepted is registered, and once.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::super::Place;
use super::http::Connection;
use super::server::Server;
use super::{CONNECTIONS, LIMIT, POLL_INTERVAL};

/// Less often than the crash limit, at which a job that was running each time would be given up.
const KILLS: usize = 2;
/// So many are accepted before each kill, and perhaps some more.
const ACCEPTED: usize = 64;
/// Long beside what it takes to accept them, so that most have not been registered when the kill comes.
const WORK_MILLIS: &str = "200";

pub(in super::super) fn registers_all_it_accepted(place: &Place) -> Result<(), String> {
    let folder = place.inputs.join("web-killed");
    // What an earlier check left.
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    let file = folder.join("web.db");
    let (mut server, mut sent) = (start(place, &file)?, Sent::default());
    for round in 0..KILLS {
        let sent_now = send_until_killed(&mut server, round)?;
        sent.accepted.extend(sent_now.accepted);
        sent.unanswered.extend(sent_now.unanswered);
        server = start(place, &file)?;
        if registered(server.address())?.len() >= sent.accepted.len() {
            return Err("all were registered when the kill came: it was not in mid-work".to_owned());
        }
    }
    expect_each_done(server.address(), &sent)?;
    expect_each_once(&registered(server.address())?, &sent)?;
    server.end("TERM")
}

fn start(place: &Place, file: &Path) -> Result<Server, String> {
    let file = file.to_str().ok_or("the build directory has a name that is not UTF-8")?;
    Server::start(place, &["--store", "sqlite", "--file", file, "--work", WORK_MILLIS])
}

/// What became of requests to register.
#[derive(Default)]
struct Sent {
    /// Names, and the ids of their jobs.
    accepted: BTreeMap<String, String>,
    /// Names whose request was cut off: they may be registered, or not.
    unanswered: Vec<String>,
}

/// Sends from several clients at once, and kills the server when enough is accepted.
fn send_until_killed(server: &mut Server, round: usize) -> Result<Sent, String> {
    let (address, count) = (server.address(), Arc::new(AtomicUsize::new(0)));
    let client = |number| {
        let count = count.clone();
        thread::spawn(move || send(address, &format!("{round}-{number}"), &count))
    };
    let clients: Vec<_> = (0..CONNECTIONS).map(client).collect();
    let deadline = Instant::now() + LIMIT;
    while count.load(Ordering::Acquire) < ACCEPTED {
        if Instant::now() > deadline || clients.iter().any(|client| client.is_finished()) {
            return Err(format!("only {} were accepted of {ACCEPTED}", count.load(Ordering::Acquire)));
        }
        thread::sleep(POLL_INTERVAL);
    }
    server.kill()?;
    let mut all = Sent::default();
    for client in clients {
        let sent = client.join().map_err(|_| "a client panicked")??;
        all.accepted.extend(sent.accepted);
        all.unanswered.extend(sent.unanswered);
    }
    Ok(all)
}

/// Sends one request after the other until one is not answered.
fn send(address: SocketAddr, client: &str, count: &AtomicUsize) -> Result<Sent, String> {
    let (mut connection, mut sent) = (Connection::open(address)?, Sent::default());
    for number in 0.. {
        let name = format!("user {client}-{number}");
        let Ok(reply) = connection.send("POST", "/users", Some(&format!("{{\"name\": \"{name}\"}}"))) else {
            sent.unanswered.push(name);
            break;
        };
        reply.expect(202)?;
        sent.accepted.insert(name, reply.text("id")?.to_owned());
        count.fetch_add(1, Ordering::AcqRel);
    }
    Ok(sent)
}

/// Waits until each accepted job has succeeded. Some must have been claimed again after a kill.
fn expect_each_done(address: SocketAddr, sent: &Sent) -> Result<(), String> {
    let mut connection = Connection::open(address)?;
    let deadline = Instant::now() + LIMIT;
    let mut claimed_again = 0;
    for (name, id) in &sent.accepted {
        loop {
            let reply = connection.send("GET", &format!("/jobs/{id}"), None)?;
            reply
                .expect(200)
                .map_err(|error| format!("{name} was accepted, and its job is lost: {error}"))?;
            match reply.text("state")? {
                "succeeded" => {
                    claimed_again += usize::from(!reply.body.contains("\"claims\":1,"));
                    break;
                }
                "waiting" | "running" if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
                _ => return Err(format!("{name} was accepted and did not end well: {}", reply.body)),
            }
        }
    }
    if claimed_again == 0 {
        return Err("no job was claimed twice, so no kill met one that was running".to_owned());
    }
    Ok(())
}

/// However often a job ran, its name is there once; and nobody is there who was not sent.
fn expect_each_once(registered: &BTreeMap<String, u64>, sent: &Sent) -> Result<(), String> {
    if let Some(name) = sent.accepted.keys().find(|name| registered.get(*name) != Some(&1)) {
        return Err(format!("{name} was accepted and is registered {:?} times", registered.get(name)));
    }
    let is_known = |name: &String| sent.accepted.contains_key(name) || sent.unanswered.contains(name);
    match registered.iter().find(|(name, count)| !is_known(name) || **count != 1) {
        Some((name, count)) => Err(format!("{name} is registered {count} times and was not accepted")),
        None => Ok(()),
    }
}

fn registered(address: SocketAddr) -> Result<BTreeMap<String, u64>, String> {
    let reply = Connection::open(address)?.send("GET", "/users", None)?;
    reply.expect(200)?;
    counts(&reply.body).ok_or_else(|| format!("the users are not names and numbers: {}", reply.body))
}

/// The names of these checks need no escapes.
fn counts(body: &str) -> Option<BTreeMap<String, u64>> {
    let entries = body.strip_prefix('{')?.strip_suffix('}')?;
    let entry = |entry: &str| {
        let (name, count) = entry.rsplit_once(':')?;
        Some((name.trim_matches('"').to_owned(), count.parse().ok()?))
    };
    entries.split(',').filter(|text| !text.is_empty()).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        assert_eq!(counts("{}"), Some(BTreeMap::new()));
        let two = counts(r#"{"user 0-1-2":1,"user 0-1-3":2}"#).unwrap();
        assert_eq!((two.len(), two["user 0-1-3"]), (2, 2));
        assert_eq!(counts("nothing"), None);
    }

    #[test]
    fn whoever_is_missing_doubled_or_unknown_is_named() {
        let mut sent = Sent { accepted: BTreeMap::new(), unanswered: vec!["cut off".to_owned()] };
        sent.accepted.insert("masa".to_owned(), "1".to_owned());
        let check = |names: &[(&str, u64)]| {
            let registered = names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
            expect_each_once(&registered, &sent)
        };
        assert_eq!(check(&[("masa", 1)]), Ok(()));
        assert_eq!(check(&[("masa", 1), ("cut off", 1)]), Ok(()));
        for wrong in [&[][..], &[("masa", 2)], &[("masa", 1), ("taro", 1)], &[("masa", 1), ("cut off", 2)]] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}
