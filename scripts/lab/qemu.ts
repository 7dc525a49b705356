import { findTool } from "./execute.ts";

/** The lab host's hardware. */
export interface Hardware {
  readonly kernel: string;
  readonly initrd: string;
  /** MiB. */
  readonly memory: number;
  readonly cpus: number;
  /** Images of the root's layers, the lowest first. */
  readonly layers: readonly string[];
  /** The scratch disk's image, which may be written to. */
  readonly scratch: string;
}

/** QEMU's arguments: the agent's port is QEMU's stdin and stdout, the console its stderr. */
export function qemuArguments(hardware: Hardware): string[] {
  const disks = [
    ...hardware.layers.map((path, index) => ({ path, serial: `layer${index}`, readonly: true })),
    { path: hardware.scratch, serial: "scratch", readonly: false },
  ];
  const cmdline = [
    "console=ttyS0",
    "quiet",
    "panic=-1",
    // Linux doubts the emulation's TSC and would read the HPET instead, an exit for every look at the clock.
    "tsc=reliable",
    // There is nothing to protect here, and each costs time.
    "mitigations=off",
    // The kernel's own tests of its ciphers take a second.
    "cryptomgr.notests",
    `lab.disks=${disks.length}`,
  ];
  return [
    ...[
      "-name",
      "spectrum-lab",
      "-nodefaults",
      "-no-user-config",
      "-no-reboot",
      "-display",
      "none",
    ],
    // Only TCG has a virtualization extension everywhere: it implements AMD SVM with nested paging. Without protection
    // keys: in its guests, which get no XSAVE, they belong to no thread (docs/lab.md).
    ...["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,pku=off"],
    ...["-smp", String(hardware.cpus), "-m", String(hardware.memory), "-net", "none"],
    ...["-kernel", hardware.kernel, "-initrd", hardware.initrd, "-append", cmdline.join(" ")],
    ...[
      "-chardev",
      "file,id=console,path=/dev/stderr",
      "-serial",
      "chardev:console",
      "-monitor",
      "none",
    ],
    ...["-chardev", "stdio,id=agent,signal=off"],
    ...["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=lab"],
    ...["-device", "virtio-rng-pci"],
    ...disks.flatMap(({ path, serial, readonly }) => [
      "-drive",
      `if=none,id=${serial},format=raw,file.locking=off,readonly=${readonly ? "on" : "off"},` +
      `cache=${readonly ? "writeback" : "unsafe"},discard=unmap,file=${path.replaceAll(",", ",,")}`,
      "-device",
      `virtio-blk-pci,drive=${serial},serial=${serial}`,
    ]),
  ];
}

/** Starts QEMU such that the kernel kills it when this process dies, however that happens. */
export function startQemu(hardware: Hardware): Deno.ChildProcess {
  return new Deno.Command(findTool("setpriv"), {
    args: ["--pdeathsig", "KILL", findTool("qemu-system-x86_64"), ...qemuArguments(hardware)],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    // Its own process group: Ctrl-C is ours to handle.
    detached: true,
  }).spawn();
}
