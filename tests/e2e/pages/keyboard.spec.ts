// The whole dashboard without a mouse, with the focus visible at every step.
import type { Locator, Page } from "@playwright/test";

import { email, password } from "../support/installation.ts";
import { furnish } from "../support/places.ts";
import { expect, test } from "../support/test.ts";

/** Presses Tab until the focus is where it is wanted; every stop on the way must show it. */
async function tabTo(page: Page, wanted: Locator): Promise<void> {
  await expect(wanted).toBeVisible();
  for (let stops = 0; stops < 150; stops += 1) {
    await page.keyboard.press("Tab");
    await expect.poll(() => focusProblem(page)).toBe("");
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`Tab never came to ${wanted}`);
}

/** Why the focused element's focus cannot be seen; empty if it can. */
function focusProblem(page: Page): Promise<string> {
  return page.evaluate(() => {
    const element = document.activeElement;
    // The browser's own bars, on the way round.
    if (!element || element === document.body) return "";
    const told = `${element.outerHTML.slice(0, 120)}`;
    const drawn = (style: CSSStyleDeclaration) =>
      (style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== "none";
    const shown =
      drawn(getComputedStyle(element)) ||
      drawn(getComputedStyle(element, "::after")) ||
      drawn(getComputedStyle(element, "::before")) ||
      (element.closest(":has(:focus-visible)") !== null &&
        [...document.querySelectorAll("*:has(> :focus-visible)")].some((parent) => drawn(getComputedStyle(parent))));
    if (!shown) return `no visible focus: ${told}`;
    const box = element.getBoundingClientRect();
    const middle = { x: box.x + box.width / 2, y: box.y + Math.min(box.height / 2, innerHeight / 2) };
    if (middle.y < 0 || middle.y > innerHeight) return `out of sight: ${told}`;
    const onTop = document.elementFromPoint(Math.min(Math.max(middle.x, 0), innerWidth - 1), middle.y);
    const header = onTop?.closest("header.site-header");
    return header && !header.contains(element) ? `behind the header: ${told}` : "";
  });
}

test("every page can be reached and used by keyboard", async ({ page, api }) => {
  const { integration, sync, places } = await furnish(api);
  await page.goto("/");
  await tabTo(page, page.getByLabel("E-mail address"));
  await page.keyboard.type(email);
  await tabTo(page, page.getByLabel("Password"));
  await page.keyboard.type(password);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Integrations" })).toBeVisible();

  await page.reload();
  await expect(page.getByRole("heading", { level: 1, name: "Integrations" })).toBeVisible();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to main content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.locator("#main")).toBeFocused();

  await tabTo(page, page.getByRole("link", { name: integration.name }));
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: integration.name })).toBeVisible();
  await expect(page.locator("#main"), "the new page has the focus").toBeFocused();

  await test.step("a group, a record and its dialog", async () => {
    const group = page.getByTestId("error-groups").locator("summary").first();
    await tabTo(page, group);
    await page.keyboard.press("Enter");
    const record = page.getByTestId("record").first();
    await tabTo(page, record.locator("summary"));
    await page.keyboard.press("Enter");
    const button = record.getByRole("button", { name: "Mark as handled manually" });
    await tabTo(page, button);
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog", { name: "Mark as handled manually" });
    await tabTo(page, dialog.getByLabel("Reason"));
    // The focus stays inside.
    for (let stops = 0; stops < 8; stops += 1) {
      await page.keyboard.press("Tab");
      const outside = await page.evaluate(() => {
        const element = document.activeElement;
        return element !== document.body && !element?.closest("dialog");
      });
      expect(outside).toBe(false);
    }
    await page.keyboard.press("Escape");
    await expect(dialog).toBeHidden();
    await expect(button, "the focus is where it was").toBeFocused();
  });

  await test.step("the retry's preview", async () => {
    const retry = page.getByRole("button", { name: "Retry failed records" });
    for (let stops = 0; stops < 20 && !(await retry.evaluate((one) => one === document.activeElement)); stops += 1) {
      await page.keyboard.press("Shift+Tab");
    }
    await expect(retry).toBeFocused();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog", { name: "Retry failed records" });
    await tabTo(page, dialog.getByRole("button", { name: "Cancel" }));
    await page.keyboard.press("Enter");
    await expect(dialog).toBeHidden();
    await expect(retry).toBeFocused();
  });

  await test.step("the journey of a record, a sync, the notifications", async () => {
    await tabTo(page, page.getByTestId("record").first().getByRole("link", { name: "Show the record's journey" }));
    await page.keyboard.press("Enter");
    await expect(page).toHaveURL(places[3]!.path);
    await tabTo(page, page.getByRole("link", { name: "Sync, attempt 1" }).first());
    await page.keyboard.press("Enter");
    await expect(page).toHaveURL(`/syncs/${sync.id}`);
    await expect(page.getByRole("heading", { level: 1, name: /^Sync / })).toBeVisible();
    await tabTo(page, page.getByTestId("bell"));
    await page.keyboard.press("Enter");
    await expect(page.getByRole("heading", { level: 1, name: "Notifications" })).toBeVisible();
  });

  await test.step("the profile", async () => {
    await tabTo(page, page.getByTestId("profile"));
    await page.keyboard.press("Enter");
    await tabTo(page, page.getByLabel("Colours"));
    await page.keyboard.press("Escape");
    await expect(page.getByLabel("Colours")).toBeHidden();
    await page.keyboard.press("Enter");
    await tabTo(page, page.getByRole("button", { name: "Sign out" }));
    await page.keyboard.press("Enter");
    await expect(page.getByRole("heading", { level: 1, name: "Sign in to Syncwatch" })).toBeVisible();
  });
});
