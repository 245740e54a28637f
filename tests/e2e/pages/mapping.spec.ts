// What records become in an external system: changed in the integration's settings, and tried there with a sample.
import { randomUUID } from "node:crypto";

import { check } from "../support/accessible.ts";
import type { Integration } from "../support/api.ts";
import { expect, test } from "../support/test.ts";

const fields = {
  "account.code": { value: "7140" },
  amount: { from: "/amount", as: "money", required: true },
};

test("a mapping is tried with a sample, and kept once it is right", async ({ signedIn: page, api }) => {
  const settings = {
    endpoint: "http://127.0.0.1:9/graphql",
    timeout_ms: 30_000,
    mapping: { entity: "addGLImportItems", fields },
  };
  const integration: Integration = await api.post("/integrations", {
    name: `Mapped ${randomUUID().slice(0, 8)}`,
    connector_type: "xledger",
    sync_type: "accounting_push",
    runner: "managed",
    settings,
    credentials: { type: "token", token: "nobody-is-asked-with-it" },
  });
  await page.setViewportSize({ width: 320, height: 800 });
  await page.goto(`/integrations/${integration.id}`);
  const region = page.getByRole("region", { name: "Settings" });
  await region.getByRole("button", { name: "Connection and mapping" }).click();
  const form = region.getByTestId("connector-form");
  await expect(form.getByLabel("Xledger's address")).toHaveValue(settings.endpoint);
  await expect(form.getByLabel("Longest wait for an answer")).toHaveValue("30000");
  const mapping = form.getByLabel("Mapping", { exact: true });
  const sample = form.getByLabel("Sample record");
  const attempt = form.getByRole("button", { name: "Try with a sample" });
  const found = form.getByTestId("mapping-trial");
  const type = (wanted: object) => mapping.fill(JSON.stringify({ entity: "addGLImportItems", fields: wanted }, null, 2));

  await test.step("what is no JSON is said before anything is asked", async () => {
    await sample.fill("{");
    await attempt.click();
    await expect(form).toContainText("This is no JSON: EOF while parsing");
    await expect(sample).toHaveAttribute("aria-invalid", "true");
    await expect(mapping).toHaveAttribute("aria-invalid", "false");
  });

  await test.step("a field that the system does not know is named", async () => {
    await type({ ...fields, amuont: { from: "/amount", as: "money" } });
    await sample.fill(JSON.stringify({ amount: "1250.00" }));
    await attempt.click();
    await expect(form).toContainText("/fields/amuont: addGLImportItems has no such field");
    await expect(mapping).toHaveAttribute("aria-invalid", "true");
    await check(page, "a mapping that is refused");
  });

  await test.step("a sample without what is needed would not be sent", async () => {
    await type({ ...fields, text: { from: "/purpose", as: "text" } });
    await sample.fill("{}");
    await attempt.click();
    await expect(found).toContainText("Nothing would be sent");
    await expect(found).toContainText("MAPPING_MISSING_VALUE");
    await expect(found).toContainText("/amount");
  });

  await test.step("what would be sent is shown, and is kept by saving it", async () => {
    await sample.fill(JSON.stringify({ amount: "1250.00", purpose: "Course in Bergen" }));
    await attempt.click();
    await expect(found).toContainText("1 item would be sent");
    await expect(found.locator("pre")).toContainText('"amount": "1250.00"');
    await expect(found.locator("pre")).toContainText('"text": "Course in Bergen"');
    expect(await page.evaluate(() => document.documentElement.scrollWidth), "nothing sticks out").toBeLessThanOrEqual(320);
    await check(page, "a mapping that was tried");
    await form.getByLabel("Most in one request").fill("50");
    await form.getByLabel("Longest wait for an answer").fill("");
    await form.getByRole("button", { name: "Save" }).click();
    await expect(form).toBeHidden();
    const { body } = await api.call("GET", `/integrations/${integration.id}`);
    const kept = { ...fields, text: { from: "/purpose", as: "text" } };
    const expected = { endpoint: settings.endpoint, batch_size: 50, mapping: { entity: "addGLImportItems", fields: kept } };
    expect(body.settings).toEqual(expected);
  });

  await test.step("for another host the credentials are asked for again", async () => {
    await region.getByRole("button", { name: "Connection and mapping" }).click();
    const address = form.getByLabel("Xledger's address");
    const token = form.getByLabel("Token", { exact: true });
    await address.fill("http://127.0.0.1:9/another/path");
    await expect(token).toBeHidden();
    await address.fill("http://127.0.0.1:10/graphql");
    await expect(form).toContainText("Credentials go only where they were given for");
    await token.fill("nobody-is-asked-with-this-either");
    await check(page, "credentials that are asked for again");
    await form.getByRole("button", { name: "Save" }).click();
    await expect(form).toBeHidden();
    const { body } = await api.call("GET", `/integrations/${integration.id}`);
    expect(body.settings.endpoint).toBe("http://127.0.0.1:10/graphql");
  });

  await test.step("what the server refuses stands at its field", async () => {
    await region.getByRole("button", { name: "Connection and mapping" }).click();
    await form.getByLabel("Xledger's address").fill("somewhere");
    await form.getByLabel("Token", { exact: true }).fill("a-third-one");
    await form.getByRole("button", { name: "Save" }).click();
    await expect(form.getByLabel("Xledger's address")).toHaveAttribute("aria-invalid", "true");
    await expect(form).toContainText("production, demonstration or an address");
  });
});
