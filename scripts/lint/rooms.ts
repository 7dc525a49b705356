/** The rooms under `src/`, in the order of what may be built on what: each may import from those before it. */
export const rooms: readonly string[] = [
  "os",
  "codec",
  "memory",
  "virtio",
  "msg",
  "vhost",
  "sandbox",
  "devices",
  "config",
  "agent",
  "kvm",
  "boot",
  "bus",
  "platform",
  "pci",
  "vcpu",
  "machine",
  "control",
  "guest",
  "cli",
];

/** Where a file is: `room` when it is in one, `path` inside the repository otherwise. */
export interface Place {
  readonly room?: string;
  /** Inside the room, else inside the repository. */
  readonly path: string;
}

/** The place of a file, by its absolute path. Undefined outside of the repository. */
export function placeOf(file: string, root: string): Place | undefined {
  if (!file.startsWith(root)) return undefined;
  const path = file.slice(root.length);
  const [, room, inside] = /^src\/([^/]+)\/(.+)$/.exec(path) ?? [];
  return room === undefined ? { path } : { room, path: inside };
}
