import assert from "node:assert/strict";
import { compileFilter, systemCallNames, systemCallNumber } from "../sandbox/mod.ts";
import { decide, examples, idleRules } from "../sandbox/testing.ts";
import { monitorCalls, vcpuCalls } from "./monitor_calls.ts";

/** What no thread of a monitor ever does: programs, processes, networks, the host. */
const NEVER = [
  ...["execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev"],
  ...[
    "pidfd_getfd",
    "kill",
    "tkill",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "connect",
    "mkdir",
    "chmod",
    "chown",
    "link",
    "symlink",
    "truncate",
  ],
  ...["bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "init_module"],
  ...["finit_module", "kexec_load", "reboot", "setuid", "capset", "personality", "shmget"],
] as const;

/** What the threads of vCPUs do not do besides. */
const NEVER_A_VCPU = [
  ...["socket", "connect", "bind", "sendmsg", "recvmsg", "sendto", "memfd_create", "pipe2", "dup"],
  ...["unlink", "rename", "mkdir", "chmod", "ftruncate", "pwrite64", "sendfile", "clone", "tgkill"],
  ...["seccomp", "rt_sigaction", "fcntl", "epoll_ctl", "eventfd2"],
] as const;

const SOCK_STREAM = 1, SOCK_DGRAM = 2;
const AF_UNIX = 1, AF_INET = 2, AF_NETLINK = 16, AF_VSOCK = 40;
const CLONE_NEWUSER = 0x1000_0000, SIGCHLD = 17;

const monitor = compileFilter(monitorCalls, "refuse");
const vcpu = compileFilter(vcpuCalls, "refuse");
const says = (
  filter: Uint8Array<ArrayBuffer>,
  call: Parameters<typeof systemCallNumber>[0],
  ...args: number[]
) => decide(filter, systemCallNumber(call), args);

Deno.test("each rule of monitors and of their vCPUs counts, and has a reason", () => {
  for (const rules of [monitorCalls, vcpuCalls]) {
    assert.deepEqual(idleRules(rules), []);
    for (const { why } of rules) assert.ok(why.length > 5);
  }
});

Deno.test("a monitor starts no program and reaches no network; a vCPU's thread opens nothing besides", () => {
  const REFUSED = "answer 38";
  for (const call of NEVER) assert.equal(says(monitor, call), REFUSED, call);
  for (const call of NEVER_A_VCPU) assert.equal(says(vcpu, call), REFUSED, call);
  assert.equal(says(monitor, "socket", AF_UNIX, SOCK_STREAM), "allow");
  // A datagram goes where its sender says.
  assert.equal(says(monitor, "socket", AF_UNIX, SOCK_DGRAM), REFUSED);
  for (const family of [AF_INET, AF_NETLINK, AF_VSOCK]) {
    assert.equal(says(monitor, "socket", family, SOCK_STREAM), REFUSED);
  }
  for (const flags of [SIGCHLD, CLONE_NEWUSER | SIGCHLD]) {
    assert.equal(says(monitor, "clone", flags), REFUSED);
  }
  assert.equal(says(vcpu, "openat"), "answer 13");
});

Deno.test("what a vCPU's thread may do, its monitor may", () => {
  const calls = new Set<string>(vcpuCalls.flatMap(({ calls }) => calls));
  for (const [number, name] of systemCallNames.entries()) {
    if (!calls.has(name)) continue;
    for (
      const rule of vcpuCalls.filter(({ calls }) => (calls as readonly string[]).includes(name))
    ) {
      if (rule.answer !== undefined) continue;
      for (const args of examples(rule)) assert.equal(decide(monitor, number, args), "allow", name);
    }
  }
});
