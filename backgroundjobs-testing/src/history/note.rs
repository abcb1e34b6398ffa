//! What is written into a [`History`].

use std::sync::Arc;

use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimedJobs, DeleteStatus, InsertJobs, Inserted, InsertedJobs, JobId, JobState,
    RecoveredJobs, RequeueStatus, RequeuedJobs, SettleJobs, Settled, SettledJobs, Settlement,
};

use super::{Attempt, Event, History, Pages, SeenInsert, SeenRun, What};
use crate::current;
use crate::layer::Exchange;

impl History {
    fn note(&self, pages: &mut Pages, what: What) {
        pages.events.push(Event { at: self.now(), by: current::task_name(), what });
    }

    /// A store has done this for a program of `node`.
    pub(crate) fn exchanged(&self, exchange: &Exchange<'_>, node: &Arc<str>) {
        match *exchange {
            Exchange::Insert(request, reply) => self.inserted(request, reply),
            Exchange::Claim(_, reply) => self.claimed(reply, node),
            Exchange::Settle(request, reply) => self.settled(request, reply),
            Exchange::Recover(_, reply) => self.recovered(reply),
            Exchange::Cancel(request, reply) => self.cancelled(request, reply),
            Exchange::Requeue(ids, reply) => self.requeued(ids, reply),
            Exchange::Delete(ids, reply) => self.deleted(ids, reply),
            Exchange::Renew(..) | Exchange::Prune(..) => {}
        }
    }

    /// A store has taken these jobs.
    fn inserted(&self, request: &InsertJobs, reply: &InsertedJobs) {
        let pages = &mut *self.pages.lock();
        for (job, answer) in request.jobs.iter().zip(&reply.jobs) {
            if *answer != Inserted::New {
                continue;
            }
            let run_at = job.run_at.instant(reply.store_now);
            let (at, state) = (reply.store_now, JobState::Waiting);
            let seen = SeenInsert { job: job.clone(), at, is_acknowledged: false, state, is_deleted: false };
            if pages.jobs.insert(job.id, seen).is_some() {
                // A new job under the id of one that is gone: its claims are counted from the start again.
                let earlier = pages.run_of.extract_if((job.id, 0)..=(job.id, u64::MAX), |_, _| true);
                earlier.for_each(drop);
            }
            pages.enqueued += 1;
            self.note(pages, What::Enqueued { id: job.id, kind: job.kind.clone(), run_at });
        }
    }

    /// Whoever enqueued these jobs was told that they are stored.
    pub(crate) fn acknowledged(&self, request: &InsertJobs) {
        let pages = &mut *self.pages.lock();
        for job in &request.jobs {
            if let Some(seen) = pages.jobs.get_mut(&job.id) {
                seen.is_acknowledged = true;
            }
        }
    }

    /// A store has handed these jobs to a worker of `node`.
    fn claimed(&self, reply: &ClaimedJobs, node: &Arc<str>) {
        let pages = &mut *self.pages.lock();
        for job in reply.queues.iter().flat_map(|queue| &queue.jobs) {
            let key = (job.id, job.generation);
            if pages.run_of.contains_key(&key) {
                // A repeated claim.
                continue;
            }
            pages.run_of.insert(key, pages.runs.len());
            pages.runs.push(SeenRun {
                job: job.clone(),
                node: node.clone(),
                started: None,
                ended: None,
                attempt: Attempt::Unfinished,
                error: None,
                has_crashed: false,
                place: (usize::MAX, usize::MAX),
            });
            pages.set_state(job.id, JobState::Running);
            self.note(pages, What::Claimed { id: job.id, kind: job.kind.clone(), node: node.clone() });
        }
    }

    /// A handler begins.
    pub(crate) fn started(&self, id: JobId, generation: u64) {
        let (now, pages) = (self.now(), &mut *self.pages.lock());
        let place = pages.events.len();
        let Some(index) = pages.run_of.get(&(id, generation)).copied() else { return };
        pages.running.insert(index);
        let run = &mut pages.runs[index];
        run.started = Some(now);
        run.place.0 = place;
        let (kind, attempt) = (run.job.kind.clone(), run.job.attempt());
        self.note(pages, What::Started { id, kind, attempt });
    }

