//! The stream of live events, read with `fetch`, since the browser's `EventSource` cannot send a token.

use api_types::events::EventData;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, ReadableStreamDefaultReader, TextDecodeOptions, TextDecoder};

use super::http::Call;
use super::{ApiError, Client};

/// One event as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveEvent {
    /// Its id, for resuming.
    pub id: Option<String>,
    /// `sync.changed`, `integration.changed` or `notification.created`.
    pub kind: String,
    /// What changed.
    pub data: EventData,
}

/// Cuts a text stream into events.
#[derive(Debug, Default)]
pub struct SseParser {
    buffer: String,
    id: Option<String>,
    kind: String,
    data: String,
}

impl SseParser {
    /// Takes in a piece of the stream and gives back the events it completes.
    pub fn push(&mut self, piece: &str) -> Vec<LiveEvent> {
        self.buffer.push_str(piece);
        let mut events = Vec::new();
        while let Some(end) = self.buffer.find('\n') {
            let line: String = self.buffer.drain(..=end).collect();
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                events.extend(self.dispatch());
            } else {
                self.field(line);
            }
        }
        events
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<LiveEvent> {
        let kind = std::mem::take(&mut self.kind);
        let data = std::mem::take(&mut self.data);
        let data = serde_json::from_str(&data).ok()?;
        Some(LiveEvent { id: self.id.clone(), kind, data })
    }
}

/// An open stream.
pub struct EventStream {
    reader: ReadableStreamDefaultReader,
    decoder: TextDecoder,
    parser: SseParser,
}

impl EventStream {
    /// The next events; `None` when the stream has ended. A heartbeat gives an empty list.
    pub async fn next(&mut self) -> Option<Vec<LiveEvent>> {
        let step = JsFuture::from(self.reader.read()).await.ok()?;
        if Reflect::get(&step, &JsValue::from_str("done")).ok()?.is_truthy() {
            return None;
        }
        let bytes: Uint8Array = Reflect::get(&step, &JsValue::from_str("value")).ok()?.dyn_into().ok()?;
        let options = TextDecodeOptions::new();
        options.set_stream(true);
        let text = self.decoder.decode_with_buffer_source_and_options(&bytes, &options).ok()?;
        Some(self.parser.push(&text))
    }
}

impl Client {
    /// Opens the stream of live events after the one named.
    pub async fn events(&self, after: Option<String>, abort: AbortSignal) -> Result<EventStream, ApiError> {
        let mut call = Call::get("/events").header("accept", "text/event-stream").abort_with(abort);
        if let Some(after) = after {
            call = call.header("last-event-id", after);
        }
        let response = self.call(call).await?;
        let body = response.body().ok_or(ApiError::Offline)?;
        let reader = body.get_reader().dyn_into().map_err(|_| ApiError::Offline)?;
        let decoder = TextDecoder::new().map_err(|_| ApiError::Offline)?;
        Ok(EventStream { reader, decoder, parser: SseParser::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_may_be_cut_anywhere() {
        let stream = ": hello\n\nid: 41\nevent: sync.changed\ndata: {\"sync_id\":\"00000000-0000-0000-0000-000000000001\"}\n\n: beat\n\nid: 42\r\nevent: integration.changed\r\ndata: {}\r\n\r\n";
        for cut in 0..stream.len() {
            let mut parser = SseParser::default();
            let mut events = parser.push(&stream[..cut]);
            events.extend(parser.push(&stream[cut..]));
            assert_eq!(events.len(), 2, "cut at {cut}");
            assert_eq!(events[0].kind, "sync.changed");
            assert_eq!(events[0].data.sync_id, Some(uuid::Uuid::from_u128(1)));
            assert_eq!(events[1].id.as_deref(), Some("42"));
        }
    }

    #[test]
    fn what_is_no_event_is_passed_over() {
        assert!(SseParser::default().push("event: sync.changed\ndata: rubbish\n\n").is_empty());
    }
}
