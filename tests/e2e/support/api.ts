// The API as a third party would use it, beside the browser: to prepare what a test needs, and to compare.
import { randomUUID } from "node:crypto";

import { email, password, server } from "./installation.ts";
import type { Language } from "./words.ts";

/** An access token lives ten minutes; a new one is asked for well before. */
const TOKEN_LIFE_MS = 8 * 60_000;

export interface Light {
  light: "red" | "yellow" | "green" | "grey";
  reasons: { code: string; count?: number }[];
}

export interface Integration {
  id: string;
  name: string;
  connector_type: string;
  sync_type: string;
  health: Light;
  last_sync: { id: string; status: string; records_total: number } | null;
  consecutive_failures: number;
}

export interface Sync {
  id: string;
  integration_config_id: string;
  status: string;
  records_total: number;
  records_processed: number;
  records_failed: number;
  error_message: string | null;
  retry_count: number;
  duration_ms: number;
  started_at: string;
  completed_at: string;
}

export interface RecordOutcome {
  source_record_type: string;
  source_record_id: string;
  label: string;
  outcome: string;
  state: string | null;
  request_payload_hash: string;
  external_reference_id: string | null;
  errors: { code: string; message: string; field: string; field_name: string }[];
  record_url: string;
}

export interface Notification {
  id: string;
  kind: "incident_opened" | "incident_resolved";
  integration_config_id: string;
  sync_id: string | null;
}

interface Answer {
  status: number;
  etag: string | null;
  // Each caller knows what it asked for.
  body: any;
}

/** A caller with the administrator's token. */
export class Api {
  #token: string | undefined;
  #since = 0;

  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const answer = await fetch(`${server}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${await this.#fresh()}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(method === "POST" ? { "idempotency-key": randomUUID() } : {}),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) {
      throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    }
    return { status: answer.status, etag: answer.headers.get("etag"), body: text ? JSON.parse(text) : undefined };
  }

  async get<T = any>(path: string): Promise<T> {
    return (await this.call("GET", path)).body;
  }

  async post<T = any>(path: string, body?: unknown): Promise<T> {
    return (await this.call("POST", path, body)).body;
  }

  async integrations(): Promise<Integration[]> {
    return (await this.get("/integrations")).items;
  }

  async integration(name: string): Promise<Integration> {
    const found = (await this.integrations()).find((one) => one.name === name);
    if (!found) throw new Error(`there is no integration ${name}`);
    return found;
  }

  sync(id: string): Promise<Sync> {
    return this.get(`/sync-logs/${id}`);
  }

  async records(sync: string, outcome: string): Promise<RecordOutcome[]> {
    return (await this.get(`/sync-logs/${sync}/records?outcome=${outcome}&limit=200`)).items;
  }

  notifications(): Promise<{ items: Notification[]; unread: number }> {
    return this.get("/notifications?limit=200");
  }

  /** Changes an integration's connector settings; where they lead to another host, its credentials are needed again. */
  async changeSettings(id: string, change: Record<string, unknown>, credentials: Record<string, string>): Promise<void> {
    const { body, etag } = await this.call("GET", `/integrations/${id}`);
    const patch = { settings: { ...body.settings, ...change }, credentials };
    await this.call("PATCH", `/integrations/${id}`, patch, etag ? { "if-match": etag } : {});
  }

  async speak(language: Language): Promise<void> {
    await this.call("PATCH", "/me", { language });
  }

  /** An integration of this test's own, whose syncs somebody else's job reports. */
  createExternal(name: string): Promise<Integration> {
    return this.post("/integrations", {
      name,
      connector_type: "other",
      sync_type: "portal_event",
      runner: "external",
    });
  }

  /** Reports a sync that has just ended. */
  async report(integration: Integration, end: { failed?: string[]; delivered?: number }): Promise<Sync> {
    const completed = new Date();
    const failed = (end.failed ?? []).map((label) => ({
      source_record_type: "portal_events",
      source_record_id: randomUUID(),
      label,
      outcome: "failed",
      errors: [{ code: "UNKNOWN_EVENT", message: "The event is not known", field: "/event", field_name: "eventId" }],
      http_status_code: 422,
    }));
    const delivered = Array.from({ length: end.delivered ?? 0 }, (_, index) => ({
      source_record_type: "portal_events",
      source_record_id: randomUUID(),
      label: `Delivered ${index + 1}`,
      outcome: "succeeded",
      external_reference_id: randomUUID(),
    }));
    return this.post("/sync-logs/finished", {
      integration_config_id: integration.id,
      connector_type: integration.connector_type,
      sync_type: integration.sync_type,
      triggered_by: "automatic",
      started_at: new Date(completed.getTime() - 1_200).toISOString(),
      completed_at: completed.toISOString(),
      status: failed.length > 0 ? "failed" : "success",
      ...(failed.length > 0
        ? { error_code: "PARTIAL_FAILURE", error_message: "The event is not known", http_status_code: 422 }
        : {}),
      records_total: failed.length + delivered.length,
      records: [...failed, ...delivered],
    });
  }

  async #fresh(): Promise<string> {
    if (!this.#token || Date.now() - this.#since > TOKEN_LIFE_MS) {
      const answer = await fetch(`${server}/api/v1/auth/login`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ email, password }),
      });
      if (!answer.ok) throw new Error(`signing in: ${answer.status} ${await answer.text()}`);
      this.#token = (await answer.json()).access_token as string;
      this.#since = Date.now();
    }
    return this.#token;
  }
}
