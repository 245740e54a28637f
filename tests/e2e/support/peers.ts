// The systems around Syncwatch, asked directly: what has arrived, which e-mails came, what a record's form holds.
import type { Page } from "@playwright/test";

import { accounting, inbox, sourceApp } from "./installation.ts";

/** One record that the accounting service has taken. */
export interface Booked {
  kind: "voucher" | "participant" | "member";
  reference: string;
  record: Record<string, string>;
}

/** The accounting service's own log, oldest first. */
export async function booked(): Promise<Booked[]> {
  const answer = await fetch(`${accounting}/api/log`);
  return (await answer.json()).items;
}

/** What the accounting service says to a record that breaks its rules. */
export async function refusal(record: Record<string, string>): Promise<{ detail: string; pointer: string }[]> {
  const answer = await fetch(`${accounting}/api/vouchers`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${process.env.SYNCWATCH_DEMO_ACCOUNTING_TOKEN ?? "demonstration-token"}`,
      "content-type": "application/json",
    },
    body: JSON.stringify(record),
  });
  if (answer.status !== 422) throw new Error(`the accounting service answered ${answer.status}, and not 422`);
  return (await answer.json()).errors;
}

export interface Mail {
  subject: string;
  text: string;
  html: string;
  to: { address: string }[];
  headers: Record<string, string>;
}

/** The e-mails about something, oldest first. */
export async function mails(subject: string): Promise<Mail[]> {
  const answer = await fetch(`${inbox}/email`);
  const all: Mail[] = await answer.json();
  return all.filter((mail) => mail.subject.includes(subject));
}

/** The fields of a record's page in the source app. */
export async function formOf(page: Page): Promise<Record<string, string>> {
  const inputs = await page.locator("form input").all();
  const pairs = inputs.map(async (input) => [await input.getAttribute("name"), await input.inputValue()]);
  return Object.fromEntries(await Promise.all(pairs));
}

/** Corrects a record by the source app's form, without its page. */
export async function correct(id: string, change: Record<string, string>): Promise<void> {
  const answer = await fetch(`${sourceApp}/claims/${id}`, {
    method: "POST",
    body: new URLSearchParams(change),
    redirect: "manual",
  });
  if (answer.status !== 303) throw new Error(`the source app answered ${answer.status} to the correction of ${id}`);
}
