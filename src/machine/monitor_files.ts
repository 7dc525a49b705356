import { dirname } from "node:path";
import { type Fd, pathOf, type PathRule, payload } from "../os/mod.ts";
import type { Reasoned } from "../sandbox/mod.ts";

/** A file or folder that a monitor gets at by its path once it is confined. */
export type MonitorFile = PathRule & Reasoned;

/** What of a VM decides which files its monitor needs. */
export interface FilesOfVm {
  /** Its runtime directory. */
  readonly runtime: string;
  /** Images that are opened once more for each worker. */
  readonly images: readonly Fd[];
  /** Of its control group. */
  readonly group?: readonly PathRule[];
  /** Devices of it are provided by other VMs, or it provides some. */
  readonly meetsOthers: boolean;
}

/** All that a monitor opens, makes and removes by path once its devices are open; all else it has open, or asks its starter. */
export function monitorFiles(
  { runtime, images, group = [], meetsOthers }: FilesOfVm,
): MonitorFile[] {
  const base = dirname(runtime);
  const others: MonitorFile = {
    path: base,
    rights: ["READ_FILE"],
    why: "other VMs say in their directories who they are and whom they wait for",
  };
  const executable: MonitorFile = {
    path: "/proc/self/exe",
    rights: ["READ_FILE"],
    why: "workers run the same executable",
  };
  return [
    {
      path: runtime,
      rights: [
        ...["READ_FILE", "WRITE_FILE", "READ_DIR", "TRUNCATE"] as const,
        ...["MAKE_REG", "MAKE_SOCK", "REMOVE_FILE"] as const,
      ],
      why: "its sockets, what it says of itself, and what its guest printed",
    },
    { path: base, rights: ["REMOVE_DIR"], why: "it removes that directory in the end" },
    ...images.map((image): MonitorFile => ({
      path: pathOf(image),
      rights: ["READ_FILE", "WRITE_FILE"],
      why: "each worker of a disk past the page cache has an open file of its own",
    })),
    ...group.map((rule) => ({ ...rule, why: "it tells of its control group, and leaves it" })),
    ...(meetsOthers ? [others] : []),
    ...(payload().selfContained ? [executable] : []),
  ];
}
