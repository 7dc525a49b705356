import { parsePublish, type Publish } from "../../config/mod.ts";
import { OsError, tryPort } from "../../os/mod.ts";
import { MachineError } from "../outcome.ts";

/** Both families, when no address is given. */
const EVERYWHERE = ["0.0.0.0", "::"];

/**
 * Sees to it that the host's side of published ports is free; passt says only that it is not.
 *
 * @throws {MachineError} naming the port, the key and what to do
 */
export function requireFreePorts(device: string, publish: readonly string[]): void {
  for (const [i, text] of publish.entries()) {
    const port = parsePublish(text);
    if (port === undefined) continue;
    for (const address of port.address === undefined ? EVERYWHERE : [port.address]) {
      const reason = whatHinders(port, address);
      if (reason === undefined) continue;
      throw new MachineError(
        "usage",
        `Cannot publish "${text}" (publish[${i}] of ${device}): ${reason}`,
      );
    }
  }
}

function whatHinders({ protocol, hostPort }: Publish, address: string): string | undefined {
  try {
    tryPort(protocol, address, hostPort);
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    const name = `${protocol} port ${hostPort} of this host`;
    switch (error.code) {
      case "EADDRINUSE":
        return `somebody listens at ${name} already. End that, or choose another port.`;
      case "EACCES":
        return `${name} is for root. Choose one from 1024 on, or: ` +
          `sudo sysctl net.ipv4.ip_unprivileged_port_start=${hostPort}`;
      case "EADDRNOTAVAIL":
        return `${address} is no address of this host.`;
    }
    // A host without one of the families publishes by the other.
  }
}
