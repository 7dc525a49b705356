import type { Purpose } from "../setup/mod.ts";

/** One process that tests something. */
export interface Suite {
  readonly name: string;
  /** Arguments for `deno`. */
  readonly args: readonly string[];
  /** What it is told besides and may be replaced on the command line: files and folders. */
  readonly paths: readonly string[];
  /** `tests`: says itself how many passed. `check`: passes or fails as a whole. */
  readonly counts: "tests" | "check";
  /** Minutes after which it hangs. */
  readonly limit: number;
}

/** A kind of test, chosen by `--only`. */
export interface Kind {
  /** Run only when it is chosen. */
  readonly byHand?: true;
  readonly purposes: readonly Purpose[];
  readonly suites: readonly Suite[];
}

/** Types are checked once, by the kind `check`. */
function testing(
  name: string,
  paths: readonly string[],
  limit: number,
  ...more: readonly string[]
): Suite {
  return { name, args: ["test", "-A", "--no-check", ...more], paths, counts: "tests", limit };
}

function checking(name: string, ...args: string[]): Suite {
  return { name, args, paths: [], counts: "check", limit: 10 };
}

/**
 * The examples of the documentation. They find a VM without a machine, and what they start is one, too: see
 * documented_vm.ts.
 */
export const examples: Suite = {
  name: "examples",
  args: ["test", "-A", "--doc", "--preload", "scripts/test/documented_vm.ts"],
  paths: [
    "mod.ts",
    "docs/library.md",
    "src/agent/agent_error.ts",
    "src/agent/connect_agent.ts",
    "src/agent/copy_to_guest.ts",
    "src/agent/guest_process.ts",
    "src/agent/run_command.ts",
    "src/config/config_error.ts",
    "src/config/read_config.ts",
    "src/config/schema.ts",
    "src/control/errors.ts",
    "src/control/vm.ts",
    "src/control/vm_list.ts",
    "src/devices/blk/blk_device.ts",
    "src/devices/blk/disk.ts",
    "src/devices/console/console_device.ts",
    "src/devices/rng/rng_device.ts",
    "src/machine/log.ts",
    "src/machine/outcome.ts",
    "src/machine/serve_device.ts",
    "src/machine/vm_control.ts",
    "src/os/fd.ts",
    "src/os/library.ts",
    "src/os/os_error.ts",
    "src/os/unix_socket.ts",
    "src/os/window.ts",
    "src/sandbox/lock_down.ts",
    "src/vhost/device_loop.ts",
    "src/virtio/descriptor_chain.ts",
    "src/virtio/device.ts",
    "src/virtio/device_id.ts",
    "src/virtio/virtqueue.ts",
  ],
  counts: "tests",
  limit: 10,
};

/**
 * Kinds that run at the same time, those of a list one after the other: they keep one processor busy each. The lab has two
 * lanes of its own.
 */
export const stages: readonly (readonly (readonly string[])[])[] = [
  [["check", "unit"], ["interop"]],
  [["lab"]],
  [["rules"]],
  [["driver"]],
];

/** Every kind of test. */
export const kinds: Readonly<Record<string, Kind>> = {
  check: {
    purposes: [],
    suites: [
      checking("format", "fmt", "--check"),
      checking("lint", "lint"),
      checking("types", "check", "--quiet"),
    ],
  },
  unit: { purposes: [], suites: [testing("unit", ["src", "scripts", "tests/fuzz"], 20), examples] },
  interop: { purposes: ["test"], suites: [testing("interop", ["tests/interop"], 30)] },
  lab: {
    purposes: ["guest", "lab", "test"],
    // Minutes; what runs by hand may take longer.
    suites: [
      testing(
        "lab",
        ["tests/lab"],
        Number(Deno.env.get("SPECTRUM_LAB_MINUTES") ?? 50),
        "--parallel",
      ),
    ],
  },
  rules: {
    byHand: true,
    purposes: ["test"],
    suites: [testing("rules", ["tests/rules"], 60)],
  },
  driver: {
    byHand: true,
    purposes: ["guest", "lab"],
    suites: [testing("driver", ["tests/driver"], 30)],
  },
};
