// The story's six acceptance criteria, in order, as an administrator lives through them on a fresh demonstration.
import type { Locator, Page } from "@playwright/test";

import type { Api, RecordOutcome, Sync } from "./support/api.ts";
import { Gate } from "./support/gate.ts";
import { accounting, accountingToken, email, password, server } from "./support/installation.ts";
import { booked, correct, formOf, mails, refusal } from "./support/peers.ts";
import { expect, test } from "./support/test.ts";

const FAILING = "Fjordregnskap – utlegg";
const WARNING = "Medlemsregister";
const HEALTHY = "Kursportal";

const UNKNOWN_COST_CENTER = [1007, 1011, 1014, 1019, 1024, 1028, 1033, 1038, 1043];
const CLOSED_PERIOD = [1021, 1040];
const TOO_LARGE = 1030;
const FAILED = [...UNKNOWN_COST_CENTER, ...CLOSED_PERIOD, TOO_LARGE].sort();

const named = (numbers: number[]) => numbers.map((number) => `Claim ${number}`);
const claimNumber = (record: Record<string, string>) => Number(record.claim_number);

/** Red, yellow or green, as a person sees it: the hue of the shape's fill. */
async function hue(light: Locator): Promise<string> {
  const [red, green, blue] = await light.locator(".light-fill").evaluate((shape) => {
    const canvas = document.createElement("canvas").getContext("2d")!;
    canvas.fillStyle = getComputedStyle(shape).fill;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((part) => part / 255);
  });
  const [high, low] = [Math.max(red, green, blue), Math.min(red, green, blue)];
  const turn = high === red ? (green - blue) / (high - low) : high === green ? 2 + (blue - red) / (high - low) : 4;
  const degrees = (turn * 60 + 360) % 360;
  if (degrees < 20 || degrees > 335) return "red";
  if (degrees >= 25 && degrees <= 65) return "yellow";
  return degrees >= 90 && degrees <= 170 ? "green" : `hue ${degrees}`;
}

test("an administrator finds out what failed and why, mends it, and is told", async ({ page, api }) => {
  test.setTimeout(600_000);
  const integration = await api.integration(FAILING);
  expect(integration.health.light, "the story needs a fresh demonstration").toBe("red");
  const failedSync = await api.sync(integration.last_sync!.id);
  const failedRecords = await api.records(failedSync.id, "failed");

  await test.step("1: each integration shows its light, with words, worst first", async () => {
    await page.goto("/");
    await page.getByLabel("E-mail address").fill(email);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "Integrations" })).toBeVisible();
    const cards = page.getByTestId("integration");
    await expect(cards.getByRole("heading")).toHaveText([FAILING, WARNING, HEALTHY]);
    const expected = [["Failing", "red"], ["Warning", "yellow"], ["Healthy", "green"]] as const;
    for (const [index, [word, color]] of expected.entries()) {
      const light = cards.nth(index).getByTestId("light");
      await expect(light).toHaveText(word);
      await expect(light).toBeVisible();
      expect(await hue(light), `the colour of ${word}`).toBe(color);
    }
    const facts = (await api.integrations()).map((one) => [one.last_sync?.status, one.health.light]);
    expect(facts.sort()).toEqual([["failed", "red"], ["success", "green"], ["success", "yellow"]]);
    await expect(cards.first()).toContainText("12 records not delivered");
  });

  await test.step("2: the failing one shows the external system's message, when, and which records", async () => {
    await page.getByRole("link", { name: FAILING }).click();
    await expect(page).toHaveURL(`/integrations/${integration.id}`);
    await expect(page.getByRole("heading", { level: 1, name: FAILING })).toBeVisible();
    const failure = page.getByRole("region", { name: "Current failure" });
    const message = failure.getByTestId("error-message");
    const words = "Invalid cost center code: 9999";
    await expect(message).toContainText(`${words} (9 records)`);
    await expect(message).toContainText("is closed for posting");
    await expect(message).toContainText("The amount 62400.00 is above the limit of 50000.00 for one voucher");
    const asked = await refusal({ ...faultless, cost_center: "9999" });
    expect(asked, "the words are the external system's own").toEqual([expect.objectContaining({ detail: words })]);

    const time = failure.locator(".fact", { hasText: "Time of failure" }).getByRole("time");
    await expect(time).toBeVisible();
    expect(Date.parse((await time.getAttribute("datetime"))!)).toBe(Date.parse(failedSync.completed_at));
    await expect(time).toContainText(clockInOslo(failedSync.completed_at));
    await expect(page.getByRole("contentinfo")).toContainText("Europe/Oslo");

    const groups = failure.getByTestId("error-groups").locator("> li");
    await expect(groups).toHaveCount(3);
    await expect(groups.nth(0).locator("summary").first()).toContainText("9 records: Invalid cost center code: 9999");
    await expect(groups.nth(0).locator("summary").first()).toContainText("cost_center");
    const lists = [UNKNOWN_COST_CENTER, CLOSED_PERIOD, [TOO_LARGE]];
    for (const [index, numbers] of lists.entries()) {
      await groups.nth(index).locator("summary").first().click();
      const labels = groups.nth(index).getByTestId("record").locator(".record-summary .strong");
      await expect(labels).toHaveText(named(numbers));
    }
  });

  const claim = page.getByRole("region", { name: "Current failure" }).getByTestId("record").filter({ hasText: "Claim 1043" });

  await test.step("3: a record says which field is wrong and what the external system said about it", async () => {
    await claim.locator("summary").click();
    await expect(claim.getByTestId("cause")).toHaveText("A value is not accepted there. Correct it at its source, then retry.");
    const complaint = claim.getByRole("figure");
    await expect(complaint.getByRole("blockquote")).toHaveText("Invalid cost center code: 9999");
    const own = failedRecords.find((record) => record.label === "Claim 1043")!.errors[0]!;
    expect(own.field).toBe("/cost_center");
    await expect(complaint.locator(".fact", { hasText: "Field" })).toContainText(own.field_name);
    await expect(complaint.locator(".fact", { hasText: "Field" })).toContainText("/cost_center");
    await expect(complaint.locator(".fact", { hasText: "Code" })).toContainText("invalid_cost_center");
    await expect(complaint.locator(".fact", { hasText: "HTTP status" })).toContainText("422");
  });

  await test.step("4: once the data is corrected, a retry sends what failed and nothing else", async () => {
    await correctAll(page, claim, api, failedRecords);
    await retry(page, api, failedSync);
  });

  await test.step("5: the history shows every sync with counts and duration, attempts nested, and trends", async () => {
    await readHistory(page, api, failedSync);
  });

  await test.step("6: two failures in a row are told in the dashboard and by e-mail, and so is the recovery", async () => {
    await readNotifications(page, failedSync);
    await failTwice(page, api);
  });
});

