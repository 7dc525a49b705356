/** Where the parts of the program that are not this bundle are. */
export interface Payload {
  /** Path of the native library, as dlopen takes it. */
  readonly shim: string;
  /** Path of the starter's executable. */
  readonly starter: string;
  /** Path of the script of vCPU threads. */
  readonly vcpu: string;
  /** Path of the guest's init. */
  readonly init: string;
  /** Path of the agent of guests. */
  readonly agent: string;
  /** The first arguments of a device worker; its kind and options follow. */
  readonly device: readonly string[];
  /** What serves devices in a guest, as a command. */
  readonly serve: readonly string[];
  /** The command line itself: its commands follow. */
  readonly command: readonly string[];
  /** One executable file, rather than a folder of bundles. */
  readonly selfContained: boolean;
}

declare global {
  /** Set by the first line of a bundle. */
  var spectrumPayload: Payload | undefined;
}

/** What Deno is told when it runs one of our bundles: no questions, no caches. */
const commonFlags: readonly string[] = [
  "--no-prompt",
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--no-npm",
  "--no-code-cache",
];

/**
 * Memory protection keys, where the processor has them, would have the engine make new memory executable later on, when
 * threads that are confined may not; without them its code has a place from the start. Short calls of its builtins would
 * have it copy these, in a jail at each start (it sees no limit of memory there): 2 MiB, and 5 ms.
 */
const ENGINE = "--v8-flags=--no-memory-protection-keys,--no-short-builtin-calls";

/** For a worker: one permission. */
export const workerFlags: readonly string[] = [...commonFlags, "--allow-ffi", ENGINE];

/** For the command line and the monitor: the user's own program, which may do everything. */
export const monitorFlags: readonly string[] = [...commonFlags, "--allow-all", ENGINE];

/** The payload of the running bundle; from source, the files of `build/`. */
export function payload(): Payload {
  return globalThis.spectrumPayload ?? fromSource();
}

function fromSource(): Payload {
  const build = (name: string) => new URL(`../../build/${name}`, import.meta.url).pathname;
  return {
    shim: build("libspectrum.so"),
    starter: build("starter"),
    vcpu: build("vcpu.js"),
    init: build("init"),
    agent: build("agent"),
    get device() {
      return [Deno.execPath(), "run", ...workerFlags, build("device.js")];
    },
    get serve() {
      return [Deno.execPath(), "run", ...monitorFlags, build("serve.js")];
    },
    get command() {
      return [Deno.execPath(), "run", ...monitorFlags, build("spectrum.js")];
    },
    selfContained: false,
  };
}
