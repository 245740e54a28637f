// A refused record through the Xledger connector, by a GraphQL server with a subset of its schema.
import { mend } from "../support/mending.ts";
import { Peer } from "../support/peers.ts";
import { test } from "../support/test.ts";

/** How claims become lines of a voucher, one each. */
const mapping = {
  entity: "addGLImportItems",
  fields: {
    "account.code": { value: "7140" },
    "transactionSource.code": { value: "AR" },
    "glObject1.code": { from: "/cost_center", as: "text", required: true },
    amount: { from: "/amount", as: "money", required: true },
    "currency.code": { from: "/currency", as: "text" },
    invoiceNumber: { from: "/claim_number", as: "text" },
    extOrderNumber: { from: "/id", as: "text" },
    text: { from: "/member", as: "text", personal: true },
  },
};

test("a claim that Xledger refuses arrives once, after it was corrected", async ({ signedIn: page, api }) => {
  const books = await Peer.start("xledger/xledger.mjs");
  try {
    const connection = {
      connector_type: "xledger",
      settings: { endpoint: `${books.address}/graphql`, mapping },
      credentials: { type: "token", token: "xledger-token-1" },
    } as const;
    const complaint = {
      words: "Invalid cost center code: 9999",
      code: "INVALID_VALUE",
      field: "glObject1",
      status: 200,
      hint: "1000",
    };
    await mend(page, api, books, connection, complaint);
  } finally {
    await books.stop();
  }
});
