//! Properties over made-up input: how many cases, from which seed, and texts of every shape.

#![allow(dead_code, reason = "each test that includes this module uses a part of it")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestRunner, contextualize_config};

/// Where nothing else is said, so that the gate tries the same cases each time.
const SEED: u64 = 1;

/// Tries `property` with `cases` inputs, and panics with the smallest one found that it does not hold for.
/// `PROPTEST_CASES` and `PROPTEST_RNG_SEED` in the environment come before what is said here.
pub(crate) fn check<S>(cases: u32, input: S, property: impl Fn(S::Value) -> TestCaseResult)
where
    S: Strategy<Value: Debug>,
{
    let config = contextualize_config(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_096,
        rng_seed: RngSeed::Fixed(SEED),
        ..Config::default()
    });
    let (cases, seed) = (config.cases, config.rng_seed);
    if let Err(error) = TestRunner::new(config).run(&input, property) {
        panic!("{error}\n  repeat it with PROPTEST_RNG_SEED={seed} PROPTEST_CASES={cases}");
    }
}

/// What the cases were like: a property that only ever saw input of one kind shows little.
#[derive(Default)]
pub(crate) struct Seen(RefCell<BTreeMap<&'static str, usize>>);

impl Seen {
    /// This case was so.
    pub(crate) fn saw(&self, what: &'static str) {
        *self.0.borrow_mut().entry(what).or_default() += 1;
    }

    /// Panics unless each of these was seen at least so often.
    pub(crate) fn expect(&self, least: usize, all: &[&'static str]) {
        let seen = self.0.borrow();
        let is_enough = |what| seen.get(what).is_some_and(|count| *count >= least);
        assert!(all.iter().all(is_enough), "less than {least} of one of {all:?}: {seen:?}");
    }
}

/// Any character; often one that somebody may have forgotten.
pub(crate) fn any_char() -> impl Strategy<Value = char> {
    let odd = "\0\t\n\r\u{1b}\u{1f}\u{7f}\u{80}\u{85}\u{9f}\u{a0}\u{ad}\u{300}\u{1680}\u{2003}\u{200b}\u{2028}\u{202e}\
               \u{3000}\u{feff}\u{fffd}\u{10ffff}é語😀\"\\/'`%_{}[]:,.-+ ";
    prop_oneof![
        4 => proptest::char::range(' ', '~'),
        3 => proptest::sample::select(odd.chars().collect::<Vec<_>>()),
        2 => any::<char>(),
    ]
}

/// Any text of up to so many characters.
pub(crate) fn any_text(characters: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(any_char(), 0..=characters).prop_map(String::from_iter)
}

/// Any text whose bytes number `limit`, give or take a few: one character many times, and any text around it.
pub(crate) fn text_around(limit: usize) -> impl Strategy<Value = String> {
    let filler = prop_oneof![Just('x'), Just('é'), Just('語'), Just('😀'), any_char()];
    (any_text(4), filler, any_text(4), 0..=12_usize).prop_map(move |(start, filler, end, more)| {
        let room = (limit + more).saturating_sub(6 + start.len() + end.len());
        format!("{start}{}{end}", filler.to_string().repeat(room / filler.len_utf8()))
    })
}

/// `text`, with some characters taken away, put in or replaced.
pub(crate) fn mutated(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let edits = proptest::collection::vec((any::<proptest::sample::Index>(), 0..3_u8, any_char()), 0..4);
    (text, edits).prop_map(|(text, edits)| {
        let mut text: Vec<char> = text.chars().collect();
        for (place, edit, character) in edits {
            let at = place.index(text.len() + 1);
            match edit {
                0 => text.insert(at, character),
                1 if at < text.len() => text[at] = character,
                _ if at < text.len() => _ = text.remove(at),
                _ => {}
            }
        }
        String::from_iter(text)
    })
}

/// Any duration; often one at an end of what there is.
pub(crate) fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        any::<u16>().prop_map(|nanos| Duration::from_nanos(nanos.into())),
        (0..1_000_000_u64, 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
        any::<u64>().prop_map(Duration::from_nanos),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
    ]
}
