//! The stream of events, which survives a lost connection.
//!
//! Server-sent events as in the HTML Living Standard, section 9.2: here the part of it that the server uses.

use super::{CALL_TIMEOUT, Client, Result, chain};
use belljar_api::events::{Event, EventQuery};
use belljar_ids::RunId;
use reqwest::{Method, Response};
use std::collections::VecDeque;
use std::time::Duration;

/// A living stream has a line at least every 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// How long the first bytes of a stream are waited for.
const OPENED_WITHIN: Duration = Duration::from_secs(2);
/// The longest line of a stream, bytes.
const LINE_LIMIT: usize = 4 << 20;
/// How long a lost server is looked for before the stream ends in its error.
const RECONNECT_FOR: Duration = Duration::from_secs(120);
/// The delay before a lost connection is made again, at first and at most.
const RECONNECT_DELAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// What a stream yields.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamItem {
    /// Something happened.
    Event(Box<Event>),
    /// Events were missed: read everything anew.
    Reset,
    /// The connection was lost; it is being made again.
    Lost(String),
    /// The connection stands again; what was missed follows.
    Back,
}

/// One message of the wire format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Message {
    kind: String,
    data: String,
}

/// Splits bytes into messages.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    message: Message,
    ready: VecDeque<Message>,
}

impl Parser {
    /// Takes the next bytes; an endless line is an error.
    fn push(&mut self, bytes: &[u8]) -> std::result::Result<(), &'static str> {
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.line_end(line.strip_suffix(b"\r").unwrap_or(&line));
            } else if self.line.len() >= LINE_LIMIT {
                return Err("a line of the event stream is too long");
            } else {
                self.line.push(byte);
            }
        }
        Ok(())
    }

    fn line_end(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            if !message.data.is_empty() || !message.kind.is_empty() {
                self.ready.push_back(message);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.message.kind),
            "data" => {
                if !self.message.data.is_empty() {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            // The id is in the data, too; comments begin with a colon.
            _ => {}
        }
    }
}

/// Committed events, from a place on, over as many connections as it takes.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    run: Option<RunId>,
    /// The place of the last event seen; none until the first.
    after: Option<i64>,
    connection: Option<(Response, Parser)>,
    lost: Option<tokio::time::Instant>,
    delay: Duration,
}

impl Client {
    /// The events of a run (or all), from now on or after a place. The connection is made before this returns, so
    /// that what is read afterwards by other calls is not older than the stream's beginning.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn events(&self, run: Option<RunId>, after: Option<i64>) -> Result<EventStream> {
        let mut stream = EventStream {
            client: self.clone(),
            run,
            after,
            connection: None,
            lost: None,
            delay: RECONNECT_DELAY.0,
        };
        stream.connect().await?;
        Ok(stream)
    }
}

impl EventStream {
    async fn connect(&mut self) -> Result<()> {
        let query = EventQuery {
            run: self.run,
            after: self.after,
        };
        let url = self.client.url(&["events"], &query);
        let client = &self.client;
        let build = || {
            client
                .request(Method::GET, url.clone())
                .header("accept", "text/event-stream")
        };
        let mut response = client.send(CALL_TIMEOUT, build).await?;
        let mut parser = Parser::default();
        // The server's first bytes say that the stream's beginning is fixed. Were there none, a look at the run
        // now and then makes up for what was missed.
        let _ = tokio::time::timeout(OPENED_WITHIN, read(&mut response, &mut parser)).await;
        self.connection = Some((response, parser));
        Ok(())
    }

    /// The next item. Waits for ever where nothing happens.
    ///
    /// # Errors
    ///
    /// Where a lost server does not come back within two minutes, or refuses.
    pub async fn next(&mut self) -> Result<StreamItem> {
        loop {
            let error = match &mut self.connection {
                Some((_, parser)) if !parser.ready.is_empty() => {
                    let message = parser.ready.pop_front().unwrap_or_default();
                    match self.item(&message) {
                        Some(item) => return Ok(item),
                        None => continue,
                    }
                }
                Some((response, parser)) => match read(response, parser).await {
                    Ok(()) => continue,
                    Err(reason) => reason,
                },
                None => return self.reconnect().await,
            };
            self.connection = None;
            self.lost = Some(tokio::time::Instant::now());
            self.delay = RECONNECT_DELAY.0;
            return Ok(StreamItem::Lost(error));
        }
    }

    /// Makes the connection again, for as long as that is worth trying.
    async fn reconnect(&mut self) -> Result<StreamItem> {
        loop {
            tokio::time::sleep(self.delay).await;
            self.delay = (self.delay * 2).min(RECONNECT_DELAY.1);
            let error = match self.connect().await {
                // Without a place to resume from, what happened meanwhile is unknown.
                Ok(()) if self.after.is_none() => return Ok(StreamItem::Reset),
                Ok(()) => return Ok(StreamItem::Back),
                Err(error) => error,
            };
            let too_long = self
                .lost
                .is_none_or(|since| since.elapsed() > RECONNECT_FOR);
            if too_long || !error.is_transient() {
                return Err(error);
            }
        }
    }

    /// What a message means; none for one that is not known.
    fn item(&mut self, message: &Message) -> Option<StreamItem> {
        if message.kind == "reset" {
            let reset: belljar_api::events::Reset = serde_json::from_str(&message.data).ok()?;
            self.after = Some(reset.seq.0);
            return Some(StreamItem::Reset);
        }
        let event: Event = serde_json::from_str(&message.data).ok()?;
        self.after = Some(event.seq.0);
        Some(StreamItem::Event(Box::new(event)))
    }
}

/// Reads more of a connection; an end of any kind is a reason.
async fn read(response: &mut Response, parser: &mut Parser) -> std::result::Result<(), String> {
    match tokio::time::timeout(SILENCE, response.chunk()).await {
        Err(_) => Err(format!("nothing came for {} s", SILENCE.as_secs())),
        Ok(Err(error)) => Err(chain(&error)),
        Ok(Ok(None)) => Err("the server ended it".to_owned()),
        Ok(Ok(Some(bytes))) => parser.push(&bytes).map_err(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(pieces: &[&[u8]]) -> Vec<Message> {
        let mut parser = Parser::default();
        for piece in pieces {
            parser.push(piece).unwrap();
        }
        parser.ready.into()
    }

    fn message(kind: &str, data: &str) -> Message {
        Message {
            kind: kind.into(),
            data: data.into(),
        }
    }

    #[test]
    fn messages_are_split_wherever_the_bytes_are() {
        let text = ": hello\n\nid: 7\nevent: task.running\ndata: {\"a\":\ndata: \"\u{e9}\"}\n\nevent:reset\r\ndata:{}\r\n\r\ndata: cut".as_bytes();
        let expected = [
            message("task.running", "{\"a\":\n\"\u{e9}\"}"),
            message("reset", "{}"),
        ];
        for cut in 0..text.len() {
            assert_eq!(
                messages(&[&text[..cut], &text[cut..]]),
                expected,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = Parser::default();
        let piece = vec![b'a'; LINE_LIMIT];
        assert!(parser.push(&piece).is_ok());
        assert!(parser.push(b"a").is_err());
    }
}
