// Maps memory that is data and code at once, forbids that, and tries again. Prints whether it was refused, and whether the
// kernel knows how to forbid it.
import { forbidNewCode } from "../mod.ts";

const PROT_ALL = 7, MAP_PRIVATE_ANONYMOUS = 0x22;
const PR_GET_MDWE = 66;

const { symbols } = Deno.dlopen("libc.so.6", {
  mmap: { parameters: ["i64", "i64", "i32", "i32", "i32", "i64"], result: "i64" },
  prctl: { parameters: ["i32", "i64", "i64", "i64", "i64"], result: "i32" },
});
const isRefused = () => symbols.mmap(0n, 4096n, PROT_ALL, MAP_PRIVATE_ANONYMOUS, -1, 0n) === -1n;
const before = isRefused();
forbidNewCode();
const isKnown = symbols.prctl(PR_GET_MDWE, 0n, 0n, 0n, 0n) >= 0;
console.log(JSON.stringify({ isKnown, before, after: isRefused() }));
