//! Holds the project's documents to the code: every Rust block of them is a doctest of this library, and what
//! they list is compared with what there is.
//!
//! A block is a whole program and is run. It must not take long: delays in it are zero, or it is stopped
//! early. The one that waits is the README's, three seconds, because it is the first example itself.

pub mod guide_store;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../ARCHITECTURE.md")]
mod architecture {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/benchmarks.md")]
mod benchmarks {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/choosing-a-store.md")]
mod choosing_a_store {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/delivery-guarantees.md")]
mod delivery_guarantees {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/job-states.md")]
mod job_states {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/retries-and-outcomes.md")]
mod retries_and_outcomes {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/stopping.md")]
mod stopping {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/middleware.md")]
mod middleware {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/first-job.md")]
mod first_job {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/handlers.md")]
mod handlers {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/hosting.md")]
mod hosting {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/testing.md")]
mod testing {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/conformance.md")]
mod conformance {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/writing-a-store.md")]
mod writing_a_store {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/coming-from-dotnet.md")]
mod coming_from_dotnet {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use backgroundjobs_core::limits;

    const README: &str = include_str!("../../README.md");
    const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");
    const GUARANTEES: &str = include_str!("../../docs/delivery-guarantees.md");
    const LIMITS: &str = include_str!("../../backgroundjobs-core/src/limits.rs");

    #[test]
    fn the_readme_shows_the_first_example_as_it_is() {
        let block = README.split("```rust\n").nth(1).and_then(|rest| rest.split("```\n").next());
        assert_eq!(block, Some(include_str!("bin/register_user.rs")));
    }

    #[test]
    fn the_guide_to_stores_shows_its_store_as_it_is() {
        let guide = include_str!("../../docs/writing-a-store.md");
        for (name, file) in [
            ("steps", include_str!("guide_store/steps.rs")),
            ("keys", include_str!("guide_store/keys.rs")),
            ("state", include_str!("guide_store/state.rs")),
        ] {
            // A block is a program of its own, which finds the others' items in this library.
            let block =
                format!("```rust\n{}```\n", file.replace("crate::guide_store", "examples::guide_store"));
            assert!(guide.contains(&block), "the guide shows another guide_store/{name}.rs");
        }
    }

    #[test]
    fn every_guide_is_tested_here() {
        let here = include_str!("lib.rs");
        let guides = fs::read_dir(root().join("docs")).expect("docs is read");
        for guide in guides.map(|guide| guide.expect("an entry").file_name()) {
            let name = guide.to_str().expect("a name in UTF-8");
            let included = here.contains(&format!("[doc = include_str!(\"../../docs/{name}\")]"));
            assert!(included || !name.ends_with(".md"), "docs/{name} is not among the doctests");
        }
    }

    #[test]
    fn the_table_of_limits_has_every_limit_with_its_value() {
        let rows: Vec<(String, String)> = GUARANTEES
            .lines()
            .skip_while(|line| *line != "## Limits")
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .filter_map(|(name, rest)| Some((name.to_owned(), rest.split_once(" |")?.0.to_owned())))
            .collect();
        assert_eq!(rows, values());
        let declared: Vec<&str> =
            LIMITS.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next()).collect();
        assert_eq!(rows.iter().map(|(name, _)| name).collect::<Vec<_>>(), declared);
    }

    #[test]
    fn the_architecture_names_only_tests_that_there_are() {
        let mut sources = String::new();
        read_rust(root(), &mut sources);
        let named: BTreeSet<&str> = ARCHITECTURE
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.matches('_').count() >= 3 && name.chars().all(is_of_a_name))
            .map(|name| name.rsplit(':').next().unwrap_or(name))
            .collect();
        assert!(named.len() > 20, "only {} names of tests were found: {named:?}", named.len());
        for name in named {
            let is_there = [format!("fn {name}("), format!("\n                {name} [")]
                .iter()
                .any(|definition| sources.contains(definition));
            assert!(is_there, "there is no test {name}");
        }
    }

    fn is_of_a_name(character: char) -> bool {
        character.is_ascii_lowercase() || character.is_ascii_digit() || matches!(character, '_' | ':')
    }

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package lies in the workspace")
    }

    /// Adds the Rust of the workspace's packages, not of what is built from them.
    fn read_rust(directory: &Path, sources: &mut String) {
        for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry")) {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
                read_rust(&path, sources);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&fs::read_to_string(&path).expect("Rust in UTF-8"));
            }
        }
    }

    macro_rules! values {
        ($($name:ident)+) => {
            vec![$((stringify!($name).to_owned(), limits::$name.shown(stringify!($name)))),+]
        };
    }

    fn values() -> Vec<(String, String)> {
        values!(
            SLOTS_PER_CORE DEFAULT_MAX_ATTEMPTS DEFAULT_MAX_CRASHES CRASH_BACKOFF LEASE RENEW_EVERY
            POLL_INTERVAL POLL_JITTER READ_AHEAD READ_AHEAD_JOBS READ_AHEAD_AGE CLAIM_BATCH CONTENDED_WAIT
            SETTLE_BATCH SETTLE_BACKLOG STORE_RETRY_BASE STORE_RETRY_CAP STORE_RETRY_JITTER MAX_ARGS_BYTES MAX_METADATA_BYTES
            MAX_UNIQUE_KEY_BYTES MAX_ERROR_BYTES MAX_ERRORS_PER_JOB INSERT_CHUNK INSERT_CHUNK_BYTES IDLE_COUNT_SHARE LIST_PAGE EARLY_CANCELS
            REFUSED_TRIES MAX_SLOTS LAST_CALLS CANCEL_GRACE UPKEEP_BATCH PRUNE_EVERY_SETTLES
            LONG_RUN_WARNING UNSERVED_WARNING OVERDUE_WARNING WATCHED_PAIRS PRUNE_AT_MOST_EVERY
            HOST_STOP_TIMEOUT HOST_LAST_MOMENT RESTART_FIRST RESTART_CAP RESTART_LIMIT RESTART_STEADY MAX_CATCH_UP
            REFRESH_AT REFRESH_RETRY_FIRST REFRESH_RETRY_CAP REFRESH_TIMEOUT MEMORY_KEEP
        )
    }

    /// A value as the table writes it.
    trait Shown {
        fn shown(self, name: &str) -> String;
    }

    impl Shown for Duration {
        fn shown(self, _: &str) -> String {
            match self.as_millis() {
                millis if !millis.is_multiple_of(1_000) => format!("{millis} ms"),
                millis if millis.is_multiple_of(3_600_000) => format!("{} h", millis / 3_600_000),
                millis => format!("{} s", millis / 1_000),
            }
        }
    }

    impl Shown for f64 {
        fn shown(self, _: &str) -> String {
            format!("{} %", self * 100.0)
        }
    }

    impl Shown for u64 {
        fn shown(self, name: &str) -> String {
            match self {
                bytes if name.ends_with("_BYTES") && bytes.is_multiple_of(1 << 20) => {
                    format!("{} MiB", bytes >> 20)
                }
                bytes if name.ends_with("_BYTES") => format!("{} KiB", bytes >> 10),
                1_000.. => format!("{},{:03}", self / 1_000, self % 1_000),
                _ => self.to_string(),
            }
        }
    }

    macro_rules! shown_as_u64 {
        ($($number:ty)+) => {
            $(impl Shown for $number {
                fn shown(self, name: &str) -> String {
                    u64::try_from(self).expect("a limit is a small number").shown(name)
                }
            })+
        };
    }

    shown_as_u64!(u8 u16 u32 usize);
}
