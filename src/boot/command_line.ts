import type { GuestMemory } from "../memory/mod.ts";
import { KernelError } from "./kernel_error.ts";
import { CMDLINE_ADDRESS, CMDLINE_SPACE } from "./layout.ts";

/**
 * Writes the command line with its NUL; gives its address. `limit` is the kernel's, without the NUL.
 * Throws KernelError ("bad-cmdline").
 */
export function writeCommandLine(
  memory: GuestMemory,
  text: string,
  limit: number,
  kernel: string,
): number {
  const data = new TextEncoder().encode(text);
  const allowed = Math.min(limit, CMDLINE_SPACE - 1);
  if (data.length > allowed) {
    throw new KernelError(
      "bad-cmdline",
      kernel,
      `the command line is ${data.length} bytes long, this kernel takes ${allowed}`,
    );
  }
  if (data.includes(0)) {
    throw new KernelError("bad-cmdline", kernel, "the command line contains a NUL");
  }
  memory.write(CMDLINE_ADDRESS, data);
  memory.write(CMDLINE_ADDRESS + data.length, new Uint8Array(1));
  return CMDLINE_ADDRESS;
}
