//! Putting records into requests: how many are marked at a time, and which leave again because of others.

use connectors::{OutboundRecord, RecordAnswer};
use store::source_records::RecordKey;

use super::send;

/// Most records that are marked as leaving before there is a slot for their requests, unless one batch holds more: of
/// these a killed worker can say nothing, although they never left.
const MARKED_AHEAD: usize = 256;
/// How often in an attempt records leave again at once because a request was refused with them in it.
pub(super) const MOST_SPLITS: u32 = 64;

/// Records and what was answered about them.
pub(super) type Answers = Vec<(OutboundRecord, RecordAnswer)>;

/// How many batches are marked ahead of their requests: as many as there are slots, and as many again for every eight of
/// them. Who sends many at once is answered so fast that the next transaction is late otherwise; who sends few is to have
/// few doubts.
pub(super) fn marked_ahead(slots: usize, batch_size: usize) -> usize {
    let wanted = slots.saturating_mul(1 + slots / 8);
    wanted.clamp(1, (MARKED_AHEAD / batch_size.max(1)).max(1))
}

/// How many more records are marked where so many are: those that wait, those on their way, and those whose answers are
/// not written. Half of what may be ahead is worth a transaction; where a slot `starves`, anything is.
pub(super) fn next_to_mark(slots: usize, batch_size: usize, marked: usize, starves: bool) -> usize {
    let ahead = marked_ahead(slots, batch_size);
    let free = ((slots + ahead) * batch_size).saturating_sub(marked) / batch_size;
    if !starves && free < ahead.div_ceil(2) {
        return 0;
    }
    // The first requests are not to wait for the marks of others.
    let most = if marked == 0 { ahead.min(slots) } else { ahead };
    free.min(most) * batch_size
}

/// Takes out of a request's answers those that are to be written. Records that were refused with others, not for
/// themselves, may leave again before everything else, the last of their requests first: in halves, where nobody knows
/// whose fault it was. Each of their requests holds fewer records than the one before, so this comes to an end.
pub(super) fn sort_out(answers: Answers, splits: &mut u32) -> (Vec<Vec<OutboundRecord>>, Answers) {
    let count = answers.len();
    if *splits == 0 || count < 2 {
        return (Vec::new(), answers);
    }
    let (again, answered): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer.again);
    if again.is_empty() {
        return (Vec::new(), answered);
    }
    *splits -= 1;
    let records: Vec<OutboundRecord> = again.into_iter().map(|(record, _)| record).collect();
    let size = if records.len() == count { count.div_ceil(2) } else { records.len() };
    (records.rchunks(size).map(<[OutboundRecord]>::to_vec).collect(), answered)
}

/// Which records they are.
pub(super) fn keys_of(batches: impl Iterator<Item = Vec<OutboundRecord>>) -> Vec<RecordKey> {
    batches.flatten().map(|record| send::key_of(&record)).collect()
}

#[cfg(test)]
mod tests {
    use connectors::Permanence;
    use domain::doubt::Certainty;
    use domain::record::RecordOutcome;
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;

    fn answered(again: &[bool]) -> Vec<(OutboundRecord, RecordAnswer)> {
        let one = |(number, again): (usize, &bool)| {
            let record = OutboundRecord {
                source_record_type: "t".to_owned(),
                source_record_id: Uuid::from_u128(number as u128),
                payload: Value::Null,
                payload_hash: String::new(),
                idempotency_key: String::new(),
                in_doubt: false,
            };
            let answer = RecordAnswer {
                outcome: RecordOutcome::NotAttempted,
                certainty: Certainty::NotTaken,
                errors: Vec::new(),
                http_status_code: None,
                external_reference_id: None,
                permanence: Permanence::Transient,
                retry_after: None,
                again: *again,
            };
            (record, answer)
        };
        again.iter().enumerate().map(one).collect()
    }

    /// What is to be written, and what is ready to leave, by numbers.
    fn sorted_out(again: &[bool], splits: &mut u32) -> (Vec<u128>, Vec<Vec<u128>>) {
        let number = |record: &OutboundRecord| record.source_record_id.as_u128();
        let (ready, written) = sort_out(answered(again), splits);
        let ready = ready.iter().rev().map(|batch| batch.iter().map(number).collect()).collect();
        (written.iter().map(|(record, _)| number(record)).collect(), ready)
    }

    #[test]
    fn who_is_not_to_blame_leaves_again_with_fewer() {
        let mut splits = 3;
        assert_eq!(sorted_out(&[false, false], &mut splits), (vec![0, 1], vec![]));
        assert_eq!(sorted_out(&[true, false, true], &mut splits), (vec![1], vec![vec![0, 2]]));
        assert_eq!(sorted_out(&[true; 5], &mut splits), (vec![], vec![vec![0, 1], vec![2, 3, 4]]));
        assert_eq!(sorted_out(&[true], &mut splits), (vec![0], vec![]), "one alone is never sent again at once");
        assert_eq!(sorted_out(&[true, true], &mut splits), (vec![], vec![vec![0], vec![1]]));
        assert_eq!(splits, 0);
        assert_eq!(sorted_out(&[true, true], &mut splits), (vec![0, 1], vec![]));
    }

    #[test]
    fn few_records_are_marked_ahead_and_never_less_than_a_batch() {
        let cases = [(1, 1, 1), (2, 1, 2), (4, 1, 4), (8, 1, 16), (16, 1, 48), (300, 1, 256), (4, 100, 2), (4, 500, 1)];
        for (slots, batch_size, batches) in cases {
            assert_eq!(marked_ahead(slots, batch_size), batches, "{slots} slots, {batch_size} a batch");
        }
    }

    #[test]
    fn marks_are_made_several_at_a_time_and_never_too_many() {
        let next = |slots, batch_size, marked| next_to_mark(slots, batch_size, marked, false);
        assert_eq!((next(1, 1, 0), next(1, 1, 1), next(1, 1, 2)), (1, 1, 0), "one on its way, and one ahead");
        assert_eq!((next(2, 1, 0), next(2, 1, 2), next(2, 1, 3), next(2, 1, 4)), (2, 2, 1, 0));
        assert_eq!((next(16, 1, 0), next(16, 1, 16), next(16, 1, 40), next(16, 1, 41)), (16, 48, 24, 0));
        assert_eq!(next_to_mark(16, 1, 60, true), 4, "a free slot waits for nothing");
        assert_eq!((next(4, 500, 0), next(4, 500, 500), next(4, 500, 2_100)), (500, 500, 0));
        for slots in 1..40 {
            for marked in 0..400 {
                let most = (slots + marked_ahead(slots, 5)) * 5;
                assert!(marked + next_to_mark(slots, 5, marked, true) <= most.max(marked), "{slots}, {marked}");
            }
        }
    }
}
