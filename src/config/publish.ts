/** A port of the host that leads to one of the guest. */
export interface Publish {
  readonly protocol: "tcp" | "udp";
  /** Where the host listens; every address when left out. */
  readonly address?: string;
  readonly hostPort: number;
  readonly guestPort: number;
}

const PORT = "([0-9]{1,5})";
const IPV4 = String.raw`(?:\d{1,3}\.){3}\d{1,3}`;
const IPV6 = String.raw`\[[0-9a-fA-F:.]{2,45}\]`;
const FORM = new RegExp(`^(?:(${IPV4}|${IPV6}):)?${PORT}:${PORT}(?:/(tcp|udp))?$`);

/** Reads `8080:80`, `127.0.0.1:2222:22`, `[::1]:8080:80` or `5353:53/udp`: undefined when it is none of those. */
export function parsePublish(text: string): Publish | undefined {
  const [, address, host, guest, protocol = "tcp"] = FORM.exec(text) ?? [];
  const [hostPort, guestPort] = [Number(host), Number(guest)];
  const bare = address?.replace(/^\[(.*)\]$/, "$1");
  if (!isPort(hostPort) || !isPort(guestPort)) return undefined;
  if (bare !== undefined && !isIpAddress(bare)) return undefined;
  return {
    protocol: protocol === "udp" ? "udp" : "tcp",
    ...(bare === undefined ? {} : { address: bare }),
    hostPort,
    guestPort,
  };
}

/** Whether nobody can listen for both at once. */
export function collide(a: Publish, b: Publish): boolean {
  return a.protocol === b.protocol && a.hostPort === b.hostPort &&
    (a.address === b.address || a.address === undefined || b.address === undefined);
}

/** Whether a text is an IPv4 or IPv6 address. */
export function isIpAddress(text: string): boolean {
  return /^(\d{1,3}\.){3}\d{1,3}$/.test(text)
    ? text.split(".").every((part) => Number(part) <= 255)
    : text.includes(":") && URL.canParse(`http://[${text}]/`);
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65535;
}
