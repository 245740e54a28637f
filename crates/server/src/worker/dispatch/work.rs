//! Work that goes on beside everything else: a transaction that is under way while requests leave and come back.

use std::pin::Pin;

/// At most one piece of work of a kind.
pub(super) struct Work<'a, T>(Option<Pin<Box<dyn Future<Output = T> + Send + 'a>>>);

impl<'a, T> Work<'a, T> {
    /// None.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Begins a piece of work where there is none.
    pub(super) fn begin(&mut self, work: impl Future<Output = T> + Send + 'a) {
        self.0 = Some(Box::pin(work));
    }

    /// Whether there is any.
    pub(super) fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until it is done, for ever where there is none. Nothing is lost if nobody waits any more.
    pub(super) async fn done(&mut self) -> T {
        match self.finish().await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    /// Waits until it is done; `None` where there is none.
    pub(super) async fn finish(&mut self) -> Option<T> {
        let done = self.0.as_mut()?.await;
        self.0 = None;
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_goes_on_where_somebody_stopped_waiting() {
        let (end, ended) = oneshot::channel::<u8>();
        let mut work = Work::none();
        assert_eq!(work.finish().await, None);
        work.begin(ended);
        tokio::select! {
            biased;
            _ = work.done() => panic!("it has not ended"),
            () = std::future::ready(()) => {}
        }
        assert!(work.is_under_way());
        end.send(7).unwrap();
        assert_eq!(work.done().await.unwrap(), 7);
        assert!(!work.is_under_way());
    }
}
