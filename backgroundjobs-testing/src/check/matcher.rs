//! [`Matcher`]: what enqueued and ran have in common: conditions, and how many must meet them all.

use std::borrow::Cow;
use std::panic::Location;

use backgroundjobs_core::JobArgs;

use super::failure::{Shortfall, shortfall};
use super::{SeenJob, View};
use crate::history::SeenRun;

/// A job, or a run of one, that may be meant.
pub(super) struct Candidate<'a, A> {
    pub(super) job: Option<&'a SeenJob>,
    pub(super) run: Option<&'a SeenRun>,
    pub(super) args: Result<A, String>,
}

/// What one condition says of one candidate.
pub(super) struct Field {
    pub(super) name: Cow<'static, str>,
    /// What the candidate has.
    pub(super) is: String,
    /// What was asked for, where the candidate differs.
    pub(super) wanted: Option<String>,
}

impl Field {
    pub(super) fn new(name: impl Into<Cow<'static, str>>, is: String, wanted: String, is_met: bool) -> Self {
        Self { name: name.into(), is, wanted: (!is_met).then_some(wanted) }
    }

    /// For what is equal or not.
    pub(super) fn equal(name: &'static str, is: String, wanted: String) -> Self {
        let is_met = is == wanted;
        Self::new(name, is, wanted, is_met)
    }
}

type Condition<'a, A> = Box<dyn Fn(&Candidate<'_, A>) -> Field + 'a>;

/// Conditions on candidates.
pub(super) struct Matcher<'a, A> {
    pub(super) view: &'a View,
    pub(super) what: Asked,
    conditions: Vec<Condition<'a, A>>,
    wishes: Vec<String>,
}

/// How many must meet all conditions.
#[derive(Clone, Copy)]
pub(super) enum Count {
    Exactly(usize),
    AtLeast(usize),
}

impl Count {
    const fn is_met(self, found: usize) -> bool {
        match self {
            Self::Exactly(wanted) => found == wanted,
            Self::AtLeast(wanted) => found >= wanted,
        }
    }

    /// So many of a thing, in words.
    fn of(self, thing: &str) -> String {
        let (how, count) = match self {
            Self::Exactly(0) => return format!("no {thing}"),
            Self::Exactly(count) => ("exactly", count),
            Self::AtLeast(count) => ("at least", count),
        };
        format!("{how} {count} {thing}{}", if count == 1 { "" } else { "s" })
    }
}

/// What a question is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Jobs,
    Runs,
}

impl Asked {
    /// What was expected, in words.
    pub(super) fn headline(self, count: Count, kind: &str) -> String {
        match self {
            Self::Jobs => format!("{} of kind {kind} to be enqueued", count.of("job")),
            Self::Runs => format!("{} of kind {kind}", count.of("run")),
        }
    }
}

impl<'a, A: JobArgs> Matcher<'a, A> {
    pub(super) fn new(view: &'a View, what: Asked) -> Self {
        Self { view, what, conditions: Vec::new(), wishes: Vec::new() }
    }

    /// Adds a condition; `wish` is how it reads in the headline of a failure.
    pub(super) fn must(&mut self, wish: String, condition: impl Fn(&Candidate<'_, A>) -> Field + 'a) {
        self.wishes.push(wish);
        self.conditions.push(Box::new(condition));
    }

    /// Adds the user's own condition on the args.
    pub(super) fn must_have(&mut self, condition: impl Fn(&A) -> bool + 'a, at: &Location<'_>) {
        let (place, name) =
            (format!("closure at {}:{}", at.file(), at.line()), format!("closure of line {}", at.line()));
        self.must(place, move |candidate| match &candidate.args {
            Ok(args) => {
                let is_met = condition(args);
                Field::new(name.clone(), is_met.to_string(), "true".into(), is_met)
            }
            Err(error) => {
                Field::new("args", format!("do not decode ({error})"), "args of this type".into(), false)
            }
        });
    }

    /// The candidates that meet every condition, if there are as many as there must be.
    ///
    /// # Panics
    /// When there are not.
    #[track_caller]
    pub(super) fn expect(self, count: Count, candidates: Vec<Candidate<'a, A>>) -> Vec<Candidate<'a, A>> {
        let judged = candidates.into_iter().map(|candidate| {
            let fields: Vec<Field> = self.conditions.iter().map(|condition| condition(&candidate)).collect();
            (candidate, fields)
        });
        let (met, rest): (Vec<_>, Vec<_>) =
            judged.partition(|(_, fields)| fields.iter().all(|field| field.wanted.is_none()));
        if count.is_met(met.len()) {
            return met.into_iter().map(|(candidate, _)| candidate).collect();
        }
        let plain =
            |(candidate, fields): (Candidate<'a, A>, Vec<Field>)| (candidate.job, candidate.run, fields);
        panic!(
            "{}",
            shortfall(&Shortfall {
                view: self.view,
                kind: A::KIND,
                aliases: A::ALIASES,
                what: self.what,
                wishes: &self.wishes,
                count,
                met: met.into_iter().map(plain).collect(),
                rest: rest.into_iter().map(plain).collect(),
            })
        );
    }
}

/// Makes the ends that every question has, from one that answers the candidates.
macro_rules! terminals {
    ($found:ident) => {
        /// Expects exactly one.
        ///
        /// # Panics
        /// When there are more or none, with the nearest and what differs.
        #[track_caller]
        pub fn once(self) {
            self.times(1);
        }

        /// Expects exactly so many.
        ///
        /// # Panics
        /// When there are more or fewer, with the nearest and what differs.
        #[track_caller]
        pub fn times(self, count: usize) {
            _ = self.expect(Count::Exactly(count));
        }

        /// Expects so many or more.
        ///
        /// # Panics
        /// When there are fewer, with the nearest and what differs.
        #[track_caller]
        pub fn at_least(self, count: usize) {
            _ = self.expect(Count::AtLeast(count));
        }

        /// Expects none.
        ///
        /// # Panics
        /// When there is one, with which.
        #[track_caller]
        pub fn never(self) {
            self.times(0);
        }

        /// Expects exactly one, and answers it.
        ///
        /// # Panics
        /// When there are more or none, or its args do not decode.
        #[must_use]
        #[track_caller]
        pub fn get(self) -> $found<A> {
            let found = self.expect(Count::Exactly(1)).pop();
            $found::of(found.expect("exactly one was found"))
        }

        /// All of them, be there any or not, in order.
        ///
        /// # Panics
        /// When the args of one do not decode.
        #[must_use]
        #[track_caller]
        pub fn all(self) -> Vec<$found<A>> {
            self.expect(Count::AtLeast(0)).into_iter().map($found::of).collect()
        }
    };
}
pub(super) use terminals;
