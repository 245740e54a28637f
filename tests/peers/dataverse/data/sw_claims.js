// The rules of the claims, in the mock server's own hooks: it calls these before it adds or changes an entry, and
// `throwError` makes its error answers. Codes and words are those that are documented of Dataverse.
'use strict';

const COLUMNS = new Set([
    'sw_claimid', 'sw_syncid', 'sw_claimnumber', 'sw_member', 'sw_costcenter', 'sw_amount', 'sw_currency'
]);
const COST_CENTERS = ['1000', '1010', '2000', '2010', '3000'];
const LONGEST_MEMBER = 100;

function complaint(row) {
    const unknown = Object.keys(row).find((name) => !COLUMNS.has(name) && !name.includes('@'));
    if (unknown) {
        const message = `Could not find a property named '${unknown}' on type 'Microsoft.Dynamics.CRM.sw_claim'.`;
        return { code: '0x0', message };
    }
    if (row.sw_member && row.sw_member.length > LONGEST_MEMBER) {
        const message =
            "A validation error occurred. The length of the 'sw_member' attribute of the 'sw_claim' entity exceeded " +
            `the maximum allowed length of '${LONGEST_MEMBER}'.`;
        return { code: '0x80044331', message };
    }
    if (row.sw_costcenter && !COST_CENTERS.includes(row.sw_costcenter)) {
        const message =
            `A validation error occurred.  The value ${row.sw_costcenter} of 'sw_costcenter' on record of type ` +
            `'sw_claim' is outside the valid range. Accepted Values: ${COST_CENTERS.join(',')}`;
        return { code: '0x8004431A', message };
    }
    return null;
}

function check(server, row) {
    const error = complaint(row);
    if (error) {
        server.throwError(error.message, 400, { error });
    }
}

module.exports = {
    onBeforeAddEntry(_keys, row) {
        check(this, row);
    },

    onBeforeUpdateEntry(_keys, row) {
        check(this, row);
    }
};
