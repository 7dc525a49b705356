// `deno task dev [--watch]`: boots the example VM, to a shell; without a terminal, to its self-check. With `--watch` its
// workers are replaced when their source changes, while the guest goes on.
import {
  buildExample,
  checkOutput,
  type Example,
  SELF_CHECK,
  SelfCheckError,
} from "../examples/mod.ts";
import { cacheDir, showProgress } from "../src/guest/mod.ts";
import { here, inLab, watchExample } from "./dev/running_example.ts";
import { runInLab } from "./lab/mod.ts";
import { runAttached } from "./lab/run_attached.ts";
import { ready } from "./ready.ts";
import { realKvm } from "./real_kvm.ts";
import { spectrumCommand } from "./spectrum_command.ts";

const NAME = "example";

const words = Deno.args.filter((word) => word !== "--");
const watch = words.includes("--watch");
const terminal = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
if (words.some((word) => word !== "--watch")) {
  console.error("dev: the only option is --watch.");
  Deno.exit(1);
}
if (watch && !terminal) {
  console.error("dev: --watch needs a terminal; without one the example checks itself and ends.");
  Deno.exit(1);
}
await ready("guest");
const kvm = realKvm();
if (!kvm.real) {
  console.error(`dev: the example runs in the lab, a QEMU guest with KVM of its own. ${kvm.why}`);
  await ready("lab");
}
const example = await buildExample(cacheDir(), showProgress());
const origin = example.kernel.name === "small"
  ? "our small kernel"
  : "Debian's kernel; a small one starts faster: deno task guest:kernel";
console.error(`dev: the guest runs Linux ${example.kernel.version}, ${origin}`);
if (terminal) {
  Deno.exit(await shell(example, kvm.real));
} else {
  Deno.exit(await selfCheck(example, kvm.real));
}

function command({ kernel, initrd, disk }: Example, words: string): string[] {
  const devices = ["--disk", disk, "--rng", "--memory", "512M", "--cpus", "2"];
  return [
    ...spectrumCommand,
    ...["run", "--name", NAME, "--kernel", kernel.name, "--initrd", initrd, ...devices],
    ...["--cmdline", words],
  ];
}

async function shell(example: Example, real: boolean): Promise<number> {
  const words = command(example, "quiet");
  if (real) {
    const child = new Deno.Command(words[0], { args: words.slice(1) }).spawn();
    const over = new AbortController();
    const watching = watch ? watchExample(here, NAME, over.signal) : undefined;
    const { code } = await child.status;
    over.abort();
    await watching;
    return code;
  }
  console.error("dev: in the lab, what you write to the disk is gone afterwards.");
  return await runAttached({
    command: words,
    files: [example.initrd, example.disk],
    user: false,
    keep: false,
  }, watch ? (session, signal) => watchExample(inLab(session), NAME, signal) : undefined);
}

/** Runs the guest's self-check and compares what it read from its disk with the image. */
async function selfCheck(example: Example, real: boolean): Promise<number> {
  const words = command(example, `quiet ${SELF_CHECK}`);
  const decoder = new TextDecoder();
  let output = "";
  const show = (bytes: Uint8Array, stream: "stdout" | "stderr") => {
    if (stream === "stdout") output += decoder.decode(bytes, { stream: true });
    const target = stream === "stdout" ? Deno.stdout : Deno.stderr;
    for (let at = 0; at < bytes.length;) at += target.writeSync(bytes.subarray(at));
  };
  console.error("dev: booting the example VM for its self-check");
  const status = real
    ? await runHere(words, show)
    : (await runInLab({ command: words, files: [example.initrd, example.disk], onOutput: show }))
      .status;
  if (status !== 0) {
    console.error(`dev: the example VM ended with status ${status}`);
    return status;
  }
  try {
    console.log(await checkOutput(output, example.disk));
    return 0;
  } catch (error) {
    if (!(error instanceof SelfCheckError)) throw error;
    console.error(`dev: ${error.message}`);
    return 1;
  }
}

async function runHere(
  [program, ...args]: string[],
  show: (bytes: Uint8Array, stream: "stdout" | "stderr") => void,
): Promise<number> {
  const child = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  })
    .spawn();
  for await (const chunk of child.stdout) show(chunk, "stdout");
  return (await child.status).code;
}
