// The way of a refused record through any connector: its sync fails, its detail names the field, somebody corrects it, a
// retry sends it, the light is green, and the external system has it once.
import { randomUUID } from "node:crypto";

import type { Page } from "@playwright/test";

import type { Api, Integration, Sync } from "./api.ts";
import type { Peer } from "./peers.ts";
import { expect, test } from "./test.ts";

/** What an integration is made of, beside its name. */
export interface Connection {
  connector_type: "generic_http" | "xledger" | "dynamics365";
  settings: Record<string, unknown>;
  credentials?: Record<string, unknown>;
}

/** How the external system speaks of an unknown cost center. */
export interface Complaint {
  words: string;
  code: string;
  /** The field as the system calls it. */
  field: string;
  status: number;
  /** A value that it offers instead, where it does. */
  hint?: string;
}

const TYPE = "expense_claims";

/** A claim that every peer takes; one of another cost center none does. */
function claim(number: number, cost_center: string) {
  const id = randomUUID();
  const payload = {
    id,
    claim_number: `C-${number}`,
    member: "Prøve Eksempelsen",
    cost_center,
    amount: "1250.00",
    currency: "NOK",
    period: "2026-11",
  };
  return { id, label: `Claim ${number}`, payload };
}

export async function mend(page: Page, api: Api, peer: Peer, connection: Connection, complaint: Complaint): Promise<void> {
  const integration: Integration = await api.post("/integrations", {
    name: `Claims ${randomUUID().slice(0, 8)}`,
    sync_type: "accounting_push",
    runner: "managed",
    ...connection,
  });
  const [good, bad] = [claim(1, "1000"), claim(2, "9999")];
  const stage = async ({ id, label, payload }: ReturnType<typeof claim>) =>
    (await api.call("PUT", `/integrations/${integration.id}/records/${TYPE}/${id}`, { payload, label })).body;
  const times = async (id: string) => (await peer.log()).records.filter((one) => one.record_id === id).length;
  await stage(good);
  await stage(bad);
  const light = page.getByTestId("light");
  const failure = page.getByRole("region", { name: "Current failure" });

  await test.step("the sync fails with the external system's own words", async () => {
    await page.goto(`/integrations/${integration.id}`);
    await page.getByTestId("sync-now").click();
    await expect(light).toHaveText("Failing");
    await expect(failure.getByTestId("error-message")).toContainText(complaint.words);
    expect([await times(good.id), await times(bad.id)]).toEqual([1, 0]);
  });

  await test.step("the record's detail names the field", async () => {
    const groups = failure.getByTestId("error-groups").locator("> li");
    await expect(groups).toHaveCount(1);
    await groups.locator("summary").first().click();
    const record = failure.getByTestId("record");
    await expect(record, "what arrived is not among what failed").toHaveCount(1);
    await expect(record).toContainText(bad.label);
    await record.locator("summary").click();
    const figure = record.getByRole("figure");
    await expect(figure.getByRole("blockquote")).toContainText(complaint.words);
    await expect(figure.getByTestId("field")).toHaveText(complaint.field);
    await expect(figure.locator(".fact", { hasText: "Field" })).toContainText("/cost_center");
    await expect(figure.locator(".fact", { hasText: "Code" })).toContainText(complaint.code);
    await expect(figure.locator(".fact", { hasText: "HTTP status" })).toContainText(String(complaint.status));
    if (complaint.hint) {
      await expect(figure.locator(".fact", { hasText: "Valid values" })).toContainText(complaint.hint);
    }
  });

  await test.step("once it is corrected, a retry sends it and nothing else", async () => {
    const staged = await stage({ ...bad, payload: { ...bad.payload, cost_center: "2000" } });
    expect(staged.state).not.toBe("delivered");
    await page.getByRole("button", { name: "Retry failed records" }).click();
    const dialog = page.getByRole("dialog", { name: "Retry failed records" });
    await expect(dialog).toContainText("1 record will be sent again.");
    await expect(dialog).toContainText("1 record has changed since it failed");
    // A double click starts one retry.
    await dialog.getByRole("button", { name: "Send 1 record" }).dblclick();
    await expect(dialog.getByTestId("retry-result")).toContainText("The retry succeeded.");
    await dialog.getByTestId("retry-progress").getByRole("button", { name: "Close" }).click();
    await expect(light).toHaveText("Healthy");
    await expect(failure).toBeHidden();
  });

  await test.step("the external system has each record once, and a further sync sends nothing", async () => {
    const before = await peer.log();
    expect([before.accepted, before.duplicates]).toEqual([2, 0]);
    expect([await times(good.id), await times(bad.id)]).toEqual([1, 1]);
    const { last_sync } = await api.integration(integration.name);
    const delivered = await api.records(last_sync!.id, "succeeded");
    const told = delivered.map((one) => [one.source_record_id, one.external_reference_id]).sort();
    expect(told, "the references are its own").toEqual(before.records.map((one) => [one.record_id, one.reference]).sort());

    const further: Sync = await api.post(`/integrations/${integration.id}/syncs`);
    await expect.poll(async () => (await api.sync(further.id)).status).toBe("success");
    expect(await peer.log()).toEqual(before);
  });
}
