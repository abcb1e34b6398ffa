//! What the benchmarks share: the job they run, the marks by which they know that each job ran once, their
//! options, and medians. What is measured, and the last figures, are in `docs/benchmarks.md`.

mod load;
mod settings;
mod spread;
mod timers;

pub use load::{Marks, Notice, shares};
pub use settings::Settings;
pub use spread::Spread;
pub use timers::{Kind, Ticks, Timers};
