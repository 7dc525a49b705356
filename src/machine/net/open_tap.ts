import { Errno, type Fd, ioctl, openFile, OsError, type Owned, TapFlag } from "../../os/mod.ts";
import { MachineError } from "../outcome.ts";

const TUNSETIFF = 0x4004_54ca;
const TUNSETVNETHDRSZ = 0x4004_54d8;
/** Bytes of struct ifreq, and of the name in front. */
const REQUEST = 40;
const NAME = 16;
/** Bytes of virtio_net_hdr of version 1. */
const HEADER = 12;

/**
 * Queues of a tap, which the host may have made before; one that it did not make vanishes with its queues.
 *
 * @param count several need a tap with IFF_MULTI_QUEUE
 * @throws {MachineError} when it cannot be opened
 */
export function openTap(name: string, count: number): Owned<Fd>[] {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length === 0 || bytes.length >= NAME) {
    throw new MachineError("usage", `"${name}" is no name of a tap: it has 1 to 15 bytes.`);
  }
  const queues: Owned<Fd>[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const queue = openFile("/dev/net/tun", { write: true });
      queues.push(queue);
      const request = new Uint8Array(REQUEST);
      request.set(bytes);
      const many = count > 1 ? TapFlag.MultiQueue : 0;
      const flags = TapFlag.Tap | TapFlag.NoPacketInfo | TapFlag.VnetHeader | many;
      new DataView(request.buffer).setUint16(NAME, flags, true);
      ioctl(queue, TUNSETIFF, request);
      ioctl(queue, TUNSETVNETHDRSZ, new Uint8Array(new Uint32Array([HEADER]).buffer));
    }
    return queues;
  } catch (error) {
    for (const queue of queues) queue[Symbol.dispose]();
    if (!(error instanceof OsError)) throw error;
    throw refusal(name, error, count);
  }
}

function refusal(name: string, error: OsError, count: number): MachineError {
  const make = `sudo ip tuntap add dev ${name} mode tap user $USER` +
    (count > 1 ? " multi_queue" : "");
  switch (error.errno) {
    case Errno.ENOENT:
      return new MachineError("host", `${error.message}. Load its driver: sudo modprobe tun`);
    case Errno.EACCES:
      return new MachineError(
        "host",
        `${error.message}. Let users open it: sudo chmod 666 /dev/net/tun`,
      );
    case Errno.EPERM:
      return new MachineError("host", `There is no tap ${name} for you to use. Make one: ${make}`);
    case Errno.EBUSY:
      return new MachineError("host", `The tap ${name} is in use by another program.`);
    case Errno.EINVAL:
      return new MachineError(
        "host",
        `${name} is no tap, or one that has ${count > 1 ? "one queue" : "several queues"}. ` +
          `Make it anew: sudo ip link delete ${name} && ${make}`,
      );
  }
  return new MachineError("host", `Cannot open the tap ${name}: ${error.message}.`);
}
