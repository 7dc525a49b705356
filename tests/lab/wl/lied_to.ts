/** A guest whose device lies: what it does, and whether its kernel was harmed. */

import assert from "node:assert/strict";

/** What a guest's kernel says when something of it broke. */
export const BROKEN = /BUG|WARNING|Oops|KASAN|general protection|possible .* deadlock|Call Trace/;

/**
 * A script for the guest: uses the device until that has lied enough, lets go of it, with all that it has announced and sent
 * and nobody took, and looks for leaks where the kernel can.
 */
export const LIED_TO = `
free() {
  for cache in /sys/kernel/slab/*/shrink; do [ ! -e $cache ] || echo 1 >$cache; done
  echo "$1 $(sed -n "s/^MemAvailable: *\\([0-9]*\\).*/\\1/p" /proc/meminfo)"
}
dmesg -c >/dev/null
free before; wl_guest hostile 4; sleep 3
cd /sys/bus/virtio/drivers/virtio_wl; echo virtio* >unbind; cd; sleep 1; free after
leaks=/sys/kernel/debug/kmemleak
if mount -t debugfs d /sys/kernel/debug 2>/dev/null && [ -e $leaks ]; then
  for i in 1 2; do sleep 6; echo scan >$leaks; done
  head -n 60 $leaks; echo "kmemleak has looked"
fi
dmesg | grep -E "${BROKEN.source}"`;

/**
 * @param output of {@linkcode LIED_TO}
 * @param isWatched the kernel has KASAN and kmemleak
 * @param said by the device
 */
export function assertUnbroken(output: string, isWatched: boolean, said: string): void {
  assert.match(output, /wl: hostile ok/, `${output}\n${said}`);
  assert.doesNotMatch(output, /failed|Call Trace|unreferenced object/, `${output}\n${said}`);
  assert.equal(/kmemleak has looked/.test(output), isWatched, output);
  const [, before, after] = /before (\d+)[^]*after (\d+)/.exec(output) ?? [];
  assert.ok(Number(before) - Number(after) < 8192, `${before} KiB were free, then ${after}`);
}