/** A voucher that breaks no rule. */
const faultless = {
  claim_number: "1",
  member: "Prøve Eksempelsen",
  text: "Travel",
  cost_center: "1000",
  account: "7140",
  amount: "100.00",
  currency: "NOK",
  period: new Date().toISOString().slice(0, 7),
};

function clockInOslo(moment: string): string {
  return new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: "Europe/Oslo" }).format(new Date(moment));
}

/** Claim 1043 on its own page, one through Syncwatch's API, the others by the source app's form. */
async function correctAll(page: Page, claim: Locator, api: Api, records: RecordOutcome[]): Promise<void> {
  const [source] = await Promise.all([
    page.context().waitForEvent("page"),
    claim.getByRole("link", { name: "Open in source" }).click(),
  ]);
  await expect(source.getByRole("heading", { level: 1 })).toHaveText("Claim 1043");
  await expect(source.getByLabel("Cost centre")).toHaveValue("9999");
  await source.getByLabel("Cost centre").fill("1100");
  await source.getByRole("button", { name: "Save and stage again" }).click();
  await expect(source.getByRole("status")).toContainText("The corrected record will be sent with the next sync or retry");

  const byApi = records.find((record) => record.label === `Claim ${TOO_LARGE}`)!;
  await source.goto(byApi.record_url);
  const payload = { ...(await formOf(source)), amount: "6240.00" };
  await source.close();
  const { body } = await api.call(
    "PUT",
    `/integrations/${(await api.integration(FAILING)).id}/records/${byApi.source_record_type}/${byApi.source_record_id}`,
    { payload, label: byApi.label, amount: "6240.00", currency: "NOK" },
  );
  expect(body.payload_hash, "its data has changed").not.toBe(byApi.request_payload_hash);

  for (const record of records) {
    if (["Claim 1043", `Claim ${TOO_LARGE}`].includes(record.label)) continue;
    await correct(record.source_record_id, { cost_center: "1200", period: faultless.period });
  }
}

