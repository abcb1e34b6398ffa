//! As much of HTTP/1.1 as the checks need: one request after another over one connection. Not an HTTP client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer takes no longer than this, even on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

/// An answer; its body was declared to be JSON.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Result<Self, String> {
        let open = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_LIMIT))?;
            stream.set_write_timeout(Some(ANSWER_LIMIT))?;
            Ok(Self { stream: BufReader::new(stream) })
        };
        open().map_err(|error: std::io::Error| format!("no connection to {address}: {error}"))
    }

    /// Sends a request, with a body of JSON if there is one, and reads the answer. The connection stays open.
    pub(super) fn send(&mut self, method: &str, path: &str, body: Option<&str>) -> Result<Reply, String> {
        self.ask(method, path, body)?;
        self.answer().map_err(|error| format!("{method} {path}: {error}"))
    }

    /// Sends a request; its [`answer`](Self::answer) is read later.
    pub(super) fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> Result<(), String> {
        let declared = body.map_or("", |_| "content-type: application/json\r\n");
        let body = body.unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{declared}content-length: {length}\r\n\r\n{body}"
        );
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .map_err(|error| format!("{method} {path} was not sent: {error}"))
    }

    pub(super) fn answer(&mut self) -> Result<Reply, String> {
        self.read().map_err(|error| format!("it was not answered in JSON: {error}"))
    }

    fn read(&mut self) -> Result<Reply, String> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("the status line is {first:?}"))?;
        let (mut length, mut is_json) = (None, false);
        loop {
            let header = self.line()?.to_ascii_lowercase();
            match header.split_once(": ") {
                Some(("content-length", value)) => length = value.parse().ok(),
                Some(("content-type", value)) => is_json = value == "application/json",
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length.ok_or("the length of the body is not given")?];
        self.stream.read_exact(&mut body).map_err(|error| format!("the body ends early: {error}"))?;
        let body = String::from_utf8(body).map_err(|error| format!("the body is no text: {error}"))?;
        if is_json { Ok(Reply { status, body }) } else { Err(format!("status {status}, {body:?}")) }
    }

    /// A line without its end; an empty one ends the headers.
    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err("the connection was closed".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Reply {
    pub(super) fn expect(&self, status: u16) -> Result<(), String> {
        if self.status == status {
            return Ok(());
        }
        Err(format!("the status is {}, not {status}: {}", self.status, self.body))
    }

    /// The text that stands under `name`, as it is written: what the checks look for needs no escapes.
    pub(super) fn text(&self, name: &str) -> Result<&str, String> {
        let opening = format!("\"{name}\":\"");
        let found = self.body.split_once(&opening).and_then(|(_, rest)| rest.split_once('"'));
        found.map(|(text, _)| text).ok_or_else(|| format!("there is no text {name:?} in {}", self.body))
    }
}

#[cfg(test)]
mod tests {
    use super::Reply;

    #[test]
    fn a_text_is_found_by_its_name() {
        let reply = Reply { status: 200, body: r#"{"id":"a-1","state":"running","count":2}"#.to_owned() };
        assert_eq!(reply.text("state"), Ok("running"));
        assert_eq!(reply.text("id"), Ok("a-1"));
        assert!(reply.text("count").is_err() && reply.text("name").is_err());
        assert!(reply.expect(200).is_ok() && reply.expect(404).is_err());
    }
}
