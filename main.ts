import { main } from "./src/cli/mod.ts";
import { ignoreInspectorSignal } from "./src/os/mod.ts";

// First of all: half a second after its start the runtime would open a debugger port at this signal.
ignoreInspectorSignal();
Deno.exit(await main(Deno.args));
