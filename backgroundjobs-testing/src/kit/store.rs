//! [`KitStore`]: what stands between a program and its store under a kit.
//!
//! It writes down what was done, takes the virtual time that the kit asks for, and fails where the program is cut
//! off. Whatever the store itself does, it does.

use std::future::Future;

use backgroundjobs_core::{StoreError, StoreOperation};

use super::link::Link;
use crate::layer::{Exchange, LayeredStore, Noting, Seam, StoreLayer, within};

/// A store as a program under a kit reaches it.
pub(crate) type KitStore = LayeredStore<Link>;

impl StoreLayer for Link {
    async fn around<T: Send>(
        &self,
        operation: StoreOperation,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let _settling = (operation == StoreOperation::Settle).then(|| self.settling());
        self.there(operation).await?;
        let noting = Noting::new(self.history().clone(), self.node().clone());
        let reply = within(Seam::Notes(noting), call).await?;
        if operation == StoreOperation::Prepare {
            self.has_prepared();
        }
        self.back(operation).await?;
        Ok(reply)
    }

    fn done(&self, exchange: &Exchange<'_>) {
        if let Some(Seam::Notes(noting)) = Seam::current() {
            noting.note(exchange);
        }
    }

    fn answered(&self, exchange: &Exchange<'_>) {
        if let Exchange::Insert(request, _) = exchange {
            self.history().acknowledged(request);
        }
    }
}
