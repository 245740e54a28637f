// A token service that lets everybody in and signs what it gives, by oauth2-mock-server: `node mock.mjs --port 0`.
//
// POST /_behaviour   {"expires_in", "refusal": {"status", "body"}}: for how long tokens are said to hold; what is answered
//                    in the place of a token
import { OAuth2Issuer, OAuth2Service } from 'oauth2-mock-server';

import { serve } from './serve.mjs';

await serve(async (address) => {
    let behaviour = {};
    let service;

    async function rotate() {
        const issuer = new OAuth2Issuer();
        issuer.url = address;
        await issuer.keys.generate('RS256');
        service = new OAuth2Service(issuer);
        service.on('beforeResponse', (response) => {
            if (behaviour.refusal) {
                response.statusCode = behaviour.refusal.status;
                response.body = behaviour.refusal.body;
            } else if (behaviour.expires_in !== undefined) {
                response.body.expires_in = behaviour.expires_in;
            }
        });
    }

    await rotate();
    return {
        rotate,
        handle: (req, res) => service.requestHandler(req, res),
        behave: (wanted) => {
            behaviour = wanted;
        }
    };
});
