//! One open stream: first what was missed, then what happens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use futures::Stream;
use store::events::{self, Event};
use store::{PlainTx, StoreError};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::OrgContext;
use crate::http::problem::Chain;
use crate::state::AppState;
use crate::telemetry::METRICS;

/// How often a silent stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events read from the table at once.
const CATCH_UP: i64 = 200;
/// Milliseconds a client waits before it comes back.
const RETRY_MILLIS: u32 = 2000;

/// Opens a stream for a caller, resuming after the number given.
pub(super) async fn open(
    state: AppState,
    context: OrgContext,
    last_seen: Option<i64>,
) -> Result<impl Stream<Item = Result<Bytes, std::io::Error>> + use<>, StoreError> {
    // Subscribed before the table is read, so that nothing falls between.
    let live = state.hub.subscribe();
    let closed = state.hub.closed();
    let newest = events::newest(&mut PlainTx::begin(&state.db).await?).await?;
    // A number from another database's past would silence the stream.
    let last = last_seen.map_or(newest, |seen| seen.min(newest));
    let lifetime = (context.expires_at - state.clock.now()).to_std().unwrap_or_default();
    let reader = Reader {
        ends_at: Instant::now() + lifetime,
        behind: last < newest,
        state,
        context,
        live,
        closed,
        last,
        waiting: VecDeque::new(),
        greeted: false,
        _open: OpenStream::count(),
    };
    Ok(futures::stream::unfold(reader, |mut reader| async move {
        let frame = reader.next().await?;
        Some((Ok(Bytes::from(frame)), reader))
    }))
}

struct Reader {
    state: AppState,
    context: OrgContext,
    live: broadcast::Receiver<Arc<Event>>,
    closed: CancellationToken,
    ends_at: Instant,
    /// The last number this stream has passed.
    last: i64,
    /// Whether the table holds events that the stream has missed.
    behind: bool,
    waiting: VecDeque<Arc<Event>>,
    greeted: bool,
    _open: OpenStream,
}

impl Reader {
    /// The next frame; none when the stream ends.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.greeted, true) {
            // Without data this is no event; it only tells where the stream stands.
            return Some(format!("retry: {RETRY_MILLIS}\nid: {}\n\n", self.last));
        }
        loop {
            while let Some(event) = self.waiting.pop_front() {
                if event.seq > self.last {
                    self.last = event.seq;
                    if is_for(&event, &self.context) {
                        return Some(frame(&event));
                    }
                }
            }
            if self.behind {
                self.catch_up().await?;
                continue;
            }
            let heard = tokio::select! {
                () = self.closed.cancelled() => return None,
                () = tokio::time::sleep_until(self.ends_at) => return None,
                () = tokio::time::sleep(HEARTBEAT) => return Some(": still here\n\n".to_owned()),
                heard = self.live.recv() => heard,
            };
            match heard {
                Ok(event) => self.waiting.push_back(event),
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Reads what was missed; a failure ends the stream, and the client resumes it.
    async fn catch_up(&mut self) -> Option<()> {
        let read = async {
            let mut tx = PlainTx::begin(&self.state.db).await?;
            events::of_organization_after(&mut tx, self.context.organization_id, self.last, CATCH_UP).await
        };
        match read.await {
            Ok(missed) => {
                self.behind = i64::try_from(missed.len()).unwrap_or(CATCH_UP) == CATCH_UP;
                self.waiting.extend(missed.into_iter().map(Arc::new));
                Some(())
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "an event stream ended");
                None
            }
        }
    }
}

fn is_for(event: &Event, context: &OrgContext) -> bool {
    event.organization_id == context.organization_id
        && event.user_id.is_none_or(|user_id| context.user_id() == Some(user_id))
}

fn frame(event: &Event) -> String {
    format!("id: {}\nevent: {}\ndata: {}\n\n", event.seq, event.kind, event.data)
}

/// Counts itself among the open streams.
struct OpenStream;

impl OpenStream {
    fn count() -> Self {
        METRICS.event_streams.inc();
        Self
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        METRICS.event_streams.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::DateTime;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::auth::{Principal, Role};

    fn event(organization: u128, user: Option<u128>) -> Event {
        Event {
            seq: 42,
            organization_id: Uuid::from_u128(organization),
            kind: "sync.changed".to_owned(),
            user_id: user.map(Uuid::from_u128),
            data: json!({ "sync_id": "x" }),
        }
    }

    #[test]
    fn an_event_is_for_its_organization_and_where_set_its_person() {
        let context = OrgContext {
            organization_id: Uuid::from_u128(1),
            principal: Principal::Person(Uuid::from_u128(7)),
            role: Role::OrgViewer,
            scopes: BTreeSet::new(),
            expires_at: DateTime::UNIX_EPOCH,
        };
        assert!(is_for(&event(1, None), &context));
        assert!(is_for(&event(1, Some(7)), &context));
        assert!(!is_for(&event(1, Some(8)), &context));
        assert!(!is_for(&event(2, None), &context));
    }

    #[test]
    fn a_frame_has_id_event_and_data() {
        assert_eq!(frame(&event(1, None)), "id: 42\nevent: sync.changed\ndata: {\"sync_id\":\"x\"}\n\n");
    }
}
