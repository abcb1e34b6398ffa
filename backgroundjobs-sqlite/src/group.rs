//! [`Group`]: inserts that come while one is being written go together in the next.
//!
//! A commit waits for the disk, and one commit can hold the jobs of many callers. Nobody is hired for that: whoever gets the
//! connection writes for all who wait for it, and who is dropped while doing so leaves it to the next.

use std::collections::VecDeque;
use std::sync::Arc;

use backgroundjobs_core::{InsertJobs, Inserted};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::engine::Engine;
use crate::error::Failed;

/// The most jobs that are written together, unless one request has more.
const MOST_JOBS: usize = 2_000;
/// The most args that are written together, in bytes, unless one request has more.
const MOST_BYTES: usize = 16 * 1024 * 1024;

#[derive(Default)]
pub(crate) struct Group {
    waiting: Mutex<VecDeque<Arc<Ticket>>>,
}

/// One request to insert, and its answer.
pub(crate) struct Ticket {
    pub(crate) request: InsertJobs,
    state: Mutex<State>,
    answered: Notify,
}

#[derive(Default)]
struct State {
    answer: Option<Result<Vec<Inserted>, Failed>>,
    /// What the answer will be if a commit that nobody saw the end of was made.
    expected: Option<Vec<Inserted>>,
    /// Nobody waits for the answer any more.
    abandoned: bool,
}

impl Ticket {
    fn new(request: InsertJobs) -> Arc<Self> {
        Arc::new(Self { request, state: Mutex::default(), answered: Notify::new() })
    }

    /// What a commit that was sent would make the answer.
    pub(crate) fn expected(&self) -> Option<Vec<Inserted>> {
        self.state.lock().expected.clone()
    }

    /// Notes what the answer will be, before the commit is sent.
    pub(crate) fn expect(&self, answer: Vec<Inserted>) {
        self.state.lock().expected = Some(answer);
    }

    /// No commit was made.
    pub(crate) fn expect_nothing(&self) {
        self.state.lock().expected = None;
    }

    fn answer(&self, answer: Result<Vec<Inserted>, Failed>) {
        self.state.lock().answer = Some(answer);
        self.answered.notify_one();
    }

    fn take_answer(&self) -> Option<Result<Vec<Inserted>, Failed>> {
        self.state.lock().answer.take()
    }

    fn is_open(&self) -> bool {
        let state = self.state.lock();
        state.answer.is_none() && !state.abandoned
    }

    fn bytes(&self) -> usize {
        self.request.jobs.iter().map(|job| job.args.as_str().len()).sum()
    }
}

impl Engine {
    /// Inserts, together with whoever else waits to.
    pub(crate) async fn insert(&self, request: &InsertJobs) -> Result<Vec<Inserted>, Failed> {
        let ticket = self.group.join(request);
        let _leaving = Leaving { group: &self.group, ticket: &ticket };
        loop {
            let mut db = tokio::select! {
                biased;
                () = ticket.answered.notified() => {
                    if let Some(answer) = ticket.take_answer() {
                        return answer;
                    }
                    continue;
                }
                db = self.writer() => db?,
            };
            while ticket.is_open() {
                let together = Taken { group: &self.group, tickets: self.group.take() };
                self.serve(&mut db, &together.tickets).await;
            }
            if let Some(answer) = ticket.take_answer() {
                return answer;
            }
        }
    }

    async fn serve(&self, db: &mut crate::db::Db, tickets: &[Arc<Ticket>]) {
        match self.insert_together(db, tickets).await {
            Ok(answers) => {
                for (ticket, answer) in tickets.iter().zip(answers) {
                    ticket.answer(answer);
                }
            }
            // One of them is at fault, and the others are not to suffer for it.
            Err(failed) if tickets.len() > 1 && failed.is_of_the_request() => {
                for ticket in tickets.chunks(1) {
                    let answer = self.insert_together(db, ticket).await;
                    ticket[0].answer(answer.and_then(|mut answers| answers.swap_remove(0)));
                }
            }
            Err(failed) => tickets.iter().for_each(|ticket| ticket.answer(Err(failed.clone()))),
        }
    }
}

impl Group {
    fn join(&self, request: &InsertJobs) -> Arc<Ticket> {
        let ticket = Ticket::new(request.clone());
        self.waiting.lock().push_back(ticket.clone());
        ticket
    }

    /// As many of those who wait, in order, as go into one transaction.
    fn take(&self) -> Vec<Arc<Ticket>> {
        let mut waiting = self.waiting.lock();
        let (mut taken, mut jobs, mut bytes) = (Vec::new(), 0, 0);
        while let Some(ticket) = waiting.front() {
            jobs += ticket.request.jobs.len();
            bytes += ticket.bytes();
            if !taken.is_empty() && (jobs > MOST_JOBS || bytes > MOST_BYTES) {
                break;
            }
            taken.extend(waiting.pop_front());
        }
        taken
    }

    fn forget(&self, ticket: &Arc<Ticket>) {
        self.waiting.lock().retain(|waiting| !Arc::ptr_eq(waiting, ticket));
    }
}

/// Takes a request back whose caller is gone.
struct Leaving<'a> {
    group: &'a Group,
    ticket: &'a Arc<Ticket>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let answered = {
            let mut state = self.ticket.state.lock();
            state.abandoned = true;
            state.answer.is_some()
        };
        if !answered {
            self.group.forget(self.ticket);
        }
    }
}

/// Requests that somebody is seeing to. Those that are not answered when that ends wait again, in their places.
struct Taken<'a> {
    group: &'a Group,
    tickets: Vec<Arc<Ticket>>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut waiting = self.group.waiting.lock();
        for ticket in self.tickets.drain(..).rev().filter(|ticket| ticket.is_open()) {
            waiting.push_front(ticket);
        }
    }
}

#[cfg(test)]
mod tests;
