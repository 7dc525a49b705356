import assert from "node:assert/strict";
import { Log } from "./log.ts";

Deno.test("a line names level, VM and component, as text and as JSON", () => {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line);
  new Log({ format: "text", level: "info", write }, { vm: "app" }).for({ component: "disk0" })
    .warn("backend is away", { after: "5 s" });
  assert.equal(lines[0], "warn: app/disk0: backend is away after=5 s");
  new Log({ format: "json", level: "info", write }, { vm: "app" }).info("boots", { cpus: 2 });
  const { time, ...rest } = JSON.parse(lines[1]);
  assert.ok(!Number.isNaN(Date.parse(time)));
  assert.deepEqual(rest, { level: "info", vm: "app", message: "boots", cpus: 2 });
});

Deno.test("lines below the level are not written", () => {
  const lines: string[] = [];
  const log = new Log({ format: "text", level: "warn", write: (line) => lines.push(line) });
  log.debug("no");
  log.info("no");
  log.error("yes");
  assert.deepEqual(lines, ["error: yes"]);
});
