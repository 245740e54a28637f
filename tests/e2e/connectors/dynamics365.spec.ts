// A refused record through the Dynamics 365 connector, by a Dataverse Web API before SAP's OData server and a token
// service.
import { mend } from "../support/mending.ts";
import { Peer } from "../support/peers.ts";
import { test } from "../support/test.ts";

/** How claims become rows. */
const mapping = {
  entity: "sw_claims",
  fields: {
    sw_claimnumber: { from: "/claim_number", as: "text", required: true },
    sw_member: { from: "/member", as: "text", personal: true },
    sw_costcenter: { from: "/cost_center", as: "text", required: true },
    sw_amount: { from: "/amount", as: "decimal", required: true },
    sw_currency: { from: "/currency", as: "text" },
  },
};

for (const batch_size of [1, 50]) {
  const way = batch_size === 1 ? "alone" : "in a batch";
  test(`a claim that Dataverse refuses ${way} arrives once, after it was corrected`, async ({ signedIn: page, api }) => {
    const tokens = await Peer.start("tokens/mock.mjs");
    try {
      const books = await Peer.start("dataverse/dataverse.mjs", "--issuer", tokens.address);
      try {
        const connection = {
          connector_type: "dynamics365",
          settings: {
            environment: books.address,
            token_url: `${tokens.address}/token`,
            key_attribute: "sw_syncid",
            batch_size,
            mapping,
          },
          credentials: { type: "client_credentials", client_id: "syncwatch", client_secret: "a secret of this test's" },
        } as const;
        const complaint = {
          words: "The value 9999 of 'sw_costcenter'",
          code: "0x8004431A",
          field: "sw_costcenter",
          status: 400,
          hint: "1000",
        };
        await mend(page, api, books, connection, complaint);
      } finally {
        await books.stop();
      }
    } finally {
      await tokens.stop();
    }
  });
}
