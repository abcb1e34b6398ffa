//! Names from a file: one a line, what is no name skipped with its line number and the reason.

use std::fmt;
use std::io::{self, BufRead};

/// The longest name, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 1024;

/// One line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Name(String),
    Skipped { number: u64, reason: Reason },
}

/// Why a line is no name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Blank,
    TooLong { bytes: u64 },
    NotUtf8 { at: usize },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("blank"),
            Self::TooLong { bytes } => write!(f, "{bytes} bytes long, {MAX_NAME_BYTES} are allowed"),
            Self::NotUtf8 { at } => write!(f, "not UTF-8 from byte {} on", at + 1),
        }
    }
}

/// Reads line by line, holding no more of a line than a name may be long.
pub(crate) struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, number: 0 }
    }

    /// The next line without its end, cut one byte past the longest name and its end, and its whole length.
    fn next_raw(&mut self) -> io::Result<Option<(Vec<u8>, u64)>> {
        let (mut line, mut bytes) = (Vec::new(), 0);
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                return Ok((bytes > 0).then_some((line, bytes)));
            }
            let (part, ended) = match chunk.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&chunk[..end], true),
                None => (chunk, false),
            };
            let room = (MAX_NAME_BYTES + 2).saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            bytes += part.len() as u64;
            let used = part.len() + usize::from(ended);
            self.input.consume(used);
            if ended {
                return Ok(Some((line, bytes)));
            }
        }
    }

    fn judge(&self, mut line: Vec<u8>, mut bytes: u64) -> Line {
        if line.len() as u64 == bytes && line.last() == Some(&b'\r') {
            line.pop();
            bytes -= 1;
        }
        if self.number == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
            bytes -= 3;
        }
        let skipped = |reason| Line::Skipped { number: self.number, reason };
        if bytes > MAX_NAME_BYTES as u64 {
            return skipped(Reason::TooLong { bytes });
        }
        match String::from_utf8(line) {
            Ok(name) if name.trim().is_empty() => skipped(Reason::Blank),
            Ok(name) => Line::Name(name),
            Err(error) => skipped(Reason::NotUtf8 { at: error.utf8_error().valid_up_to() }),
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_raw() {
            Ok(None) => None,
            Ok(Some((line, bytes))) => {
                self.number += 1;
                Some(Ok(self.judge(line, bytes)))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Line> {
        // A small buffer, so that lines span several reads.
        Lines::new(io::BufReader::with_capacity(7, input)).map(|line| line.expect("memory reads")).collect()
    }

    fn name(name: &str) -> Line {
        Line::Name(name.to_owned())
    }

    #[test]
    fn names_are_kept_as_they_are_and_line_ends_are_not() {
        let read = lines("\u{feff}masa\r\n 名前 \nlast".as_bytes());
        assert_eq!(read, [name("masa"), name(" 名前 "), name("last")]);
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn what_is_no_name_is_skipped_with_its_number_and_reason() {
        let longest = "x".repeat(MAX_NAME_BYTES);
        let input = [b"a\n \t\n\n", longest.as_bytes(), b"\r\n", longest.as_bytes(), b"yz\n\xff\xfe\nb\n"];
        let skipped = |number, reason| Line::Skipped { number, reason };
        assert_eq!(
            lines(&input.concat()),
            [
                name("a"),
                skipped(2, Reason::Blank),
                skipped(3, Reason::Blank),
                name(&longest),
                skipped(5, Reason::TooLong { bytes: 1026 }),
                skipped(6, Reason::NotUtf8 { at: 0 }),
                name("b"),
            ]
        );
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut lines = Lines::new(io::BufReader::new(io::Read::take(io::repeat(b'x'), 50_000_000)));
        let (kept, bytes) = lines.next_raw().expect("reads").expect("a line");
        assert_eq!(bytes, 50_000_000);
        assert!(kept.capacity() < 1 << 16, "{}", kept.capacity());
    }
}
