// The installation that is tested: its addresses, and who signs in.

function needed(name: string): string {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set: run these tests by \`cargo xtask test browser\``);
  }
  return value.replace(/\/$/, "");
}

export const server = needed("SYNCWATCH_E2E_URL");
export const inbox = needed("SYNCWATCH_E2E_INBOX");
export const accounting = needed("SYNCWATCH_E2E_ACCOUNTING");
export const sourceApp = needed("SYNCWATCH_E2E_SOURCE_APP");
export const email = needed("SYNCWATCH_E2E_EMAIL");
export const password = needed("SYNCWATCH_E2E_PASSWORD");

/** What the accounting service wants to be shown. */
export const accountingToken = process.env.SYNCWATCH_DEMO_ACCOUNTING_TOKEN ?? "demonstration-token";
