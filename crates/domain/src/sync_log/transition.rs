//! The status machine of a sync.

use super::{MAX_RETRIES, SyncStatus};

/// The facts that decide which transitions a sync allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncState {
    /// Its status.
    pub status: SyncStatus,
    /// The number of its latest attempt.
    pub retry_count: u16,
    /// The status of its latest finished attempt, once it has one.
    pub former: Option<SyncStatus>,
    /// Records whose latest outcome can be sent again.
    pub retryable_records: bool,
    /// Its latest attempt was closed because its lease ran out.
    pub abandoned: bool,
}

/// Something that happens to a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// A runner claims the pending attempt.
    Claim,
    /// A first attempt is given up before it began.
    GiveUp,
    /// The running attempt ends.
    Finish {
        /// Its number, which must be the latest.
        attempt: u16,
        /// How it ended.
        succeeded: bool,
    },
    /// A retry of what did not arrive is asked for.
    RequestRetry,
    /// Nobody claimed the retry in time.
    RetryNotClaimed,
}

/// Why a transition was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionRefused {
    /// The sync's status does not allow it.
    #[error("a sync that is {0} does not allow this")]
    WrongStatus(SyncStatus),
    /// A report of an attempt that has a successor.
    #[error("attempt {reported} was superseded by attempt {latest}")]
    Superseded {
        /// The attempt that reported.
        reported: u16,
        /// The latest one.
        latest: u16,
    },
    /// A report of an attempt that has not begun.
    #[error("attempt {0} has not begun")]
    NotBegun(u16),
    /// The sync is pending or in progress.
    #[error("the sync is already active")]
    AlreadyActive,
    /// Ten retries are the most.
    #[error("the sync was retried {MAX_RETRIES} times")]
    RetryLimitReached,
    /// No record of the sync can be sent again.
    #[error("no record of the sync is left to retry")]
    NothingToRetry,
}

impl SyncState {
    /// The state of a sync that has just begun.
    pub const fn started(queued: bool) -> Self {
        let status = if queued { SyncStatus::Pending } else { SyncStatus::InProgress };
        Self { status, retry_count: 0, former: None, retryable_records: false, abandoned: false }
    }

    /// The state after a transition, or why there is none.
    pub fn apply(self, transition: Transition) -> Result<Self, TransitionRefused> {
        match transition {
            Transition::Claim => self.claim(),
            Transition::GiveUp => match (self.status, self.former) {
                (SyncStatus::Pending, None) => Ok(self.ended(SyncStatus::Failed)),
                _ => Err(TransitionRefused::WrongStatus(self.status)),
            },
            Transition::Finish { attempt, succeeded } => self.finish(attempt, succeeded),
            Transition::RequestRetry => self.request_retry(),
            Transition::RetryNotClaimed => match (self.status, self.former) {
                (SyncStatus::Pending, Some(former)) => Ok(Self { status: former, ..self }),
                _ => Err(TransitionRefused::WrongStatus(self.status)),
            },
        }
    }

    fn claim(self) -> Result<Self, TransitionRefused> {
        if self.status != SyncStatus::Pending {
            return Err(TransitionRefused::WrongStatus(self.status));
        }
        let retry_count = if self.former.is_some() { self.retry_count.saturating_add(1) } else { self.retry_count };
        if retry_count > MAX_RETRIES {
            return Err(TransitionRefused::RetryLimitReached);
        }
        Ok(Self { status: SyncStatus::InProgress, retry_count, abandoned: false, ..self })
    }

    fn finish(self, attempt: u16, succeeded: bool) -> Result<Self, TransitionRefused> {
        if attempt < self.retry_count {
            return Err(TransitionRefused::Superseded { reported: attempt, latest: self.retry_count });
        }
        if attempt > self.retry_count {
            return Err(TransitionRefused::NotBegun(attempt));
        }
        // An abandoned attempt without a successor may still report what really happened.
        let late = self.abandoned && self.status.is_failure();
        if self.status == SyncStatus::InProgress || late {
            return Ok(self.ended(SyncStatus::finished(attempt, succeeded)));
        }
        Err(TransitionRefused::WrongStatus(self.status))
    }

    fn request_retry(self) -> Result<Self, TransitionRefused> {
        if self.status.is_active() {
            return Err(TransitionRefused::AlreadyActive);
        }
        if self.retry_count >= MAX_RETRIES {
            return Err(TransitionRefused::RetryLimitReached);
        }
        if !self.retryable_records {
            return Err(TransitionRefused::NothingToRetry);
        }
        Ok(Self { status: SyncStatus::Pending, former: Some(self.status), ..self })
    }

    const fn ended(self, status: SyncStatus) -> Self {
        Self { status, former: Some(status), abandoned: false, ..self }
    }
}

#[cfg(test)]
mod tests;
