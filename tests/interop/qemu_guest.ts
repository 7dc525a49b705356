/** A guest in QEMU, by software emulation: Debian's kernel, busybox, and a script that reports in lines. */

import { cpio, type CpioEntry, type GuestKernel, moduleEntries } from "../../src/guest/mod.ts";

/** What the guest is to do. */
export interface QemuGuestOptions {
  readonly kernel: GuestKernel;
  /** Kernel modules that the script needs. */
  readonly modules: readonly string[];
  /** What it has beside busybox. */
  readonly files?: readonly CpioEntry[];
  /** Run by busybox ash as init; `say NAME VALUE…` reports a line. It ends with power-off. */
  readonly script: string;
  /** Devices and what else QEMU is to have; memory is shared already. */
  readonly arguments: readonly string[];
  readonly cpus: number;
  /** A command that runs the one that follows it: QEMU in a namespace, for example. */
  readonly within?: readonly string[];
  /** Called with each report as it comes. */
  readonly onReport?: (name: string, value: string) => void;
  /** Called with the process when it runs. */
  readonly onStart?: (pid: number) => void;
}

/** What a guest said, by name, and everything that came over its console. */
export interface QemuGuestResult {
  readonly reports: ReadonlyMap<string, string>;
  readonly output: string;
}

const PREAMBLE = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
say() { n=$1; shift; echo "@$n=$*"; }
for m in $(cat /modules/order); do insmod /modules/$m || say insmod $m; done
`;

/** What firmware and kernel left on the line does not count. */
const MARK = /@([a-z0-9_-]+)=(.*)$/;

/** Boots a guest and waits until it is off. Throws with its output when it does not come to an end in time. */
export async function runQemuGuest(
  options: QemuGuestOptions,
  limitMs = 120_000,
): Promise<QemuGuestResult> {
  const folder = await Deno.makeTempDir({ prefix: "spectrum-qemu-" });
  try {
    const text = new TextEncoder();
    const init = text.encode(`${PREAMBLE}${options.script}\nsay end ok\npoweroff -f\n`);
    const initrd = cpio([
      ...["proc", "sys", "dev", "tmp", "mnt"].map((path) => ({ kind: "directory", path } as const)),
      { kind: "file", path: "init", mode: 0o755, data: init },
      {
        kind: "file",
        path: "bin/busybox",
        mode: 0o755,
        data: await Deno.readFile("/bin/busybox"),
      },
      ...options.files ?? [],
      ...await moduleEntries(options.kernel.modulesDir, { needed: options.modules }),
    ]);
    await Deno.writeFile(`${folder}/initrd`, initrd);
    return await boot(options, `${folder}/initrd`, limitMs);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function boot(
  options: QemuGuestOptions,
  initrd: string,
  limitMs: number,
): Promise<QemuGuestResult> {
  const memory = "256M";
  const [program, ...first] = [...options.within ?? [], "qemu-system-x86_64"];
  const process = new Deno.Command(program, {
    args: [
      ...first,
      ...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", String(options.cpus)],
      ...["-object", `memory-backend-memfd,id=ram,size=${memory},share=on`],
      ...["-machine", "q35,memory-backend=ram", "-m", memory],
      ...["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", "-net", "none"],
      ...["-kernel", options.kernel.vmlinuz, "-initrd", initrd],
      ...["-append", "console=ttyS0 quiet panic=-1"],
      ...options.arguments,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  options.onStart?.(process.pid);
  const timer = setTimeout(() => process.kill("SIGKILL"), limitMs);
  let output = "";
  let rest = "";
  const reports = new Map<string, string>();
  const decoder = new TextDecoder();
  for await (const chunk of process.stdout) {
    const text = decoder.decode(chunk, { stream: true }).replaceAll("\r", "");
    output += text;
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const match = MARK.exec(line);
      if (match === null) continue;
      reports.set(match[1], match[2]);
      options.onReport?.(match[1], match[2]);
    }
  }
  await process.status;
  clearTimeout(timer);
  if (reports.get("end") !== "ok") {
    throw new Error(`The guest did not come to its end. It said:\n${output}`);
  }
  return { reports, output };
}

/** What the guest reports as `features`: the bits as sysfs has them. */
export function negotiated({ reports }: QemuGuestResult): bigint {
  const bits = reports.get("features") ?? "";
  return [...bits].reduce((sum, bit, i) => bit === "1" ? sum | 1n << BigInt(i) : sum, 0n);
}

/** Whether this machine has what it takes. */
export async function canRunQemu(): Promise<boolean> {
  try {
    await Deno.stat("/bin/busybox");
    return new Deno.Command("qemu-system-x86_64", { args: ["--version"] }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
