// A record that was sent and got no answer: the external system is asked for it, or a person decides.
import { randomUUID } from "node:crypto";

import type { Api, Integration, Sync } from "../support/api.ts";
import { Forgetful } from "../support/forgetful.ts";
import { expect, test } from "../support/test.ts";

/** How the system is asked for a claim. */
const lookUp = (system: Forgetful) => ({
  url: `${system.address}/claims?record={source_record_id}`,
  found_pointer: "/items/0",
  record_pointer: "/items/0/record_id",
  reference_pointer: "/items/0/reference",
});

/** A sync, of one claim unless told otherwise, of which the system has taken one without saying so. */
async function lost(
  api: Api,
  system: Forgetful,
  settings: object,
  { claims = 1, ...more }: { claims?: number; partial_failure?: "warning" } = {},
): Promise<{ integration: Integration; sync: Sync }> {
  const integration: Integration = await api.post("/integrations", {
    name: `Books ${randomUUID().slice(0, 8)}`,
    connector_type: "generic_http",
    sync_type: "accounting_push",
    runner: "managed",
    settings: { url: `${system.address}/claims`, ...settings },
    ...more,
  });
  for (let number = 77; number < 77 + claims; number += 1) {
    const id = randomUUID();
    const path = `/integrations/${integration.id}/records/expense_claims/${id}`;
    await api.call("PUT", path, { payload: { id, amount: "1250.00" }, label: `Claim ${number}` });
  }
  const started: Sync = await api.post(`/integrations/${integration.id}/syncs`);
  await expect.poll(async () => (await api.sync(started.id)).status).toMatch(/^(success|failed)$/);
  return { integration, sync: started };
}

test("a record that the external system is asked for and has is not sent again", async ({ signedIn: page, api }) => {
  const system = await Forgetful.start();
  try {
    const { integration, sync } = await lost(api, system, { look_up: lookUp(system) });
    await page.goto(`/integrations/${integration.id}`);
    await expect(page.getByTestId("light")).toHaveText("Failing");
    await page.getByRole("button", { name: "Retry failed records" }).click();
    const dialog = page.getByRole("dialog", { name: "Retry failed records" });
    await expect(dialog).toContainText("The external system is asked for 1 record, which is sent only if it is not there.");
    await dialog.getByRole("button", { name: "Ask for 1 record" }).click();
    await expect(dialog.getByTestId("retry-result")).toContainText("The retry succeeded.");
    await dialog.getByTestId("retry-progress").getByRole("button", { name: "Close" }).click();
    await expect(page.getByTestId("light")).toHaveText("Healthy");

    const [record] = await api.records(sync.id, "succeeded");
    await page.goto(`/records/${record!.source_record_type}/${record!.source_record_id}`);
    await expect(page.getByRole("main")).toContainText("V-1");
    expect(system.booked).toHaveLength(1);
  } finally {
    await system.close();
  }
});

test("where nobody can be asked a person decides", async ({ signedIn: page, api }) => {
  const system = await Forgetful.start();
  try {
    const { sync } = await lost(api, system, {});
    await page.goto(`/syncs/${sync.id}`);
    await page.getByRole("button", { name: "Retry failed records" }).click();
    const preview = page.getByRole("dialog", { name: "Retry failed records" });
    await expect(preview).toContainText("There is nothing to send again.");
    await expect(preview).toContainText("1 record is left out: it was sent and no answer came");
    await preview.getByRole("button", { name: "Close" }).last().click();

    const failure = page.getByRole("region", { name: "What failed" });
    await expect(failure.getByTestId("sync-cause"), "the system has refused nothing").toContainText("Nothing was refused.");
    await failure.getByText("1 record: not known whether it arrived").click();
    const record = failure.getByTestId("record").filter({ hasText: "Claim 77" });
    await record.locator("summary").click();
    await record.getByRole("button", { name: "It was delivered" }).click();
    const dialog = page.getByRole("dialog", { name: "Confirm as delivered" });
    await dialog.getByLabel("Reason").fill("Found in the books");
    await dialog.getByLabel("Voucher or reference").fill("V-1");
    await dialog.getByRole("button", { name: "It was delivered" }).click();
    await expect(dialog).toBeHidden();
    await expect(record).toContainText("Delivered since");
    const [known] = await api.records(sync.id, "unknown");
    expect(known!.state).toBe("delivered");
    expect(system.booked).toHaveLength(1);
  } finally {
    await system.close();
  }
});

test("what a person has looked up in vain is sent again", async ({ signedIn: page, api }) => {
  const system = await Forgetful.start("the first request");
  try {
    const { sync } = await lost(api, system, {});
    expect(system.booked).toHaveLength(0);
    await page.goto(`/syncs/${sync.id}`);
    const failure = page.getByRole("region", { name: "What failed" });
    await failure.getByText("1 record: not known whether it arrived").click();
    const record = failure.getByTestId("record").filter({ hasText: "Claim 77" });
    await record.locator("summary").click();
    await record.getByRole("button", { name: "Send again" }).click();
    const decision = page.getByRole("dialog", { name: "Send again" });
    await decision.getByLabel("Reason").fill("Not in the books");
    await decision.getByRole("button", { name: "Send again" }).click();
    await expect(decision).toBeHidden();

    await page.getByRole("button", { name: "Retry failed records" }).click();
    const retry = page.getByRole("dialog", { name: "Retry failed records" });
    await expect(retry).toContainText("1 record will be sent again.");
    await retry.getByRole("button", { name: "Send 1 record" }).click();
    await expect(retry.getByTestId("retry-result")).toContainText("The retry succeeded.");
    const [delivered] = await api.records(sync.id, "succeeded");
    expect(system.booked.map((one) => one.record_id)).toEqual([delivered!.source_record_id]);
  } finally {
    await system.close();
  }
});

test("what is taken as a warning is retried from the yellow integration", async ({ signedIn: page, api }) => {
  const system = await Forgetful.start("the first answer");
  try {
    const settings = { look_up: lookUp(system) };
    const { integration, sync } = await lost(api, system, settings, { claims: 2, partial_failure: "warning" });
    expect((await api.sync(sync.id)).status).toBe("success");
    await page.goto(`/integrations/${integration.id}`);
    const light = page.getByTestId("light");
    await expect(light).toHaveText("Warning");
    const left = page.getByRole("region", { name: "Not delivered" });
    await expect(left).toContainText("1 record: not known whether it arrived");
    await left.getByRole("button", { name: "Retry failed records" }).click();
    const dialog = page.getByRole("dialog", { name: "Retry failed records" });
    await dialog.getByRole("button", { name: "Ask for 1 record" }).click();
    await expect(dialog.getByTestId("retry-result")).toContainText("The retry succeeded.");
    await dialog.getByTestId("retry-progress").getByRole("button", { name: "Close" }).click();
    await expect(light).toHaveText("Healthy");
    await expect(left).toBeHidden();
    const delivered = (await api.records(sync.id, "succeeded")).map((one) => one.source_record_id);
    expect(system.booked.map((one) => one.record_id).sort(), "each once").toEqual(delivered.sort());
  } finally {
    await system.close();
  }
});
