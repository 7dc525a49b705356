/**
 * The entry of what `deno compile` makes. Files that it includes have no path that the system knows, so those that the
 * system has to open become sealed memory files. The role is the first argument.
 */

import { workerFlags } from "../../src/os/mod.ts";

const DEVICE_ROLE = "spectrum-device";
/** linux/memfd.h, linux/fcntl.h */
const MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2, F_ADD_SEALS = 1033, ALL_SEALS = 1 | 2 | 4 | 8;

const SERVE_ROLE = "spectrum-serve";
const [role, ...words] = Deno.args;
const isDevice = role === DEVICE_ROLE;
const build = (name: string) => new URL(`../../build/${name}`, import.meta.url);

function payload() {
  // deno-lint-ignore spectrum/no-raw-descriptor -- the library that does such things is yet to be loaded from here
  const libc = Deno.dlopen("libc.so.6", {
    memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
    fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  });
  const memoryFile = (name: string): number => {
    const title = new TextEncoder().encode(`${name}\0`);
    const fd = libc.symbols.memfd_create(title, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) throw new Error(`Cannot make a memory file for ${name}`);
    Deno.writeFileSync(`/proc/self/fd/${fd}`, Deno.readFileSync(build(name)));
    libc.symbols.fcntl(fd, F_ADD_SEALS, ALL_SEALS);
    return fd;
  };
  const own = (name: string) => `/proc/self/fd/${memoryFile(name)}`;
  const shim = own("libspectrum.so");
  // By its path, which is in the worker's root: the runtime opens itself by it.
  const device = [Deno.execPath(), DEVICE_ROLE];
  const serve = [SERVE_ROLE, SERVE_ROLE];
  const command = ["/proc/self/exe"];
  const ours = { shim, device, serve, command, selfContained: true };
  if (isDevice) return { ...ours, starter: "", vcpu: "", init: "", agent: "" };
  return {
    ...ours,
    starter: `/proc/${Deno.pid}/fd/${memoryFile("starter")}`,
    vcpu: own("vcpu.js"),
    init: own("init"),
    agent: own("agent"),
  };
}

globalThis.spectrumPayload = payload();
if (isDevice) {
  // What was compiled in is everything; a worker begins with what it is given elsewhere, too.
  const kept = workerFlags.filter((flag) => flag.startsWith("--allow-")).map((flag) =>
    flag.slice(8)
  );
  for (const name of ["run", "write", "read", "net", "env", "sys", "import", "ffi"]) {
    if (!kept.includes(name)) Deno.permissions.revokeSync({ name } as Deno.PermissionDescriptor);
  }
  Object.defineProperty(Deno, "args", { value: words });
  await import("../../build/device.js");
} else if (role === SERVE_ROLE) {
  await import("../../build/serve.js");
} else {
  await import("../../build/spectrum.js");
}
