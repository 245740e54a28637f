// Who is let in: tokens that verify by the keys that their issuer shows now, and have not run out.
import { createPublicKey, verify } from 'node:crypto';

const decoded = (part) => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));

async function verifies(token, issuer) {
    const [header, payload, signature] = token.split('.');
    const { keys } = await (await fetch(`${issuer}/jwks`)).json();
    const jwk = keys.find((key) => key.kid === decoded(header).kid);
    if (!jwk) {
        return false;
    }
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    const signed = verify('sha256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'));
    return signed && decoded(payload).exp * 1000 > Date.now();
}

/** Whether a request with this header is let in. */
export async function letsIn(authorization, issuer) {
    const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/.exec(authorization ?? '');
    try {
        return token !== null && (await verifies(token[1], issuer));
    } catch {
        return false;
    }
}
