//! The process's side of live events: publishing, hearing, handing out.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use store::events::{self, Event, Listener};
use store::{Database, PlainTx, StoreError};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::http::problem::Chain;

/// Events numbered in one transaction.
const BATCH: i64 = 500;
/// How long another process's event waits at most before the publisher looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long the publisher rests between two transactions, so that a burst is numbered in batches.
const REST: Duration = Duration::from_millis(25);
/// How long to wait after the database failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Events a slow stream may be behind before it reads the table instead.
const BUFFER: usize = 1024;
/// Hours for which a stream can resume.
const KEPT_HOURS: i64 = 48;
/// How often outlived events are removed.
const PURGE_EVERY: Duration = Duration::from_mins(10);

/// Hands events to the process's open streams.
#[derive(Clone)]
pub struct EventHub {
    events: broadcast::Sender<Arc<Event>>,
    nudge: Arc<Notify>,
    closed: CancellationToken,
}

impl EventHub {
    /// A hub whose streams end when the token is cancelled.
    pub fn new(closed: CancellationToken) -> Self {
        Self { events: broadcast::Sender::new(BUFFER), nudge: Arc::new(Notify::new()), closed }
    }

    /// Tells the publisher that this process has just committed events.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Every event from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// Ends when the process shuts down.
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Publishes and listens until the process shuts down.
    pub async fn run(self, database: Database, clock: Clock) {
        let work = async {
            tokio::join!(self.publish(&database), self.listen(&database), purge(&database, &clock));
        };
        tokio::select! {
            () = work => {}
            () = self.closed.cancelled() => {}
        }
    }

    async fn publish(&self, database: &Database) {
        let mut trouble = Trouble::new("events cannot be published");
        loop {
            tokio::select! {
                () = self.nudge.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            // A full batch means that more is waiting.
            loop {
                match events::publish(database, BATCH).await {
                    Ok(numbered) => {
                        trouble.over();
                        if i64::try_from(numbered).unwrap_or(BATCH) < BATCH {
                            break;
                        }
                    }
                    Err(error) => {
                        trouble.tell(&error);
                        tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                        break;
                    }
                }
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn listen(&self, database: &Database) {
        let mut trouble = Trouble::new("events cannot be heard");
        let mut seen = None;
        loop {
            if let Err(error) = self.hear(database, &mut seen, &mut trouble).await {
                trouble.tell(&error);
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }

    /// Hands out events until the connection fails; `seen` survives it, so that none is skipped.
    async fn hear(&self, database: &Database, seen: &mut Option<i64>, trouble: &mut Trouble) -> Result<(), StoreError> {
        let mut listener = Listener::connect(database).await?;
        trouble.over();
        let mut last = match *seen {
            Some(last) => last,
            None => events::newest(&mut PlainTx::begin(database).await?).await?,
        };
        loop {
            *seen = Some(last);
            loop {
                let batch = events::after(&mut PlainTx::begin(database).await?, last, BATCH).await?;
                let full = i64::try_from(batch.len()).unwrap_or(BATCH) == BATCH;
                for event in batch {
                    last = event.seq;
                    // Nobody may be listening; that is no failure.
                    drop(self.events.send(Arc::new(event)));
                }
                *seen = Some(last);
                if !full {
                    break;
                }
            }
            listener.heard().await?;
        }
    }
}

async fn purge(database: &Database, clock: &Clock) {
    let mut ticks = tokio::time::interval(PURGE_EVERY);
    loop {
        ticks.tick().await;
        let removed = async {
            let mut tx = PlainTx::begin(database).await?;
            events::purge(&mut tx, clock.now() - TimeDelta::hours(KEPT_HOURS)).await?;
            store::refresh_tokens::purge(&mut tx, clock.now()).await?;
            tx.commit().await
        };
        if let Err(error) = removed.await {
            tracing::warn!(error = %Chain(&error), "outlived events cannot be removed");
        }
    }
}

/// Says once that something fails, and once that it works again.
struct Trouble {
    what: &'static str,
    told: bool,
}

impl Trouble {
    const fn new(what: &'static str) -> Self {
        Self { what, told: false }
    }

    fn tell(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(error = %Chain(error), "{}", self.what);
        }
    }

    fn over(&mut self) {
        if std::mem::replace(&mut self.told, false) {
            tracing::info!("over: {}", self.what);
        }
    }
}
