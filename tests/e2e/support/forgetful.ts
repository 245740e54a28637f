// A bookkeeping system that books what it gets and loses the answer, as a gateway does that gives up on it.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Booking {
  record_id: string;
  reference: string;
}

export class Forgetful {
  #server: Server;
  /** What was booked, oldest first. */
  readonly booked: Booking[] = [];

  private constructor() {
    this.#server = createServer((incoming, outgoing) => this.#take(incoming, outgoing));
  }

  static async start(): Promise<Forgetful> {
    const system = new Forgetful();
    await new Promise<void>((listening) => system.#server.listen(0, "127.0.0.1", listening));
    return system;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  async #take(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    if (incoming.method === "POST") {
      const { id } = JSON.parse(Buffer.concat(chunks).toString()) as { id: string };
      this.booked.push({ record_id: id, reference: `V-${this.booked.length + 1}` });
      outgoing.writeHead(502, { "content-type": "text/plain" }).end("the books did not answer in time");
      return;
    }
    const record = new URL(incoming.url ?? "/", this.address).searchParams.get("record");
    const items = this.booked.filter((one) => one.record_id === record);
    outgoing.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ items }));
  }
}
