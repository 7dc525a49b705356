import { type NetConfig, parsePublish } from "../../config/mod.ts";
import type { HostResolvers } from "./host_resolvers.ts";

/** passt answers there in the place of a resolver that only the host reaches. */
const FORWARDED_RESOLVER = "169.254.1.1";

/** The largest packet that passt takes and announces. */
export const PASST_MTU = 65520;

/** What of a network device is passt's. */
export type PasstConfig = Pick<NetConfig, "mtu" | "publish" | "dns">;

/**
 * What passt is told: to listen at a socket, to stay in the foreground, and to keep the host's own services, which
 * listen at loopback addresses, away from the guest.
 */
export function passtArguments(
  socket: string,
  { mtu = PASST_MTU, publish, dns }: PasstConfig,
  { reachable, loopback }: HostResolvers,
): string[] {
  const resolvers = dns ?? reachable;
  const ports = publish.map(parsePublish).filter((port) => port !== undefined);
  return [
    ...["--foreground", "--stderr", "--quiet", "--no-map-gw", "--socket", socket],
    ...["--mtu", String(mtu)],
    ...resolvers.flatMap((address) => ["--dns", address]),
    // Later versions announce that address, and ask the host's resolver themselves.
    ...(resolvers.length === 0 && loopback !== undefined
      ? ["--dns-forward", FORWARDED_RESOLVER]
      : []),
    ...ports.flatMap(({ protocol, address, hostPort, guestPort }) => [
      protocol === "tcp" ? "--tcp-ports" : "--udp-ports",
      `${address === undefined ? "" : `${address}/`}${hostPort}:${guestPort}`,
    ]),
  ];
}
