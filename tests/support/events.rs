//! Reading a stream of server-sent events.

use std::time::Duration;

use serde_json::Value;

use crate::client::Client;

/// How long a test waits for an event; signs of life between them are none.
const PATIENCE: Duration = Duration::from_mins(1);

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number.
    pub id: i64,
    /// What happened.
    pub kind: String,
    /// Ids.
    pub data: Value,
}

/// An open stream.
pub struct Events {
    answer: reqwest::Response,
    text: String,
    /// Where the stream stood when it was opened.
    pub position: i64,
}

impl Events {
    /// Opens a stream, resuming after an event where one is named, and waits until it is greeted.
    pub async fn open(client: &Client, after: Option<i64>) -> Self {
        let mut request = client.get("/events").header("Accept", "text/event-stream");
        if let Some(id) = after {
            request = request.header("Last-Event-ID", &id.to_string());
        }
        let answer = request.stream().await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut events = Self { answer, text: String::new(), position: 0 };
        let greeting = in_time(events.frame()).await.expect("the stream greets");
        events.position = field(&greeting, "id").and_then(|id| id.parse().ok()).expect("the greeting has a position");
        events
    }

    /// The next event.
    pub async fn next(&mut self) -> Event {
        in_time(self.event()).await
    }

    /// The next event of a kind.
    pub async fn next_of(&mut self, kind: &str) -> Event {
        in_time(async {
            loop {
                let event = self.event().await;
                if event.kind == kind {
                    return event;
                }
            }
        })
        .await
    }

    async fn event(&mut self) -> Event {
        loop {
            let frame = self.frame().await.expect("the stream goes on");
            if let Some(kind) = field(&frame, "event") {
                let id = field(&frame, "id").and_then(|id| id.parse().ok()).expect("an event has an id");
                let data = field(&frame, "data").map(|data| serde_json::from_str(data).unwrap()).unwrap_or_default();
                return Event { id, kind: kind.to_owned(), data };
            }
        }
    }

    /// Reads one frame; none at the stream's end.
    async fn frame(&mut self) -> Option<String> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let frame = frame.to_owned();
                self.text = String::from(rest);
                return Some(frame);
            }
            let chunk = self.answer.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

async fn in_time<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waiting).await.expect("an event arrives in time")
}

fn field<'a>(frame: &'a str, name: &str) -> Option<&'a str> {
    frame.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
