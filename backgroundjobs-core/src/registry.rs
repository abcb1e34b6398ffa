//! Which handler runs which kind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::handler::ErasedHandler;
use crate::{Kind, RetryPolicy};

/// One registered kind: its handler and what holds for its jobs.
pub(crate) struct Registration {
    pub(crate) kind: Kind,
    pub(crate) aliases: Vec<Kind>,
    pub(crate) handler: Box<dyn ErasedHandler>,
    /// How long a run may take, whoever said so.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<RetryPolicy>,
}

/// Every registered kind, found by its name or an alias.
pub(crate) struct Registry {
    registrations: Vec<Registration>,
    by_name: BTreeMap<Kind, usize>,
    names: Arc<[Kind]>,
}

impl Registry {
    /// The caller has made sure that no name stands for two registrations.
    pub(crate) fn new(registrations: Vec<Registration>) -> Self {
        let mut by_name = BTreeMap::new();
        for (index, registration) in registrations.iter().enumerate() {
            for name in std::iter::once(&registration.kind).chain(&registration.aliases) {
                by_name.insert(name.clone(), index);
            }
        }
        let names = by_name.keys().cloned().collect();
        Self { registrations, by_name, names }
    }

    /// Every name jobs may be stored under, in order.
    pub(crate) fn names(&self) -> &Arc<[Kind]> {
        &self.names
    }

    /// The name itself, if jobs may be stored under it.
    pub(crate) fn name(&self, name: &str) -> Option<&Kind> {
        self.by_name.get_key_value(name).map(|(kind, _)| kind)
    }

    pub(crate) fn find(&self, name: &Kind) -> Option<&Registration> {
        self.by_name.get(name).map(|index| &self.registrations[*index])
    }

    pub(crate) fn handler(&self, name: &Kind) -> Option<&dyn ErasedHandler> {
        self.find(name).map(|registration| &*registration.handler)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Registry").field(&self.names).finish()
    }
}
