import * as v from "valibot";
import { sandboxModes } from "../sandbox/mod.ts";

/** Everything that the control API takes and gives, as schemas: types, validation and documentation come from here. */

const text = v.string("a string is expected");
const count = v.pipe(
  v.number("a number is expected"),
  v.integer("a whole number is expected"),
  v.minValue(0, "a number of at least 0 is expected"),
);
const time = v.pipe(text, v.isoTimestamp());

function described<S extends v.GenericSchema>(schema: S, description: string) {
  return v.pipe(schema, v.description(description));
}

export const State = v.object({
  state: v.picklist(["starting", "running", "paused", "stopping", "ended"]),
});

export const Queue = v.object({
  index: count,
  size: count,
  enabled: v.boolean(),
  available: described(count, "index of the available ring, modulo 65536"),
  used: described(count, "index of the used ring, modulo 65536"),
});

export const Net = v.object({
  out: v.picklist(["user", "tap"]),
  link: described(v.picklist(["up", "down"]), "whether there is something at the other end"),
  mac: text,
  tap: v.optional(described(text, "the host's interface")),
  publish: described(v.array(text), "ports of the host that lead to the guest"),
  passt: v.optional(described(count, "process id of passt")),
});

export const Limit = v.object({
  operations: v.optional(described(count, "requests a second")),
  bytes: v.optional(described(count, "bytes a second")),
  throttled: described(count, "how often requests had to wait"),
  throttledSeconds: described(v.number(), "how long there were some that waited"),
});

export const Device = v.object({
  name: text,
  kind: text,
  backend: described(
    v.picklist(["worker", "foreign", "vm"]),
    "a worker process of the VM, somebody else's, or in another VM",
  ),
  state: v.picklist(["connected", "away"]),
  away: v.optional(described(text, "whom a device that is away waits for, and why")),
  pid: v.optional(described(count, "process id of the worker")),
  permissions: described(text, "what the worker holds"),
  vsock: v.optional(
    v.object({
      cid: described(count, "the guest's context id"),
      socket: described(text, "where programs of the host connect to ports of the guest"),
    }),
  ),
  restarts: described(count, "how often its backend was replaced"),
  queues: v.array(Queue),
  features: described(text, "negotiated feature bits, in hex"),
  net: v.optional(described(Net, "a network device's way out, where its backend is a worker")),
  limit: v.optional(described(Limit, "rates that the device may have, and what they held back")),
});

export const Devices = v.array(Device);

export const Provided = v.object({
  to: described(text, "the VM that uses it"),
  device: described(text, "as which of its devices"),
  kind: text,
  state: v.picklist(["waiting", "starting", "serving", "failed"]),
  detail: described(text, "whom it waits for, or why it failed"),
});

export const Group = v.object({
  cpu: v.optional(described(v.number(), "processors that they may use")),
  memoryLimitBytes: v.optional(described(count, "bytes that they may have, with the guest's")),
  memoryBytes: described(count, "bytes that they have"),
  cpuSeconds: described(v.number(), "processor time that they have used"),
  throttled: described(count, "how often they had to wait for their share of the processors"),
  throttledSeconds: described(v.number(), "how long"),
});

export const Info = v.object({
  name: text,
  pid: described(count, "process id of the monitor"),
  ...State.entries,
  startedAt: time,
  uptimeSeconds: v.number(),
  cpus: count,
  memoryBytes: count,
  kernel: described(text, "path of the kernel's file"),
  cmdline: text,
  resets: described(count, "how often the guest has rebooted"),
  devices: Devices,
  provides: described(v.array(Provided), "what it provides to other VMs"),
  runtimeDir: text,
  sandbox: described(v.picklist(sandboxModes), "how much of a jail its workers have"),
  limits: v.optional(described(Group, "what all processes of the VM together may use")),
});

export const Config = v.looseObject({
  name: text,
  kernel: text,
  cmdline: text,
  memory: described(count, "bytes"),
  cpus: count,
  disk: v.array(v.looseObject({ readonly: v.boolean() })),
  console: v.looseObject({ to: text, device: v.picklist(["serial", "virtio"]) }),
});

export const Event = v.object({
  time,
  kind: v.picklist([
    "started",
    "paused",
    "resumed",
    "reset",
    "power-button",
    "device-away",
    "device-back",
    "snapshot",
    "ended",
  ]),
  device: v.optional(text),
  detail: v.optional(text),
});

export const Outcome = v.object({
  kind: v.picklist(["off", "reset", "failed"]),
  reason: v.optional(text),
});

export const Stop = v.strictObject({
  graceMs: v.optional(
    described(
      v.pipe(count, v.maxValue(86_400_000, "at most a day is possible")),
      "how long the guest has to power off after its power button, in milliseconds",
    ),
    30_000,
  ),
  force: v.optional(described(v.boolean("true or false is expected"), "end it at once"), false),
});

export const RestartDevice = v.strictObject({
  waitMs: v.optional(
    described(
      v.pipe(count, v.maxValue(86_400_000, "at most a day is possible")),
      "how long the answer may wait for the new backend, in milliseconds",
    ),
    30_000,
  ),
});

export const Snapshot = v.strictObject({
  dir: described(
    v.pipe(text, v.startsWith("/", "an absolute path is expected")),
    "absolute path of a directory that does not exist yet",
  ),
});

export const Problem = v.object({
  error: v.object({
    code: described(
      v.picklist(["http", "request", "not-found", "state", "usage", "host", "internal"]),
      "class of the error",
    ),
    message: described(text, "what was attempted, why it failed, what to do"),
  }),
});

/** Class of an error of the control API. */
export type ProblemCode = v.InferOutput<typeof Problem>["error"]["code"];
