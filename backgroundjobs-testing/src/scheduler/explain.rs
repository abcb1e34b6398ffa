//! What everybody is doing: the text of the scheduler's panics.

use std::fmt::Write;
use std::sync::Arc;

use backgroundjobs_core::{Clock, Outside};

use super::guards::GivenUp;
use super::real_time;
use super::shared::Shared;
use super::state::State;
use crate::current::Owner;

/// How many tasks or timers a line names.
const NAMED: usize = 10;

pub(super) fn explain(shared: &Shared, headline: &str) -> String {
    let mut text = format!("{headline}, at virtual {}", shared.clock.now());
    let state = shared.state.lock();
    if let Some(name) = state.tasks.running_name() {
        text += &format!("\n  task {name} is inside a poll");
    }
    guards(&mut text, &state, shared.ticker.now());
    let ready = state.tasks.waiting_names();
    if !ready.is_empty() {
        text += &format!("\n  ready: {}", list(&ready));
    }
    let parked: Vec<_> = state.tasks.names().filter(|name| !ready.contains(name)).cloned().collect();
    text += &format!("\n  other tasks: {}", list(&parked));
    drop(state);
    timers(&mut text, shared);
    text
}

fn guards(text: &mut String, state: &State, tick: u64) {
    let (mut handler, mut service) = (false, false);
    for guard in state.guards.iter().filter(|guard| guard.counts() || guard.waits()) {
        let task = guard.owner.and_then(|id| state.tasks.name(id));
        let task = task.as_deref().unwrap_or("the test");
        let whom = if guard.counts() || guard.given_up != GivenUp::No {
            "something outside"
        } else {
            "the clock or its cancel"
        };
        let real = real_time::duration(tick.saturating_sub(guard.since_tick));
        handler |= guard.counts() && matches!(guard.what, Outside::Handler { .. });
        service |= guard.counts() && matches!(guard.what, Outside::Service { .. });
        _ = write!(
            text,
            "\n  {} in task {task} waits for {whom}, since virtual {}, for {real:?} of real time",
            guard.what, guard.since
        );
    }
    if handler {
        *text += "\n  (a handler that sleeps must sleep through its context: tokio's time is real time)";
    }
    if service {
        *text +=
            "\n  (a service that sleeps must sleep through stopping.sleep(..): tokio's time is real time)";
    }
}

fn timers(text: &mut String, shared: &Shared) {
    let now = shared.clock.now();
    let armed = shared.clock.armed();
    let of = |owner: Option<Owner>| owner.map_or_else(|| "the test".into(), |owner| owner.name);
    let shown: Vec<Arc<str>> =
        armed.into_iter().map(|(at, owner)| format!("{} in {:?}", of(owner), at.since(now)).into()).collect();
    *text += &format!("\n  armed timers: {}", list(&shown));
}

fn list(items: &[Arc<str>]) -> String {
    let named: Vec<&str> = items.iter().take(NAMED).map(|item| &**item).collect();
    match items.len() {
        0 => "none".into(),
        count if count > NAMED => format!("{} and {} more", named.join(", "), count - NAMED),
        _ => named.join(", "),
    }
}
