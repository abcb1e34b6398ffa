//! A pointer to a store is a store.

use std::sync::Arc;

use super::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, InsertJobs, InsertedJobs, InspectStore,
    JobStore, PruneJobs, PrunedJobs, RecoverJobs, RecoveredJobs, RemoteWakes, RenewLeases, RenewedLeases,
    SettleJobs, SettledJobs, StoreError, StoreProfile, WakeHub,
};
use crate::{BoxFuture, JobId, JobRecord};

/// Forwards every call as it is. Written out, not by the macro: the futures are boxed already.
macro_rules! forward {
    ($pointer:ident: $($call:ident($request:ty) -> $reply:ty;)*) => {
        #[diagnostic::do_not_recommend]
        impl<S: JobStore + ?Sized> JobStore for $pointer<S> {
            fn profile(&self) -> StoreProfile {
                (**self).profile()
            }

            fn prepare<'a, 'f>(&'a self) -> BoxFuture<'f, Result<(), StoreError>>
            where
                'a: 'f,
                Self: 'f,
            {
                (**self).prepare()
            }

            fn close<'a, 'f>(&'a self) -> BoxFuture<'f, Result<(), StoreError>>
            where
                'a: 'f,
                Self: 'f,
            {
                (**self).close()
            }

            $(fn $call<'a, 'b, 'f>(
                &'a self,
                request: &'b $request,
            ) -> BoxFuture<'f, Result<$reply, StoreError>>
            where
                'a: 'f,
                'b: 'f,
                Self: 'f,
            {
                (**self).$call(request)
            })*

            fn local_hub(&self) -> Option<&WakeHub> {
                (**self).local_hub()
            }

            fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
                (**self).remote_wakes()
            }

            fn inspect(&self) -> Option<&dyn InspectStore> {
                (**self).inspect()
            }

            fn control(&self) -> Option<&dyn ControlStore> {
                (**self).control()
            }
        }
    };
    ($($pointer:ident)+) => {
        $(forward! {
            $pointer:
            insert(InsertJobs) -> InsertedJobs;
            claim(ClaimJobs) -> ClaimedJobs;
            renew(RenewLeases) -> RenewedLeases;
            settle(SettleJobs) -> SettledJobs;
            recover(RecoverJobs) -> RecoveredJobs;
            cancel(CancelJobs) -> Vec<CancelStatus>;
            get([JobId]) -> Vec<Option<JobRecord>>;
            prune(PruneJobs) -> PrunedJobs;
        })+
    };
}

forward!(Arc Box);
