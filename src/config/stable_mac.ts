const FNV_PRIME = 0x01000193;
const FNV_BASIS = 0x811c9dc5;

/**
 * The MAC address of a VM's device, the same at every start: locally administered, of a single station. VMs of the
 * same name on two hosts, which may share a network, have different ones.
 */
export function stableMac(vm: string, device: string, host: string = machineId()): string {
  const bytes = [0x02];
  for (let round = 0; bytes.length < 6; round++) {
    bytes.push(fnv(`${round} ${host} ${vm} ${device}`) & 0xff);
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

/** FNV-1a, 32 bits, with all of its bits in the lowest ones. */
function fnv(text: string): number {
  let hash = FNV_BASIS;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, FNV_PRIME) >>> 0;
  }
  return hash ^ (hash >>> 16) ^ (hash >>> 8) ^ (hash >>> 24);
}
