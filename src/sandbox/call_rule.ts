import type { Reasoned } from "./policy.ts";
import type { SystemCall } from "./system_calls.ts";

/** Values with the names that the kernel's headers have for them. */
export type Named = Readonly<Record<string, number>>;

/**
 * What an argument of a system call must be: its low 32 bits, which are all that the kernel looks at where a policy has
 * a rule. Either one of some values, whatever `ignoring` bits are set; or anything without the bits of `never`.
 */
export type ArgumentRule =
  & { readonly argument: 0 | 1 | 2 | 3 | 4 | 5; readonly what: string }
  & (
    | { readonly among: Named; readonly ignoring?: Named }
    | { readonly never: Named }
  );

/** System calls that a process may make once it is locked. Several rules for one call are alternatives. */
export interface CallRule extends Reasoned {
  readonly calls: readonly SystemCall[];
  /** All of them must hold. */
  readonly when?: readonly ArgumentRule[];
  /** The call is not made, and this error is what the process is told: one name of errno and its number. */
  readonly answer?: Named;
}
