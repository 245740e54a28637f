// Changes that others make arrive in an open page, without a reload and without a jump; decisions about a record hold.
import { randomUUID } from "node:crypto";

import { expect, test } from "../support/test.ts";

const name = (what: string) => `Course portal, ${what} ${randomUUID().slice(0, 8)}`;

test("a new sync is offered and does not make the list jump", async ({ signedIn: page, api }) => {
  const integration = await api.createExternal(name("live"));
  for (let number = 0; number < 12; number += 1) await api.report(integration, { delivered: 1 });
  await page.goto(`/integrations/${integration.id}`);
  const rows = page.getByTestId("sync-row");
  await expect(rows).toHaveCount(12);
  await expect(page.getByTestId("connection")).toHaveText("Live");
  const loaded = await page.evaluate(() => performance.timeOrigin);
  const reading = rows.nth(5);
  await reading.scrollIntoViewIfNeeded();
  const first = await rows.first().getByRole("link").getAttribute("href");

  const sync = await api.report(integration, { failed: ["Event 1"], delivered: 1 });
  const offer = page.getByRole("button", { name: "Show 1 new sync" });
  await expect(offer).toBeVisible();
  await expect(rows).toHaveCount(12);
  await expect(rows.first().getByRole("link")).toHaveAttribute("href", first!);
  await expect(reading, "what was being read is still in sight").toBeInViewport();
  await expect(page.getByTestId("light"), "the light is up to date at once").toHaveText("Failing");
  await offer.click();
  await expect(offer).toBeHidden();
  await expect(rows).toHaveCount(13);
  await expect(rows.first().getByRole("link")).toHaveAttribute("href", `/syncs/${sync.id}`);
  expect(await page.evaluate(() => performance.timeOrigin), "without a reload").toBe(loaded);
});

test("a record that was handled manually is not offered for a retry", async ({ signedIn: page, api }) => {
  const integration = await api.createExternal(name("by hand"));
  const sync = await api.report(integration, { failed: ["Event 21", "Event 22", "Event 23"], delivered: 2 });
  await page.goto(`/syncs/${sync.id}`);
  const failure = page.getByRole("region", { name: "What failed" });
  await failure.getByTestId("error-groups").locator("summary").first().click();
  const record = failure.getByTestId("record").filter({ hasText: "Event 22" });
  await record.locator("summary").click();
  await record.getByRole("button", { name: "Mark as handled manually" }).click();
  const dialog = page.getByRole("dialog", { name: "Mark as handled manually" });
  await expect(dialog).toContainText("Event 22 counts as booked by hand and is never sent again.");
  await dialog.getByLabel("Reason").fill("Booked by hand");
  await dialog.getByLabel("Voucher or reference").fill("voucher 2217");
  await dialog.getByRole("button", { name: "Mark as handled manually" }).click();
  await expect(dialog).toBeHidden();
  await expect(record).toContainText("Handled manually");

  await page.getByRole("button", { name: "Retry failed records" }).click();
  const preview = page.getByRole("dialog", { name: "Retry failed records" });
  await expect(preview).toContainText("2 records will be sent again.");
  await expect(preview).toContainText("1 record is left out: it was handled manually");
  await preview.getByRole("button", { name: "Send 2 records" }).click();
  await expect(preview).toContainText("Waiting to start");
  const claimed = await api.post(`/sync-logs/${sync.id}/attempts`, {});
  const labels = (await api.records(sync.id, "failed")).map((one) => [one.source_record_id, one.label]);
  const byId = new Map(labels as [string, string][]);
  const offered = claimed.records.map((one: { source_record_id: string }) => one.source_record_id);
  expect(offered).toHaveLength(2);
  expect(offered.map((id: string) => byId.get(id))).not.toContain("Event 22");
});

test("a broken live connection is told and comes back by itself", async ({ signedIn: page, api }) => {
  const integration = await api.createExternal(name("connection"));
  // Being offline would not end a stream that is open, so the stream is kept from opening.
  await page.route("**/api/v1/events*", (route) => route.abort("connectionrefused"));
  await page.goto("/integrations");
  const card = page.getByTestId("integration").filter({ hasText: integration.name });
  await expect(card).toBeVisible();
  await expect(page.getByTestId("connection")).toHaveText("Reconnecting …");
  await api.report(integration, { failed: ["Event 1"] });
  await page.unroute("**/api/v1/events*");
  await expect(page.getByTestId("connection")).toHaveText("Live");
  await expect(card.getByTestId("light"), "what was missed is fetched").toHaveText("Failing");
});
