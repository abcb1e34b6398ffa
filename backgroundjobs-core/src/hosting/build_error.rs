//! [`HostBuildError`]: everything that keeps a host from being built.

use std::fmt;

use crate::NameError;

/// Everything that keeps a host from being built.
pub struct HostBuildError {
    problems: Vec<HostBuildProblem>,
}

impl HostBuildError {
    pub(super) const fn new(problems: Vec<HostBuildProblem>) -> Self {
        Self { problems }
    }

    /// Each mistake.
    #[must_use]
    pub fn problems(&self) -> &[HostBuildProblem] {
        &self.problems
    }
}

impl fmt::Display for HostBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "the host cannot be built: {only}"),
            several => {
                write!(f, "the host cannot be built, for {} reasons:", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

// Each problem's text ends with that of its source.
impl std::error::Error for HostBuildError {}

crate::readable::debug_is_text!(HostBuildError);

/// One mistake, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant and field is explained by its message")]
pub enum HostBuildProblem {
    #[error("there is no service: call .background(name, service) or .service(name, service)")]
    NoService,
    #[error("{of:?} cannot be the name of a service: {source}")]
    Name { of: String, source: NameError },
    #[error("two services are called {name:?}: give each a name of its own")]
    NameTwice { name: String },
    #[error(".{method}(..) is about the service added last, and none was added before it")]
    NothingToConfigure { method: &'static str },
    #[error(
        ".{method}(..) is about services that work in the background, and {service:?} only starts and stops: a start \
         that fails always ends the start of the host"
    )]
    NotInBackground { service: String, method: &'static str },
    #[error("the settings of {service:?} are wrong: {text}")]
    Settings { service: String, text: String },
}