async function retry(page: Page, api: Api, sync: Sync): Promise<void> {
  // Three answers come through the gate; the other requests wait until the dashboard has been looked at.
  const gate = await Gate.before(accounting, 3);
  const shown = { type: "bearer", token: accountingToken };
  try {
    // What is held back must not be given up for lost meanwhile.
    const through = { url: `${gate.address}/api/vouchers`, timeout_ms: 120_000 };
    await api.changeSettings(sync.integration_config_id, through, shown);
    const before = await booked();
    const loaded = await page.evaluate(() => performance.timeOrigin);
    const light = page.getByTestId("light");

    await page.getByRole("button", { name: "Retry failed records" }).click();
    const dialog = page.getByRole("dialog", { name: "Retry failed records" });
    await expect(dialog).toContainText("12 records will be sent again.");
    await expect(dialog).toContainText("12 records have changed since they failed");
    await expect(dialog).toContainText("Records that were delivered are never sent again.");
    // A double click starts one retry.
    await dialog.getByRole("button", { name: "Send 12 records" }).dblclick();
    await expect(dialog).toContainText("3 of 12 records done");
    await expect(dialog.getByRole("progressbar", { name: "Progress" })).toHaveAttribute("value", "3");
    await expect(light, "while it runs, its light holds").toHaveText("Failing");
    gate.open();
    await expect(dialog.getByTestId("retry-result")).toContainText("The retry succeeded.");
    await expect(dialog.getByTestId("retry-result")).toContainText("12 records were delivered.");
    await dialog.getByTestId("retry-progress").getByRole("button", { name: "Close" }).click();

    await expect(light).toHaveText("Healthy");
    expect(await hue(light)).toBe("green");
    await expect(page.getByRole("region", { name: "Current failure" })).toBeHidden();
    expect(await page.evaluate(() => performance.timeOrigin), "without a reload").toBe(loaded);

    const after = await booked();
    expect(after.slice(0, before.length), "nothing that was there has changed").toEqual(before);
    const arrived = after.slice(before.length).map((entry) => claimNumber(entry.record));
    expect(arrived.sort(), "what failed arrived, and nothing else").toEqual(FAILED);
    const sent = gate.came.map((body) => claimNumber(JSON.parse(body)));
    expect(sent.sort(), "nothing else was even sent").toEqual(FAILED);
    const vouchers = after.filter((entry) => entry.kind === "voucher").map((entry) => claimNumber(entry.record));
    expect(new Set(vouchers).size, "no claim was booked twice").toBe(vouchers.length);
    expect(after.find((entry) => entry.record.claim_number === "1043")?.record.cost_center).toBe("1100");
  } finally {
    gate.open();
    await api.changeSettings(sync.integration_config_id, { url: `${accounting}/api/vouchers` }, shown);
    await gate.close();
  }
}

async function readHistory(page: Page, api: Api, sync: Sync): Promise<void> {
  const history = page.getByRole("region", { name: "Sync history" });
  const rows = history.getByTestId("sync-row");
  await expect(rows).toHaveCount(25);
  const listed: Sync[] = (await api.get(`/sync-logs?integration_config_id=${sync.integration_config_id}&limit=25`)).items;
  const links = await rows.getByRole("link").evaluateAll((all) => all.map((link) => link.getAttribute("href")));
  expect(links, "all of them, newest first").toEqual(listed.map((one) => `/syncs/${one.id}`));
  for (const [index, one] of listed.entries()) {
    await expect(rows.nth(index)).toContainText(`${one.records_processed} of ${one.records_total} records delivered`);
    await expect(rows.nth(index).locator(".row-duration")).toHaveText(/^[\d.,]+\s(ms|secs?|mins?|hrs?)\b/);
  }
  await expect(history.getByTestId("gap").first(), "a day without the expected sync").toContainText("none came");

  const mended = rows.first();
  await expect(mended).toContainText("Succeeded after retry");
  await expect(mended).toContainText("40 of 40 records delivered");
  await mended.getByText("2 attempts").click();
  const attempts = mended.getByRole("table").getByRole("row");
  await expect(attempts).toHaveCount(3);
  await expect(attempts.nth(1)).toContainText("Failed");
  await expect(attempts.nth(1).getByRole("cell").nth(3)).toHaveText("28");
  await expect(attempts.nth(1).getByRole("cell").nth(4)).toHaveText("12");
  await expect(attempts.nth(2)).toContainText("Succeeded");
  await expect(attempts.nth(2).getByRole("cell").nth(3)).toHaveText("12");
  await expect(attempts.nth(2).getByRole("cell").nth(4)).toHaveText("0");

  await history.getByRole("link", { name: "Older" }).click();
  await expect(rows.first().getByRole("link")).not.toHaveAttribute("href", links[0]!);
  await history.getByRole("link", { name: "Newest" }).click();
  await expect(rows.first().getByRole("link")).toHaveAttribute("href", links[0]!);

  const trends = page.getByRole("region", { name: "Trends", exact: true });
  for (const days of [7, 90, 30]) {
    // The button is a label around its radio button.
    await trends.getByText(`${days} days`, { exact: true }).click();
    await expect(trends.getByRole("radio", { name: `${days} days` })).toBeChecked();
    for (const title of ["Duration", "Records per day", "Failure rate"]) {
      await expect(trends.getByRole("img", { name: new RegExp(`^${title}`) })).toBeVisible();
      const twin = trends.getByRole("figure").filter({ has: page.getByRole("heading", { name: title }) });
      // Once opened, it stays open when the period changes.
      if (days === 7) await twin.getByText("Show as table").click();
      await expect(twin.getByRole("table").getByRole("row")).toHaveCount(days + 1);
    }
  }
  const now = new Date();
  const from = new Date(now.getTime() - 29 * 86_400_000);
  const query = new URLSearchParams({ from: from.toISOString(), to: now.toISOString(), bucket: "day" });
  const { items } = await api.get(`/integrations/${sync.integration_config_id}/trends?${query}`);
  const records = trends.getByRole("figure").filter({ has: page.getByRole("heading", { name: "Records per day" }) });
  const delivered = await records.getByRole("table").locator("tbody tr td:nth-of-type(1)").allInnerTexts();
  const told = items.map((day: { records_processed: number }) => String(day.records_processed)).reverse();
  expect(delivered, "the table says what the chart draws").toEqual(told);
}

