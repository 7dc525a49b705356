import { fnv1a } from "./fnv.ts";

/**
 * The MAC address of a VM's device, the same at every start: locally administered, of a single station. VMs of the
 * same name on two hosts, which may share a network, have different ones.
 */
export function stableMac(vm: string, device: string, host: string = machineId()): string {
  const bytes = [0x02];
  for (let round = 0; bytes.length < 6; round++) {
    bytes.push(hashByte(`${round} ${host} ${vm} ${device}`));
  }
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** What tells this host from others; only some bits of its hash leave it. */
function machineId(): string {
  try {
    return Deno.readTextFileSync("/etc/machine-id").trim();
  } catch {
    return "";
  }
}

/** Eight bits to which all of a text's hash comes. */
function hashByte(text: string): number {
  const hash = fnv1a(text);
  return (hash ^ (hash >>> 16) ^ (hash >>> 8) ^ (hash >>> 24)) & 0xff;
}
