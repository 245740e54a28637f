// The Dataverse Web API for one table, before SAP's OData mock server: `node dataverse.mjs --port 0 --issuer ADDRESS`.
//
// The rows, their checks and the bodies of the errors that come of those, the reading and the changing of rows are
// SAP's server's, from the EDMX and the hooks beside this file. It knows no alternate keys and no `If-None-Match`, and
// goes on in a `$batch` whatever it is asked; so these are this file's, as is what keeps others out. They are written
// after Microsoft's documentation, and prove the protocol, not what Dataverse itself does.
//
// /api/data/v9.2/   WhoAmI, sw_claims, sw_claims(sw_syncid='…') by GET and PATCH, $batch
// GET  /_log        every row that was made
// POST /_rows       {"key", "row"}: somebody else makes a row
// POST /_behaviour  {"delay_ms", "delay_after_ms", "status", "book_first", "retry_after", "reset_after", "reset_before",
//                   "times"}, as in peer_books.py, of requests that write; and of this peer alone:
//                   code              with status: Dataverse's code in the answer
//                   stops_at_failure  does not go on in a batch after a failure, although it is asked to
//                   rotate_after      after so many rows, the issuer of tokens changes its keys
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { letsIn } from './access.mjs';
import { operations, written } from './batch.mjs';
import * as rows from './rows.mjs';

const require = createRequire(import.meta.url);
const { default: FEMockserver } = require('@sap-ux/fe-mockserver-core');

const here = dirname(fileURLToPath(import.meta.url));
const ROOT = '/api/data/v9.2/';
const ODATA = { 'OData-Version': '4.0' };
const JSON_TYPE = { ...ODATA, 'Content-Type': 'application/json; odata.metadata=minimal' };

function argument(name) {
    const at = process.argv.indexOf(name);
    return at > 0 ? process.argv[at + 1] : undefined;
}

const issuer = argument('--issuer');
const quiet = { info() {}, warn() {}, error() {}, debug() {}, verbose() {}, silly() {} };

/** SAP's server, on a port of its own. */
async function sapServer() {
    const service = {
        urlPath: '/sap',
        metadataPath: join(here, 'metadata.xml'),
        mockdataPath: join(here, 'data'),
        generateMockData: false,
        noETag: true,
        logger: quiet
    };
    const mock = new FEMockserver({ services: [service], annotations: [], plugins: [], logger: quiet });
    await mock.isReady;
    const router = mock.getRouter();
    const server = createServer((req, res) => router(req, res, () => res.writeHead(404).end()));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${server.address().port}/sap`;
}

const sap = await sapServer();

function ask(method, path, row) {
    const headers = { 'content-type': 'application/json', accept: 'application/json' };
    return fetch(`${sap}/${path}`, { method, headers, body: row && JSON.stringify(row) });
}

const refused = (status, code, message) => ({ status, headers: JSON_TYPE, body: { error: { code, message } } });

async function read(key) {
    const id = rows.idOf(key);
    if (!id) {
        return refused(404, '0x80060891', 'A record with the specified key values does not exist in sw_claim entity');
    }
    const row = await (await ask('GET', `sw_claims(sw_claimid='${id}')`)).json();
    // The column that is asked for, and the primary key, which always comes.
    const body = { '@odata.context': `${ROOT}$metadata#sw_claims/$entity`, '@odata.etag': 'W/"1"' };
    return { status: 200, headers: JSON_TYPE, body: { ...body, sw_syncid: row.sw_syncid, sw_claimid: row.sw_claimid } };
}

async function write(key, headers, row, origin) {
    const there = rows.idOf(key);
    if (there && headers['if-none-match'] === '*') {
        return refused(412, '0x80040237', 'A record with matching key values already exists.');
    }
    if (!there && headers['if-match'] === '*') {
        return refused(404, '0x80060891', 'A record with the specified key values does not exist in sw_claim entity');
    }
    const owner = rows.keyOfNumber(row.sw_claimnumber);
    if (owner !== undefined && owner !== key) {
        const message =
            'Entity Key Claim Number violated. A record with the same value for Claim Number already exists. A ' +
            'duplicate record cannot be created. Select one or more unique values and try again.';
        return refused(412, '0x80060892', message);
    }
    const id = there ?? randomUUID();
    const answer = there
        ? await ask('PATCH', `sw_claims(sw_claimid='${id}')`, row)
        : await ask('POST', 'sw_claims', { sw_claimid: id, sw_syncid: key, ...row });
    if (!answer.ok) {
        return { status: answer.status, headers: JSON_TYPE, body: await answer.json() };
    }
    if (!there) {
        rows.made(key, id, row);
    }
    return { status: 204, headers: { ...ODATA, 'OData-EntityId': `${origin}${ROOT}sw_claims(${id})` } };
}

