//! Ten thousand timed services with a period of a second in one host, beside as many bare intervals of tokio: the
//! processor's time for each tick, the time to start and to stop them, and the bytes of the heap that each takes.
//!
//! It fails when a timer does not tick, or too often. No time makes it fail.

mod processor;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use benchmarks::{Kind, Settings, Spread, Timers};

/// How much one round is.
#[derive(Clone, Copy)]
struct Load {
    timers: usize,
    period: Duration,
    /// Periods that are measured.
    periods: u32,
}

const FULL: Load = Load { timers: 10_000, period: Duration::from_secs(1), periods: 10 };

const SMOKE: Load = Load { timers: 500, period: Duration::from_millis(100), periods: 3 };

/// One round of one kind.
#[derive(Clone, Copy)]
struct Round {
    start: Duration,
    stop: Duration,
    ticks: u64,
    /// None where the system does not say.
    processor: Option<Duration>,
}

fn main() -> ExitCode {
    // Numbers of jobs and names of rows mean other benchmarks, which get the same options.
    let settings = Settings::from_arguments(&[]);
    benchmarks::exit(if settings.smoke { smoke() } else { measure(settings.runs) })
}

fn smoke() -> Result<(), String> {
    for kind in [Kind::Bare, Kind::Hosted] {
        run(kind, SMOKE)?;
    }
    footprints(SMOKE.timers)?;
    println!("smoke: {} timers passed, as services and bare", SMOKE.timers);
    Ok(())
}

fn measure(runs: usize) -> Result<(), String> {
    let (mut bare, mut hosted) = (Vec::new(), Vec::new());
    // The first round warms the machine up and does not count.
    for round in 0..=runs {
        let pair = (run(Kind::Bare, FULL)?, run(Kind::Hosted, FULL)?);
        if round > 0 {
            bare.push(pair.0);
            hosted.push(pair.1);
        }
        eprintln!("round {round} is over");
    }
    let Load { timers, period, periods } = FULL;
    println!(
        "min / median / max of {runs} interleaved runs of {timers} timers, a tick every {period:?} for {periods} \
         periods; a ratio is of the same round\n"
    );
    println!("| row | ticks | processor, µs a tick | % of one core | start, ms | stop, ms |");
    println!("|---|---|---|---|---|---|");
    print_row("bare: a task with tokio::time::interval", &bare);
    print_row("host: a TimedService", &hosted);
    println!("\n| ratio, host / bare | |\n|---|---|");
    let ratio = |read: &dyn Fn(&Round) -> f64| {
        let ratios = hosted.iter().zip(&bare).map(|(hosted, bare)| read(hosted) / read(bare));
        Spread::of(ratios).shown(|number| format!("{number:.1}"))
    };
    println!("| processor of a tick | {} |", ratio(&Round::micros));
    println!("| start | {} |", ratio(&|round| round.start.as_secs_f64()));
    let (bare, hosted) = footprints(timers)?;
    println!("| heap of a timer: {hosted:.0} / {bare:.0} bytes | {:.1} |", hosted / bare);
    Ok(())
}

fn print_row(name: &str, rounds: &[Round]) {
    let shown = |digits: usize, read: &dyn Fn(&Round) -> f64| {
        Spread::of(rounds.iter().map(read)).shown(|number| format!("{number:.digits$}"))
    };
    let ticks = Spread::of(rounds.iter().map(|round| round.ticks as f64)).median;
    let whole = FULL.period.as_secs_f64() * f64::from(FULL.periods);
    let share = shown(1, &|round| round.micros() * round.ticks as f64 / 1e6 / whole * 100.0);
    let (micros, start, stop) = (
        shown(2, &Round::micros),
        shown(0, &|round| round.start.as_secs_f64() * 1e3),
        shown(0, &|round| round.stop.as_secs_f64() * 1e3),
    );
    println!("| {name} | {ticks:.0} | {micros} | {share} | {start} | {stop} |");
}

impl Round {
    /// The processor's time of a tick; nothing where the system does not say.
    fn micros(&self) -> f64 {
        self.processor.unwrap_or_default().as_secs_f64() * 1e6 / self.ticks as f64
    }
}

/// One round, on a new runtime, as a task of it.
fn run(kind: Kind, load: Load) -> Result<Round, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().build().map_err(|error| format!("there is no runtime: {error}"))?;
    let round = runtime.block_on(runtime.spawn(round(kind, load)));
    round.map_err(|error| format!("the round did not end: {error}"))?
}

async fn round(kind: Kind, load: Load) -> Result<Round, String> {
    let begun = Instant::now();
    let (timers, ticks) = Timers::start(kind, load.timers, load.period).await?;
    let start = begun.elapsed();
    // Half a period after the first ticks, all is at rest.
    tokio::time::sleep(load.period * 3 / 2).await;
    let (before, used) = (ticks.sum(), processor::used());
    tokio::time::sleep(load.period * load.periods).await;
    let counted = ticks.sum() - before;
    let processor = processor::used().zip(used).map(|(after, before)| after.saturating_sub(before));
    // On a machine that was held up, ticks are merged; that there is one too many cannot be.
    let elapsed = begun.elapsed().as_secs_f64() / load.period.as_secs_f64();
    ticks.each_at_most(elapsed as u32 + 1).map_err(|error| format!("{kind:?}: {error}"))?;
    let begun = Instant::now();
    timers.stop().await?;
    Ok(Round { start, stop: begun.elapsed(), ticks: counted, processor })
}

/// What the program that counts the heap's bytes says of both.
fn footprints(timers: usize) -> Result<(f64, f64), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_hosting_footprint"))
        .arg(timers.to_string())
        .output()
        .map_err(|error| format!("hosting_footprint cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.lines().filter_map(|line| line.parse::<f64>().ok());
    numbers.next().zip(numbers.next()).ok_or_else(|| {
        format!("hosting_footprint ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr))
    })
}
