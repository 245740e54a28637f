// What the token services have in common: `POST /token` and `GET /jwks` are the service's own, and besides
//
// GET  /_log         {"requests": how many tokens were asked for}
// POST /_rotate      new keys take the place of the old ones: tokens that were given do not verify any more
// POST /_behaviour   what the service itself can be told; see each
import { createServer } from 'node:http';

async function body(req) {
    const chunks = [];
    for await (const chunk of req) {
        chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
}

function json(res, value) {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(JSON.stringify(value));
}

/** Serves on a port of the loopback address what `make(address)` returns: `handle`, `rotate` and `behave`. */
export async function serve(make) {
    let service;
    let requests = 0;
    const server = createServer(async (req, res) => {
        if (req.url === '/_log') {
            json(res, { requests });
        } else if (req.url === '/_rotate' && req.method === 'POST') {
            await service.rotate();
            json(res, {});
        } else if (req.url === '/_behaviour' && req.method === 'POST') {
            service.behave(JSON.parse((await body(req)) || '{}'));
            json(res, {});
        } else {
            requests += req.url === '/token' && req.method === 'POST' ? 1 : 0;
            service.handle(req, res);
        }
    });
    const wanted = process.argv.indexOf('--port');
    const port = wanted > 0 ? Number(process.argv[wanted + 1]) : 0;
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${server.address().port}`;
    service = await make(address);
    console.log(`ready ${address}`);
}
