// The rules of the claims, in the mock server's own hooks: it calls these before and after it adds an entry, and
// `throwError` makes its OData error answers.
'use strict';

const books = require('../books.cjs');

const COST_CENTERS = new Set(['1000', '1010', '2000', '2010', '3000']);
const ACCOUNTS = new Set(['5000', '5100', '6700', '7140', '7320']);
const CURRENCIES = new Set(['NOK', 'SEK', 'DKK', 'EUR', 'GBP', 'USD']);
const CLOSED_PERIODS = new Set(['2025-12', '2026-01']);

function complaints(claim) {
    const found = [];
    const say = (code, message, target) => found.push({ code, message, target, '@Common.numericSeverity': 4 });
    for (const name of ['claim_number', 'member', 'cost_center', 'amount', 'currency', 'period']) {
        if (claim[name] === undefined || claim[name] === null || claim[name] === '') {
            say('REQUIRED', `Property ${name} is required`, name);
        }
    }
    if (claim.cost_center && !COST_CENTERS.has(claim.cost_center)) {
        say('INVALID_COST_CENTER', `Invalid cost center code: ${claim.cost_center}`, 'cost_center');
    }
    if (claim.amount && !(Number(claim.amount) > 0)) {
        say('AMOUNT_NOT_POSITIVE', 'The amount must be greater than 0', 'amount');
    }
    if (claim.currency && !CURRENCIES.has(claim.currency)) {
        say('INVALID_CURRENCY', `Unknown currency: ${claim.currency}`, 'currency');
    }
    if (claim.period && CLOSED_PERIODS.has(claim.period)) {
        say('PERIOD_CLOSED', `Accounting period ${claim.period} is closed`, 'period');
    }
    // The mock server fills what is missing with empty texts, collections too.
    (Array.isArray(claim.lines) ? claim.lines : []).forEach((line, index) => {
        if (!ACCOUNTS.has(line.account)) {
            say('INVALID_ACCOUNT', `Unknown account: ${line.account}`, `lines/${index}/account`);
        }
    });
    return found;
}

module.exports = {
    onBeforeAddEntry(_keys, claim) {
        const found = complaints(claim);
        if (found.length === 1) {
            this.throwError(found[0].message, 400, { error: found[0] });
        }
        if (found.length > 1) {
            const head = { code: 'MULTIPLE_ERRORS', message: 'Multiple errors occurred. See details.' };
            this.throwError(head.message, 400, { error: { ...head, details: found } });
        }
    },

    onAfterAddEntry(_keys, claim, request) {
        books.book(claim, request?.headers?.['idempotency-key'] ?? null);
    }
};