async function readNotifications(page: Page, sync: Sync): Promise<void> {
  const bell = page.getByTestId("bell");
  await expect(bell).toHaveAccessibleName("Notifications, 2 unread");
  await bell.click();
  const notifications = page.getByTestId("notification");
  await expect(notifications).toHaveCount(2);
  await expect(notifications.nth(0)).toContainText(`${FAILING} works again`);
  await expect(notifications.nth(1)).toContainText("Invalid cost center code: 9999");
  await notifications.nth(1).getByRole("link", { name: `${FAILING}: 2 syncs in a row failed` }).click();
  await expect(page).toHaveURL(`/syncs/${sync.id}`);
  await expect(bell, "who follows the link has read it").toHaveAccessibleName("Notifications, 1 unread");

  await expect.poll(() => mails(FAILING), { timeout: 60_000 }).toHaveLength(2);
  const [failure, recovery] = await mails(FAILING);
  expect(failure!.subject).toBe(`${FAILING}: the last 2 syncs failed`);
  expect(failure!.to.map((one) => one.address)).toEqual([email]);
  for (const part of [failure!.text, failure!.html]) {
    expect(part).toContain("12 records were not delivered");
    expect(part).toContain("9 records: Invalid cost center code: 9999 (field: cost_center)");
    expect(part).toContain("2 records: Period ");
    expect(part).toContain("1 record: The amount 62400.00 is above the limit");
    expect(part).toContain(`${server}/syncs/${sync.id}`);
  }
  expect(failure!.headers["auto-submitted"]).toBe("auto-generated");
  expect(recovery!.subject).toBe(`${FAILING}: working again`);
  expect(recovery!.headers["in-reply-to"], "in the same thread").toBe(failure!.headers["message-id"]);
}

/** The threshold itself, live, on an integration that has never failed before. */
async function failTwice(page: Page, api: Api): Promise<void> {
  const name = "Course portal, threshold";
  const fresh = await api.createExternal(name);
  const about = async () =>
    (await api.notifications()).items.filter((one) => one.integration_config_id === fresh.id).map((one) => one.kind);
  await page.getByRole("link", { name: "Syncwatch" }).click();
  await expect(page.getByTestId("connection")).toHaveText("Live");
  const loaded = await page.evaluate(() => performance.timeOrigin);
  const bell = page.getByTestId("bell");
  const card = page.getByTestId("integration").filter({ hasText: name });

  await api.report(fresh, { failed: ["Event 1"], delivered: 1 });
  await expect(card.getByTestId("light")).toHaveText("Failing");
  expect(await about(), "one failure is not told").toEqual([]);
  await api.report(fresh, { failed: ["Event 2"], delivered: 1 });
  await expect(bell).toHaveAccessibleName("Notifications, 2 unread");
  expect(await about()).toEqual(["incident_opened"]);
  await api.report(fresh, { failed: ["Event 3"] });
  expect(await about(), "a third failure is not told again").toEqual(["incident_opened"]);
  await api.report(fresh, { delivered: 2 });
  await expect(bell).toHaveAccessibleName("Notifications, 3 unread");
  await expect(card.getByTestId("light")).toHaveText("Healthy");
  expect(await about()).toEqual(["incident_resolved", "incident_opened"]);
  expect(await page.evaluate(() => performance.timeOrigin), "without a reload").toBe(loaded);
  await expect
    .poll(async () => (await mails(name)).map((mail) => mail.subject), { timeout: 60_000 })
    .toEqual([`${name}: the last 2 syncs failed`, `${name}: working again`]);
}
