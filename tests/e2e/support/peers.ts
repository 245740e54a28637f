// The systems around Syncwatch, asked directly: what has arrived, which e-mails came, what a record's form holds. And
// those of other people, each in a process of its own.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import type { Page } from "@playwright/test";

import { accounting, accountingToken, inbox, sourceApp } from "./installation.ts";

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
      authorization: `Bearer ${accountingToken}`,
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

/** What a peer has taken, oldest first. */
export interface Log {
  accepted: number;
  duplicates: number;
  records: { record_id: string; reference: string }[];
}

/**
 * Runs the program, waits until its own standard input ends, and kills the program: the input ends with the tests'
 * process, even a killed one. The output is left to the program alone, so that its end is seen.
 */
const UNTIL_INPUT_ENDS = '"$@" </dev/null & child=$!; exec >&-; read -r _; kill -9 "$child"';

/** How long a peer may take until it is ready; this only ends what hangs. */
const PATIENCE_MS = 60_000;

/** A server of other people, from `tests/peers`. */
export class Peer {
  #child: ChildProcess;
  /** Where it listens. */
  readonly address: string;

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
  }

  /** Starts a script of `tests/peers` and waits for its line `ready ADDRESS`. */
  static async start(script: string, ...more: string[]): Promise<Peer> {
    const path = fileURLToPath(new URL(`../../peers/${script}`, import.meta.url));
    const program = [process.execPath, path, "--port", "0", ...more];
    const child = spawn("/bin/sh", ["-c", UNTIL_INPUT_ENDS, "sh", ...program], { stdio: ["pipe", "pipe", "inherit"] });
    // Read on, so that the peer never stands at a full pipe.
    const lines = createInterface({ input: child.stdout! });
    const ended = once(lines, "close").then(() => ["it ended before it was ready"]);
    const signal = AbortSignal.timeout(PATIENCE_MS);
    try {
      const [line] = (await Promise.race([once(lines, "line", { signal }), ended])) as [string];
      const address = /^ready (http:\S+)$/.exec(line)?.[1];
      if (!address) throw new Error(`${script}: ${line}`);
      return new Peer(child, address);
    } catch (error) {
      child.stdin!.end();
      throw error;
    }
  }

  /** What it has taken. */
  async log(): Promise<Log> {
    const answer = await fetch(`${this.address}/_log`);
    if (!answer.ok) throw new Error(`${this.address} answered ${answer.status}`);
    return (await answer.json()) as Log;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.stdin!.end();
    await gone;
  }
}
