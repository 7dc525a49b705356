// Loaded before examples of the documentation are run: there is a VM "app", and those that are started have no machine.
import { newLogFile } from "../../src/control/mod.ts";
import { parseConfig } from "../../src/config/mod.ts";
import { payload } from "../../src/os/mod.ts";

Deno.env.set("XDG_RUNTIME_DIR", await Deno.makeTempDir({ prefix: "spectrum-examples-" }));
const script = new URL("fake_monitor.ts", import.meta.url).pathname;
const command = [Deno.execPath(), "run", "-A", "--no-check", script];
globalThis.spectrumPayload = { ...payload(), command };

const [program, ...args] = command;
// Ends with this process, whose end of the pipe it waits for.
const app = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
const config = await parseConfig("", "documentation", { name: "app", kernel: "debian" });
const order = {
  config,
  log: { format: "text", level: "info" },
  logFile: newLogFile(),
  bound: true,
};
const input = app.stdin.getWriter();
await input.write(new TextEncoder().encode(JSON.stringify(order) + "\n"));
const output = app.stdout.getReader();
await output.read();
app.unref();
