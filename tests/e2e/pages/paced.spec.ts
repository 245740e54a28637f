// A sync that is retried by itself says when.
import { randomUUID } from "node:crypto";

import { expect, test } from "../support/test.ts";

test("a failed sync says when it is retried by itself", async ({ signedIn: page, api }) => {
  const integration = await api.createExternal(`Paced ${randomUUID().slice(0, 8)}`);
  const sync = await api.report(integration, { failed: ["Event 1"] });
  const at = new Date(Date.now() + 90_000).toISOString();
  // The installation retries nothing by itself, so that nobody is quicker than the other tests.
  await page.route(`**/api/v1/sync-logs/${sync.id}`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), next_retry_at: at } });
  });
  await page.goto(`/syncs/${sync.id}`);
  const told = page.getByTestId("next-retry");
  await expect(told).toContainText("Retried automatically:");
  await expect(told.locator("time")).toHaveAttribute("datetime", at);
});
