import assert from "node:assert/strict";

/** Rooms whose code runs unchanged on a host and in a device VM. */
const ROOMS = [
  "codec",
  "memory",
  "virtio",
  "vhost",
  "devices/blk",
  "devices/rng",
  "devices/console",
  "devices/net",
];

/** They describe Virtio Wayland, the device, and do not use it. */
const DESCRIPTIONS = /\/virtio\/(wl|mod)\.ts$/;

/** What tells a host from a guest, or one way to a frontend from another. */
const TELLING = [
  /virtioWl|VirtioWl|virtio_wl|Vfd|VFD/,
  /\bcontext:/,
  /\/dev\/wl|\/proc\/|\/sys\//,
  /Deno\.(env|args|hostname|osRelease|systemMemoryInfo|readTextFile)/,
  /navigator\./,
];

function* filesBelow(folder: URL): Generator<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const url = new URL(isDirectory ? `${name}/` : name, folder);
    if (isDirectory) yield* filesBelow(url);
    else if (name.endsWith(".ts") && !name.includes("test")) yield url;
  }
}

Deno.test("above the transport, no code of a device asks or imports where it runs", () => {
  const files = ROOMS.flatMap((room) => [...filesBelow(new URL(`../${room}/`, import.meta.url))])
    .filter(({ pathname }) => !DESCRIPTIONS.test(pathname));
  assert.ok(files.length > 40, `${files.length} files`);
  const found = files.flatMap((file) => {
    const text = Deno.readTextFileSync(file);
    return TELLING.flatMap((pattern) => {
      const [match] = pattern.exec(text) ?? [];
      return match === undefined ? [] : [`${file.pathname}: ${match}`];
    });
  });
  assert.deepEqual(found, []);
});
