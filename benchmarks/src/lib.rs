//! What the benchmarks share: the job they run, the marks by which they know that each job ran once, their
//! options, and medians. What is measured, and the last figures, are in `docs/benchmarks.md`.

mod load;
mod new_file;
pub mod ours;
mod settings;
mod spread;
mod sqlite_row;
mod text;
mod timers;

pub use load::{Marks, Notice, shares};
pub use new_file::NewFile;
pub use settings::{Settings, exit};
pub use spread::Spread;
pub use sqlite_row::{SqliteRow, Took};
pub use text::text;
pub use timers::{Kind, Ticks, Timers};
