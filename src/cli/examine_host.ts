import { cacheDir, listKernels } from "../guest/mod.ts";
import { HostError, Kvm, requireRealKvm } from "../kvm/mod.ts";
import { runtimeBase, tryJail } from "../machine/mod.ts";
import { Window } from "../os/mod.ts";

/** One thing about this host. */
export interface Finding {
  readonly what: string;
  /** `bad` keeps every VM from running, `note` something that some need. */
  readonly verdict: "ok" | "note" | "bad";
  readonly found: string;
  /** What to do about it: a command, or a sentence. */
  readonly mend?: string;
}

/** Looks at everything that a VM needs of this host. */
export async function examineHost(): Promise<Finding[]> {
  return [
    ...kvm(),
    await kernels(),
    userNamespaces(),
    await jail(),
    uring(),
    hugePages(),
    runtimeDirectory(),
    program("passt", "passt", '[net] with out = "user"'),
    program("apt-get", "apt", "spectrum kernel fetch and build"),
    program("dpkg-deb", "dpkg", "spectrum kernel fetch and build"),
    program("make", "make", "spectrum kernel build"),
    program("gcc", "gcc", "spectrum kernel build"),
    program("mmdebstrap", "mmdebstrap", "spectrum image build"),
    ...(Deno.uid() === 0
      ? []
      : [program("newuidmap", "uidmap", "spectrum image build as an ordinary user")]),
    program("mke2fs", "e2fsprogs", "VMs with an image"),
  ];
}

function kvm(): Finding[] {
  try {
    using kvm = Kvm.open();
    const opened: Finding = { what: "/dev/kvm", verdict: "ok", found: "opens" };
    try {
      requireRealKvm(kvm, Window.reserve());
      return [opened, { what: "KVM", verdict: "ok", found: "runs guests on the processor" }];
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      return [opened, {
        what: "KVM",
        verdict: "bad",
        found: error.message,
        mend: "deno task lab -- COMMAND runs a command in an emulated host with real KVM",
      }];
    }
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const denied = /permission/.test(error.message);
    return [{
      what: "/dev/kvm",
      verdict: "bad",
      found: error.message,
      mend: denied
        ? `sudo usermod -aG kvm ${Deno.env.get("USER") ?? "$USER"}`
        : "sudo modprobe kvm-intel || sudo modprobe kvm-amd",
    }];
  }
}

async function kernels(): Promise<Finding> {
  const what = "guest kernels";
  const found = await listKernels(cacheDir());
  if (found.length === 0) {
    return {
      what,
      verdict: "note",
      found: `none in ${cacheDir()}`,
      mend: "spectrum kernel fetch",
    };
  }
  const names = found.map(({ name, version }) => name ?? version);
  return { what, verdict: "ok", found: [...new Set(names)].join(", ") };
}

/** Starts a worker, as any device is one. */
async function jail(): Promise<Finding> {
  const what = "jail of workers";
  const reason = await tryJail();
  if (reason === undefined) return { what, verdict: "ok", found: "holds" };
  const mend = "a kernel of 5.13 or later with user namespaces and lsm=landlock; or run VMs with " +
    "--sandbox reduced";
  return { what, verdict: "bad", found: reason, mend };
}

/** Workers are jailed in namespaces of their own, which an ordinary user may be kept from. */
function userNamespaces(): Finding {
  const what = "user namespaces";
  if (Deno.uid() === 0) return { what, verdict: "ok", found: "not needed by root" };
  const limits = [
    ["/proc/sys/user/max_user_namespaces", "user.max_user_namespaces=10000"],
    ["/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone=1"],
  ] as const;
  for (const [path, setting] of limits) {
    if (readNumber(path) !== 0) continue;
    return { what, verdict: "note", found: `${path} is 0`, mend: `sudo sysctl ${setting}` };
  }
  if (readNumber("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") === 1) {
    return {
      what,
      verdict: "note",
      found: "AppArmor restricts them",
      mend: "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    };
  }
  return { what, verdict: "ok", found: "allowed" };
}

function readNumber(path: string): number | undefined {
  const text = readText(path);
  return text === undefined ? undefined : Number(text);
}

function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

function uring(): Finding {
  const what = "io_uring";
  const off = readNumber("/proc/sys/kernel/io_uring_disabled") ?? 0;
  if (off === 0 || (off === 1 && Deno.uid() === 0)) {
    return { what, verdict: "ok", found: "allowed" };
  }
  return {
    what,
    verdict: "note",
    found: `disabled (kernel.io_uring_disabled = ${off}); disks do one request after the other`,
    mend: "sudo sysctl kernel.io_uring_disabled=0",
  };
}

/** Guest memory is shared with workers, and shared memory has a setting of its own. */
function hugePages(): Finding {
  const what = "huge pages";
  const path = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
  const [, setting] = /\[(\w+)\]/.exec(readText(path) ?? "") ?? [];
  if (setting !== undefined && !["never", "deny"].includes(setting)) {
    return { what, verdict: "ok", found: `for guest memory where there is room (${setting})` };
  }
  return {
    what,
    verdict: "note",
    found: `none for guest memory (${path}: ${setting ?? "missing"}); guests run slower`,
    mend: `echo advise | sudo tee ${path}`,
  };
}

function runtimeDirectory(): Finding {
  const what = "runtime directory";
  try {
    const path = runtimeBase();
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    return { what, verdict: "ok", found: path };
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    return { what, verdict: "bad", found, mend: "export XDG_RUNTIME_DIR=DIRECTORY" };
  }
}

function program(name: string, debian: string, purpose: string): Finding {
  // The last are not in the PATH of an ordinary user, and we look there all the same.
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/sbin"]
    .filter((folder) => folder !== "");
  const place = folders.map((folder) => `${folder}/${name}`).find(isFile);
  if (place !== undefined) return { what: name, verdict: "ok", found: place };
  const found = `not found; it is needed for ${purpose}`;
  return { what: name, verdict: "note", found, mend: `sudo apt-get install ${debian}` };
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
