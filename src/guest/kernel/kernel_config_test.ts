import assert from "node:assert/strict";
import { lostOptions, parseKernelConfig } from "./kernel_config.ts";

Deno.test("a .config is read as the kernel's tools write it", () => {
  const config = parseKernelConfig(
    "#\n# General setup\n#\nCONFIG_64BIT=y\n# CONFIG_COMPAT is not set\n" +
      'CONFIG_LSM="landlock,yama"\nCONFIG_NR_CPUS=64\nCONFIG_MAGIC_SYSRQ_DEFAULT_ENABLE=0x0\n\n',
  );
  assert.deepEqual([...config], [
    ["64BIT", "y"],
    ["COMPAT", "n"],
    ["LSM", '"landlock,yama"'],
    ["NR_CPUS", "64"],
    ["MAGIC_SYSRQ_DEFAULT_ENABLE", "0x0"],
  ]);
});

Deno.test("of an option set twice the last counts", () => {
  const config = parseKernelConfig("CONFIG_A=y\nCONFIG_A=n\nCONFIG_B=y\n# CONFIG_B is not set\n");
  assert.deepEqual([...config], [["A", "n"], ["B", "n"]]);
});

Deno.test("a slip of the pen in a fragment is an error, not a comment", () => {
  assert.throws(() => parseKernelConfig("CONFIG_A=y\nCONFIG_B\n"), /line 2 .*CONFIG_B/);
  assert.throws(() => parseKernelConfig("EROFS_FS=y"), SyntaxError);
});

Deno.test("lost options are named with both values", () => {
  const requested = parseKernelConfig(
    "CONFIG_EROFS_FS=y\nCONFIG_HZ=250\nCONFIG_SLOB=n\n# CONFIG_DEVMEM is not set\nCONFIG_OK=y\n",
  );
  const actual = parseKernelConfig("CONFIG_HZ=100\nCONFIG_SLOB=y\nCONFIG_OK=y\n");
  assert.deepEqual(lostOptions(requested, actual), [
    { option: "EROFS_FS", requested: "y", actual: "n" },
    { option: "HZ", requested: "250", actual: "100" },
    { option: "SLOB", requested: "n", actual: "y" },
  ]);
});
