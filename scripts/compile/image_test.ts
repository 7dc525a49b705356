import assert from "node:assert/strict";
import { CompileError } from "./compile_error.ts";
import { type Contents, layOut, type Role } from "./image.ts";

const places = { address: 0x1000, entry: 0x2000, environSlot: 0x3000 };
const role: Role<"a" | "b"> = {
  name: "",
  arguments: ["run"],
  files: ["a"],
  script: (fileOf) => `use("${fileOf("a")}");`,
};
const good: Contents<"a" | "b"> = {
  files: { a: { name: "a", data: new Uint8Array(3) }, b: { name: "b", data: new Uint8Array(3) } },
  roles: [role],
  environment: { A: "1" },
  dropped: ["B="],
  kept: ["B=1"],
};

Deno.test("the image begins with the stub and holds what the header names", () => {
  const stub = new Uint8Array(32).fill(0x90);
  const image = layOut(stub, places, good);
  assert.deepEqual(image.subarray(0, 32), stub);
  const view = new DataView(image.buffer);
  assert.deepEqual([view.getUint32(32, true), view.getUint32(40, true), view.getUint32(48, true)], [
    0x1000,
    0x2000,
    0x3000,
  ]);
  const text = new TextDecoder("latin1").decode(image);
  const list = view.getUint32(56, true);
  assert.equal(text.slice(list, list + 5), "A=1\0\0");
  assert.ok(text.includes(`use("%a");\0`));
});

Deno.test("what the stub could not read is refused", () => {
  const refused = (contents: Partial<Contents<"a" | "b">>) =>
    assert.throws(() => layOut(new Uint8Array(16), places, { ...good, ...contents }), CompileError);
  refused({ roles: [{ ...role, name: "x" }] });
  refused({ roles: [] });
  refused({ roles: [{ ...role, script: (fileOf) => fileOf("b") }] });
  refused({ roles: [{ ...role, script: () => "5 % 3" }] });
  refused({ roles: [{ ...role, arguments: Array.from({ length: 61 }, () => "x") }] });
  refused({ roles: [{ ...role, arguments: [""] }] });
  refused({ environment: { A: "x\0y" } });
});
