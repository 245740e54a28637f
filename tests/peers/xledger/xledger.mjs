// A GraphQL server for a hand-written subset of Xledger's schema, by graphql-yoga: `node xledger.mjs --port 0`.
//
// POST /graphql      the API; `Authorization: token TOKEN`
// GET  /_log         every accepted node
// POST /_behaviour   {"delay_ms", "delay_after_ms", "status", "book_first", "retry_after", "reset_after", "reset_before",
//                    "times"}, as in peer_books.py, of mutations; and of this peer alone:
//                    throttle      "burst", "concurrency" or "credits": refuses as Xledger does
//                    accept_nodes  accepts so many nodes of the request and fails at each of the others
//                    names_nodes   names the node that is refused, not its field alone
// POST /_posting     {"message"}: the posting of what was accepted so far fails
// POST /_forget      what was accepted so far is not found any more
//
// The server, its parsing, validation and coercion are graphql-yoga's; the schema, the rules and the codes are written
// after Xledger's documentation, and prove the protocol, not what Xledger's own server does. Whether a mass mutation of
// Xledger is atomic is not documented: here it is, unless `accept_nodes` is set.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { GraphQLError, GraphQLScalarType } from 'graphql';
import { createSchema, createYoga } from 'graphql-yoga';

import { accepted, book, complaint, failPosting, forget, log, postings } from './books.mjs';

const TOKENS = { 'xledger-token-1': ['read', 'write'], 'xledger-token-read-only': ['read'] };
const MOST_NODES = 500;
const MOST_EDGES = 10000;
const REFUSALS = {
    burst: { message: 'The burst rate limit was reached.', code: 'BAD_REQUEST.BURST_RATE_LIMIT_REACHED' },
    concurrency: { message: 'Too many concurrent requests.', code: 'BAD_REQUEST.CONCURRENCY_LIMIT_REACHED' },
    credits: { message: 'Not enough credits.', code: 'BAD_REQUEST.INSUFFICIENT_CREDITS' }
};
const here = dirname(fileURLToPath(import.meta.url));

function scalar(name, what, fits) {
    const parseValue = (value) => {
        if (!fits(value)) {
            throw new GraphQLError(`${name} must be ${what}`, { extensions: { code: 'ARGUMENTS_OF_CORRECT_TYPE' } });
        }
        return value;
    };
    return new GraphQLScalarType({ name, parseValue, serialize: (value) => value, parseLiteral: (node) => parseValue(node.value) });
}

const isText = (pattern) => (value) => typeof value === 'string' && pattern.test(value);
const scalars = {
    Int64String: scalar('Int64String', 'a whole number', (value) => Number.isSafeInteger(value) || isText(/^-?\d{1,19}$/)(value)),
    MoneyString: scalar('MoneyString', 'an amount as a text', isText(/^-?\d+(\.\d+)?$/)),
    DateString: scalar('DateString', 'a date as YYYY-MM-DD', isText(/^\d{4}-\d{2}-\d{2}$/)),
    DateTimeString: scalar('DateTimeString', 'a moment', isText(/^\d{4}-\d{2}-\d{2}T/))
};

function connection(all, { first = 100, after }) {
    const start = after === undefined || after === null ? 0 : all.findIndex((node) => node.dbId === after) + 1;
    const page = all.slice(start, start + Math.min(first ?? 100, MOST_EDGES));
    const edges = page.map((node) => ({ cursor: node.dbId, node }));
    const pageInfo = { hasNextPage: start + page.length < all.length, hasPreviousPage: start > 0 };
    return { edges: edges.length === 0 ? null : edges, pageInfo };
}

const among = (list, value) => list === undefined || list === null || list.map(String).includes(String(value));

function refused(found, at, names) {
    const argument = names ? `inputs[${at}].node.${found.argument}` : found.argument;
    return new GraphQLError(found.message, {
        extensions: { code: 'INVALID_VALUE', argument, exampleValidInputs: found.hints }
    });
}

function add(entity, inputs, { todo, scopes }) {
    if (!scopes.includes('write')) {
        throw new GraphQLError('The token lacks the scope for this mutation.', { extensions: { code: 'FORBIDDEN' } });
    }
    if (inputs.length > MOST_NODES) {
        throw new GraphQLError(`At most ${MOST_NODES} nodes.`, { extensions: { code: 'INVALID_VALUE', argument: 'inputs' } });
    }
    const complaints = inputs.map(({ node }, at) => {
        const found = complaint(node);
        return found && refused(found, at, todo.names_nodes);
    });
    const atomic = todo.accept_nodes === undefined;
    const first = complaints.find((found) => found);
    if (atomic && first) {
        throw first;
    }
    const edges = inputs.map(({ clientId, node }, at) => {
        if (complaints[at]) {
            return complaints[at];
        }
        if (!atomic && at >= todo.accept_nodes) {
            return new GraphQLError('The item could not be imported.', { extensions: { code: 'INTERNAL_ERROR' } });
        }
        const booked = book(entity, clientId, node);
        return { clientId, cursor: booked.dbId, node: booked };
    });
    return { edges, pageInfo: { hasNextPage: false, hasPreviousPage: false } };
}

