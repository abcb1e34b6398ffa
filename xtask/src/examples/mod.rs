//! Runs each example as a user would, and checks what it prints and how it ends.

mod custom_store;
mod hosted;
mod log_store;
mod middleware;
mod register_user;
mod register_users;
mod retries;
#[cfg(unix)]
mod web;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{self, Finished, Running};

/// For a program that ends within a second or two on an idle machine.
const SHORT_PROGRAM_LIMIT: Duration = Duration::from_secs(120);

struct Check {
    what: &'static str,
    run: fn(&Place) -> Result<(), String>,
}

const CHECKS: &[Check] = &[
    Check { what: "register_user ends by itself and greets masa", run: register_user::greets },
    Check { what: "register_users counts good and bad lines", run: register_users::counts_lines },
    Check { what: "register_users reads standard input", run: register_users::reads_standard_input },
    Check { what: "register_users names a missing file", run: register_users::names_a_missing_file },
    Check { what: "custom_store runs jobs on a store of its own", run: custom_store::ends_every_job },
    Check { what: "log_store outlives its process", run: log_store::outlives_its_process },
    Check { what: "retries shows what becomes of each job", run: retries::shows_each_end },
    Check { what: "middleware sees every run and refuses a kind", run: middleware::sees_and_refuses },
    Check { what: "hosted_timer ticks five times, each in a scope of its own", run: hosted::ticks },
    Check { what: "queued_tasks sends each letter in its turn", run: hosted::sends_letters },
    Check { what: "refreshing_cache has a valid token all the time", run: hosted::refreshes },
    #[cfg(unix)]
    Check {
        what: "hosted_timer, queued_tasks and refreshing_cache stop at a signal",
        run: hosted::stop_at_a_signal,
    },
    #[cfg(unix)]
    Check { what: "web does each of 1,000 jobs once", run: web::does_each_job_once },
    #[cfg(unix)]
    Check { what: "web hosts jobs, a timer, a queue and a value kept fresh", run: web::hosts_its_services },
    #[cfg(unix)]
    Check {
        what: "web answers a request that is under way at a signal",
        run: web::answers_what_is_under_way,
    },
    #[cfg(unix)]
    Check { what: "web refuses with a reason in JSON", run: web::refuses_with_a_reason },
    #[cfg(unix)]
    Check {
        what: "web on SQLite, killed in mid-work, registers all it accepted",
        run: web::registers_all_it_accepted,
    },
    #[cfg(unix)]
    Check { what: "register_users says what an interrupt left", run: register_users::survives_an_interrupt },
];

/// Where the programs are, and where their input may be written.
struct Place {
    programs: PathBuf,
    inputs: PathBuf,
}

impl Place {
    fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name).with_extension(env::consts::EXE_EXTENSION))
    }

    /// Runs a program that needs no input and ends by itself, and expects that it ends well.
    fn run(&self, name: &str) -> Result<Finished, String> {
        let mut command = self.program(name);
        command.stdin(Stdio::null());
        let finished = Running::start(name, command)?.finish(SHORT_PROGRAM_LIMIT)?;
        if finished.status.success() {
            Ok(finished)
        } else {
            Err(format!("it ended with {}; {}", finished.status, finished.quote()))
        }
    }
}

/// Expects each of `lines` to be printed as often as it stands there, wherever.
fn expect_lines(finished: &Finished, lines: &[&str]) -> Result<(), String> {
    for line in lines {
        let count = |all: &mut dyn Iterator<Item = &str>| all.filter(|other| other == line).count();
        let (wanted, printed) = (count(&mut lines.iter().copied()), count(&mut finished.stdout.lines()));
        if wanted != printed {
            return Err(format!(
                "`{line}` is printed {printed} times, not {wanted} times; {}",
                finished.quote()
            ));
        }
    }
    Ok(())
}

/// Sends the signal of this name, without `SIG`.
#[cfg(unix)]
fn signal(name: &str, process: u32) -> Result<(), String> {
    // The shell's own kill: the program of that name is not on every machine.
    let command = format!("kill -{name} {process}");
    let status = Command::new("sh")
        .args(["-c", &command])
        .status()
        .map_err(|error| format!("`sh` cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{command}` ended with {status}")) }
}

pub(crate) fn run(root: &Path) -> Result<String, String> {
    build(root)?;
    let place = place()?;
    for check in CHECKS {
        let started = Instant::now();
        (check.run)(&place).map_err(|failure| format!("wrong {}: {failure}", check.what))?;
        println!("ok    {} ({:.1} s)", check.what, started.elapsed().as_secs_f64());
    }
    Ok(format!("examples: {} checks passed", CHECKS.len()))
}

/// Apart, so that what needs no web framework is run as it is built without one.
const BUILDS: &[&[&str]] = &[&["--bins"], &["--bin", "web", "--features", "web,sqlite"]];

fn build(root: &Path) -> Result<(), String> {
    for targets in BUILDS {
        let status = process::cargo()
            .args(["build", "--package", "examples", "--locked"])
            .args(*targets)
            .current_dir(root)
            .status()
            .map_err(|error| format!("`cargo build` cannot be started: {error}"))?;
        if !status.success() {
            return Err(format!("the examples do not compile: `cargo build` ended with {status}"));
        }
    }
    Ok(())
}

/// Cargo puts the examples beside this program, whatever the build directory is.
fn place() -> Result<Place, String> {
    let this = env::current_exe().map_err(|error| format!("this program's own path is unknown: {error}"))?;
    let programs = this.parent().map(Path::to_path_buf).unwrap_or_default();
    let inputs = programs.join("example-inputs");
    std::fs::create_dir_all(&inputs)
        .map_err(|error| format!("{} cannot be created: {error}", inputs.display()))?;
    Ok(Place { programs, inputs })
}
