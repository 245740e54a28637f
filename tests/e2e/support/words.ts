// The dashboard's own words, so that a test finds a button by its name in each language.
import { readFileSync } from "node:fs";

export type Language = "en" | "nb" | "nn";

type Words = Record<string, Record<string, string>>;

const read = (language: Language): Words =>
  JSON.parse(readFileSync(new URL(`../../../frontend/locales/${language}.json`, import.meta.url), "utf8"));

const all: Record<Language, Words> = { en: read("en"), nb: read("nb"), nn: read("nn") };

/** A text by its key, with its variables filled in. */
export function say(language: Language, key: string, values: Record<string, string | number> = {}): string {
  const [group, name] = key.split(".") as [string, string];
  const text = all[language][group]?.[name];
  if (text === undefined) throw new Error(`there is no text ${key} in ${language}`);
  return text.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, variable: string) => String(values[variable]));
}
