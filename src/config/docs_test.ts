import assert from "node:assert/strict";
import { Net, Provides, Vm } from "./schema.ts";

Deno.test("docs/configuration.md names every key of the schema, and no other", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/configuration.md", import.meta.url));
  const documented = [...page.matchAll(/^\| `(?:\[+([a-z]+)\]+|([a-z.]+))` /gm)]
    .map(([, table, key]) => table ?? key);
  const { disk, rng, console, limits, vsock, wl } = Vm.entries;
  const nested = (name: string, keys: object) => Object.keys(keys).map((key) => `${name}.${key}`);
  const known = [
    ...Object.keys(Vm.entries).filter((key) => key !== "console"),
    ...nested("disk", disk.wrapped.item.entries),
    ...nested("console", console.wrapped.entries),
    ...nested("net", Net.entries),
    ...nested("rng", rng.wrapped.entries),
    ...nested("limits", limits.wrapped.entries),
    ...nested("vsock", vsock.wrapped.entries),
    ...nested("wl", wl.wrapped.entries),
    ...new Set(Provides.options.flatMap(({ entries }) => nested("provides", entries))),
  ];
  assert.deepEqual(documented.sort(), known.sort());
});