/** What one operation is answered. */
async function operate({ method, url, headers, body }, origin) {
    const { pathname } = new URL(url, origin);
    const path = decodeURIComponent(pathname).slice(ROOT.length);
    const [, set, column, key] = /^(\w+)(?:\((\w+)='([^']*)'\))?$/.exec(path) ?? [];
    if (method === 'GET' && path === 'WhoAmI') {
        const ids = { BusinessUnitId: randomUUID(), UserId: randomUUID(), OrganizationId: randomUUID() };
        return { status: 200, headers: JSON_TYPE, body: ids };
    }
    if (set !== 'sw_claims') {
        return refused(404, '0x8006088a', `Resource not found for the segment '${set}'.`);
    }
    if (column === undefined && method === 'GET') {
        return { status: 200, headers: JSON_TYPE, body: await (await ask('GET', 'sw_claims?$top=1')).json() };
    }
    if (column !== 'sw_syncid') {
        return refused(400, '0x80060888', `Invalid property '${column}' was found in entity 'sw_claim'.`);
    }
    if (method === 'GET') {
        return await read(key);
    }
    return await rows.alone(key, () => write(key, headers, JSON.parse(body), origin));
}

let behaviour = {};

function plan() {
    const now = behaviour;
    const always = { delay_ms: now.delay_ms ?? 0, delay_after_ms: now.delay_after_ms ?? 0 };
    if ((now.reset_after ?? 0) > 0) {
        now.reset_after -= 1;
        return always;
    }
    const todo = { ...now, ...always, reset: 'reset_after' in now };
    if ('times' in now && --now.times <= 0) {
        behaviour = {};
    }
    return todo;
}

const after = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function text(req) {
    const chunks = [];
    for await (const chunk of req) {
        chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
}

function send(res, { status, headers, body }) {
    res.writeHead(status, headers);
    res.end(typeof body === 'object' ? JSON.stringify(body) : body);
}

async function together(req, body, todo, origin) {
    const goesOn = /odata\.continue-on-error/.test(req.headers.prefer ?? '') && !todo.stops_at_failure;
    const answers = [];
    for (const { id, ...operation } of operations(req.headers['content-type'], body)) {
        answers.push({ id, ...(await operate(operation, origin)) });
        if (!goesOn && answers.at(-1).status >= 400) {
            break;
        }
    }
    const boundary = `batchresponse_${randomUUID()}`;
    const headers = { ...ODATA, 'Content-Type': `multipart/mixed; boundary=${boundary}` };
    return { status: goesOn ? 200 : answers.at(-1)?.status ?? 200, headers, body: written(boundary, answers) };
}

async function api(req, res, origin) {
    const body = await text(req);
    const isBatch = req.method === 'POST' && req.url === `${ROOT}$batch`;
    // Reading is not what misbehaves on demand: it is how one finds out.
    const todo = req.method === 'PATCH' || (isBatch && /\r\nPATCH /.test(body)) ? plan() : {};
    if (!(await letsIn(req.headers.authorization, issuer))) {
        return send(res, { status: 401, headers: { 'WWW-Authenticate': `Bearer authorization_uri=${issuer}` } });
    }
    await after(todo.delay_ms ?? 0);
    if (todo.reset && todo.reset_before) {
        return req.socket.resetAndDestroy();
    }
    const failure = todo.status && refused(todo.status, todo.code ?? '', 'Failing on demand');
    if (failure && todo.retry_after !== undefined) {
        failure.headers = { ...failure.headers, 'Retry-After': String(todo.retry_after) };
    }
    if (failure && !todo.book_first) {
        return send(res, failure);
    }
    const answer = isBatch
        ? await together(req, body, todo, origin)
        : await operate({ method: req.method, url: req.url, headers: req.headers, body }, origin);
    if (todo.rotate_after && rows.count() >= todo.rotate_after) {
        behaviour = {};
        await fetch(`${issuer}/_rotate`, { method: 'POST' });
    }
    await after(todo.delay_after_ms ?? 0);
    if (todo.reset) {
        // Made, and then the connection goes before the answer does.
        return req.socket.resetAndDestroy();
    }
    return send(res, failure || answer);
}

const server = createServer(async (req, res) => {
    const origin = `http://${req.headers.host}`;
    if (req.url === '/_log') {
        send(res, { status: 200, headers: JSON_TYPE, body: rows.log() });
    } else if (req.url === '/_behaviour' && req.method === 'POST') {
        const wanted = Object.entries(JSON.parse((await text(req)) || '{}'));
        behaviour = Object.fromEntries(wanted.filter(([, value]) => value !== null));
        send(res, { status: 200, headers: JSON_TYPE, body: behaviour });
    } else if (req.url === '/_rows' && req.method === 'POST') {
        const { key, row } = JSON.parse(await text(req));
        send(res, await write(key, {}, row, origin));
    } else if (req.url.startsWith(ROOT)) {
        await api(req, res, origin);
    } else {
        send(res, refused(404, '', 'There is only the Web API.'));
    }
});
const wanted = argument('--port');
server.listen(wanted === undefined ? 0 : Number(wanted), '127.0.0.1', () => {
    console.log(`ready http://127.0.0.1:${server.address().port}`);
});
