// Renews the fixtures that are taken from real frameworks: `node capture.mjs [NAME …]`, all where none is named.
//
// Each case starts its peer, sends what the fixture says was sent, and writes the status, the content type and the body
// that came, with the framework's version. What must be understood of them (`expect`) is a person's: it stays as it is
// in a fixture that is there, and a new one begins with what stands here. `cargo test -p connectors every_shape` says
// whether it fits; its table names the fixtures of each framework.
//
// The Python peers run by SYNCWATCH_TEST_PYTHON, a Python with requirements.txt; by `python3` where it is not set.
// Prism is installed by `npm ci --ignore-scripts` in prism/: no test runs it, and it takes as much room as all the
// peers of the tests together, so its lock file is its own and a fresh machine's tests don't install it.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const FIXTURES = join(here, '../../crates/connectors/fixtures');
const PYTHON = process.env.SYNCWATCH_TEST_PYTHON ?? 'python3';
const PATIENCE = 60_000;

const py = (script) => [PYTHON, [join(here, script), '--port', '0']];
const js = (script) => [process.execPath, [join(here, script), '--port', '0']];
const pythonPackage = (name) => ({ python: name });
const nodePackage = (name, directory = '') => ({ node: join(here, directory, 'node_modules', name) });

const PRISM = nodePackage('@stoplight/prism-cli', 'prism');
const MOCK = ['mock', join(here, 'prism/books.yaml'), '--host', '127.0.0.1', '--port', '0'];

// How each framework is run, what it is called, and where its version is read; and how it says where it listens, where
// that is not `ready ADDRESS`.
const FRAMEWORKS = {
    fastapi: { run: py('fastapi_app.py'), called: 'FastAPI', version: pythonPackage('fastapi') },
    drf: { run: py('drf_app.py'), called: 'Django REST framework', version: pythonPackage('djangorestframework') },
    standardized: {
        run: py('drf_app.py'),
        called: 'drf-standardized-errors',
        version: pythonPackage('drf-standardized-errors')
    },
    jsonapi: {
        run: py('drf_app.py'),
        called: 'djangorestframework-jsonapi',
        version: pythonPackage('djangorestframework-jsonapi')
    },
    odata: {
        run: js('odata/odata.mjs'),
        called: 'fe-mockserver-core',
        version: nodePackage('@sap-ux/fe-mockserver-core')
    },
    yoga: { run: js('xledger/xledger.mjs'), called: 'graphql-yoga', version: nodePackage('graphql-yoga') },
    mock: { run: js('tokens/mock.mjs'), called: 'oauth2-mock-server', version: nodePackage('oauth2-mock-server') },
    oidc: { run: js('tokens/oidc.mjs'), called: 'oidc-provider', version: nodePackage('oidc-provider') },
    prism: {
        run: [process.execPath, [join(PRISM.node, 'dist/index.js'), ...MOCK]],
        ready: /Prism is listening on (http:\S+)/,
        called: 'Prism',
        version: PRISM
    }
};

const posted = (path) => ({ path, method: 'POST' });

const WRITES = 'xledger-token-1';
const READS = 'xledger-token-read-only';
const ADD = 'mutation ($i: [AddGLImportItemsInput!]!) { addGLImportItems(inputs: $i) { edges { clientId node { dbId } } } }';

/** A mass mutation of Xledger's with one node. */
function mutation(token, node) {
    const variables = { i: [{ clientId: '0', node }] };
    return { ...posted('/graphql'), headers: { authorization: `token ${token}` }, json: { query: ADD, variables } };
}

const form = (fields) => ({ ...posted('/token'), form: fields });

/** A JSON:API document with one claim. */
const document = {
    ...posted('/claims/json-api'),
    headers: { accept: 'application/vnd.api+json', 'content-type': 'application/vnd.api+json' },
    wrap: (attributes) => ({ data: { type: 'claims', attributes } })
};

const whole = (code, message) => ({ record: null, code, field: null, field_name: null, message });

