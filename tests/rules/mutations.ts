import type { ArgumentRule, CallRule, Named, Policy } from "../../src/sandbox/mod.ts";

/** A policy without one of its entries. */
export interface Mutation {
  /** What is missing. */
  readonly name: string;
  /** The rule of a system call that it is about; kinds share some of these, as objects. */
  readonly rule?: CallRule;
  readonly change: (policy: Policy) => Policy;
}

const without = <T>(list: readonly T[], entry: T): T[] => list.filter((each) => each !== entry);

/** What keeps a process from something: without it an attempt to escape gets further. */
export function protections(policy: Policy): Mutation[] {
  const { namespaces, limits, measures, calls } = policy;
  return [
    ...namespaces.map((entry) => ({
      name: `namespace ${entry.namespace}`,
      change: (policy: Policy) => ({
        ...policy,
        namespaces: policy.namespaces.filter(({ namespace }) => namespace !== entry.namespace),
      }),
    })),
    ...limits.map((entry) => ({
      name: `limit ${entry.resource}`,
      change: (policy: Policy) => ({ ...policy, limits: without(policy.limits, entry) }),
    })),
    ...measures.map((entry) => ({
      name: `measure ${entry.measure}`,
      change: (policy: Policy) => ({ ...policy, measures: without(policy.measures, entry) }),
    })),
    ...calls.flatMap((rule) => [
      ...(rule.when ?? []).map((condition) => ({
        name: `${labelOf(rule)}: ${condition.what}`,
        change: replacing(rule, { ...rule, when: without(rule.when ?? [], condition) }),
      })),
      ...(rule.answer === undefined ? [] : [{
        name: `${rule.calls}: answer ${Object.keys(rule.answer)}`,
        change: replacing(rule, { ...rule, answer: undefined }),
      }]),
    ]),
  ];
}

/** A rule by its calls and the first of the values that it names. */
function labelOf({ calls, when = [] }: CallRule): string {
  const [first] = when.flatMap((rule) => "among" in rule ? Object.keys(rule.among) : []);
  return first === undefined ? calls.join(", ") : `${calls.join(", ")} (${first} …)`;
}

function namesOf(rule: ArgumentRule): string {
  return Object.keys("never" in rule ? rule.never : rule.among).join(", ");
}

/** What a process is let do: without it one that does its work ends, or does not begin. */
export function permissions(policy: Policy): Mutation[] {
  return [
    ...policy.files.map((entry) => ({
      name: `file ${entry.file}`,
      change: (policy: Policy) => ({
        ...policy,
        files: policy.files.filter(({ file }) => file !== entry.file),
      }),
    })),
    ...policy.calls.flatMap((rule) => [...callsOf(rule), ...valuesOf(rule)]),
  ];
}

function callsOf(rule: CallRule): Mutation[] {
  return rule.calls.map((call) => ({
    name: nameOf(rule, call),
    rule,
    change: replacing(rule, { ...rule, calls: without(rule.calls, call) }),
  }));
}

function nameOf({ when = [], answer = {} }: CallRule, call: string): string {
  const conditions = when.map(namesOf).filter((names) => names !== "PROT_EXEC");
  const words = [call, ...conditions.map((names) => `(${names})`), ...Object.keys(answer)];
  return words.join(" ");
}

/** Of several values each alone. */
function valuesOf(rule: CallRule): Mutation[] {
  return (rule.when ?? []).flatMap((condition) => {
    if ("never" in condition) return [];
    const mutate = (part: "among" | "ignoring", value: string): Mutation => ({
      name: `${rule.calls} ${value}`,
      rule,
      change: replacing(rule, {
        ...rule,
        when: rule.when?.map((each) =>
          each === condition
            ? { ...condition, [part]: lacking(condition[part] ?? {}, value) }
            : each
        ),
      }),
    });
    const values = Object.keys(condition.among);
    return [
      ...(values.length === 1 ? [] : values.map((value) => mutate("among", value))),
      ...Object.keys(condition.ignoring ?? {}).map((value) => mutate("ignoring", value)),
    ];
  });
}

function lacking(values: Named, name: string): Named {
  return Object.fromEntries(Object.entries(values).filter(([each]) => each !== name));
}

/** Rules are shared by kinds, as objects. */
function replacing(rule: CallRule, other: CallRule): (policy: Policy) => Policy {
  return (policy) => ({
    ...policy,
    calls: policy.calls.map((each) => each === rule ? other : each)
      .filter(({ calls }) => calls.length > 0),
  });
}
