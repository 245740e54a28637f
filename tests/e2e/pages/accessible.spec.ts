// What WCAG 2.2 AA asks for and a machine can see, on every page, in both languages and both colour schemes.
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";

import { furnish, openEverything, visit } from "../support/places.ts";
import { expect, test } from "../support/test.ts";
import { say, type Language } from "../support/words.ts";

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Checks what is on screen; a violation is told with the page and the elements. */
async function check(page: Page, where: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
  const told = violations.flatMap((violation) =>
    violation.nodes.map((node) => `${violation.id}: ${node.target.join(" ")}: ${node.failureSummary}`),
  );
  expect.soft(told, where).toEqual([]);
}

for (const language of ["en", "nb"] as Language[]) {
  for (const colorScheme of ["light", "dark"] as const) {
    test(`no page breaks a rule, ${language}, ${colorScheme}`, async ({ signedIn: page, api }) => {
      test.slow();
      const { places } = await furnish(api);
      await api.speak(language);
      try {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        for (const place of places) {
          await visit(page, place, language);
          await expect(page.locator("html")).toHaveAttribute("lang", language);
          await check(page, place.name);
        }
        await visit(page, places[1]!, language);
        await openEverything(page);
        await check(page, "integration, everything opened");
        await page.getByRole("button", { name: say(language, "retry.button") }).click();
        await expect(page.getByRole("dialog")).toContainText(say(language, "retry.safe"));
        await check(page, "retry");
        await page.keyboard.press("Escape");
        await expect(page.getByRole("dialog")).toBeHidden();
        await page.getByRole("button", { name: say(language, "resolve.handled_button") }).first().click();
        await expect(page.getByRole("dialog")).toBeVisible();
        await check(page, "handled manually");
        await page.keyboard.press("Escape");
        await page.getByTestId("profile").click();
        await expect(page.getByLabel(say(language, "menu.language"))).toBeVisible();
        await check(page, "profile");
      } finally {
        await api.speak("en");
      }
    });
  }
}

test("the sign-in page breaks no rule", async ({ page }) => {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.goto("/");
    for (const [button, title] of [["Norsk", say("nb", "login.title")], ["English", say("en", "login.title")]] as const) {
      await page.getByRole("button", { name: button }).click();
      await expect(page.getByRole("heading", { level: 1 })).toHaveText(title);
      await check(page, `sign in, ${button}, ${colorScheme}`);
    }
  }
});