// The requests, by the fixtures' names. Where nothing else is said, what was sent is what the fixture holds.
const CASES = {
    fastapi_single: { by: 'fastapi', ...posted('/claims') },
    fastapi_batch: { by: 'fastapi', ...posted('/claims/batch') },
    fastapi_array: { by: 'fastapi', ...posted('/claims/batch-array') },
    fastapi_not_found: {
        by: 'fastapi',
        method: 'GET',
        path: '/claims/0192f3a0-0000-7000-8000-000000000000',
        sent: [{ amount: '12.00' }],
        expect: [whole(null, 'No such claim')]
    },
    fastapi_http_exception: {
        by: 'fastapi',
        method: 'PUT',
        path: '/claims/0192f3a0-0000-7000-8000-000000000000',
        sent: [{ amount: '12.00' }],
        expect: [whole(null, 'Not enough permissions')]
    },
    drf_single: { by: 'drf', ...posted('/claims') },
    drf_batch: { by: 'drf', ...posted('/claims/batch') },
    drf_array: { by: 'drf', ...posted('/claims/batch-array') },
    drf_non_field: { by: 'drf', ...posted('/claims') },
    drf_standardized_single: { by: 'standardized', ...posted('/claims?standardized=1') },
    drf_standardized_batch: { by: 'standardized', ...posted('/claims/batch?standardized=1') },
    drf_standardized_array: { by: 'standardized', ...posted('/claims/batch-array?standardized=1') },
    drf_standardized_non_field: { by: 'standardized', ...posted('/claims?standardized=1') },
    jsonapi: { by: 'jsonapi', ...document },
    jsonapi_non_field: { by: 'jsonapi', ...document },
    odata_single: { by: 'odata', ...posted('/odata/ExpenseClaims') },
    odata_details: { by: 'odata', ...posted('/odata/ExpenseClaims') },
    yoga_value: {
        by: 'yoga',
        ...mutation(WRITES, { account: { code: '7140' }, amount: '12.00', glObject1: { code: '9999' } }),
        sent: [{ amount: '12.00', glObject1: '9999' }],
        expect: [
            {
                record: 0,
                code: 'INVALID_VALUE',
                field: '/glObject1',
                field_name: 'glObject1',
                message: 'Invalid cost center code: 9999',
                hints: ['1000', '1010', '2000', '2010', '3000']
            }
        ]
    },
    yoga_scope: {
        by: 'yoga',
        ...mutation(READS, { account: { code: '7140' }, amount: '12.00' }),
        sent: [{ amount: '12.00' }],
        expect: [whole('FORBIDDEN', 'The token lacks the scope for this mutation.')]
    },
    yoga_scalar: {
        by: 'yoga',
        ...mutation(WRITES, { account: { code: '7140' }, amount: 12 }),
        sent: [{ amount: 12 }],
        expect: [
            whole(
                'ARGUMENTS_OF_CORRECT_TYPE',
                'Variable "$i" got invalid value at "i[0].node.amount"; MoneyString must be an amount as a text'
            )
        ]
    },
    yoga_coercion: {
        by: 'yoga',
        ...mutation(WRITES, { amount: '12.00' }),
        sent: [{ amount: '12.00', account: null }],
        expect: [
            {
                record: 0,
                code: null,
                field: '/account',
                field_name: 'account',
                message:
                    'Variable "$i" got invalid value at "i[0].node"; ' +
                    'Field "account" of required type "LookupInput!" was not provided.'
            }
        ]
    },
    mock_grant: {
        by: 'mock',
        ...form({ grant_type: 'no-such-grant' }),
        sent: [{ amount: '12.00' }],
        expect: [whole('invalid_grant', 'invalid_grant')]
    },
    oidc_secret: {
        by: 'oidc',
        ...form({ grant_type: 'client_credentials', client_id: 'syncwatch', client_secret: 'not-the-secret' }),
        sent: [{ amount: '12.00' }],
        expect: [whole('invalid_client', 'client authentication failed')]
    },
    prism: { by: 'prism', ...posted('/claims') },
    prism_batch: { by: 'prism', ...posted('/claims/batch') },
    prism_array: { by: 'prism', ...posted('/claims/batch-array') }
};

