//! Histories made up at random, on the store and on a model: the memory store, which another store that shares no
//! code with it agrees with.
//!
//! Time only moves on here, and where the contract leaves stores a choice it is not asked for.

mod play;
mod step;

use std::time::Duration;

use self::play::{Able, Difference, play};
use self::step::{Step, steps};
use super::context::{Context, broken};
use crate::explore::Seeds;

/// How many histories are made up, and how long each is.
const HISTORIES: u64 = 20;
const STEPS: usize = 80;

/// How often a history that shows a difference is played again to make it shorter.
const TRIES: usize = 300;

/// Calls made up at random are answered as by the model, and leave the same behind.
pub(super) async fn random_calls_are_answered_alike(cx: &Context) {
    let able = Able::of(cx).await;
    for seed in Seeds::from(0..HISTORIES).or_of_environment().range() {
        cx.operations().drawn_from(seed);
        let steps = steps(seed, STEPS);
        if let Some(difference) = play(cx, able, &steps).await {
            let length = difference.step + 1;
            let shortest = shorten(cx, able, steps[..length].to_vec()).await;
            tell(cx, able, seed, length, &shortest).await;
        }
    }
}

/// The shortest history that could be found in which the store and the model part ways: with as few steps as
/// possible, then with as few items in each.
async fn shorten(cx: &Context, able: Able, mut steps: Vec<Step>) -> Vec<Step> {
    let mut tries = 0;
    let mut chunk = steps.len();
    while chunk > 0 && tries < TRIES {
        let mut start = 0;
        while start < steps.len() && tries < TRIES {
            let end = (start + chunk).min(steps.len());
            let mut found = None;
            for shorter in without(&steps, start, end) {
                tries += 1;
                if let Some(Difference { step, .. }) = play(cx, able, &shorter).await {
                    found = Some(shorter[..=step].to_vec());
                    break;
                }
            }
            match found {
                Some(shorter) => steps = shorter,
                None => start = end,
            }
        }
        chunk /= 2;
    }
    let mut index = 0;
    while index < steps.len() {
        let mut item = 0;
        while item < steps[index].items() && steps[index].items() > 1 && tries < TRIES {
            let mut smaller = steps.clone();
            smaller[index] = steps[index].without(item);
            tries += 1;
            match play(cx, able, &smaller).await {
                Some(Difference { step, .. }) => {
                    steps = smaller[..=step].to_vec();
                    if index >= steps.len() {
                        return steps;
                    }
                }
                None => item += 1,
            }
        }
        index += 1;
    }
    steps
}

/// The steps without some of them: without the time before those, too, and with it, if that is what counts.
fn without(steps: &[Step], start: usize, end: usize) -> [Vec<Step>; 2] {
    let shorter = [&steps[..start], &steps[end..]].concat();
    let mut in_time = shorter.clone();
    if let Some(next) = in_time.get_mut(start) {
        next.pass += steps[start..end].iter().map(|step| step.pass).sum::<Duration>();
    }
    [shorter, in_time]
}

/// Plays the history once more, to show its calls, and fails.
async fn tell(cx: &Context, able: Able, seed: u64, length: usize, steps: &[Step]) -> ! {
    let Some(Difference { step, text }) = play(cx, able, steps).await else {
        broken(format_args!(
            "clause F-1: of {length} calls made up by seed {seed} the same are answered in two ways: expected one \
             answer each time, saw a difference from the model only sometimes"
        ))
    };
    let (clauses, shown) = (steps[step].call.clauses(), steps.len());
    broken(format_args!(
        "{clauses}: call {} of {shown} (of {length} made up by seed {seed}): {text}",
        step + 1
    ))
}