const byItem = (filter) => (node) => among(filter?.dbId_in, node.dbId) && among(filter?.extIdentifier_in, node.extIdentifier);
const bySupplier = (filter) => (node) => among(filter?.dbId_in, node.dbId) && among(filter?.code_in, node.code);
const contexts = new Map();
const yoga = createYoga({
    schema: createSchema({
        typeDefs: readFileSync(join(here, 'schema.graphql'), 'utf8'),
        resolvers: {
            ...scalars,
            Query: {
                glImportItems: (_, args) => connection(accepted('glImportItems').filter(byItem(args.filter)), args),
                glImportItemErrors: (_, args) => connection(postings().filter(byItem(args.filter)), args),
                suppliers: (_, args) => connection(accepted('suppliers').filter(bySupplier(args.filter)), args)
            },
            Mutation: {
                addGLImportItems: (_, { inputs }, context) => add('glImportItems', inputs, context),
                addSuppliers: (_, { inputs }, context) => add('suppliers', inputs, context)
            }
        }
    }),
    context: ({ request }) => contexts.get(request.headers.get('x-request')),
    graphiql: false,
    landingPage: false,
    logging: false,
    maskedErrors: false
});

let behaviour = {};

function plan() {
    const now = behaviour;
    const delays = { delay_ms: now.delay_ms ?? 0, delay_after_ms: now.delay_after_ms ?? 0 };
    if ((now.reset_after ?? 0) > 0) {
        now.reset_after -= 1;
        return delays;
    }
    const todo = { ...now, ...delays, reset: 'reset_after' in now };
    if ('times' in now && --now.times <= 0) {
        behaviour = {};
    }
    return todo;
}

function json(res, status, value, headers = {}) {
    res.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
    res.end(JSON.stringify(value));
}

const after = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function body(req) {
    const chunks = [];
    for await (const chunk of req) {
        chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
}

let requests = 0;

/** What yoga answers, with Xledger's code beside the message where it has one. */
async function answered(text, todo, scopes) {
    const id = String(++requests);
    contexts.set(id, { todo, scopes });
    const headers = { 'content-type': 'application/json', accept: 'application/json', 'x-request': id };
    const response = await yoga.fetch('http://xledger.example/graphql', { method: 'POST', headers, body: text });
    contexts.delete(id);
    return await response.json();
}

function throttled(kind) {
    const extensions = kind === 'credits' ? { resetAt: new Date(Date.now() + 120_000).toISOString() } : {};
    return { errors: [{ ...REFUSALS[kind], extensions }] };
}

async function graphql(req, res) {
    const text = await body(req);
    // Reading is not what misbehaves on demand: it is how one finds out.
    const todo = /"query"\s*:\s*"\s*mutation/.test(text) ? plan() : {};
    const token = /^token (\S+)$/.exec(req.headers.authorization ?? '');
    if (!token) {
        const message = 'Bad format for API Token. Expected header: "Authorization: token <your-token>"';
        return json(res, 200, { errors: [{ message }] });
    }
    const scopes = TOKENS[token[1]];
    if (!scopes) {
        return json(res, 200, { errors: [{ message: 'The API token is not valid.', extensions: { code: 'UNAUTHENTICATED' } }] });
    }
    await after(todo.delay_ms ?? 0);
    if (todo.throttle) {
        return json(res, 200, throttled(todo.throttle));
    }
    if (todo.reset && todo.reset_before) {
        return req.socket.resetAndDestroy();
    }
    const retry = todo.retry_after === undefined ? {} : { 'retry-after': String(todo.retry_after) };
    if (todo.status && !todo.book_first) {
        return json(res, todo.status, { errors: [{ message: 'Failing on demand' }] }, retry);
    }
    const answer = await answered(text, todo, scopes);
    await after(todo.delay_after_ms ?? 0);
    if (todo.reset) {
        // Accepted, and then the connection goes before the answer does.
        return req.socket.resetAndDestroy();
    }
    if (todo.status) {
        return json(res, todo.status, { errors: [{ message: 'Failing on demand' }] }, retry);
    }
    return json(res, 200, answer);
}

const server = createServer(async (req, res) => {
    if (req.url === '/_log') {
        json(res, 200, log());
    } else if (req.url === '/_behaviour' && req.method === 'POST') {
        const wanted = Object.entries(JSON.parse((await body(req)) || '{}'));
        behaviour = Object.fromEntries(wanted.filter(([, value]) => value !== null));
        json(res, 200, behaviour);
    } else if (req.url === '/_posting' && req.method === 'POST') {
        failPosting(JSON.parse(await body(req)).message);
        json(res, 200, {});
    } else if (req.url === '/_forget' && req.method === 'POST') {
        forget();
        json(res, 200, {});
    } else if (req.url === '/graphql' && req.method === 'POST') {
        await graphql(req, res);
    } else {
        json(res, 404, { errors: [{ message: 'There is only /graphql.' }] });
    }
});

const wanted = process.argv.indexOf('--port');
const port = wanted > 0 ? Number(process.argv[wanted + 1]) : 0;
server.listen(port, '127.0.0.1', () => console.log(`ready http://127.0.0.1:${server.address().port}`));
