// Signing in, and what happens when a session ends under a person's hands.
import type { Page } from "@playwright/test";

import { email, password, server } from "../support/installation.ts";
import { furnish } from "../support/places.ts";
import { expect, test } from "../support/test.ts";

/** Ends the session at the server, and lets the access token that the page still holds run out. */
async function endSession(page: Page): Promise<void> {
  expect((await page.context().request.post(`${server}/api/v1/auth/logout`)).ok()).toBe(true);
  await page.route("**/api/v1/**", async (route) => {
    const headers = await route.request().allHeaders();
    // A token that has run out is answered as one that never was.
    if (headers.authorization) headers.authorization = "Bearer run-out";
    await route.continue({ headers });
  });
}

async function signIn(page: Page): Promise<void> {
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

test("a wrong password is told, and nothing typed is lost", async ({ page }) => {
  await page.goto("/notifications?from=a-link");
  await expect(page.getByRole("heading", { level: 1, name: "Sign in to Syncwatch" })).toBeVisible();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill("not-the-password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toContainText("The e-mail address or the password is wrong.");
  await expect(page.getByLabel("E-mail address")).toHaveValue(email);
  await expect(page.getByLabel("Password")).toHaveValue("not-the-password");
  await expect(page.getByLabel("Password")).toBeFocused();
  await signIn(page);
  await expect(page, "the address that the person came for").toHaveURL("/notifications?from=a-link");
  await expect(page.getByRole("heading", { level: 1, name: "Notifications" })).toBeVisible();
});

test("a session that ends keeps the address and what was typed", async ({ page, api }) => {
  const { integration } = await furnish(api);
  const address = `/integrations/${integration.id}?status=failed`;
  const login = await page.context().request.post(`${server}/api/v1/auth/login`, { data: { email, password } });
  expect(login.ok()).toBe(true);
  await page.goto(address);
  await page.getByTestId("error-groups").locator("summary").first().click();
  await page.getByTestId("record").first().locator("summary").click();
  await page.getByRole("button", { name: "Mark as handled manually" }).click();
  await page.getByLabel("Reason").fill("Typed before the session ended");

  await endSession(page);
  const dialog = page.getByRole("dialog", { name: "Mark as handled manually" });
  await dialog.getByRole("button", { name: "Mark as handled manually" }).click();
  const again = page.getByRole("dialog", { name: "Your session has ended" });
  await expect(again).toContainText("Nothing you entered is lost.");
  await expect(page).toHaveURL(address);
  await expect(again.getByLabel("E-mail address")).toHaveValue(email);
  // What was asked for must not be done by the new session behind the person's back twice: the request waits.
  await page.unroute("**/api/v1/**");
  await signIn(page);
  await expect(again).toBeHidden();
  await expect(dialog, "what was asked for is done").toBeHidden();
  await expect(page.getByTestId("record").first()).toContainText("Handled manually");
  await expect(page).toHaveURL(address);
});

test("a reload after the session has ended leads back to the same address", async ({ page, api }) => {
  const { integration } = await furnish(api);
  const address = `/integrations/${integration.id}?status=failed`;
  await page.goto(address);
  await expect(page.getByRole("heading", { level: 1, name: "Sign in to Syncwatch" })).toBeVisible();
  await page.getByLabel("E-mail address").fill(email);
  await signIn(page);
  await expect(page).toHaveURL(address);
  await expect(page.getByTestId("sync-row")).toHaveCount(1);
  await page.getByTestId("profile").click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Sign in to Syncwatch" })).toBeVisible();
  await page.reload();
  await expect(page.getByRole("heading", { level: 1, name: "Sign in to Syncwatch" })).toBeVisible();
});
