import assert from "node:assert/strict";
import { compileFilter, explainPolicy, systemCallNames, systemCallNumber } from "../sandbox/mod.ts";
import { decide, idleRules } from "../sandbox/testing.ts";
import { policies } from "./mod.ts";

/** All that any kind of device may ever do: a new name here is a decision. */
const ALLOWED =
  "accept4 brk clock_gettime clock_nanosleep close epoll_create1 epoll_ctl epoll_wait eventfd2 exit exit_group " +
  "fallocate fcntl fdatasync fstat ftruncate futex getpid getrandom getsockopt gettid gettimeofday io_uring_enter " +
  "ioctl madvise memfd_create mmap mprotect mremap munmap newfstatat openat pipe2 poll prctl pread64 preadv preadv2 " +
  "pwrite64 pwritev pwritev2 readlink readv recvfrom recvmsg restart_syscall rseq rt_sigprocmask sched_getaffinity " +
  "sched_getparam sched_getscheduler sched_yield sendmsg set_robust_list shutdown sigaltstack write writev";

for (const [kind, policy] of Object.entries(policies)) {
  Deno.test(`the filter of ${kind} needs each of its rules, and allows no more`, () => {
    const filter = compileFilter(policy.calls, "kill");
    const named = new Set<string>(policy.calls.flatMap(({ calls }) => calls));
    for (const [number, name] of systemCallNames.entries()) {
      if (named.has(name)) continue;
      assert.equal(decide(filter, number, []), "kill", name);
    }
    assert.deepEqual(idleRules(policy.calls), []);
  });

  Deno.test(`${kind} never makes memory executable`, () => {
    const filter = compileFilter(policy.calls, "kill");
    for (const call of ["mmap", "mprotect"] as const) {
      for (const flags of [0x22, 0x32, 1, 0x11, 2, 0x12]) {
        const args = [0, 4096, 7, flags, 0, 0];
        assert.equal(decide(filter, systemCallNumber(call), args), "kill", `${call} ${flags}`);
      }
    }
  });

  Deno.test(`every entry of ${kind}'s policy has a reason`, () => {
    const { user, descriptors, namespaces, files, limits, measures, calls } = policy;
    const entries = [
      user,
      ...descriptors,
      ...namespaces,
      ...files,
      ...limits,
      ...measures,
      ...calls,
    ];
    const explained = explainPolicy(policy);
    for (const { why } of entries) {
      assert.ok(why.length > 5);
      assert.ok(explained.includes(`\n      ${why}`), `it is not explained: ${why}`);
    }
    const named = calls.flatMap(({ calls, when = [], answer = {} }) => [
      ...calls,
      ...when.flatMap((rule) => Object.keys("never" in rule ? rule.never : rule.among)),
      ...Object.keys(answer),
    ]);
    for (const name of named) assert.ok(explained.includes(name), `it does not say: ${name}`);
    assert.equal(policy.name, kind);
  });
}

Deno.test("no device may do what none did before", () => {
  const all = Object.values(policies).flatMap(({ calls }) => calls.flatMap(({ calls }) => calls));
  assert.deepEqual([...new Set<string>(all)].sort(), ALLOWED.split(" "));
});
