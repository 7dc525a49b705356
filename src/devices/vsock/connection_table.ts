import type { Connection } from "./connection.ts";

/** Connections that the guest knows, by the ports of both sides. Finding one allocates nothing. */
export class ConnectionTable {
  // Ports as signed numbers, which the engine keeps without an object.
  readonly #byHostPort = new Map<number, Map<number, Connection>>();

  find(guestPort: number, hostPort: number): Connection | undefined {
    return this.#byHostPort.get(hostPort | 0)?.get(guestPort | 0);
  }

  /** Whether a port of ours is in use. */
  hasHostPort(hostPort: number): boolean {
    return this.#byHostPort.has(hostPort | 0);
  }

  add(connection: Connection): void {
    const hostPort = connection.hostPort | 0;
    let guests = this.#byHostPort.get(hostPort);
    if (guests === undefined) this.#byHostPort.set(hostPort, guests = new Map());
    guests.set(connection.guestPort | 0, connection);
  }

  remove({ guestPort, hostPort }: Connection): void {
    const guests = this.#byHostPort.get(hostPort | 0);
    guests?.delete(guestPort | 0);
    if (guests?.size === 0) this.#byHostPort.delete(hostPort | 0);
  }

  clear(): void {
    this.#byHostPort.clear();
  }
}
