//! What a kit and its processes share.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use backgroundjobs_core::{BackgroundJobs, Builder, Clock, Env, JobStats, JobStore, StoreError, Timestamp};
use fastrand::Rng;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::crash_plan::CrashPlan;
use super::life::{Life, LifeHooks};
use super::link::{Delay, Link};
use super::node::NodeInner;
use super::store::KitStore;
use crate::clock::SkewedClock;
use crate::history::History;
use crate::scheduler::Steps;
use crate::{Skew, VirtualClock};

/// How a kit was put together, as far as its processes see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    pub(crate) seed: Option<u64>,
    pub(crate) jitter: bool,
    pub(crate) store_delay: Option<Delay>,
    /// The seed is one of an exploration.
    pub(crate) is_explored: bool,
}

/// What a kit and its processes share.
pub(crate) struct KitShared {
    pub(crate) steps: Steps,
    pub(crate) clock: VirtualClock,
    pub(crate) start: Timestamp,
    pub(crate) surroundings: Surroundings,
    pub(crate) history: History,
    pub(crate) plan: Arc<CrashPlan>,
    /// The process of programs that no node was made for.
    unnamed: Arc<Life>,
    chance: Option<Arc<Mutex<Rng>>>,
    settling: Arc<AtomicUsize>,
    programs: Mutex<Vec<Program>>,
    /// What programs had done that are gone.
    gone: Mutex<JobStats>,
    pub(crate) nodes: Mutex<Vec<Arc<NodeInner>>>,
}

/// A program's jobs and its store, without what the kit put around it.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) jobs: Weak<BackgroundJobs>,
    store: Arc<dyn JobStore>,
    /// Set once the program has prepared it, or the kit for its own looks.
    prepared: Arc<OnceCell<()>>,
}

impl Program {
    /// Its store, prepared: a program that has not been started may not have done that.
    ///
    /// # Errors
    /// What the store answers.
    pub(crate) async fn store(&self) -> Result<&dyn JobStore, StoreError> {
        self.prepared.get_or_try_init(|| self.store.prepare()).await?;
        Ok(&*self.store)
    }

    /// What its store is called.
    pub(crate) fn store_name(&self) -> &'static str {
        self.store.profile().name
    }
}

impl KitShared {
    pub(crate) fn new(steps: Steps, clock: VirtualClock, surroundings: Surroundings) -> Arc<Self> {
        Arc::new(Self {
            steps,
            start: clock.now(),
            history: History::new(clock.clone()),
            clock,
            plan: Arc::default(),
            unnamed: Life::unnamed(),
            // Apart from what decides the order, so that a delay does not change it.
            chance: surroundings.seed.map(|seed| Arc::new(Mutex::new(Rng::with_seed(!seed)))),
            surroundings,
            settling: Arc::default(),
            programs: Mutex::default(),
            gone: Mutex::default(),
            nodes: Mutex::default(),
        })
    }

    /// The surroundings of programs that no node was made for.
    pub(crate) fn env(&self) -> Env {
        self.env_of(&self.unnamed, Skew::None, self.surroundings.seed.unwrap_or(0))
    }

    pub(crate) fn env_of(&self, life: &Arc<Life>, skew: Skew, seed: u64) -> Env {
        let clock: Arc<dyn Clock> = match skew {
            Skew::None => Arc::new(self.clock.clone()),
            _ => Arc::new(SkewedClock { clock: self.clock.clone(), skew }),
        };
        let hooks = LifeHooks {
            steps: self.steps.clone(),
            life: life.clone(),
            history: self.history.clone(),
            plan: self.plan.clone(),
            is_explored: self.surroundings.is_explored,
        };
        Env::builder().clock(clock).hooks(Arc::new(hooks)).seed(seed).jitter(self.surroundings.jitter).build()
    }

    /// Builds jobs of a program that no node was made for.
    pub(crate) fn build(&self, builder: Builder, env: Env) -> Arc<BackgroundJobs> {
        self.build_in(builder, env, &self.unnamed)
    }

    /// Builds a program's jobs in the process of `life`.
    ///
    /// # Panics
    /// With the error's text when they cannot be built.
    pub(crate) fn build_in(&self, builder: Builder, env: Env, life: &Arc<Life>) -> Arc<BackgroundJobs> {
        let prepared = Arc::<OnceCell<()>>::default();
        let link = Link {
            clock: self.clock.clone(),
            delay: self.surroundings.store_delay,
            chance: self.chance.clone(),
            life: life.clone(),
            history: self.history.clone(),
            settling: self.settling.clone(),
            prepared: prepared.clone(),
        };
        let seen = Arc::<Mutex<Option<Arc<dyn JobStore>>>>::default();
        let note = seen.clone();
        let builder = builder.configure(|options| {
            options.env(env).wrap_store(move |inner| {
                *note.lock() = Some(inner.clone());
                Arc::new(KitStore::with(inner, link))
            })
        });
        let jobs = Arc::new(builder.build().unwrap_or_else(|error| panic!("{error}")));
        if let Some(store) = seen.lock().take() {
            self.programs.lock().push(Program { jobs: Arc::downgrade(&jobs), store, prepared });
        }
        jobs
    }

    /// A program's jobs are about to go: what they have done stays counted.
    pub(crate) fn retire(&self, jobs: &Arc<BackgroundJobs>) {
        let mut gone = self.gone.lock();
        *gone = gone.plus(jobs.stats());
        // What it had not told the store, nobody will.
        gone.unsettled = 0;
        // Its store stays, with jobs that somebody should run.
        let mut programs = self.programs.lock();
        for program in programs.iter_mut().filter(|program| program.jobs.as_ptr() == Arc::as_ptr(jobs)) {
            program.jobs = Weak::new();
        }
    }

    /// Whether programs that no node was made for reach their stores.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.unnamed.cut_off(cut_off);
    }

    /// Whether a store is being told how runs ended, or its answer is on its way.
    pub(crate) fn is_settling(&self) -> bool {
        self.settling.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn programs(&self) -> Vec<Program> {
        self.programs.lock().clone()
    }

    /// What all programs have done so far.
    pub(crate) fn stats(&self) -> JobStats {
        let programs = self.programs.lock();
        let living = programs.iter().filter_map(|program| program.jobs.upgrade());
        living.fold(*self.gone.lock(), |sum, jobs| sum.plus(jobs.stats()))
    }
}

impl fmt::Debug for KitShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KitShared").field("surroundings", &self.surroundings).finish_non_exhaustive()
    }
}
