//! Taking up the retries that people asked for: each is claimed, and the job runs for it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;

use api_types::attempts::StartedAttempt;
use uuid::Uuid;

use super::api::Shown;
use super::execution::Target;
use super::signals::Signals;
use super::trouble::Trouble;
use super::{Place, Session, say};

/// The sync that is retried.
const SYNC_ID: &str = "SYNCWATCH_SYNC_ID";
/// The number of the attempt.
const ATTEMPT: &str = "SYNCWATCH_ATTEMPT";
/// The file with the records to send again; without it, everything is.
const RECORDS_FILE: &str = "SYNCWATCH_RECORDS_FILE";
/// The exit status when nothing could be asked for or claimed.
const NOT_ASKED: u8 = 1;
/// Exit statuses from here on tell of a signal.
const KILLED: u8 = 128;

/// Claims every retry that waits, one after the other, and runs the job for it. Returns what to exit with: the status
/// of the last job that failed, or 0.
pub(super) async fn run(session: &Session, signals: &mut Signals) -> u8 {
    let asked = async {
        session.hand_over_earlier().await;
        session.api.waiting(session.args.integration).await
    };
    let answer = tokio::select! {
        answer = asked => answer,
        () = signals.stop() => Err(told_to_stop()),
    };
    let waiting = match answer {
        Ok(waiting) => waiting,
        Err(trouble) => return not_asked(session, "no retry", &trouble),
    };
    let mut worst = 0;
    let mut taken_up = false;
    for sync in waiting {
        // Before the claim: what cannot be run here is left to others.
        let Some(place) = Place::make() else { return NOT_ASKED };
        let claimed = match claim(session, &sync, signals).await {
            Ok(Some(claimed)) => claimed,
            Ok(None) => continue,
            Err(trouble) => {
                return not_asked(session, if taken_up { "no further retry" } else { "no retry" }, &trouble);
            }
        };
        taken_up = true;
        let Some(status) = run_one(session, &place, sync.id, &claimed, signals).await else { return NOT_ASKED };
        if status != 0 {
            worst = status;
        }
        if status >= KILLED {
            break;
        }
    }
    worst
}

fn told_to_stop() -> Trouble {
    Trouble::Away { what: "told to stop".to_owned(), wait: None }
}

fn not_asked(session: &Session, what: &str, trouble: &Trouble) -> u8 {
    say(&format!("{what} could be taken up ({}: {trouble})", session.api.base()));
    NOT_ASKED
}

/// Claims the retry of a sync. Nothing, if it waits for its first attempt or somebody else was quicker.
async fn claim(session: &Session, sync: &Shown, signals: &mut Signals) -> Result<Option<StartedAttempt>, Trouble> {
    // The last job was told, and has ended as it liked.
    if signals.stopped() {
        return Err(told_to_stop());
    }
    let is_retry = tokio::select! {
        // A signal that came between two jobs starts no further one.
        biased;
        () = signals.stop() => return Err(told_to_stop()),
        is_retry = is_retry(session, sync) => is_retry?,
    };
    if !is_retry {
        return Ok(None);
    }
    match session.api.claim(sync.id, session.args.lease).await {
        Ok(claimed) => Ok(Some(claimed)),
        Err(Trouble::Refused(refusal)) if refusal.status == 409 => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// Whether what a sync waits for is a retry: it has had an attempt, or has failed because nobody claimed its start.
async fn is_retry(session: &Session, sync: &Shown) -> Result<bool, Trouble> {
    Ok(sync.error_code.is_some() || session.api.was_attempted(sync.id).await?)
}

/// Runs the job for a claimed retry. Returns what it ended with; nothing if it could not be told what to send.
async fn run_one(
    session: &Session,
    place: &Place,
    sync_id: Uuid,
    claimed: &StartedAttempt,
    signals: &mut Signals,
) -> Option<u8> {
    let target = Target::Attempt { sync_id, attempt: claimed.attempt };
    let records = match to_send(place, claimed) {
        Ok(records) => records,
        Err(error) => {
            // The claim runs out by itself, and the retry can be asked for again.
            say(&format!("what to send again cannot be written down: {error}"));
            return None;
        }
    };
    let variables = vec![
        (SYNC_ID, Some(OsString::from(sync_id.to_string()))),
        (ATTEMPT, Some(OsString::from(claimed.attempt.to_string()))),
        (RECORDS_FILE, records.map(PathBuf::into_os_string)),
    ];
    Some(session.execute(target, variables, signals).await)
}

/// Writes down what is to be sent: an empty list where that is nothing, and no list where it is everything.
fn to_send(place: &Place, claimed: &StartedAttempt) -> io::Result<Option<PathBuf>> {
    if claimed.whole {
        return Ok(None);
    }
    let mut text = String::new();
    for record in &claimed.records {
        text += &serde_json::to_string(record)?;
        text.push('\n');
    }
    let file = place.file("records.jsonl");
    fs::write(&file, text)?;
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use api_types::sync_logs::RecordKey;

    use super::*;

    #[test]
    fn an_empty_list_is_nothing_and_no_list_is_everything() {
        let place = Place::make().unwrap();
        let record = RecordKey { source_record_type: "claims".to_owned(), source_record_id: Uuid::nil() };
        let written = |whole, records| {
            let file = to_send(&place, &StartedAttempt { attempt: 1, whole, records }).unwrap();
            file.map(|file| fs::read_to_string(file).unwrap())
        };
        assert_eq!(written(true, Vec::new()), None);
        assert_eq!(written(false, Vec::new()).as_deref(), Some(""));
        let lines = written(false, vec![record.clone(), record]).unwrap();
        assert_eq!(lines.lines().count(), 2);
        assert!(lines.starts_with("{\"source_record_type\":\"claims\",") && lines.ends_with("}\n"), "{lines}");
    }
}
