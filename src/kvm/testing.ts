/** For tests. */

/** Whether this user may open /dev/kvm; what needs it is left out otherwise. */
export const kvmOpens = canOpen("/dev/kvm");

function canOpen(path: string): boolean {
  try {
    Deno.openSync(path, { read: true, write: true }).close();
    return true;
  } catch {
    return false;
  }
}
