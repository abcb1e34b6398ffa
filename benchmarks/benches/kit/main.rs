//! How fast virtual time passes under the test kit: a simulated year of jobs and timers on the memory store, beside
//! as many timers on the bare scheduler.
//!
//! It fails when a job or a tick is missing or comes at another instant. No time makes it fail.

mod bare;
mod year;

use std::process::ExitCode;
use std::time::Duration;

use benchmarks::{Settings, Spread};
use year::{Simulated, Span};

const DAY: Duration = Duration::from_secs(24 * 3_600);

const YEAR: Span = Span { name: "a year", whole: Duration::from_secs(365 * 24 * 3_600), busy: DAY };

/// A quarter of everything in the year: a job or timer of both costs the same, unless something grows.
const QUARTER: Span = Span {
    name: "a quarter of it",
    whole: Duration::from_secs(365 * 6 * 3_600),
    busy: Duration::from_secs(6 * 3_600),
};

const SMOKE: Span = Span { name: "a day", whole: DAY, busy: Duration::from_secs(3_600) };

/// One round of a span.
#[derive(Clone, Copy)]
struct Pair {
    kit: Simulated,
    bare: Simulated,
}

fn main() -> ExitCode {
    // Numbers of jobs and names of rows mean other benchmarks, which get the same options.
    let settings = Settings::from_arguments(&[]);
    benchmarks::exit(if settings.smoke { smoke() } else { measure(settings.runs) })
}

fn smoke() -> Result<(), String> {
    run(SMOKE)?;
    println!("smoke: {} passed, {}", SMOKE.name, contents(SMOKE));
    Ok(())
}

fn measure(runs: usize) -> Result<(), String> {
    let (mut years, mut quarters) = (Vec::new(), Vec::new());
    // The first round warms the machine up and does not count.
    for round in 0..=runs {
        let (year, quarter) = (run(YEAR)?, run(QUARTER)?);
        if round > 0 {
            years.push(year);
            quarters.push(quarter);
        }
        eprintln!("round {round} is over");
    }
    println!("min / median / max of {runs} interleaved runs; a ratio is of the same round\n");
    println!("| row | timers | ms | million virtual s in a s | µs a run or tick | µs a timer |");
    println!("|---|---|---|---|---|---|");
    for (span, pairs) in [(YEAR, &years), (QUARTER, &quarters)] {
        let events = Some(span.events());
        print_row(&format!("kit: {}", span.name), span, pairs.iter().map(|pair| pair.kit), events);
        print_row(&format!("bare scheduler: {}", span.name), span, pairs.iter().map(|pair| pair.bare), None);
    }
    println!("\n| ratio | |\n|---|---|");
    for (span, pairs) in [(YEAR, &years), (QUARTER, &quarters)] {
        let ratios =
            pairs.iter().map(|pair| pair.kit.micros(pair.kit.timers) / pair.bare.micros(pair.bare.timers));
        println!(
            "| {}: a timer of the kit / a bare one | {} |",
            span.name,
            Spread::of(ratios).shown(digits(1))
        );
    }
    let each = |pair: &Pair, span: Span| pair.kit.micros(span.events());
    let growth = years.iter().zip(&quarters).map(|(year, quarter)| each(year, YEAR) / each(quarter, QUARTER));
    println!(
        "| growth: a run or tick of the year / of the quarter | {} |",
        Spread::of(growth).shown(digits(2))
    );
    println!("\n{}: {}\n{}: {}", YEAR.name, contents(YEAR), QUARTER.name, contents(QUARTER));
    Ok(())
}

fn print_row(name: &str, span: Span, runs: impl Iterator<Item = Simulated> + Clone, events: Option<u64>) {
    let spread =
        |read: &dyn Fn(Simulated) -> f64, count| Spread::of(runs.clone().map(read)).shown(digits(count));
    let millis = spread(&|run| run.micros(1_000), 0);
    let pace = spread(&|run| span.whole.as_secs_f64() / run.took.as_secs_f64() / 1e6, 0);
    let event = events.map_or_else(|| "-".to_owned(), |events| spread(&|run| run.micros(events), 2));
    let timer = spread(&|run| run.micros(run.timers), 2);
    let timers = spread(&|run| run.timers as f64, 0);
    let timers = timers.split(" / ").next().unwrap_or_default();
    println!("| {name} | {timers} | {millis} | {pace} | {event} | {timer} |");
}

fn contents(span: Span) -> String {
    format!(
        "{} hourly runs, {} runs ten seconds apart, {} ticks two hours apart",
        span.hourly(),
        span.often(),
        span.ticks()
    )
}

/// One round, each part on a new runtime of one thread, as a test has it.
fn run(span: Span) -> Result<Pair, String> {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().map_err(|error| format!("there is no runtime: {error}"))
    };
    let kit = runtime()?.block_on(year::simulate(span)).map_err(|error| format!("{}: {error}", span.name))?;
    let bare = runtime()?
        .block_on(bare::simulate(span.whole, kit.timers))
        .map_err(|error| format!("{} on the bare scheduler: {error}", span.name))?;
    Ok(Pair { kit, bare })
}

impl Simulated {
    /// Real microseconds of each of so many.
    fn micros(&self, of: u64) -> f64 {
        self.took.as_secs_f64() * 1e6 / of as f64
    }
}

fn digits(count: usize) -> impl Fn(f64) -> String {
    move |number| format!("{number:.count$}")
}
