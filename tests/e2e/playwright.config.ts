// Runs against a running installation, which these variables name; `cargo xtask test browser` starts a fresh one and
// sets them all:
//
//   SYNCWATCH_E2E_URL          the dashboard and the API
//   SYNCWATCH_E2E_EMAIL        the demonstration's administrator
//   SYNCWATCH_E2E_PASSWORD
//   SYNCWATCH_E2E_ACCOUNTING   the accounting service that the syncs write to
//   SYNCWATCH_E2E_SOURCE_APP   the app that the records come from
//   SYNCWATCH_E2E_INBOX        the inbox that catches every e-mail
//   SYNCWATCH_E2E_CHROMIUM     the browser; Debian's if left out
//
// The story changes the installation for good (a mended integration cannot be mended again), so it wants a fresh one and
// comes first. The other tests make what they need.
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: ".",
  forbidOnly: true,
  fullyParallel: false,
  retries: 0,
  workers: 1,
  // These only end what hangs: a busy machine may stand still for a while.
  timeout: 300_000,
  expect: { timeout: 60_000 },
  reporter: "list",
  use: {
    baseURL: process.env.SYNCWATCH_E2E_URL,
    browserName: "chromium",
    // Debian's Chromium, which is newer than the one that this version of Playwright would fetch.
    launchOptions: {
      executablePath: process.env.SYNCWATCH_E2E_CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-quic",
        "--disable-sync",
        "--no-first-run",
        // As root, as in a container, Chromium's sandbox cannot be set up.
        ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
      ],
    },
    locale: "en-GB",
    timezoneId: "Europe/Oslo",
    viewport: { width: 1280, height: 900 },
    actionTimeout: 60_000,
    navigationTimeout: 60_000,
    screenshot: "only-on-failure",
    trace: "retain-on-failure",
  },
  projects: [
    { name: "story", testMatch: "story.spec.ts" },
    { name: "pages", testMatch: "pages/*.spec.ts" },
    { name: "connectors", testMatch: "connectors/*.spec.ts" },
  ],
});
