// Renews the fixtures that are taken from real frameworks: `node capture.mjs [NAME …]`, all where none is named.
//
// Each case starts its peer, sends what the fixture says was sent, and writes the status, the content type and the body
// that came, with the framework's version. What must be understood of them (`expect`) is a person's: it stays as it is
// in a fixture that is there, and a new one begins with what stands in its case. `cargo test -p connectors every_shape`
// says whether it fits; its table names the fixtures of each framework.
//
// What each framework needs is said in capture/frameworks.mjs; the requests stand in capture/cases.mjs. Whatever is
// missing of what was asked for is said before anything is captured.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { CASES } from './capture/cases.mjs';
import { FRAMEWORKS, version } from './capture/frameworks.mjs';

const FIXTURES = join(dirname(fileURLToPath(import.meta.url)), '../../crates/connectors/fixtures');
const PATIENCE = 60_000;

/** Runs a framework's program until `use` is done with its address. */
async function running({ run: [program, args], ready = /^ready (.+)/, channel = 'stdout', called }, use) {
    const heard = channel === 'stdout' ? ['pipe', 'inherit'] : ['inherit', 'pipe'];
    const child = spawn(program, args, { stdio: ['ignore', ...heard] });
    const ended = new Promise((resolve) => child.once('close', resolve));
    let timer;
    try {
        const address = await new Promise((resolve, reject) => {
            timer = setTimeout(() => reject(new Error(`${called} is not ready`)), PATIENCE);
            child.once('error', (error) => reject(new Error(`${called} can't be run: ${error.message}`)));
            child.once('close', () => reject(new Error(`${called} ended before it was ready`)));
            createInterface({ input: child[channel] }).on('line', (line) => {
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
const asked = (name) => wanted.length === 0 || wanted.includes(name);
const casesOf = (key) => Object.entries(CASES).filter(([name, { by }]) => by === key && asked(name));
const runs = [];
const missing = [];
for (const [key, framework] of Object.entries(FRAMEWORKS)) {
    const cases = casesOf(key);
    if (cases.length === 0) {
        continue;
    }
    try {
        const source = `${framework.called} ${await version(framework.version)}, captured`;
        runs.push({ framework, cases, source });
    } catch (error) {
        missing.push(`${framework.called}: ${error.message.trim()}`);
    }
}
if (missing.length > 0) {
    throw new Error(`nothing was captured\n${missing.join('\n')}`);
}
for (const { framework, cases, source } of runs) {
    await running(framework, async (address) => {
        for (const [name, one] of cases) {
            await capture(name, one, address, source);
        }
    });
}
