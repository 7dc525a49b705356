import { Fd, openMode, type Window } from "../os/mod.ts";
import type { VirtioDevice } from "../virtio/mod.ts";
import { BlkDevice } from "./blk/mod.ts";
import { ConsoleDevice } from "./console/mod.ts";
import { RngDevice } from "./rng/mod.ts";
import { ArgumentError, type WorkerArguments } from "./worker_arguments.ts";

/** The device that a worker's arguments describe, on the descriptors that they name. */
export function openDevice(
  args: WorkerArguments,
  window: Window,
  log: (text: string) => void,
): VirtioDevice {
  switch (args.kind) {
    case "blk":
      return openBlk(args, window, log);
    case "console": {
      const input = args.number("--in-fd");
      const output = Fd.inherited(args.required("--out-fd"));
      return new ConsoleDevice(window, input === undefined ? input : Fd.inherited(input), output);
    }
    default:
      return new RngDevice();
  }
}

function openBlk(args: WorkerArguments, window: Window, log: (text: string) => void): BlkDevice {
  const disk = Fd.inherited(args.required("--disk-fd"));
  const cache = args.text("--cache") ?? "auto";
  if (cache !== "auto" && cache !== "none") {
    throw new ArgumentError(`--cache is auto or none, not ${cache}`);
  }
  if (cache === "none" && !openMode(disk).direct) {
    throw new ArgumentError("--cache none needs a disk that was opened with O_DIRECT");
  }
  return new BlkDevice(window, {
    disk,
    readonly: args.has("--readonly"),
    queues: args.number("--queues"),
    serial: args.text("--serial"),
    log,
  });
}
