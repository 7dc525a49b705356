import { type Fd, openFile, payload } from "../os/mod.ts";
import { type Child, type Starter, workerEnvironment } from "../sandbox/mod.ts";

/** A device implementation and the descriptors that it is handed. */
export type WorkerDevice =
  | {
    readonly kind: "blk";
    readonly disk: Fd;
    readonly readonly: boolean;
    readonly cache: "auto" | "none";
    readonly queues: number;
    readonly serial?: string;
  }
  | { readonly kind: "rng" }
  | { readonly kind: "console"; readonly input?: Fd; readonly output: Fd };

/** Where a worker finds its frontend: a connected socket, or one that listens. */
export type WorkerConnection = { readonly connected: Fd } | { readonly listening: Fd };

/** Descriptor numbers in the worker; 0 to 2 are the standard streams. */
const CONNECTION_FD = 3;
const FIRST_DEVICE_FD = 4;

/** Starts a device worker through the starter; the descriptors are borrowed. */
export async function startWorker(
  starter: Starter,
  device: WorkerDevice,
  connection: WorkerConnection,
): Promise<Child> {
  const descriptors: { fd: Fd; as: number }[] = [];
  const hand = (fd: Fd): string => {
    const as = FIRST_DEVICE_FD + descriptors.length;
    descriptors.push({ fd, as });
    return String(as);
  };
  const words = deviceWords(device, hand);
  const [flag, socket] = "connected" in connection
    ? ["--fd", connection.connected]
    : ["--listen-fd", connection.listening];
  const { device: command, selfContained } = payload();
  // One executable is a worker by its name; its file may have been replaced since we started.
  using program = selfContained ? openFile("/proc/self/exe") : undefined;
  return await starter.start({
    argv: [...command, device.kind, flag, String(CONNECTION_FD), ...words],
    env: workerEnvironment(),
    descriptors: [{ fd: socket, as: CONNECTION_FD }, ...descriptors],
    program,
  });
}

function deviceWords(device: WorkerDevice, hand: (fd: Fd) => string): string[] {
  switch (device.kind) {
    case "blk":
      return [
        "--disk-fd",
        hand(device.disk),
        "--queues",
        String(device.queues),
        "--cache",
        device.cache,
        ...(device.readonly ? ["--readonly"] : []),
        ...(device.serial === undefined ? [] : ["--serial", device.serial]),
      ];
    case "rng":
      return [];
    case "console":
      return [
        ...(device.input === undefined ? [] : ["--in-fd", hand(device.input)]),
        "--out-fd",
        hand(device.output),
      ];
  }
}
