import assert from "node:assert/strict";
import * as protocol from "./protocol.ts";

Deno.test("the agent's header and the client have the same numbers", async () => {
  const path = new URL("../guest/agent/protocol.h", import.meta.url);
  const text = await Deno.readTextFile(path);
  const defined = new Map(
    [...text.matchAll(/^\t([A-Z_]+) = (\d+),/gm)].map(([, name, value]) => [name, Number(value)]),
  );
  const snake = (name: string) => name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
  const ours = new Map<string, number>([
    ...Object.entries(protocol.FrameType).map(([name, value]) =>
      [`FRAME_${snake(name)}`, value] as const
    ),
    ...["PROTOCOL_VERSION", "HEADER_SIZE", "MAX_PAYLOAD", "INPUT_WINDOW", "MAX_DEPTH"].map((name) =>
      [name, Number(protocol[name as keyof typeof protocol])] as const
    ),
  ]);
  assert.deepEqual(new Map([...defined].sort()), new Map([...ours].sort()));
  assert.match(text, new RegExp(`PROTOCOL_MAGIC "${protocol.MAGIC}"`));
});
