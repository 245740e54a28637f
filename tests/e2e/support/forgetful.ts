// A bookkeeping system that books what it gets and loses the answer, as a gateway does that gives up on it; or that loses
// the first request before anything is booked, or the first answer alone, and takes the others.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Booking {
  record_id: string;
  reference: string;
}

/** What it loses. */
type Lost = "answers" | "the first request" | "the first answer";

export class Forgetful {
  #server: Server;
  #loses: Lost;
  #requests = 0;
  /** What was booked, oldest first. */
  readonly booked: Booking[] = [];

  private constructor(loses: Lost) {
    this.#loses = loses;
    this.#server = createServer((incoming, outgoing) => this.#take(incoming, outgoing));
  }

  static async start(loses: Lost = "answers"): Promise<Forgetful> {
    const system = new Forgetful(loses);
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
      this.#requests += 1;
      if (this.#loses === "the first request" && this.#requests === 1) {
        incoming.socket.destroy();
        return;
      }
      const { id } = JSON.parse(Buffer.concat(chunks).toString()) as { id: string };
      const reference = `V-${this.booked.length + 1}`;
      this.booked.push({ record_id: id, reference });
      if (this.#loses !== "answers" && !(this.#loses === "the first answer" && this.#requests === 1)) {
        outgoing.writeHead(201, { "content-type": "application/json" }).end(JSON.stringify({ reference }));
        return;
      }
      outgoing.writeHead(502, { "content-type": "text/plain" }).end("the books did not answer in time");
      return;
    }
    const record = new URL(incoming.url ?? "/", this.address).searchParams.get("record");
    const items = this.booked.filter((one) => one.record_id === record);
    outgoing.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ items }));
  }
}
