// A refused record through the generic connector, by SAP's OData server.
import { mend } from "../support/mending.ts";
import { Peer } from "../support/peers.ts";
import { test } from "../support/test.ts";

test("a claim that an OData service refuses arrives once, after it was corrected", async ({ signedIn: page, api }) => {
  const books = await Peer.start("odata/odata.mjs");
  try {
    const settings = {
      url: `${books.address}/odata/ExpenseClaims`,
      idempotency_header: "Idempotency-Key",
      reference_pointer: "/claim_number",
    };
    const complaint = {
      words: "Invalid cost center code: 9999",
      code: "INVALID_COST_CENTER",
      field: "cost_center",
      status: 400,
    };
    await mend(page, api, books, { connector_type: "generic_http", settings }, complaint);
  } finally {
    await books.stop();
  }
});
