import { type Fd, interfaceSocket, ioctl, OsError, type Owned } from "../../os/mod.ts";
import { RequestError } from "../../msg/mod.ts";
import { openTap } from "../../machine/mod.ts";

/** `struct ifreq`, `netdevice(7)`: a name of 16 bytes, then a number. */
const IFREQ_SIZE = 40;
const IFREQ_VALUE = 16;

/** `include/uapi/linux/sockios.h`. */
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCGIFMTU = 0x8921;
const SIOCSIFMTU = 0x8922;
const SIOCGIFINDEX = 0x8933;
const SIOCBRADDBR = 0x89a0;
const SIOCBRADDIF = 0x89a2;
const IFF_UP = 1;

/** What another VM gets of an interface. */
export interface InterfaceShare {
  /** Goes with its last descriptor. */
  readonly tap: Owned<Fd>;
  readonly mtu: number;
}

let lastTap = 0;

/**
 * Puts another VM on the network of an interface of this one: a tap for it, and a bridge between both. This VM itself
 * has no address there, and sees what passes without being part of it.
 *
 * @throws RequestError `unusable` when there is no such interface, or the kernel lacks something
 */
export function shareInterface(name: string): InterfaceShare {
  try {
    using socket = interfaceSocket();
    const bridge = `br-${name}`.slice(0, 15);
    const index = numberOf(socket, SIOCGIFINDEX, name);
    const mtu = numberOf(socket, SIOCGIFMTU, name);
    makeBridge(socket, bridge);
    join(socket, bridge, name, index);
    const tapName = `tap${lastTap++}`;
    const [tap] = openTap(tapName, 1);
    using opened = tap;
    ask(socket, SIOCSIFMTU, tapName, mtu);
    join(socket, bridge, tapName, numberOf(socket, SIOCGIFINDEX, tapName));
    return { tap: opened.move(), mtu };
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    const reason = error.code === "ENODEV" ? "there is no such interface" : error.message;
    throw new RequestError("unusable", `the network of ${name} cannot be shared: ${reason}`);
  }
}

function makeBridge(socket: Fd, bridge: string): void {
  try {
    ioctl(socket, SIOCBRADDBR, request(bridge).subarray(0, IFREQ_VALUE));
  } catch (error) {
    // Another VM is on it, or was.
    if (!(error instanceof OsError) || error.code !== "EEXIST") throw error;
  }
  bringUp(socket, bridge);
}

function join(socket: Fd, bridge: string, name: string, index: number): void {
  try {
    ask(socket, SIOCBRADDIF, bridge, index);
  } catch (error) {
    if (!(error instanceof OsError) || error.code !== "EBUSY") throw error;
  }
  bringUp(socket, name);
}

/** Without an address of its own, of the newer kind too. */
function bringUp(socket: Fd, name: string): void {
  try {
    Deno.writeTextFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, "1");
  } catch (error) {
    // A kernel without IPv6.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  ask(socket, SIOCSIFFLAGS, name, numberOf(socket, SIOCGIFFLAGS, name) | IFF_UP);
}

function request(name: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(IFREQ_SIZE);
  bytes.set(new TextEncoder().encode(name).subarray(0, IFREQ_VALUE - 1));
  return bytes;
}

function ask(socket: Fd, what: number, name: string, value: number): void {
  const bytes = request(name);
  new DataView(bytes.buffer).setUint32(IFREQ_VALUE, value, true);
  ioctl(socket, what, bytes);
}

/** Flags have 16 bits; what follows them there is none of ours. */
function numberOf(socket: Fd, what: number, name: string): number {
  const bytes = request(name);
  ioctl(socket, what, bytes);
  const view = new DataView(bytes.buffer);
  return what === SIOCGIFFLAGS
    ? view.getUint16(IFREQ_VALUE, true)
    : view.getUint32(IFREQ_VALUE, true);
}
