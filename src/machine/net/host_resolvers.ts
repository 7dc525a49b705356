/** Where a host says which resolvers its programs ask. */
const RESOLV_CONF = "/etc/resolv.conf";
/** Where systemd-resolved, which listens at a loopback address, says whom it asks itself. */
const RESOLVED = "/run/systemd/resolve/resolv.conf";

/** The host's resolvers. */
export interface HostResolvers {
  /** Those that a guest can ask. */
  readonly reachable: readonly string[];
  /** One that only the host's own programs can ask, where there is no other. */
  readonly loopback?: string;
}

/** Reads which resolvers this host has. */
export function hostResolvers(read: (path: string) => string = readIfThere): HostResolvers {
  const own = nameservers(read(RESOLV_CONF));
  const reachable = own.filter((address) => !isLoopback(address));
  if (reachable.length > 0) return { reachable };
  const upstream = nameservers(read(RESOLVED)).filter((address) => !isLoopback(address));
  if (upstream.length > 0) return { reachable: upstream };
  return { reachable: [], ...(own.length > 0 ? { loopback: own[0] } : {}) };
}

/** Addresses without a zone: one of a link of the host means nothing to a guest. */
function nameservers(text: string): string[] {
  return text.split("\n")
    .map((line) => /^\s*nameserver\s+([0-9a-fA-F:.]+)\s*$/.exec(line)?.[1])
    .filter((address) => address !== undefined);
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1" || address === "0.0.0.0";
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
