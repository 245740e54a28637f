// Every page of the dashboard, with something on it.
import type { Page } from "@playwright/test";

import type { Api, Integration, Sync } from "./api.ts";
import { expect } from "./test.ts";
import { say, type Language } from "./words.ts";

export interface Place {
  name: string;
  path: string;
  /** The page's heading. */
  heading: (language: Language) => string | RegExp;
}

export interface Furnished {
  integration: Integration;
  sync: Sync;
  places: Place[];
}

let furnished: Furnished | undefined;

/** An integration with a delivered and a failed sync, and the addresses of all pages; made once. */
export async function furnish(api: Api): Promise<Furnished> {
  if (furnished) return furnished;
  // Another worker may have made it before a failed test ended that one.
  const name = "Course portal, every page";
  const known = (await api.integrations()).find((one) => one.name === name);
  const integration = known ?? (await api.createExternal(name));
  if (!known) {
    await api.report(integration, { delivered: 3 });
    await api.report(integration, { failed: ["Event 11", "Event 12", "Event 13"], delivered: 2 });
  }
  const sync = await api.sync((await api.integration(name)).last_sync!.id);
  const record = (await api.records(sync.id, "failed"))[0]!;
  const places: Place[] = [
    { name: "integrations", path: "/integrations", heading: (language) => say(language, "integrations.title") },
    { name: "integration", path: `/integrations/${integration.id}`, heading: () => name },
    { name: "sync", path: `/syncs/${sync.id}`, heading: (language) => new RegExp(`^${say(language, "sync.title")} `) },
    {
      name: "record",
      path: `/records/${record.source_record_type}/${record.source_record_id}`,
      heading: () => record.label,
    },
    { name: "notifications", path: "/notifications", heading: (language) => say(language, "notifications.title") },
    { name: "unknown address", path: "/no-such-page", heading: (language) => say(language, "not_found.title") },
  ];
  furnished = { integration, sync, places };
  return furnished;
}

/** Opens a page and waits until nothing on it is loading any more. */
export async function visit(page: Page, place: Place, language: Language = "en"): Promise<void> {
  await page.goto(place.path);
  await settled(page, place, language);
}

export async function settled(page: Page, place: Place, language: Language = "en"): Promise<void> {
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(place.heading(language));
  await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
}

/** Opens groups, records, attempts and the charts' tables, until nothing more can be opened. */
export async function openEverything(page: Page): Promise<void> {
  const closed = page.locator("main details:not([open]) > summary");
  while ((await closed.count()) > 0) {
    await closed.first().click();
  }
  await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
}
