// What WCAG 2.2 AA asks for and a machine can see, on every page, in every language and both colour schemes.
import { check } from "../support/accessible.ts";
import { furnish, openEverything, visit } from "../support/places.ts";
import { expect, test } from "../support/test.ts";
import { say, type Language } from "../support/words.ts";

for (const language of ["en", "nb", "nn"] as Language[]) {
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
    for (const [language, button] of [["nb", "Bokmål"], ["nn", "Nynorsk"], ["en", "English"]] as const) {
      await page.getByRole("button", { name: button }).click();
      await expect(page.locator("html")).toHaveAttribute("lang", language);
      await expect(page.getByRole("heading", { level: 1 })).toHaveText(say(language, "login.title"));
      await check(page, `sign in, ${button}, ${colorScheme}`);
    }
  }
});
