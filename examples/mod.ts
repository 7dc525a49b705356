// The example VM of `deno task dev`: busybox on Debian's kernel, with a disk.
export { buildExample, type Example, SELF_CHECK } from "./build_example.ts";
export { checkOutput, hashFile, SelfCheckError } from "./check_output.ts";