/** Runs a framework's program until `use` is done with its address. */
async function running({ run: [program, args], ready = /^ready (.+)/ }, use) {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => child.once('close', resolve));
    let timer;
    try {
        const address = await new Promise((resolve, reject) => {
            timer = setTimeout(() => reject(new Error(`${args[0]} is not ready`)), PATIENCE);
            child.once('error', reject);
            child.once('close', () => reject(new Error(`${args[0]} ended before it was ready`)));
            createInterface({ input: child.stdout }).on('line', (line) => {
                const address = ready.exec(line)?.[1];
                if (address) {
                    resolve(address);
                }
            });
        });
        return await use(address);
    } finally {
        clearTimeout(timer);
        child.kill();
        await ended;
    }
}

/** The version of an installed package, without its last number. */
async function version({ node, python }) {
    let whole;
    if (node) {
        const said = join(node, 'package.json');
        if (!existsSync(said)) {
            throw new Error(`${node} is not installed`);
        }
        whole = JSON.parse(readFileSync(said, 'utf8')).version;
    } else {
        const child = spawn(PYTHON, ['-c', `import importlib.metadata as m; print(m.version('${python}'))`], {
            stdio: ['ignore', 'pipe', 'inherit']
        });
        whole = '';
        for await (const chunk of child.stdout) {
            whole += chunk;
        }
    }
    const numbers = whole.trim().split('.');
    if (numbers.length < 2) {
        throw new Error(`${node ?? python} says no version`);
    }
    return numbers.slice(0, 2).join('.');
}

/** What leaves: the case's own, or the records that the fixture says were sent. */
function content({ method, json, form, wrap }, { sent, batch }) {
    if (method === 'GET') {
        return {};
    }
    if (form) {
        return { body: new URLSearchParams(form) };
    }
    const records = batch === null ? sent[0] : batch === '' ? sent : { [batch]: sent };
    const said = json ?? wrap?.(records) ?? records;
    return { body: JSON.stringify(said), headers: { 'content-type': 'application/json' } };
}

async function capture(name, one, address, source) {
    const file = join(FIXTURES, `${name}.json`);
    const known = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { batch: null, ...one };
    const { body, headers } = content(one, known);
    const answer = await fetch(address + one.path, {
        method: one.method,
        body,
        headers: { accept: 'application/json', ...headers, ...one.headers }
    });
    if (answer.ok && one.by !== 'yoga') {
        throw new Error(`${name}: nothing was refused`);
    }
    const text = await answer.text();
    let read = text;
    try {
        read = JSON.parse(text);
    } catch {
        // A text is kept as it is.
    }
    const fixture = {
        source,
        status: answer.status,
        content_type: answer.headers.get('content-type'),
        batch: known.batch,
        sent: known.sent,
        body: read,
        expect: known.expect
    };
    const written = JSON.stringify(fixture, null, 2) + '\n';
    const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
    writeFileSync(file, written);
    console.log(`${name}: ${before === '' ? 'new' : before === written ? 'as it was' : 'changed'} (${source})`);
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in CASES));
if (unknown.length > 0) {
    throw new Error(`there is no ${unknown.join(', ')}`);
}
for (const [key, framework] of Object.entries(FRAMEWORKS)) {
    const cases = Object.entries(CASES).filter(
        ([name, { by }]) => by === key && (wanted.length === 0 || wanted.includes(name))
    );
    if (cases.length === 0) {
        continue;
    }
    const source = `${framework.called} ${await version(framework.version)}, captured`;
    await running(framework, async (address) => {
        for (const [name, one] of cases) {
            await capture(name, one, address, source);
        }
    });
}
