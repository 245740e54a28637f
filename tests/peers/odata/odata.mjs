// A bookkeeping API in OData 4, made by SAP's mock server from the EDMX beside this file: `node odata.mjs --port 0`.
//
// POST /odata/ExpenseClaims    one expense claim: 201
// GET  /odata/$metadata        the EDMX
// GET  /_log                   every booking
// POST /_behaviour             {"delay_ms", "status", "retry_after", "reset_after", "times"}, as in peer_books.py
//
// A request with an Idempotency-Key that succeeded before gets the same answer and books nothing.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));
const books = require('./books.cjs');
const { default: FEMockserver } = require('@sap-ux/fe-mockserver-core');

const quiet = { info() {}, warn() {}, error() {}, debug() {}, verbose() {}, silly() {} };
const mock = new FEMockserver({
    services: [
        {
            urlPath: '/odata',
            metadataPath: join(here, 'metadata.xml'),
            mockdataPath: join(here, 'data'),
            generateMockData: false,
            noETag: true,
            logger: quiet
        }
    ],
    annotations: [],
    plugins: [],
    logger: quiet
});
await mock.isReady;
const router = mock.getRouter();

// The mock server throws on a body that isn't JSON, out of reach of its own error handler: it is to outlive that.
process.on('uncaughtException', (error) => console.error(error.message));

const answered = new Map();
let behaviour = {};

function plan() {
    const now = behaviour;
    if ((now.reset_after ?? 0) > 0) {
        now.reset_after -= 1;
        return { delay_ms: now.delay_ms ?? 0 };
    }
    const todo = { ...now, reset: 'reset_after' in now };
    if ('times' in now && --now.times <= 0) {
        behaviour = {};
    }
    return todo;
}

function json(res, status, value, headers = {}) {
    res.writeHead(status, { 'content-type': 'application/json', ...headers });
    res.end(JSON.stringify(value));
}

async function body(req) {
    let text = '';
    for await (const chunk of req) {
        text += chunk;
    }
    return text;
}

function pass(req, res) {
    router(req, res, (error) => json(res, error ? 500 : 404, { error: { code: '', message: error ? 'Failed' : 'Not found' } }));
}

/** Keeps a success under its key while it is being written. */
function remember(key, res) {
    const parts = [];
    const write = res.write.bind(res);
    const end = res.end.bind(res);
    res.write = (chunk, ...rest) => {
        parts.push(Buffer.from(chunk));
        return write(chunk, ...rest);
    };
    res.end = (chunk, ...rest) => {
        if (chunk && typeof chunk !== 'function') {
            parts.push(Buffer.from(chunk));
        }
        if (res.statusCode >= 200 && res.statusCode < 300) {
            answered.set(key, { status: res.statusCode, headers: res.getHeaders(), body: Buffer.concat(parts) });
        }
        return end(chunk, ...rest);
    };
}

async function claims(req, res) {
    const todo = plan();
    if (todo.delay_ms) {
        await new Promise((resolve) => setTimeout(resolve, todo.delay_ms));
    }
    if (todo.status) {
        const retry = todo.retry_after === undefined ? {} : { 'retry-after': String(todo.retry_after) };
        req.resume();
        json(res, todo.status, { error: { code: String(todo.status), message: 'Failing on demand' } }, retry);
        return;
    }
    const key = req.headers['idempotency-key'];
    const known = key && answered.get(key);
    if (known && !todo.reset) {
        req.resume();
        res.writeHead(known.status, known.headers);
        res.end(known.body);
        return;
    }
    if (key) {
        remember(key, res);
    }
    if (todo.reset) {
        // Booked, and then the connection goes before the answer does.
        res.write = () => true;
        res.end = () => {
            req.socket.resetAndDestroy();
            return res;
        };
        if (key) {
            remember(key, res);
        }
    }
    pass(req, res);
}

const server = createServer(async (req, res) => {
    if (req.url === '/_log') {
        json(res, 200, books.log());
    } else if (req.url === '/_behaviour' && req.method === 'POST') {
        behaviour = JSON.parse((await body(req)) || '{}');
        json(res, 200, behaviour);
    } else if (req.url === '/health') {
        json(res, 200, { status: 'ok' });
    } else if (req.method === 'POST' && req.url.startsWith('/odata/ExpenseClaims')) {
        await claims(req, res);
    } else {
        pass(req, res);
    }
});

const wanted = process.argv.indexOf('--port');
const port = wanted > 0 ? Number(process.argv[wanted + 1]) : 0;
server.listen(port, '127.0.0.1', () => console.log(`ready http://127.0.0.1:${server.address().port}`));
