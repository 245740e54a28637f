//! How long a server that does not answer is asked again.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::trouble::Trouble;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// What a call may take even when patience has run out: an answer that is on its way is worth more than a moment.
const SHORTEST_CALL: Duration = Duration::from_secs(5);

/// How long a report is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    until: Instant,
}

impl Patience {
    /// From now on.
    pub(super) fn of(duration: Duration) -> Self {
        Self { until: Instant::now() + duration }
    }

    /// Makes a call until it is answered or patience runs out.
    pub(super) async fn with<T>(self, mut call: impl AsyncFnMut() -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut wait = FIRST_WAIT;
        loop {
            let trouble = match self.once(call()).await {
                Err(trouble @ Trouble::Away { .. }) => trouble,
                answer => return answer,
            };
            let asked = if let Trouble::Away { wait, .. } = &trouble { *wait } else { None };
            let pause = asked.unwrap_or(wait).max(wait);
            if Instant::now() + pause > self.until {
                return Err(trouble);
            }
            sleep(pause).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Makes a call once, and gives it up when patience runs out.
    pub(super) async fn once<T>(self, call: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let left = self.until.saturating_duration_since(Instant::now()).max(SHORTEST_CALL);
        let no_answer = |_| Trouble::Away { what: "no answer came in time".to_owned(), wait: None };
        timeout(left, call).await.map_err(no_answer)?
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::super::trouble::Refusal;
    use super::*;

    /// Longer than a machine stands still.
    const PATIENCE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn patience_ends_and_a_refusal_is_final() {
        let calls = Cell::new(0);
        let away = async || -> Result<(), Trouble> {
            calls.set(calls.get() + 1);
            let wait = (calls.get() > 1).then_some(PATIENCE);
            Err(Trouble::Away { what: "nobody answers".to_owned(), wait })
        };
        let begun = Instant::now();
        Patience::of(PATIENCE).with(away).await.unwrap_err();
        assert_eq!(calls.get(), 2, "the next wait would have been too long");
        assert!(begun.elapsed() >= FIRST_WAIT);

        calls.set(0);
        let refused = async || -> Result<(), Trouble> {
            calls.set(calls.get() + 1);
            Err(Trouble::Refused(Refusal::default()))
        };
        Patience::of(PATIENCE).with(refused).await.unwrap_err();
        assert_eq!(calls.get(), 1);

        // A server that says when to come back is asked then, not before.
        calls.set(0);
        let begun = Instant::now();
        let busy = async || -> Result<(), Trouble> {
            calls.set(calls.get() + 1);
            let wait = Some(FIRST_WAIT * 3);
            if calls.get() < 2 { Err(Trouble::Away { what: "busy".to_owned(), wait }) } else { Ok(()) }
        };
        Patience::of(PATIENCE).with(busy).await.unwrap();
        assert!(begun.elapsed() >= FIRST_WAIT * 3);
    }

    #[tokio::test]
    async fn a_call_that_is_not_answered_ends_with_patience() {
        let begun = Instant::now();
        let silent = async || pending::<Result<(), Trouble>>().await;
        let trouble = Patience::of(Duration::ZERO).with(silent).await.unwrap_err();
        assert!(matches!(trouble, Trouble::Away { .. }), "{trouble}");
        assert!(begun.elapsed() >= SHORTEST_CALL, "it had its moment");
    }
}
