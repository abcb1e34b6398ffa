//! The file: one line for each write, `length checksum changes`, after a first line that says what it is.
//!
//! A write is synced before the next one begins, so a crash can leave one torn line, and only at the end.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process;

use backgroundjobs_core::{StoreError, StoreErrorKind, StoreOperation};

use super::change::Change;
use super::state::State;

const FIRST_LINE: &[u8] = b"backgroundjobs log 1\n";
/// `00000000 0000000000000000 `
const HEAD_BYTES: usize = 26;
/// The most bytes of changes in one line. The largest insert of the runtime, 1,000 jobs with 16 MiB of args, stays far
/// below, also when each of its characters needs an escape.
pub(super) const MAX_LINE_BYTES: usize = 256 << 20;
/// A log written anew has lines of about this size.
const REWRITTEN_LINE_BYTES: usize = 1 << 20;
/// It is written anew when it is so many times what is alive.
const GROWTH: u64 = 8;

/// The open file. What it says is in memory, too; nothing but an opening reads it.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// What is written and synced.
    bytes: u64,
    /// What it would have if it were written anew, when that was last known.
    alive: u64,
    /// It is not written anew below this.
    compact_above: u64,
    /// Locked for as long as it is open. A file of its own, since the log is replaced.
    _lock: File,
}

impl Log {
    /// Locks the file, creates it if there is none, reads it, and cuts off what a crash left at its end.
    pub(super) fn open(
        path: &Path,
        compact_above: u64,
        operation: StoreOperation,
    ) -> Result<(Self, State), StoreError> {
        let failed = |doing: &str, error: io::Error| {
            let message = format!("cannot {doing} {}: {error}", path.display());
            StoreError::new(operation, StoreErrorKind::Unavailable, message).with_source(error)
        };
        let lock = lock(path).map_err(|error| failed("lock", error))?;
        // What a crash left that had not yet taken the log's place.
        let unfinished = fs::remove_file(beside(path, "new"));
        unfinished
            .or_else(none_if_missing)
            .map_err(|error| failed("clear away what was to replace", error))?;
        let open = OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = open.map_err(|error| failed("open", error))?;
        let mut state = State::default();
        let mut bytes = read(&mut file, &mut state).map_err(|error| match error {
            Unreadable::Io(error) => failed("read", error),
            Unreadable::Corrupt { at, what } => {
                let message = format!("{} is damaged at byte {at}: {what}", path.display());
                StoreError::new(operation, StoreErrorKind::Corrupt, message)
            }
        })?;
        let mut mend = |file: &mut File| {
            file.set_len(bytes)?; // cuts off what is torn
            if bytes == 0 {
                file.write_all(FIRST_LINE)?;
                bytes = FIRST_LINE.len() as u64;
            }
            // What is cut, and the name of a new file, must last before a call is answered by them.
            file.sync_all()?;
            sync_directory(path)
        };
        mend(&mut file).map_err(|error| failed("mend the end of", error))?;
        let alive = rewritten(&state).len() as u64;
        Ok((Self { path: path.to_owned(), file, bytes, alive, compact_above, _lock: lock }, state))
    }

    /// Adds a line and syncs it. After an error the end of the file is open: nothing may be added any more.
    pub(super) fn append(&mut self, changes: &[u8]) -> io::Result<()> {
        let line = line(changes);
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // So that the next opening finds less to cut; it would cut it anyway.
            _ = self.file.set_len(self.bytes);
        }
        self.bytes += line.len() as u64;
        written
    }

    #[cfg(test)]
    pub(super) fn set_file(&mut self, file: File) {
        self.file = file;
    }

    /// Whether it has grown to many times what is alive.
    pub(super) fn is_overgrown(&self) -> bool {
        self.bytes > self.compact_above && self.bytes > self.alive.saturating_mul(GROWTH)
    }

    /// Puts a new file with these contents in the place of the log. `Ok(false)`: it could not be written, and all is as
    /// before. After an error it is open which of the two files lasts.
    pub(super) fn replace(&mut self, contents: &[u8]) -> io::Result<bool> {
        let new = beside(&self.path, "new");
        let write = || {
            let mut file = OpenOptions::new().read(true).append(true).create_new(true).open(&new)?;
            file.write_all(contents)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            Ok::<_, io::Error>(file)
        };
        let Ok(file) = write() else {
            _ = fs::remove_file(&new);
            self.alive = self.bytes; // so it is tried again when there is much more
            return Ok(false);
        };
        self.file = file;
        (self.bytes, self.alive) = (contents.len() as u64, contents.len() as u64);
        sync_directory(&self.path)?;
        Ok(true)
    }
}

/// The contents of a log that says all this and no more.
pub(super) fn rewritten(state: &State) -> Vec<u8> {
    let (mut contents, mut changes) = (FIRST_LINE.to_vec(), Vec::new());
    for change in state.changes() {
        add(&mut changes, &change);
        if changes.len() >= REWRITTEN_LINE_BYTES {
            contents.extend(line(&changes));
            changes.clear();
        }
    }
    if !changes.is_empty() {
        contents.extend(line(&changes));
    }
    contents
}

