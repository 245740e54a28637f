// What is sent to each framework, by the fixtures' names.
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

/** One claim that is right, and one of which much is wrong. */
const CLAIMS = [
    {
        claim_number: 'C-1',
        member: 'Kari N.',
        cost_center: '1000',
        amount: '120.50',
        currency: 'NOK',
        period: '2026-10',
        lines: [{ account: '7140', amount: '120.50' }]
    },
    {
        claim_number: 'C-2',
        member: 'Kari N.',
        cost_center: '9999',
        amount: '-1',
        currency: 'NOK',
        period: '2026-13',
        lines: [{ account: '7140', amount: '-1' }, { account: '1' }]
    }
];
/** A number where a text belongs. */
const UNREADABLE = [{ ...CLAIMS[0], claim_number: 'C-3', lines: [{ account: 7140, amount: '120.50' }] }];

/** A change that nobody may make. */
const FORBIDDEN = {
    method: 'PUT',
    path: '/claims/0192f3a0-0000-7000-8000-000000000000',
    sent: [{ amount: '12.00' }]
};

const whole = (code, message) => ({ record: null, code, field: null, field_name: null, message });

// Where nothing else is said, what is sent is what the fixture holds.
export const CASES = {
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
        ...FORBIDDEN,
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
    prism_array: { by: 'prism', ...posted('/claims/batch-array') },
    rails: { by: 'rails', ...posted('/claims') },
    rails_base: { by: 'rails', ...posted('/claims') },
    rails_scaffold: { by: 'rails', ...posted('/claims/scaffold') },
    rails_batch: { by: 'rails', ...posted('/claims/batch') },
    rails_bad_request: {
        by: 'rails',
        ...posted('/claims/batch'),
        json: {},
        sent: [{ amount: '12.00' }],
        expect: [whole(null, 'Bad Request')]
    },
    laravel: { by: 'laravel', ...posted('/claims') },
    laravel_batch: { by: 'laravel', ...posted('/claims/batch') },
    laravel_array: { by: 'laravel', ...posted('/claims/batch-array') },
    laravel_forbidden: {
        by: 'laravel',
        ...FORBIDDEN,
        expect: [whole(null, 'This action is unauthorized.')]
    },
    spring: { by: 'boot', ...posted('/claims') },
    spring_global: { by: 'boot', ...posted('/claims') },
    spring_batch: { by: 'boot', ...posted('/claims/batch') },
    spring_unreadable: { by: 'boot', ...posted('/claims'), sent: [{ amount: 'much' }], expect: [] },
    spring_unreadable_batch: {
        by: 'boot',
        ...posted('/claims/batch'),
        batch: 'items',
        sent: [CLAIMS[0], { ...CLAIMS[0], lines: [{ account: '7140', amount: 'much' }] }],
        expect: []
    },
    spring_page: {
        by: 'spring',
        ...posted('/plain/claims'),
        sent: [{ amount: 'much' }],
        expect: [whole(null, 'HTTP Status 400 – Bad Request')]
    },
    aspnet: { by: 'aspnet', ...posted('/claims'), sent: [CLAIMS[1]], expect: [] },
    aspnet_array: { by: 'aspnet', ...posted('/claims/batch-array'), batch: '', sent: CLAIMS, expect: [] },
    aspnet_batch: { by: 'aspnet', ...posted('/claims/batch'), batch: 'items', sent: CLAIMS, expect: [] },
    aspnet_conversion: { by: 'aspnet', ...posted('/claims'), sent: UNREADABLE, expect: [] },
    aspnet_conversion_batch: {
        by: 'aspnet',
        ...posted('/claims/batch'),
        batch: 'items',
        sent: [CLAIMS[0], ...UNREADABLE],
        expect: []
    },
    aspnet_forbidden: {
        by: 'aspnet',
        ...FORBIDDEN,
        expect: [whole(null, 'Forbidden')]
    },
    aspnet_whole: { by: 'aspnet', ...posted('/claims'), sent: [{ ...CLAIMS[0], amount: '99.00' }], expect: [] }
};
