// Whether an external system can be reached, as whom, and what is wrong if not: tried from the integration's settings.
import { randomUUID } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import type { Integration } from "../support/api.ts";
import { expect, test } from "../support/test.ts";

const TOKEN = "the right token of this test";

/** A system that lets nobody in but who shows the token. */
async function guarded(): Promise<Server> {
  const system = createServer((request, response) => {
    const known = request.headers.authorization === `Bearer ${TOKEN}`;
    response.writeHead(known ? 200 : 401, { "content-type": "application/json" }).end("{}");
  });
  await new Promise<void>((listening) => system.listen(0, "127.0.0.1", listening));
  return system;
}

test("a connection is tested, and its credentials before they are kept", async ({ signedIn: page, api }) => {
  const system = await guarded();
  const address = `http://127.0.0.1:${(system.address() as AddressInfo).port}`;
  try {
    const integration: Integration = await api.post("/integrations", {
      name: `Guarded ${randomUUID().slice(0, 8)}`,
      connector_type: "generic_http",
      sync_type: "accounting_push",
      runner: "managed",
      settings: { url: `${address}/vouchers`, health_url: `${address}/health` },
    });
    await page.goto(`/integrations/${integration.id}`);
    const settings = page.getByRole("region", { name: "Settings" });
    const found = settings.getByTestId("connection-test");
    await settings.getByRole("button", { name: "Test connection" }).click();
    await expect(found).toContainText("The connection does not work");
    await expect(found.getByTestId("connection-words")).toContainText("refused the credentials");

    await settings.getByRole("button", { name: "Enter credentials" }).click();
    const form = settings.getByTestId("credentials-form");
    await expect(form.getByLabel("Token", { exact: true })).toHaveAttribute("type", "password");
    await form.getByLabel("Token", { exact: true }).fill("a wrong token");
    await form.getByRole("button", { name: "Test these" }).click();
    await expect(found).toContainText("CREDENTIALS_REFUSED");
    await form.getByLabel("Token", { exact: true }).fill(TOKEN);
    await form.getByRole("button", { name: "Test these" }).click();
    await expect(found).toContainText("The connection works");
    await form.getByRole("button", { name: "Save" }).click();
    await expect(form).toBeHidden();
    await expect(settings.locator(".fact", { hasText: "Credentials" })).toContainText("Kept, encrypted");

    await settings.getByRole("button", { name: "Test connection" }).click();
    await expect(found).toContainText("The system answered, and let Syncwatch in.");
    await expect(page.getByRole("main")).not.toContainText(TOKEN);
  } finally {
    system.closeAllConnections();
    system.close();
  }

  // The same address, and nobody there any more.
  await page.getByRole("button", { name: "Test connection" }).click();
  await expect(page.getByTestId("connection-words")).toContainText("Nothing listens at that address.");
});
