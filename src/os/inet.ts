import { Fd, type Owned } from "./fd.ts";
import { cString, monitor } from "./library.ts";
import { check } from "./os_error.ts";

/** What device requests for network interfaces (`netdevice(7)`) go to. */
export function interfaceSocket(): Owned<Fd> {
  return Fd.own(check(monitor().sp_interface_socket(), "create", "a socket"));
}

/**
 * Sees whether a port of an address could be listened at just now.
 *
 * @throws OsError EADDRINUSE, EACCES for a port that is for root, EADDRNOTAVAIL for an address of others
 */
export function tryPort(protocol: "tcp" | "udp", address: string, port: number): void {
  const result = monitor().sp_try_port(cString(address), port, protocol === "udp" ? 1 : 0);
  check(result, "listen at", `${protocol} port ${port} of ${address}`);
}
