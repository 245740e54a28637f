// What a page shows when there is nothing, when the server is away, and when it breaks.
import { randomUUID } from "node:crypto";

import { furnish, settled } from "../support/places.ts";
import { expect, test } from "../support/test.ts";

// The list, with or without a query; not one integration.
const INTEGRATIONS = /\/api\/v1\/integrations(\?|$)/;

test("an unknown address says so and leads home", async ({ signedIn: page }) => {
  await page.goto("/no-such-page");
  await expect(page.getByRole("heading", { level: 1, name: "Page not found" })).toBeVisible();
  await page.getByRole("main").getByRole("link", { name: "Integrations" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Integrations" })).toBeVisible();
});

test("an unknown id says so on every page that takes one", async ({ signedIn: page }) => {
  for (const path of [`/integrations/${randomUUID()}`, `/syncs/${randomUUID()}`]) {
    await page.goto(path);
    await expect(page.getByRole("alert")).toContainText("This does not exist, or you have no access to it.");
  }
  await page.goto(`/records/claims/${randomUUID()}`);
  await expect(page.getByText("Nothing is known of this record yet")).toBeVisible();
});

test("a server that is away is told, and can be tried again", async ({ signedIn: page, api }) => {
  const { places } = await furnish(api);
  const own: Record<string, string | RegExp> = {
    integrations: INTEGRATIONS,
    integration: "**/api/v1/integrations/*",
    sync: "**/api/v1/sync-logs/*",
    record: "**/api/v1/source-records/**",
    notifications: "**/api/v1/notifications?*",
  };
  for (const place of places.filter((one) => own[one.name])) {
    const url = own[place.name]!;
    await page.route(url, (route) => route.abort("connectionrefused"));
    await page.goto(place.path);
    const alert = page.getByRole("main").getByRole("alert");
    await expect(alert, place.name).toContainText("No connection to the server.");
    await page.unroute(url);
    await alert.getByRole("button", { name: "Try again" }).click();
    await settled(page, place);
    await expect(alert, place.name).toBeHidden();
  }
});

test("a server that cannot be reached at the start is told, and can be tried again", async ({ signedIn: page }) => {
  await page.route("**/api/v1/auth/refresh", (route) => route.abort("connectionrefused"));
  await page.goto("/integrations");
  await expect(page.getByRole("alert")).toContainText("No connection to the server.");
  await page.unroute("**/api/v1/auth/refresh");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByTestId("integration").first()).toBeVisible();
});

test("a server that breaks is told with the number of the request", async ({ signedIn: page }) => {
  const body = { type: "about:blank", title: "Broken", status: 500, code: "internal", detail: "it broke", request_id: "request-4711" };
  await page.route(INTEGRATIONS, (route) =>
    route.fulfill({ status: 500, contentType: "application/problem+json", body: JSON.stringify(body) }),
  );
  await page.goto("/integrations");
  const alert = page.getByRole("main").getByRole("alert");
  await expect(alert).toContainText("Something broke on our side.");
  await alert.getByText("Details for support").click();
  await expect(alert).toContainText("request-4711");
  await page.unroute(INTEGRATIONS);
  await alert.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByTestId("integration").first()).toBeVisible();
});

test("a list that was there stays when it cannot be brought up to date", async ({ signedIn: page, api }) => {
  const { integration } = await furnish(api);
  await page.goto("/integrations");
  const card = page.getByTestId("integration").filter({ hasText: integration.name });
  await expect(card).toBeVisible();
  await expect(page.getByTestId("connection")).toHaveText("Live");
  await page.route(INTEGRATIONS, (route) => route.abort("connectionrefused"));
  await api.report(await api.createExternal(`Course portal, ${randomUUID().slice(0, 8)}`), { delivered: 1 });
  await expect(page.getByText("This may be out of date.")).toBeVisible();
  await expect(card).toBeVisible();
  await page.unroute(INTEGRATIONS);
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByText("This may be out of date.")).toBeHidden();
});
