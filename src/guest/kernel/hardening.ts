import type { Profile } from "./profiles.ts";

/** One choice for safety, made in the kernel's configuration. */
export interface HardeningChoice {
  /** Name of the option, without `CONFIG_`. */
  readonly option: string;
  /** As in a `.config`; `n` for an option that must not be there. */
  readonly value: string;
  /** One line: what it protects from, or what it would open. */
  readonly why: string;
  /** Profiles that it holds for, by default `app` and `device`. `debug` trades safety for what it can show. */
  readonly profiles?: readonly Profile[];
}

const on = (option: string, why: string, profiles?: readonly Profile[]): HardeningChoice => ({
  option,
  value: "y",
  why,
  profiles,
});
const off = (option: string, why: string, profiles?: readonly Profile[]): HardeningChoice => ({
  option,
  value: "n",
  why,
  profiles,
});

/** Also in the debug kernel: what its tests would not see otherwise, or what a guest needs to run at all. */
const ALL: readonly Profile[] = ["app", "device", "debug"];

/** The choices by what they are about. The configuration, its check and the table in docs/kernel.md come from here. */
export const hardening: Readonly<Record<string, readonly HardeningChoice[]>> = {
  "Speculation": [
    on("CPU_MITIGATIONS", "the master switch of what follows", ALL),
    on("PAGE_TABLE_ISOLATION", "Meltdown: user space has no mapping of the kernel", ALL),
    on("RETPOLINE", "Spectre v2: no predicted indirect branches in the kernel", ALL),
    on("RETHUNK", "Retbleed: returns through a thunk that the CPU cannot be taught", ALL),
    on("CPU_UNRET_ENTRY", "Retbleed on AMD, at entry to the kernel", ALL),
    on("CPU_IBPB_ENTRY", "Retbleed on AMD, where the former is not enough", ALL),
    on("CPU_IBRS_ENTRY", "Retbleed on Intel", ALL),
    on("CPU_SRSO", "speculative return stack overflow on AMD", ALL),
    on("SLS", "no speculation past a return or jump", ALL),
    on("MITIGATION_RFDS", "register file data sampling", ALL),
    on("MITIGATION_SPECTRE_BHI", "branch history injection", ALL),
    on("MITIGATION_ITS", "indirect target selection", ALL),
    on("MITIGATION_TSA", "transient scheduler attacks on AMD", ALL),
  ],
  "Memory of the kernel": [
    on("STRICT_KERNEL_RWX", "code cannot be written, data cannot run", ALL),
    on("STRICT_MODULE_RWX", "the same for modules", ["app", "debug"]),
    on("VMAP_STACK", "a stack that overflows hits a guard page, not its neighbour", ALL),
    on("STACKPROTECTOR_STRONG", "a return address behind an overrun array is noticed"),
    on("RANDOMIZE_KSTACK_OFFSET_DEFAULT", "the stack begins elsewhere at every system call"),
    on("INIT_STACK_ALL_ZERO", "no secrets from uninitialised variables"),
    on("INIT_ON_ALLOC_DEFAULT_ON", "no secrets from memory used before"),
    on("SLAB_FREELIST_RANDOM", "which object follows which cannot be foretold"),
    on("SLAB_FREELIST_HARDENED", "overwritten pointers of free objects are noticed"),
    off("SLAB_MERGE_DEFAULT", "objects of different kinds share no slab"),
    on(
      "SHUFFLE_PAGE_ALLOCATOR",
      "the order of free pages can be made random (page_alloc.shuffle=1)",
    ),
    on("FORTIFY_SOURCE", "copies beyond what the compiler knows of a buffer stop", ALL),
    on("HARDENED_USERCOPY", "copies to and from user space stay inside one object", ALL),
    on("SCHED_STACK_END_CHECK", "an overrun stack stops the kernel at the next switch", ALL),
    on("BUG_ON_DATA_CORRUPTION", "a corrupted list stops the kernel, not its user", ALL),
    on("PANIC_ON_OOPS", "a kernel that failed does not go on; the monitor tells why it ended", ALL),
    on("RANDOMIZE_BASE", "the bzImage moves itself; the PVH image cannot, see above"),
    on("RANDOMIZE_MEMORY", "the same for the mapping of all memory"),
    on("X86_UMIP", "programs do not see where the kernel's tables are", ALL),
  ],
  "Ways in that nobody needs here": [
    off("COMPAT_BRK", "the heap begins elsewhere in every process", ALL),
    off("DEVMEM", "no /dev/mem"),
    off("DEVPORT", "no /dev/port"),
    off("PROC_KCORE", "no /proc/kcore"),
    off("KEXEC", "no other kernel without the monitor"),
    off("KEXEC_FILE", "the same"),
    off("HIBERNATION", "no image of the kernel on a disk to be changed"),
    off("DEBUG_FS", "no debugfs"),
    off("KPROBES", "no code patched into a running kernel"),
    off("X86_MSR", "no model specific registers for programs"),
    off("X86_IOPL_IOPERM", "no port I/O for programs"),
    off("MODIFY_LDT_SYSCALL", "no segments of a program's own making"),
    off("LEGACY_VSYSCALL_XONLY", "no code at an address that everyone knows"),
    on("LEGACY_VSYSCALL_NONE", "the same"),
    off("IA32_EMULATION", "no second table of system calls: programs are 64-bit"),
    off("X86_X32_ABI", "nor a third"),
    off("USERFAULTFD", "no program decides how long the kernel waits for a page"),
    off("LEGACY_PTYS", "no terminals in the old style"),
    off("LDISC_AUTOLOAD", "no line disciplines on a program's demand"),
    off("COREDUMP", "no memory of the device process on a disk", ["device"]),
    off("MODULES", "no code but its own", ["device"]),
    off("BPF_SYSCALL", "no programs in the kernel but socket and seccomp filters", ["device"]),
    on("BPF_UNPRIV_DEFAULT_OFF", "programs in the kernel for root only", ["app", "debug"]),
    on("BPF_JIT_ALWAYS_ON", "no interpreter to speculate in", ["app", "debug"]),
    on("SECURITY_DMESG_RESTRICT", "addresses in the log are for root"),
    on("PROC_MEM_FORCE_PTRACE", "/proc/PID/mem respects protection, except for a debugger", ALL),
    on("DEVTMPFS_SAFE", "nothing in /dev can be executed", ALL),
    {
      option: "DEFAULT_MMAP_MIN_ADDR",
      value: "65536",
      why: "a null pointer hits nothing",
      profiles: ALL,
    },
  ],
  "Means for programs inside": [
    on("SECCOMP_FILTER", "programs give up system calls", ALL),
    on("SECURITY_LANDLOCK", "programs give up files", ALL),
    on(
      "SECURITY_YAMA",
      "ptrace can be limited to one's own children (kernel.yama.ptrace_scope)",
      ALL,
    ),
    { option: "LSM", value: '"landlock,yama"', why: "both are switched on", profiles: ALL },
    on("SYN_COOKIES", "a flood of connections does not fill tables", ALL),
    on("RANDOM_TRUST_CPU", "random numbers are ready when the first program asks", ALL),
  ],
};

