//! Registers the users named in a file, one a line: `register_users FILE`, or `-` for standard input.
//!
//! One job a name, eight at a time. `--print` writes each name as it is registered; `--work MS` makes each
//! registration take that long.

mod names;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use names::{Line, Lines};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};

const AT_A_TIME: usize = 8;
/// Names read and not registered yet, at most: a file of any size takes a bounded amount of memory.
const AHEAD: u64 = 50_000;
const CHUNK: usize = 1_000;
const USAGE: &str = "usage: register_users [--print] [--work MS] FILE    (FILE is - for standard input)";

#[derive(Serialize, Deserialize)]
struct RegisterUser {
    name: String,
}

impl JobArgs for RegisterUser {
    const KIND: &'static str = "register_user";
}

/// Where users are registered.
struct Users {
    registered: AtomicU64,
    changed: Notify,
    print: bool,
    work: Duration,
}

async fn register(users: Arc<Users>, user: RegisterUser, ctx: JobContext) -> JobResult {
    if !users.work.is_zero() {
        ctx.sleep(users.work).await;
    }
    if users.print {
        writeln!(io::stdout().lock(), "{}", user.name)?;
    }
    users.registered.fetch_add(1, Ordering::AcqRel);
    users.changed.notify_one();
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => return fail(2, &format!("{error}\n{USAGE}")),
    };
    let input = match open(&arguments.file) {
        Ok(input) => input,
        Err(error) => return fail(2, &format!("cannot read {}: {error}", arguments.file)),
    };
    run(arguments, input).await.unwrap_or_else(|error| fail(1, &error.to_string()))
}

async fn run(
    arguments: Arguments,
    input: Box<dyn BufRead + Send>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let users = Arc::new(Users {
        registered: AtomicU64::new(0),
        changed: Notify::new(),
        print: arguments.print,
        work: arguments.work,
    });
    let jobs = BackgroundJobs::builder(|options| options.use_in_memory().queue("default", AT_A_TIME))
        .register_fn_with(users.clone(), register)
        .build()?;
    jobs.start().await?;
    let mut read = read_in_background(input);
    let mut totals = Totals::default();
    let ended = tokio::select! {
        biased;
        stopped = tokio::signal::ctrl_c() => stopped.map(|()| End::Interrupted)?,
        ended = register_all(&jobs, &users, &mut read, &mut totals) => ended?,
    };
    let report = jobs.stop(Duration::from_secs(5)).await?;
    let registered = users.registered.load(Ordering::Acquire);
    clear_progress();
    println!("registered {registered}, skipped {}", totals.skipped);
    Ok(match ended {
        End::Complete => ExitCode::SUCCESS,
        End::Unreadable(error) => fail(1, &format!("cannot read on in {}: {error}", arguments.file)),
        End::Interrupted => {
            let left = totals.enqueued - registered;
            let told = report.interrupted.len();
            let more = if totals.read_all { "" } else { "; the rest of the file was not read" };
            fail(
                130,
                &format!("interrupted: {left} names were left unregistered ({told} of them under way){more}"),
            )
        }
    })
}

enum End {
    Complete,
    Interrupted,
    Unreadable(io::Error),
}

#[derive(Default)]
struct Totals {
    enqueued: u64,
    skipped: u64,
    read_all: bool,
}

async fn register_all(
    jobs: &BackgroundJobs,
    users: &Users,
    read: &mut mpsc::Receiver<io::Result<Vec<Line>>>,
    totals: &mut Totals,
) -> Result<End, Box<dyn std::error::Error>> {
    let manager = jobs.manager();
    let mut unreadable = None;
    while let Some(lines) = read.recv().await {
        let mut names = Vec::new();
        match lines {
            Ok(lines) => lines.into_iter().for_each(|line| match line {
                Line::Name(name) => names.push(RegisterUser { name }),
                Line::Skipped { number, reason } => {
                    totals.skipped += 1;
                    eprintln!("line {number} skipped: {reason}");
                }
            }),
            Err(error) => unreadable = Some(error),
        }
        totals.enqueued += names.len() as u64;
        manager.enqueue_many(names).await?;
        wait_until_left(users, totals, AHEAD).await;
    }
    totals.read_all = unreadable.is_none();
    wait_until_left(users, totals, 0).await;
    jobs.wait_until_idle(Duration::from_secs(60)).await?;
    Ok(unreadable.map_or(End::Complete, End::Unreadable))
}

/// Waits until at most `left` of the enqueued names are not registered, and shows how it goes.
async fn wait_until_left(users: &Users, totals: &Totals, left: u64) {
    loop {
        let registered = users.registered.load(Ordering::Acquire);
        if totals.enqueued - registered <= left {
            return;
        }
        show_progress(registered, totals.enqueued);
        users.changed.notified().await;
    }
}

/// Reads on a thread of its own: reading may block for as long as somebody types.
fn read_in_background(input: Box<dyn BufRead + Send>) -> mpsc::Receiver<io::Result<Vec<Line>>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut lines = Lines::new(input);
        loop {
            let chunk = lines.by_ref().take(CHUNK).collect::<io::Result<Vec<Line>>>();
            let last = chunk.as_ref().map_or(true, Vec::is_empty);
            if sender.blocking_send(chunk).is_err() || last {
                return;
            }
        }
    });
    receiver
}

fn open(file: &str) -> io::Result<Box<dyn BufRead + Send>> {
    if file == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(file)?;
    if opened.metadata()?.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    Ok(Box::new(BufReader::new(opened)))
}

struct Arguments {
    file: String,
    print: bool,
    work: Duration,
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut file, mut print, mut work) = (None, false, Duration::ZERO);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--print" => print = true,
                "--work" => {
                    let millis = words.next().and_then(|millis| millis.parse().ok());
                    work = Duration::from_millis(millis.ok_or("--work needs a number of milliseconds")?);
                }
                option if option.starts_with("--") => return Err(format!("there is no option {option}")),
                _ if file.is_some() => return Err("one FILE is read, not several".to_owned()),
                _ => file = Some(word),
            }
        }
        Ok(Self { file: file.ok_or("which FILE?")?, print, work })
    }
}

fn show_progress(registered: u64, enqueued: u64) {
    if registered.is_multiple_of(500) && io::stderr().is_terminal() {
        eprint!("\r{registered} of {enqueued} registered");
    }
}

fn clear_progress() {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("register_users: {message}");
    ExitCode::from(code)
}