    /// A handler is over.
    pub(crate) fn ended(&self, id: JobId, generation: u64) {
        let (now, pages) = (self.now(), &mut *self.pages.lock());
        let place = pages.events.len();
        if let Some(index) = pages.run_of.get(&(id, generation)).copied() {
            pages.running.remove(&index);
            let run = &mut pages.runs[index];
            run.ended = Some(now);
            run.place.1 = place;
        }
    }

    /// A store was told how runs ended.
    fn settled(&self, request: &SettleJobs, reply: &SettledJobs) {
        let pages = &mut *self.pages.lock();
        for (Settlement { lease, outcome }, answer) in request.outcomes.iter().zip(&reply.jobs) {
            let attempt = Attempt::of(outcome, *answer);
            let error = outcome.failure().map(|failure| failure.text.to_string());
            let Some(run) = pages.run_of.get(&(lease.id, lease.generation)) else { continue };
            let run = &mut pages.runs[*run];
            if run.attempt != Attempt::Unfinished {
                // A repeated settle.
                continue;
            }
            run.attempt = attempt;
            run.error.clone_from(&error);
            if let Settled::Applied { state } = answer {
                pages.set_state(lease.id, *state);
            }
            self.note(pages, What::Settled { id: lease.id, attempt, error });
        }
    }

    /// A store has taken these jobs back.
    fn recovered(&self, reply: &RecoveredJobs) {
        let pages = &mut *self.pages.lock();
        for job in &reply.jobs {
            pages.set_state(job.id, job.state);
            self.note(pages, What::Recovered { id: job.id, state: job.state });
        }
    }

    /// Somebody wanted these jobs not to run.
    fn cancelled(&self, request: &CancelJobs, reply: &[CancelStatus]) {
        let pages = &mut *self.pages.lock();
        for (id, answer) in request.ids.iter().zip(reply) {
            let at_once = match answer {
                CancelStatus::Cancelled => true,
                CancelStatus::Requested => false,
                CancelStatus::Finished(_) | CancelStatus::Unknown => continue,
            };
            if at_once {
                pages.set_state(*id, JobState::Cancelled);
            }
            self.note(pages, What::CancelAsked { id: *id, at_once });
        }
    }

    /// These jobs were put back.
    fn requeued(&self, ids: &[JobId], reply: &RequeuedJobs) {
        let pages = &mut *self.pages.lock();
        for (id, answer) in ids.iter().zip(&reply.jobs) {
            if let RequeueStatus::Requeued(_) = answer {
                pages.set_state(*id, JobState::Waiting);
                self.note(pages, What::Requeued { id: *id });
            }
        }
    }

    /// Somebody wanted these jobs to be gone.
    fn deleted(&self, ids: &[JobId], reply: &[DeleteStatus]) {
        let pages = &mut *self.pages.lock();
        for (id, _) in ids.iter().zip(reply).filter(|(_, answer)| **answer == DeleteStatus::Deleted) {
            if let Some(seen) = pages.jobs.get_mut(id) {
                seen.is_deleted = true;
            }
            self.note(pages, What::Deleted { id: *id });
        }
    }

    /// Something was done to a node.
    pub(crate) fn node(&self, node: &Arc<str>, what: &'static str) {
        let pages = &mut *self.pages.lock();
        self.note(pages, What::Node { node: node.clone(), what });
    }

    /// A node has crashed, and with it what it ran.
    pub(crate) fn crashed(&self, node: &Arc<str>) {
        let pages = &mut *self.pages.lock();
        let place = pages.events.len();
        for (index, run) in pages.runs.iter_mut().enumerate() {
            if run.node == *node && run.ended.is_none() && !run.has_crashed {
                run.has_crashed = true;
                run.place.1 = place;
                pages.running.remove(&index);
            }
        }
        self.note(pages, What::Node { node: node.clone(), what: "crashed" });
    }
}

impl Pages {
    fn set_state(&mut self, id: JobId, state: JobState) {
        if let Some(seen) = self.jobs.get_mut(&id) {
            seen.state = state;
        }
    }
}
