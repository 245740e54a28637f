// Which rows there are, by their alternate keys, and what became of them: one JSON document a line in the file named by
// PEER_LOG, and GET /_log. A row that is made although its key is there already would be a duplicate.
import { appendFileSync } from 'node:fs';

const booked = [];
const byKey = new Map();
const byNumber = new Map();
const waiting = new Map();

/** The own id of the row of a key. */
export const idOf = (key) => byKey.get(key);

/** The key of the row that has a claim's number. */
export const keyOfNumber = (number) => byNumber.get(number);

export const count = () => booked.length;

export function made(key, id, row) {
    const entry = {
        time: new Date().toISOString(),
        idempotency_key: null,
        record_id: key,
        claim_number: String(row.sw_claimnumber ?? ''),
        amount: String(row.sw_amount ?? ''),
        reference: id,
        duplicate: byKey.has(key)
    };
    byKey.set(key, id);
    if (row.sw_claimnumber) {
        byNumber.set(row.sw_claimnumber, key);
    }
    booked.push(entry);
    if (process.env.PEER_LOG) {
        appendFileSync(process.env.PEER_LOG, JSON.stringify(entry) + '\n');
    }
}

/** One after another for each key: between looking for a row and making it, nobody else makes it. */
export async function alone(key, work) {
    const before = waiting.get(key) ?? Promise.resolve();
    const done = before.then(work, work);
    waiting.set(key, done.then(() => {}, () => {}));
    return await done;
}

export const log = () => ({
    accepted: booked.length,
    duplicates: booked.filter((row) => row.duplicate).length,
    records: booked
});
