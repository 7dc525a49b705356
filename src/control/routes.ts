import type * as v from "valibot";
import { nearest } from "../config/mod.ts";
import { type DeviceInfo, type VmControl, VmStateError } from "../machine/mod.ts";
import { ControlError } from "./errors.ts";
import { metricsText } from "./metrics.ts";
import * as schemas from "./schemas.ts";

/** What a handler is given. */
export interface Call<Body = unknown> {
  readonly vm: VmControl;
  /** The parts of the path that stand in braces. */
  readonly params: Readonly<Record<string, string>>;
  readonly body: Body;
  /** The client has gone. */
  readonly signal: AbortSignal;
}

/** What a route answers with: JSON of a schema, lines of JSON of a schema without end, or text. */
export type AnswerKind =
  | { readonly json: v.GenericSchema }
  | { readonly lines: v.GenericSchema }
  | { readonly text: string };

/** One thing that the control API does. Routing, validation and the OpenAPI document come from the table of these. */
export interface Route {
  readonly method: "GET" | "POST";
  /** Below `/api/v1`; a part in braces is a parameter. */
  readonly path: string;
  /** `operationId` of the document. */
  readonly id: string;
  readonly summary: string;
  readonly body?: v.GenericSchema;
  readonly answer: AnswerKind;
  /** Classes of errors beside those that any request can meet. */
  readonly errors: readonly schemas.ProblemCode[];
  run(call: Call): unknown;
}

/** @throws {ControlError} when there is none of that name */
function deviceNamed(vm: VmControl, name: string): DeviceInfo {
  const { devices } = vm.info();
  const found = devices.find((device) => device.name === name);
  if (found !== undefined) return found;
  const names = devices.map((device) => device.name);
  const near = nearest(name, names);
  const hint = near === undefined ? "" : ` Did you mean "${near}"?`;
  throw new ControlError(
    "not-found",
    `There is no device "${name}".${hint} Those that there are: ${names.join(", ") || "none"}.`,
  );
}

/** A route whose body has the type of its schema. */
function withBody<S extends v.GenericSchema>(
  route: Omit<Route, "run" | "body"> & {
    readonly body: S;
    run(call: Call<v.InferOutput<S>>): unknown;
  },
): Route {
  return { ...route, run: (call) => route.run(call as Call<v.InferOutput<S>>) };
}

const state = ({ vm }: Call) => ({ state: vm.info().state });

/** An action without parameters that answers with the state after it. */
function action(
  id: string,
  summary: string,
  act: (vm: VmControl) => unknown,
): Route {
  return {
    method: "POST",
    path: `/vm/${id}`,
    id,
    summary,
    answer: { json: schemas.State },
    errors: ["state"],
    run: async (call) => {
      await act(call.vm);
      return state(call);
    },
  };
}

/** The control API. */
export const routes: readonly Route[] = [
  {
    method: "GET",
    path: "/vm",
    id: "vm",
    summary: "What the VM is and how it does",
    answer: { json: schemas.Info },
    errors: [],
    run: ({ vm }) => vm.info(),
  },
  {
    method: "GET",
    path: "/vm/config",
    id: "config",
    summary: "Its configuration, with every default filled in",
    answer: { json: schemas.Config },
    errors: [],
    run: ({ vm }) => vm.config,
  },
  {
    method: "GET",
    path: "/vm/state",
    id: "state",
    summary: "Where it is in its life",
    answer: { json: schemas.State },
    errors: [],
    run: state,
  },
  action("pause", "Take all vCPUs out of the guest", (vm) => vm.pause()),
  action("resume", "Let a paused guest go on", (vm) => vm.resume()),
  action("power-button", "Press the power button", (vm) => vm.powerButton()),
  action("reset", "Reset the machine, as its guest itself can", (vm) => vm.reset()),
  withBody({
    method: "POST",
    path: "/vm/stop",
    id: "stop",
    summary: "Press the power button, after a grace time end the VM; answers when it has ended",
    body: schemas.Stop,
    answer: { json: schemas.Outcome },
    errors: [],
    run: async ({ vm, body: { graceMs, force } }) => {
      if (!force) return await vm.stop(graceMs);
      vm.quit();
      return await vm.outcome;
    },
  }),
  withBody({
    method: "POST",
    path: "/vm/snapshot",
    id: "snapshot",
    summary: "Write the state of a paused VM into a directory",
    body: schemas.Snapshot,
    answer: { json: schemas.State },
    errors: ["state", "usage", "host"],
    run: async (call) => {
      await call.vm.snapshot(call.body.dir);
      return state(call);
    },
  }),
  {
    method: "GET",
    path: "/devices",
    id: "devices",
    summary: "All virtio devices",
    answer: { json: schemas.Devices },
    errors: [],
    run: ({ vm }) => vm.info().devices,
  },
  {
    method: "GET",
    path: "/devices/{name}",
    id: "device",
    summary: "One virtio device",
    answer: { json: schemas.Device },
    errors: ["not-found"],
    run: ({ vm, params: { name } }) => deviceNamed(vm, name),
  },
  withBody({
    method: "POST",
    path: "/devices/{name}/restart",
    id: "restart-device",
    summary: "End a device's backend and bring a new one; answers when that is at work, or is late",
    body: schemas.RestartDevice,
    answer: { json: schemas.Device },
    errors: ["not-found", "state"],
    run: async ({ vm, params: { name }, body: { waitMs } }) => {
      deviceNamed(vm, name);
      await vm.restartDevice(name, waitMs);
      return deviceNamed(vm, name);
    },
  }),
  {
    method: "GET",
    path: "/metrics",
    id: "metrics",
    summary: "Counters for Prometheus",
    answer: { text: "text/plain; version=0.0.4; charset=utf-8" },
    errors: [],
    run: ({ vm }) => metricsText(vm),
  },
  {
    method: "GET",
    path: "/events",
    id: "events",
    summary: "What happens from now on, a line of JSON each, until the VM has ended",
    answer: { lines: schemas.Event },
    errors: [],
    run: ({ vm, signal }) => vm.events(signal),
  },
  {
    method: "GET",
    path: "/openapi.json",
    id: "openapi",
    summary: "This description (OpenAPI 3.1)",
    answer: { text: "application/json" },
    errors: [],
    run: async () => JSON.stringify((await import("./openapi.ts")).openApi(), undefined, 2) + "\n",
  },
];

/** The class that an error is answered as. */
export function problemCode(error: unknown): schemas.ProblemCode {
  if (error instanceof ControlError) return error.code;
  if (error instanceof VmStateError) return "state";
  if (error instanceof Error && "fault" in error) {
    if (error.fault === "usage" || error.fault === "host") return error.fault;
  }
  return "internal";
}
