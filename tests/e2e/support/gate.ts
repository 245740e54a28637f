// A gate on the way to an external system: it counts what passes and can hold requests back, so that a sync can be looked
// at while it runs, however fast the machine is.
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export class Gate {
  #server: Server;
  #free = 0;
  #held: (() => void)[] = [];
  /** Bodies of the requests that came, in order. */
  readonly came: string[] = [];

  private constructor(target: string) {
    this.#server = createServer((incoming, outgoing) => this.#take(target, incoming, outgoing));
  }

  /** Opens a gate before `target` through which `free` requests pass; the others wait for `open`. */
  static async before(target: string, free: number): Promise<Gate> {
    const gate = new Gate(target);
    gate.#free = free;
    await new Promise<void>((listening) => gate.#server.listen(0, "127.0.0.1", listening));
    return gate;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Lets everything pass. */
  open(): void {
    this.#free = Number.POSITIVE_INFINITY;
    for (const go of this.#held.splice(0)) go();
  }

  async close(): Promise<void> {
    this.open();
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  async #take(target: string, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    this.came.push(body.toString());
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((go) => this.#held.push(go));
    const headers = { ...incoming.headers };
    delete headers.host;
    const onward = request(`${target}${incoming.url}`, { method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    onward.end(body);
  }
}
