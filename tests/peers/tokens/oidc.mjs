// A certified OpenID provider, which gives tokens to the clients it knows, by oidc-provider: `node oidc.mjs --port 0`.
//
// Its tokens are JWTs (RFC 9068) for the one resource server there is. It knows the client below; what it says to
// others is its own. It can be told nothing by `POST /_behaviour`.
import { generateKeyPairSync, randomUUID } from 'node:crypto';

import { serve } from './serve.mjs';

const CLIENT = { client_id: 'syncwatch', client_secret: 'syncwatch-client-secret-1' };
const RESOURCE = 'https://contoso.example';

// Its notices are not for who waits for the line that says `ready`.
console.info = console.error;
const oidc = await import('oidc-provider');
const Provider = oidc.Provider ?? oidc.default;

function key() {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
}

await serve((address) => {
    let callback;

    function rotate() {
        const provider = new Provider(address, {
            clients: [
                {
                    ...CLIENT,
                    grant_types: ['client_credentials'],
                    redirect_uris: [],
                    response_types: [],
                    token_endpoint_auth_method: 'client_secret_post'
                }
            ],
            cookies: { keys: [randomUUID()] },
            features: {
                clientCredentials: { enabled: true },
                devInteractions: { enabled: false },
                resourceIndicators: {
                    enabled: true,
                    defaultResource: () => RESOURCE,
                    useGrantedResource: () => true,
                    getResourceServerInfo: () => ({
                        scope: '',
                        audience: RESOURCE,
                        accessTokenFormat: 'jwt',
                        accessTokenTTL: 3600,
                        jwt: { sign: { alg: 'RS256' } }
                    })
                }
            },
            jwks: { keys: [key()] }
        });
        callback = provider.callback();
    }

    rotate();
    return { rotate, handle: (req, res) => callback(req, res), behave: () => {} };
});
