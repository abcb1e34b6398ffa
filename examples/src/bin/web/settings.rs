//! [`Settings`]: what the program is told when it is started.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) store: Store,
    /// How long each registration takes: something to kill the program in.
    pub(crate) work: Duration,
}

/// Where the jobs are.
pub(crate) enum Store {
    Memory,
    Sqlite(PathBuf),
}

const USAGE: &str =
    "usage: web [--listen ADDRESS:PORT] [--store memory|sqlite] [--file PATH] [--work MILLISECONDS]";

impl Settings {
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut listen, mut store, mut work) =
            ("127.0.0.1:3000".to_owned(), "memory".to_owned(), "0".to_owned());
        let mut file = None;
        let mut words = words;
        while let Some(word) = words.next() {
            let value = words.next().ok_or(USAGE)?;
            match word.as_str() {
                "--listen" => listen = value,
                "--store" => store = value,
                "--file" => file = Some(PathBuf::from(value)),
                "--work" => work = value,
                _ => return Err(USAGE.to_owned()),
            }
        }
        let store = match (store.as_str(), file) {
            ("memory", None) => Store::Memory,
            ("memory", Some(_)) => return Err("--file is for --store sqlite".to_owned()),
            ("sqlite", file) => Store::Sqlite(file.unwrap_or_else(|| "web.db".into())),
            _ => return Err(format!("there is no store {store:?}: say --store memory, or --store sqlite")),
        };
        let listen =
            listen.parse().map_err(|error| format!("{listen:?} is no address with a port: {error}"))?;
        let millis =
            work.parse().map_err(|error| format!("{work:?} is no number of milliseconds: {error}"))?;
        Ok(Self { listen, store, work: Duration::from_millis(millis) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Settings, String> {
        Settings::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nothing_said_is_memory_on_port_3000() {
        let settings = read("").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((settings.listen.port(), settings.work), (3000, Duration::ZERO));
        assert!(matches!(settings.store, Store::Memory));
    }

    #[test]
    fn the_file_is_named_or_has_its_name() {
        for (line, path) in [("--store sqlite", "web.db"), ("--file a.db --store sqlite", "a.db")] {
            let settings = read(line).unwrap_or_else(|error| panic!("{error}"));
            assert!(matches!(settings.store, Store::Sqlite(file) if file == *path), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        for (line, reason) in [
            ("--store redis", "--store memory, or --store sqlite"),
            ("--file a.db", "--store sqlite"),
            ("--listen here", "no address"),
            ("--work long", "milliseconds"),
            ("--port 80", "usage"),
            ("--store", "usage"),
        ] {
            let error = read(line).err().unwrap_or_default();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
