//! Asking Dataverse for the rows of records: of those that are in doubt, and of those that met a row.

use std::time::Duration;

use domain::asking::Asked;

use super::answers::Verdict;
use super::look_up::LookUp;
use super::request::{self, Outgoing};
use super::{Dynamics365, parts_of};
use crate::connector::{LookedUp, OutboundRecord, RecordAnswer};
use crate::exchange::Exchange;

impl Dynamics365 {
    /// Looks up the rows that were in the way of records.
    pub(super) async fn settle(&self, sent: &[&OutboundRecord], verdicts: Vec<Verdict>) -> Vec<RecordAnswer> {
        let mut met = Vec::new();
        for (record, verdict) in sent.iter().zip(&verdicts) {
            if verdict.to_look_up {
                met.push(*record);
            }
        }
        let LookedUp { said, retry_after } = self.look_up(&met).await;
        let mut said = said.into_iter();
        let credentials = self.tokens.credentials().ungranted();
        let judge = self.judge(&credentials);
        let mut answers = Vec::with_capacity(sent.len());
        for (record, Verdict { answer, to_look_up }) in sent.iter().zip(verdicts) {
            let said = if to_look_up { said.next() } else { None };
            answers.push(match said {
                Some(said) => {
                    // What is asked for by the way counts like what is said to the records' own request.
                    let retry_after = answer.retry_after.max(retry_after);
                    RecordAnswer { retry_after, ..judge.looked_up(record, answer, said) }
                }
                None => answer,
            });
        }
        answers
    }

    /// Looks up the rows of records: in one request, and by themselves those of which its answer says nothing.
    pub(super) async fn look_up(&self, records: &[&OutboundRecord]) -> LookedUp {
        let mut retry_after = None;
        let said = self.words_about(records, &mut retry_after).await;
        LookedUp { said, retry_after }
    }

    async fn words_about(&self, records: &[&OutboundRecord], retry_after: &mut Option<Duration>) -> Vec<Asked> {
        let mut said: Vec<Option<Asked>> = vec![None; records.len()];
        if records.len() > 1 {
            let parts: Option<Vec<Outgoing>> =
                records.iter().map(|record| request::look_up(&self.settings, record)).collect();
            let together = parts.and_then(|parts| request::together(&self.settings, &parts));
            let (exchange, credentials) = self.exchange(together).await;
            *retry_after = exchange.retry_after().max(*retry_after);
            let look_up = LookUp { settings: &self.settings, credentials: &credentials };
            let Some(parts) = parts_of(&exchange, records.len()) else {
                return vec![look_up.said_of_all(&exchange); records.len()];
            };
            for (place, record) in records.iter().enumerate() {
                let answer = parts.answers.get(place).and_then(Option::as_ref);
                *retry_after = answer.and_then(|answer| answer.retry_after).max(*retry_after);
                said[place] = answer.map(|answer| look_up.answered(record.source_record_id, answer));
            }
        }
        let unsaid: Vec<usize> = (0..records.len()).filter(|place| said[*place].is_none()).collect();
        for place in unsaid {
            let record = records[place];
            let (exchange, credentials) = self.exchange(request::look_up(&self.settings, record)).await;
            *retry_after = exchange.retry_after().max(*retry_after);
            let look_up = LookUp { settings: &self.settings, credentials: &credentials };
            said[place] = Some(look_up.said(record.source_record_id, &exchange));
            if !is_worth_asking_on(&exchange) {
                // Who does not answer once, or wants to be left alone, is not asked a thousand times.
                return said.into_iter().map(|said| said.unwrap_or_else(|| look_up.incomplete())).collect();
            }
        }
        said.into_iter().flatten().collect()
    }
}

/// Whether somebody is there, lets the client in, and has time for more.
fn is_worth_asking_on(exchange: &Exchange) -> bool {
    matches!(exchange, Exchange::Answered(answer) if !matches!(answer.status, 401 | 403 | 429 | 500..))
}
