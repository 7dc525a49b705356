import assert from "node:assert/strict";
import { type CallRule, compileFilter } from "./mod.ts";
import { systemCallNames, systemCallNumber } from "./system_calls.ts";
import { decide } from "./testing.ts";

const why = "a test";
const rules: readonly CallRule[] = [
  { calls: ["read", "write"], why },
  { calls: ["ioctl"], when: [{ argument: 1, what: "it", among: { A: 5, B: 0x8000_0001 } }], why },
  {
    calls: ["mmap"],
    when: [
      { argument: 2, what: "it", never: { PROT_EXEC: 4 } },
      { argument: 3, what: "it", among: { C: 0x22 }, ignoring: { D: 0x10, E: 0x4000 } },
    ],
    why,
  },
  {
    calls: ["mmap"],
    when: [{ argument: 3, what: "it", among: { F: 1 } }],
    answer: { EAGAIN: 11 },
    why,
  },
  { calls: ["ioctl"], answer: { ENOTTY: 25 }, why },
];

Deno.test("a filter allows what a rule does, answers where one says so, and kills for the rest", () => {
  const filter = compileFilter(rules, "kill");
  const of = (name: Parameters<typeof systemCallNumber>[0], ...args: number[]) =>
    decide(filter, systemCallNumber(name), args);
  assert.equal(of("read"), "allow");
  assert.equal(of("write", 7), "allow");
  assert.equal(of("openat"), "kill");
  assert.equal(of("ioctl", 0, 5), "allow");
  assert.equal(of("ioctl", 0, 0x8000_0001), "allow");
  assert.equal(of("ioctl", 5, 6), "answer 25");
  assert.equal(of("mmap", 0, 0, 3, 0x22), "allow");
  assert.equal(of("mmap", 0, 0, 3, 0x4032), "allow", "some bits do not matter");
  assert.equal(of("mmap", 0, 0, 7, 0x22), "kill", "one condition does not hold");
  assert.equal(of("mmap", 0, 0, 3, 0x23), "kill");
  assert.equal(of("mmap", 0, 0, 7, 1), "answer 11", "another rule may");
});

Deno.test("numbers of other architectures and of x32 are none of ours", () => {
  const filter = compileFilter(rules, "report");
  const read = systemCallNumber("read");
  assert.equal(decide(filter, read, [], 0x4000_0003), "report", "i386");
  assert.equal(decide(filter, 0x4000_0000 + read, []), "report", "x32");
  assert.equal(decide(filter, systemCallNumber("socket"), []), "report");
});

Deno.test("rules that a filter cannot hold are refused", () => {
  const many = Array.from({ length: 60 }, (): CallRule => ({
    calls: ["ioctl"],
    when: [{ argument: 1, what: "it", among: Object.fromEntries([1, 2, 3, 4].map((n) => [n, n])) }],
    why,
  }));
  assert.throws(() => compileFilter(many, "kill"), RangeError);
});

Deno.test("names of system calls stand at their numbers", () => {
  const known = { read: 0, mmap: 9, execve: 59, openat: 257, io_uring_enter: 426, clone3: 435 };
  for (const [name, number] of Object.entries(known)) assert.equal(systemCallNames[number], name);
  assert.equal(systemCallNames[mseal], "mseal");
  const names = systemCallNames.filter((name) => name !== "");
  assert.equal(new Set(names).size, names.length);
});

const mseal = 462;
