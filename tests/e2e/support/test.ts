// What the tests share: the API beside the browser, and a browser that is signed in.
import { test as base, type BrowserContext, type Page } from "@playwright/test";

import { Api } from "./api.ts";
import { email, password, server } from "./installation.ts";

type Cookies = Awaited<ReturnType<BrowserContext["cookies"]>>;

interface Fixtures {
  /** A page of a signed-in browser, empty as yet. */
  signedIn: Page;
}

interface WorkerFixtures {
  api: Api;
  /** The session's newest cookie: it is handed from test to test, since sign-ins are limited and each refresh counts once. */
  session: { cookies: Cookies };
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  api: [async ({}, use) => use(new Api()), { scope: "worker" }],
  session: [async ({}, use) => use({ cookies: [] }), { scope: "worker" }],
  signedIn: async ({ context, page, session }, use) => {
    await context.addCookies(session.cookies);
    const known = session.cookies.length > 0 && (await context.request.post(`${server}/api/v1/auth/refresh`)).ok();
    if (!known) {
      const answer = await context.request.post(`${server}/api/v1/auth/login`, { data: { email, password } });
      if (!answer.ok()) throw new Error(`signing in: ${answer.status()} ${await answer.text()}`);
    }
    await use(page);
    // The page could still be renewing its session; once it is gone the cookie is the last one.
    await page.close();
    session.cookies = await context.cookies();
  },
});

export { expect } from "@playwright/test";
