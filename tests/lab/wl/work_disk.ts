import { basename } from "node:path";
import { banner } from "../../../scripts/build/banner.ts";
import { bundled } from "../../../scripts/build/mod.ts";
import { root } from "../../../scripts/root.ts";
import type { Bench } from "../machine.ts";

const FOLDER = "/scratch/wl";

/** What guest and host run, on the host of the guests. */
export interface WorkDisk {
  readonly folder: string;
  /** Image of a disk with the same, which the guest has in `/work`. */
  readonly image: string;
}

/**
 * Brings programs, as bundles, together with the program's own bundle and the native library.
 *
 * @param programs entry points below `tests/`, without `.ts`; in the guest `/work/NAME.js`
 * @param script a shell script, `/work/test.sh` in the guest
 */
export async function workDisk(
  bench: Bench,
  programs: readonly string[],
  script: string,
): Promise<WorkDisk> {
  const work = `${FOLDER}/work`;
  const image = `${FOLDER}/work.img`;
  await bench.sh(
    `rm -rf ${FOLDER} && mkdir -p ${work} && cd build && cp libspectrum.so spectrum.js device.js starter ${work}`,
  );
  const write = (name: string, text: string) =>
    bench.stage.run({ command: ["sh", "-c", `cat >${work}/${name}`], stdin: text });
  for (const name of programs) {
    const bundle = await bundled(name, `${root}tests/${name}.ts`);
    await write(`${basename(name)}.js`, banner() + bundle);
  }
  await write("test.sh", script);
  const { status, stderr } = await bench.sh(
    `mke2fs -q -t ext4 -O ^has_journal -L guest-work -d ${work} ${image} 8M`,
  );
  if (status !== 0) throw new Error(stderr);
  return { folder: FOLDER, image };
}
