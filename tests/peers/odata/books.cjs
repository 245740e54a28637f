// What the OData peer accepted: one JSON document a line in the file named by PEER_LOG, and GET /_log.
'use strict';

const { createHash } = require('node:crypto');
const { appendFileSync } = require('node:fs');

const rows = [];
const bookedIds = new Set();

exports.book = (claim, key) => {
    // The mock server fills a missing id with an empty text.
    const recordId = String(claim.id || claim.claim_number);
    const row = {
        time: new Date().toISOString(),
        idempotency_key: key,
        record_id: recordId,
        claim_number: claim.claim_number,
        amount: String(claim.amount),
        body_hash: createHash('sha256').update(JSON.stringify(claim)).digest('hex'),
        reference: claim.claim_number,
        duplicate: bookedIds.has(recordId)
    };
    bookedIds.add(recordId);
    rows.push(row);
    if (process.env.PEER_LOG) {
        appendFileSync(process.env.PEER_LOG, JSON.stringify(row) + '\n');
    }
};

exports.log = () => ({
    accepted: rows.length,
    duplicates: rows.filter((row) => row.duplicate).length,
    records: rows
});
