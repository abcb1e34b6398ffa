//! Files that this user may not write or read, tried by a process that is not root, whom nothing stops.
#![cfg(unix)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use backgroundjobs_core::{InsertJobs, JobStore};
use backgroundjobs_sqlite::SqliteStore;
use support::folder::Folder;
use support::jobs::{self, at};

const FILE: &str = "BACKGROUNDJOBS_TEST_FILE";
const NOBODY: u32 = 65_534;

/// Run by the other tests, in a process of its own; by itself it does nothing.
#[tokio::test]
async fn child() {
    let Ok(file) = std::env::var(FILE) else { return };
    let store = SqliteStore::new(file);
    let error =
        store.insert(&InsertJobs::new(at(0), vec![jobs::job()])).await.expect_err("it may not be written");
    println!("answer: {:?} retryable {} {error}", error.kind(), error.is_retryable());
}

/// These tests, in a place where everybody may start them.
fn program(folder: &Folder) -> PathBuf {
    let program = folder.file("tests");
    if !program.exists() {
        let this = std::env::current_exe().expect("a path");
        fs::hard_link(&this, &program).or_else(|_| fs::copy(&this, &program).map(|_| ())).expect("a copy");
    }
    program
}

/// What the store answers to a process of a user who owns none of this.
fn answer(folder: &Folder, file: &Path) -> String {
    let mut child = Command::new(program(folder));
    child.args(["--exact", "child", "--nocapture"]).env(FILE, file).current_dir(folder.path());
    let is_root = fs::metadata(folder.path()).expect("read").uid() == 0;
    if is_root {
        child.uid(NOBODY);
    }
    let output = child.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let answer = text.split_once("answer: ").expect("an answer").1;
    answer.lines().next().unwrap_or_default().to_owned()
}

async fn made(folder: &Folder) -> PathBuf {
    let file = folder.file("jobs.db");
    let store = SqliteStore::new(file.clone());
    jobs::insert_one(&store).await;
    store.close().await.expect("closed");
    file
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
}

#[tokio::test]
async fn a_file_that_may_only_be_read() {
    let folder = Folder::new();
    let file = made(&folder).await;
    allow(&file, 0o444);
    allow(folder.path(), 0o777);
    let answer = answer(&folder, &file);
    assert!(answer.starts_with("Rejected retryable false"), "{answer}");
    assert!(answer.contains("may not be written; let this user write the file and its folder"), "{answer}");
}

#[tokio::test]
async fn a_file_that_may_not_be_opened() {
    let folder = Folder::new();
    let file = made(&folder).await;
    allow(&file, 0o000);
    allow(folder.path(), 0o755);
    let answer = answer(&folder, &file);
    assert!(answer.starts_with("Unavailable retryable true"), "{answer}");
    assert!(answer.contains("let this user read and write the file and its folder"), "{answer}");
}

#[tokio::test]
async fn a_folder_in_which_nothing_may_be_created() {
    let folder = Folder::new();
    program(&folder);
    allow(folder.path(), 0o555);
    let answer = answer(&folder, &folder.file("jobs.db"));
    allow(folder.path(), 0o755);
    assert!(answer.starts_with("Unavailable retryable true"), "{answer}");
    assert!(answer.contains("this user may not create it"), "{answer}");
}
