import type { Command } from "commander";
import {
  buildImage,
  cacheDir,
  dataDir,
  ImageStore,
  type ListedImage,
  showProgress,
} from "../guest/mod.ts";
import { payload } from "../os/mod.ts";
import { Interrupted } from "./exit_status.ts";
import { repeated } from "./option_values.ts";
import { printJson, size, table } from "./output.ts";
import { addExamples } from "./vm_command.ts";

const BUILD_NOTES = `
Takes about a minute; Ctrl-C interrupts it, and what was downloaded by then is not downloaded again. The image that the
name had before stays until the new one is whole. The script runs as root inside the new system, before it has ever booted.`
  .trim();

interface BuildFlags {
  readonly package?: readonly string[];
  readonly run?: string;
  readonly release?: string;
  readonly mirror?: string;
}

/** `spectrum image …`: root file systems for VMs. */
export function addImageCommand(program: Command): void {
  const image = program.command("image").description("root file systems for VMs");
  addExamples(image, ["image build web --package nginx-light"]);
  addBuild(image);
  const list = image.command("list")
    .description("the images, and which VMs keep changes on top of them")
    .option("--json", "as data")
    .option("-q, --quiet", "only names")
    .action(async ({ json, quiet }: { json?: boolean; quiet?: boolean }) => {
      const images = await store().list();
      if (json) printJson(images);
      else if (quiet) images.forEach(({ name }) => console.log(name));
      else console.log(imageTable(images));
    });
  addExamples(list, ["image list"]);
  const remove = image.command("rm")
    .description("remove images; one that a VM keeps changes on top of is refused")
    .argument("<image...>", "name of the image")
    .action(async (names: string[]) => {
      for (const name of names) await store().remove(name);
    });
  addExamples(remove, ["image rm web"]);
  const reset = image.command("reset")
    .description(
      "throw away what VMs wrote on top of their images; they begin anew with the newest build",
    )
    .argument("<name...>", "name of the VM")
    .action(async (vms: string[]) => {
      const { isRunning, runtimeBase } = await import("../machine/mod.ts");
      for (const vm of vms) await store().reset(vm, () => isRunning(`${runtimeBase()}/${vm}`));
    });
  addExamples(reset, ["image reset web"]);
}

function addBuild(image: Command): void {
  const build = image.command("build")
    .description("build a Debian root file system with systemd")
    .argument("<image>", "name of the image")
    .option("--package <package>", "a Debian package that it has (repeatable)", repeated)
    .option("--run <file>", "a script that runs in it when the packages are installed")
    .option("--release <release>", "Debian's release, by default bookworm")
    .option("--mirror <uri>", "archive to use instead of those that this machine uses")
    .action(async (name: string, flags: BuildFlags) => {
      const abort = new AbortController();
      const interrupt = () =>
        abort.abort(new Interrupted("Interrupted; what was downloaded is kept."));
      Deno.addSignalListener("SIGINT", interrupt);
      const { base, size: bytes } = await buildImage({
        ...{ name, store: store(), cacheDir: cacheDir() },
        agent: payload().agent,
        ...{ packages: flags.package, script: flags.run },
        ...{ release: flags.release, mirror: flags.mirror },
        ...{ progress: showProgress(), signal: abort.signal },
      });
      console.log(`${name}: ${size(bytes)}, ${base.slice(0, 12)}`);
    });
  addExamples(
    build,
    ["image build web --package nginx-light", "image build dev --package git --run setup.sh"],
    BUILD_NOTES,
  );
}

function store(): ImageStore {
  return new ImageStore(dataDir());
}

function imageTable(images: readonly ListedImage[]): string {
  if (images.length === 0) return "There is no image yet. Build one: spectrum image build NAME";
  return table(
    ["NAME", "SIZE", "CONTENT", "BUILT", "PACKAGES", "VMS"],
    images.map(({ name, size: bytes, base, built, packages, vms }) => [
      name,
      size(bytes),
      base.slice(0, 12),
      built.slice(0, 16).replace("T", " "),
      packages.join(" ") || "-",
      // A VM may go on with a former build.
      vms.map(({ vm, base: used, bytes }) => `${vm}${used === base ? "" : "*"} (${size(bytes)})`)
        .join(", ") || "-",
    ]),
  ) + (images.some(({ base, vms }) =>
      vms.some((vm) => vm.base !== base)
    )
    ? "\n* goes on with a former build; spectrum image reset VM makes it begin anew with the newest"
    : "");
}
