// From a small telephone to a wide screen nothing sticks out, and every address survives a reload.
import type { Page } from "@playwright/test";

import { furnish, openEverything, settled, visit } from "../support/places.ts";
import { expect, test } from "../support/test.ts";

/** What sticks out of the window on the right. */
const sticksOut = (page: Page) =>
  page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const guilty = [...document.body.querySelectorAll("*")].filter((one) => one.getBoundingClientRect().right > width + 1);
    return guilty.map((one) => `${one.tagName.toLowerCase()}.${one.getAttribute("class")}`);
  });

for (const width of [320, 768, 1440]) {
  test(`nothing has to be scrolled sideways at ${width} pixels`, async ({ signedIn: page, api }) => {
    const { places } = await furnish(api);
    await page.setViewportSize({ width, height: 800 });
    for (const language of ["en", "nb", "nn"] as const) {
      await api.speak(language);
      for (const place of places) {
        await visit(page, place, language);
        expect.soft(await sticksOut(page), `${place.name}, ${language}`).toEqual([]);
      }
    }
    await api.speak("en");
    await visit(page, places[1]!);
    await openEverything(page);
    expect.soft(await sticksOut(page), "integration, everything opened").toEqual([]);
    await page.getByRole("button", { name: "Retry failed records" }).click();
    const dialog = page.getByRole("dialog");
    await expect(dialog).toContainText("3 records will be sent again.");
    const box = (await dialog.boundingBox())!;
    expect.soft(box.x >= 0 && box.x + box.width <= width, "the dialog fits").toBe(true);
  });
}

test("every address survives a reload, with its filter", async ({ signedIn: page, api }) => {
  const { places, integration, sync } = await furnish(api);
  for (const place of places) {
    await visit(page, place);
    await page.reload();
    await settled(page, place);
    await expect(page).toHaveURL(place.path);
  }
  await page.goto(`/integrations/${integration.id}?status=failed`);
  await expect(page.getByTestId("sync-row")).toHaveCount(1);
  await page.reload();
  await expect(page.getByLabel("Status")).toHaveValue("failed");
  await expect(page.getByTestId("sync-row")).toHaveCount(1);
  await page.goto(`/syncs/${sync.id}?outcome=succeeded`);
  await expect(page.getByRole("region", { name: "Records", exact: true }).getByTestId("record")).toHaveCount(2);
  await page.reload();
  await expect(page.getByRole("region", { name: "Records", exact: true }).getByTestId("record")).toHaveCount(2);
});

test("the back button undoes a filter", async ({ signedIn: page, api }) => {
  const { integration } = await furnish(api);
  await page.goto(`/integrations/${integration.id}`);
  await expect(page.getByTestId("sync-row")).toHaveCount(2);
  await page.getByLabel("Status").selectOption("failed");
  await expect(page.getByTestId("sync-row")).toHaveCount(1);
  await page.goBack();
  await expect(page.getByTestId("sync-row")).toHaveCount(2);
  await expect(page.getByLabel("Status")).toHaveValue("");
});
