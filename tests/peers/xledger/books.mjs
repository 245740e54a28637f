// What the Xledger peer accepted: one JSON document a line in the file named by PEER_LOG, and GET /_log. Every accepted
// node counts by itself; one whose extIdentifier (a supplier's: code) was accepted before is a duplicate, and is
// accepted all the same, since Xledger recognises no repetition.
import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';

const ACCOUNTS = ['5000', '5100', '6700', '7140', '7320'];
const COST_CENTERS = ['1000', '1010', '2000', '2010', '3000'];
const CURRENCIES = ['NOK', 'SEK', 'DKK', 'EUR', 'GBP', 'USD'];
const TAX_RULES = ['0', '1', '3', '5', '6'];

const rows = [];
const forgotten = new Set();
const seen = new Set();
const postingErrors = [];

/** What is wrong with a node, as the look-up of a reference says it; null if nothing is. */
export function complaint(node) {
    const looked = [
        ['account', ACCOUNTS, 'Invalid account code'],
        ['glObject1', COST_CENTERS, 'Invalid cost center code'],
        ['currency', CURRENCIES, 'Invalid currency code'],
        ['taxRule', TAX_RULES, 'Invalid tax rule code']
    ];
    for (const [argument, known, words] of looked) {
        const code = node[argument]?.code;
        if (code !== undefined && code !== null && !known.includes(code)) {
            return { argument, message: `${words}: ${code}`, hints: known.map((code, at) => ({ dbId: at + 1, code })) };
        }
    }
    return null;
}

export function book(entity, clientId, node) {
    const key = node.extIdentifier ?? node.code ?? null;
    const row = {
        time: new Date().toISOString(),
        entity,
        client_id: clientId ?? null,
        idempotency_key: node.extIdentifier ?? null,
        record_id: String(node.extOrderNumber ?? key),
        claim_number: String(node.invoiceNumber ?? ''),
        amount: String(node.amount ?? ''),
        body_hash: createHash('sha256').update(JSON.stringify(node)).digest('hex'),
        reference: String(900001 + rows.length),
        duplicate: key !== null && seen.has(`${entity} ${key}`)
    };
    seen.add(`${entity} ${key}`);
    rows.push(row);
    if (process.env.PEER_LOG) {
        appendFileSync(process.env.PEER_LOG, JSON.stringify(row) + '\n');
    }
    return { ...node, dbId: row.reference };
}

/** What was accepted of an entity, as the nodes of a connection. */
export const accepted = (entity) =>
    rows
        .filter((row) => row.entity === entity && !forgotten.has(row))
        .map((row) => ({
            dbId: row.reference,
            code: row.record_id,
            amount: row.amount,
            invoiceNumber: row.claim_number,
            extIdentifier: row.idempotency_key,
            extOrderNumber: row.record_id
        }));

/** Lets the posting of everything accepted so far fail. */
export function failPosting(message) {
    for (const row of rows.filter((row) => row.entity === 'glImportItems')) {
        postingErrors.push({
            dbId: row.reference,
            createdAt: new Date().toISOString(),
            message,
            errorLevel: { code: 'E', name: 'Error' }
        });
    }
}

/** Shows nothing any more of what was accepted so far. */
export function forget() {
    for (const row of rows) {
        forgotten.add(row);
    }
}

export const postings = () => postingErrors;

export const log = () => ({
    accepted: rows.length,
    duplicates: rows.filter((row) => row.duplicate).length,
    records: rows
});