/** Prerequisites, which are no choice of their own. */
const NEEDED = `
CONFIG_STACKPROTECTOR=y
CONFIG_RANDOMIZE_KSTACK_OFFSET=y
CONFIG_RELOCATABLE=y
CONFIG_SECCOMP=y
CONFIG_SECURITY=y
`;

/** The choices that hold for a profile. */
export function hardeningFor(profile: Profile): readonly HardeningChoice[] {
  return Object.values(hardening).flat()
    .filter(({ profiles = ["app", "device"] }) => profiles.includes(profile));
}

/** The choices for a profile as lines of a `.config`. */
export function hardeningFragment(profile: Profile): string {
  const lines = hardeningFor(profile).map(({ option, value }) =>
    value === "n" ? `# CONFIG_${option} is not set` : `CONFIG_${option}=${value}`
  );
  return `# Hardening, see hardening.ts.\n${lines.join("\n")}${NEEDED}`;
}

/** The table for people, in Markdown, as it stands in docs/kernel.md. */
export function hardeningTable(): string {
  return Object.entries(hardening).map(([group, choices]) =>
    `### ${group}\n\n| option | value | profiles | why |\n| --- | --- | --- | --- |\n` +
    choices.map(({ option, value, why, profiles = ["app", "device"] }) =>
      `| \`${option}\` | \`${value}\` | ${
        profiles.length === 3 ? "all" : profiles.join(", ")
      } | ${why} |\n`
    ).join("")
  ).join("\n");
}
