//! `BACKGROUNDJOBS_SEED`, in a process of its own: the environment is one for all tests of a process.

use std::process::{Command, Output};

use backgroundjobs_testing::explore;

/// Run again by the other tests, with the variable set; by itself it says nothing.
#[tokio::test]
async fn scenario() {
    let seen = explore(0..3, async |kit| {
        // A seed decides the ids, so an id tells which seed it was.
        println!("explored {}", kit.env().job_id());
    })
    .await;
    println!("in all {}", seen.seeds);
}

fn explored(seeds: &str) -> Output {
    let this = std::env::current_exe().expect("a path");
    let mut again = Command::new(this);
    again.args(["--exact", "scenario", "--nocapture"]).env("BACKGROUNDJOBS_SEED", seeds);
    again.output().expect("it runs")
}

fn lines(seeds: &str, prefix: &str) -> Vec<String> {
    let output = explored(seeds);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{text}");
    // What libtest prints of a test stands in the same line.
    text.lines().filter_map(|line| line.split_once(prefix)).map(|(_, rest)| rest.to_owned()).collect()
}

#[test]
fn one_seed_takes_the_place_of_those_that_the_test_names() {
    assert_eq!(lines("41", "in all "), ["1"]);
    let ids = lines("41", "explored ");
    assert_eq!(ids.len(), 2, "the first seed is run twice");
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], lines("42", "explored ")[0]);
}

#[test]
fn a_range_does_too() {
    assert_eq!(lines("10..15", "in all "), ["5"]);
    assert_eq!(lines("10..=15", "in all "), ["6"]);
}

#[test]
fn a_value_that_is_no_seed_is_an_error_that_says_what_to_write() {
    let output = explored("many");
    let text =
        String::from_utf8(output.stderr).expect("text") + &String::from_utf8(output.stdout).expect("text");
    assert!(!output.status.success());
    assert!(
        text.contains("BACKGROUNDJOBS_SEED is \"many\": write one seed, as 7, or a range of them, as 0..200"),
        "{text}"
    );
}
