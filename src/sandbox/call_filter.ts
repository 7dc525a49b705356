import type { ArgumentRule, CallRule, Named } from "./call_rule.ts";
import { type SystemCall, systemCallNumber } from "./system_calls.ts";

/**
 * What becomes of a call which no rule allows: the process dies, the shim's handler names the call, or the kernel has no
 * such call (ENOSYS).
 */
export type OtherCalls = "kill" | "report" | "refuse";

/** Offsets in struct seccomp_data (linux/seccomp.h). */
const Data = { call: 0, architecture: 4, argument: 16 } as const;

/** SECCOMP_RET_*. */
const Return = {
  kill: 0x8000_0000,
  report: 0x0003_0000,
  answer: 0x0005_0000,
  refuse: 0x0005_0000 | 38,
  allow: 0x7fff_0000,
} as const;

/** Codes of classic BPF (linux/bpf_common.h): BPF_LD | BPF_W | BPF_ABS, and so on. */
const Code = { load: 0x20, and: 0x54, jumpIfEqual: 0x15, return: 0x06 } as const;

const AUDIT_ARCH_X86_64 = 0xc000_003e;

/** struct sock_filter: code, jumps when true and when false, in instructions to skip; constant. */
type Instruction = readonly [code: number, whenTrue: number, whenFalse: number, constant: number];

/**
 * A seccomp filter (classic BPF, as the kernel takes it) that allows what the rules do. Calls stand in the order of the
 * rules: what is made often belongs first.
 */
export function compileFilter(
  rules: readonly CallRule[],
  others: OtherCalls,
): Uint8Array<ArrayBuffer> {
  const program: Instruction[] = [
    [Code.load, 0, 0, Data.architecture],
    // Numbers of another architecture mean other calls; those of x32 are beyond all that is compared with.
    [Code.jumpIfEqual, 1, 0, AUDIT_ARCH_X86_64],
    [Code.return, 0, 0, Return[others]],
    [Code.load, 0, 0, Data.call],
  ];
  for (const [call, alternatives] of byCall(rules)) {
    const body = [
      ...alternatives.flatMap(alternative),
      [Code.return, 0, 0, Return[others]] as const,
    ];
    program.push([Code.jumpIfEqual, 0, skip(body.length), systemCallNumber(call)], ...body);
  }
  program.push([Code.return, 0, 0, Return[others]]);
  return encode(program);
}

function byCall(rules: readonly CallRule[]): Map<SystemCall, CallRule[]> {
  const found = new Map<SystemCall, CallRule[]>();
  for (const rule of rules) {
    for (const call of rule.calls) found.set(call, [...found.get(call) ?? [], rule]);
  }
  return found;
}

/** Ends with the rule's answer when all conditions hold; what follows is for when one does not. */
function alternative({ when = [], answer }: CallRule): Instruction[] {
  const value = answer === undefined ? Return.allow : Return.answer | only(answer);
  let body: Instruction[] = [[Code.return, 0, 0, value]];
  for (const rule of when.toReversed()) body = [...condition(rule, body.length), ...body];
  return body;
}

/** Goes on behind itself when the condition holds, and skips so many instructions more when not. */
function condition(rule: ArgumentRule, rest: number): Instruction[] {
  const load: Instruction = [Code.load, 0, 0, Data.argument + 8 * rule.argument];
  if ("never" in rule) {
    return [load, [Code.and, 0, 0, bits(rule.never)], [Code.jumpIfEqual, 0, skip(rest), 0]];
  }
  const { among, ignoring } = rule;
  const mask: Instruction[] = ignoring === undefined ? [] : [[Code.and, 0, 0, ~bits(ignoring)]];
  const values = Object.values(among);
  const compare = values.map((value, i): Instruction => {
    const left = values.length - 1 - i;
    return [Code.jumpIfEqual, left, left === 0 ? skip(rest) : 0, value];
  });
  return [load, ...mask, ...compare];
}

function bits(names: Named): number {
  return Object.values(names).reduce((all, value) => all | value, 0);
}

function only(answer: Named): number {
  return Object.values(answer)[0];
}

/** How far a jump may lead. */
function skip(count: number): number {
  if (count > 255) throw new RangeError("The rules of a system call are too many for a filter");
  return count;
}

function encode(program: readonly Instruction[]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(8 * program.length));
  program.forEach(([code, whenTrue, whenFalse, constant], i) => {
    view.setUint16(8 * i, code, true);
    view.setUint8(8 * i + 2, whenTrue);
    view.setUint8(8 * i + 3, whenFalse);
    view.setUint32(8 * i + 4, constant >>> 0, true);
  });
  return new Uint8Array(view.buffer);
}
