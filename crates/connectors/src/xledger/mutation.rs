//! From records to one mass mutation, and from its nodes back to the records.

use domain::mapping::{Mapping, Node};
use serde_json::{Value, json};

use super::schema::{EXT_IDENTIFIER, Mutation};
use crate::connector::OutboundRecord;

/// A record that leaves in a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    pub(super) record: &'a OutboundRecord,
    /// How many nodes it has become.
    pub(super) lines: usize,
}

/// The records of a request, in the order of their nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nodes<'a> {
    pub(super) mapping: &'a Mapping,
    pub(super) sent: &'a [Sent<'a>],
}

impl Nodes<'_> {
    /// The record and its line that a node of the request is.
    pub(super) fn place_of(&self, node: usize) -> Option<(usize, usize)> {
        let mut first = 0;
        for (record, sent) in self.sent.iter().enumerate() {
            if node < first + sent.lines {
                return Some((record, node - first));
            }
            first += sent.lines;
        }
        None
    }

    /// JSON Pointer into a record to what a field was made of; `line` is `None` where it is not known which of the
    /// record's nodes is meant.
    pub(super) fn trace(&self, record: usize, line: Option<usize>, name: &str) -> Option<String> {
        let lines = self.sent.get(record)?.lines;
        match line {
            Some(line) => self.mapping.trace(line, name),
            None if lines == 1 => self.mapping.trace(0, name),
            // The same in every line, or nobody can say where.
            None => self.mapping.trace(0, name).filter(|place| self.mapping.trace(1, name).as_ref() == Some(place)),
        }
    }

    /// Words without the personal values of any of the records.
    pub(super) fn without_personal(&self, words: &str) -> String {
        let payloads = self.sent.iter().map(|sent| &sent.record.payload);
        payloads.fold(words.to_owned(), |words, payload| self.mapping.without_personal(payload, &words))
    }
}

/// What correlates an answer with a line of a record of the request.
pub(super) fn client_id(record: usize, line: usize) -> String {
    format!("{record}.{line}")
}

/// What a line of this version of a record is found by.
pub(super) fn ext_identifier(record: &OutboundRecord, line: usize) -> String {
    format!("{}-{line}", record.idempotency_key)
}

/// The inputs of one record, the `place`-th of its request.
pub(super) fn inputs(mutation: &Mutation, record: &OutboundRecord, place: usize, nodes: Vec<Node>) -> Vec<Value> {
    let input = |(line, mut node): (usize, Node)| {
        if mutation.identified {
            node.insert(EXT_IDENTIFIER.to_owned(), ext_identifier(record, line).into());
        }
        json!({ "clientId": client_id(place, line), "node": node })
    };
    nodes.into_iter().enumerate().map(input).collect()
}

/// The body of the request.
pub(super) fn body(mutation: &Mutation, inputs: &[Value]) -> Value {
    let Mutation { name, input, .. } = mutation;
    let query = format!(
        "mutation($inputs: [{input}!]!) {{ {name}(inputs: $inputs) {{ edges {{ clientId node {{ dbId }} }} }} }}"
    );
    json!({ "query": query, "variables": { "inputs": inputs } })
}
