import { root } from "../root.ts";

/**
 * Begins to build the small kernels of the lab's tests, if they are not there, while other tests leave a processor idle.
 * Who needs one waits for it (it is locked), and tells what went wrong.
 */
export function beginKernels(): void {
  const build = `"$0" run -A --no-prompt scripts/spectrum.ts kernel build`;
  new Deno.Command("nice", {
    args: ["sh", "-c", `${build}; ${build} --profile device`, Deno.execPath()],
    cwd: root,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn().unref();
}