/// Adds a change to those of one line.
pub(super) fn add(changes: &mut Vec<u8>, change: &Change) {
    if !changes.is_empty() {
        changes.push(b',');
    }
    serde_json::to_writer(changes, change).expect("texts and numbers can be written");
}

fn line(changes: &[u8]) -> Vec<u8> {
    let mut line = head(changes.len(), checksum(changes)).into_bytes();
    line.extend_from_slice(changes);
    line.push(b'\n');
    line
}

fn head(bytes: usize, checksum: u64) -> String {
    format!("{bytes:08x} {checksum:016x} ")
}

/// FNV-1a. It finds accidents, not forgers.
fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

enum Unreadable {
    Io(io::Error),
    Corrupt { at: u64, what: String },
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Does what the file says, and answers how much of it is good. What is torn may only lie at the end.
fn read(file: &mut File, state: &mut State) -> Result<u64, Unreadable> {
    let corrupt = |at: u64, what: &str| Unreadable::Corrupt { at, what: what.to_owned() };
    let end = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut reader = BufReader::new(file);
    let mut first = Vec::new();
    reader.by_ref().take(FIRST_LINE.len() as u64).read_to_end(&mut first)?;
    if first != FIRST_LINE {
        let is_torn = FIRST_LINE.starts_with(&first);
        return if is_torn { Ok(0) } else { Err(corrupt(0, "it is no log of jobs, or not of this version")) };
    }
    let mut at = FIRST_LINE.len() as u64;
    while at < end {
        let Some(changes) = read_line(&mut reader, end - at)? else {
            reader.seek(SeekFrom::Start(at))?;
            let is_torn = is_torn(&mut reader, end - at)?;
            return if is_torn {
                Ok(at)
            } else {
                Err(corrupt(at, "a line is not as written, and others follow it"))
            };
        };
        let text = [b"[", &changes[..], b"]"].concat();
        let known: Vec<Change> =
            serde_json::from_slice(&text).map_err(|error| corrupt(at, &error.to_string()))?;
        for change in known {
            state.apply(change).ok_or_else(|| corrupt(at, "it changes a job that is not there"))?;
        }
        at += (HEAD_BYTES + changes.len() + 1) as u64;
    }
    Ok(at)
}

/// The changes of a line; `None` when there is no whole line here. Takes no more memory than there is left to read.
fn read_line(reader: &mut impl Read, left: u64) -> io::Result<Option<Vec<u8>>> {
    let mut written = [0; HEAD_BYTES];
    if left < HEAD_BYTES as u64 {
        return Ok(None);
    }
    reader.read_exact(&mut written)?;
    let number = |part: &[u8]| u64::from_str_radix(str::from_utf8(part).ok()?, 16).ok();
    let (Some(bytes), Some(sum)) = (number(&written[..8]), number(&written[9..25])) else { return Ok(None) };
    let Ok(bytes) = usize::try_from(bytes) else { return Ok(None) };
    // Compared as text: a number can be written in more than one way, and only one was.
    let is_ours = head(bytes, sum).as_bytes() == written;
    if !is_ours || bytes > MAX_LINE_BYTES || (HEAD_BYTES + bytes + 1) as u64 > left {
        return Ok(None);
    }
    let mut changes = vec![0; bytes + 1];
    reader.read_exact(&mut changes)?;
    let ends = changes.pop() == Some(b'\n');
    Ok((ends && checksum(&changes) == sum).then_some(changes))
}

/// Whether what is left is of one write that did not come to its end. A damaged length looks like that, too; but then
/// whole lines follow, and to cut those off would be to lose what was answered.
fn is_torn(reader: &mut impl Read, left: u64) -> io::Result<bool> {
    if left > (HEAD_BYTES + MAX_LINE_BYTES + 1) as u64 {
        return Ok(false);
    }
    let mut rest = Vec::new();
    reader.take(left).read_to_end(&mut rest)?;
    let looks_like_head = |bytes: &[u8]| bytes[8] == b' ' && bytes[HEAD_BYTES - 1] == b' ';
    for start in (1..rest.len().saturating_sub(HEAD_BYTES)).filter(|start| looks_like_head(&rest[*start..])) {
        let mut after = &rest[start..];
        let bytes = after.len() as u64;
        if read_line(&mut after, bytes)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Locks a file of its own, which has the number of the process that locked it.
fn lock(path: &Path) -> io::Result<File> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(beside(path, "lock"))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            write!(file, "{}", process::id())?;
            Ok(file)
        }
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message: where it cannot be read, nobody is named.
            _ = file.take(16).read_to_string(&mut holder);
            let who = match holder.parse::<u32>() {
                Ok(id) if id == process::id() => "another store of this process; share that one".to_owned(),
                Ok(id) => format!("process {id}; stop that one first"),
                Err(_) => "another process; stop that one first".to_owned(),
            };
            Err(io::Error::new(io::ErrorKind::WouldBlock, format!("it is in use by {who}")))
        }
    }
}

fn none_if_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// A new name lasts when its directory was synced. Elsewhere than on Unix a directory cannot be.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}
