import { join } from "node:path";
import { type Fd, type Owned, peerOf } from "../../os/mod.ts";
import type { Dialer } from "../dialer.ts";
import { isRunning, readRecord, type VmRecord } from "../runtime_dir.ts";

/** Path of the socket at which a VM waits for the backend of one of its devices. */
export function deviceSocket(runtime: string, device: string): string {
  return join(runtime, `${device}.sock`);
}

/** What a VM that runs says of itself. */
function recordOf(vm: string, base: string): VmRecord | undefined {
  const directory = join(base, vm);
  return isRunning(directory) ? readRecord(directory) : undefined;
}

/** Whether a process is the monitor of a VM, or the starter that connects for it. */
export function isMonitorOf(vm: string, pid: number, base: string): boolean {
  const record = recordOf(vm, base);
  return record?.pid === pid || record?.starter === pid;
}

/** Who waits for whom, and for what. */
export interface Provision {
  /** The VM in which the backend runs. */
  readonly provider: string;
  /** The VM that uses the device. */
  readonly user: string;
  readonly device: string;
}

/** Why a user's device has no backend, as far as the provider's own words tell. */
export function whatProviderLacks({ provider, user, device }: Provision, base: string): string {
  const record = recordOf(provider, base);
  if (record === undefined) return `waits for the VM "${provider}", which does not run`;
  return record.provides?.includes(`${user}/${device}`)
    ? `waits for the VM "${provider}", which runs and is to serve it`
    : `waits for the VM "${provider}", which runs and does not provide it: its file needs [[provides]] with ` +
      `to = "${user}", device = "${device}"`;
}

/** Why a provider cannot serve a user's device now; undefined when it is waited for. */
export function whatUserLacks(
  { provider, user, device }: Provision,
  base: string,
): string | undefined {
  const record = recordOf(user, base);
  if (record === undefined) return `waits for the VM "${user}", which does not run`;
  const named = record.providers?.[device];
  if (named !== provider) {
    const instead = named === undefined ? "" : `, but provider = "vm:${named}"`;
    return `waits for the VM "${user}", whose ${device} does not have provider = "vm:${provider}"${instead}`;
  }
  return exists(deviceSocket(join(base, user), device))
    ? undefined
    : `waits for the VM "${user}", which has a backend for it`;
}

/**
 * A connection to a user that waits for its device's backend.
 *
 * @throws OsError when nobody listens; Error when it is not that VM's monitor who does
 */
export function connectToUser(
  { user, device }: Provision,
  base: string,
  dialer: Dialer,
): Owned<Fd> {
  using connection = dialer.connect(deviceSocket(join(base, user), device));
  const { pid } = peerOf(connection);
  if (!isMonitorOf(user, pid, base)) {
    throw new Error(
      `process ${pid}, which waits for ${device}, is not the monitor of the VM "${user}"`,
    );
  }
  return connection.move();
}

function exists(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch {
    return false;
  }
}
