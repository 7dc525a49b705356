// `deno task guest:kernel [--profile app|device|debug] [--newer]`: builds the small guest kernel, as `spectrum kernel build`.
import { parseArgs } from "node:util";
import {
  buildKernel,
  cacheDir,
  isProfile,
  KernelBuildError,
  KernelFetchError,
  profiles,
  showProgress,
} from "../src/guest/mod.ts";

const { values: { profile, newer } } = parseArgs({
  args: Deno.args.filter((word) => word !== "--"),
  options: {
    profile: { type: "string", default: "app" },
    newer: { type: "boolean", default: false },
  },
});
if (!isProfile(profile)) {
  console.error(
    `There is no profile "${profile}". Those that there are: ${profiles.join(", ")}.`,
  );
  Deno.exit(1);
}

class Interrupted extends Error {}
const control = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(name, () => control.abort(new Interrupted()));
}

try {
  const kernel = await buildKernel({
    profile,
    newer,
    cacheDir: cacheDir(),
    progress: showProgress(),
    signal: control.signal,
  });
  console.log(kernel.vmlinux);
  Deno.exit(0);
} catch (error) {
  if (error instanceof Interrupted) {
    console.error("Interrupted. The next build goes on where this one stopped.");
    Deno.exit(130);
  }
  if (!(error instanceof KernelBuildError || error instanceof KernelFetchError)) throw error;
  console.error(error.message);
  Deno.exit(2);
}
