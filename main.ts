import { main } from "./src/cli/mod.ts";
import { ignoreInspectorSignal, reportLeaksAtExit } from "./src/os/mod.ts";

// First of all: half a second after its start the runtime would open a debugger port at this signal.
ignoreInspectorSignal();

// For those who look for a leak.
if (Deno.env.get("SPECTRUM_LEAKS") !== undefined) reportLeaksAtExit();

// What nobody caught ends the program: by itself the runtime would first wait for threads that wait for us.
addEventListener("error", (event) => fail(event.error ?? event.message));
addEventListener("unhandledrejection", (event) => fail(event.reason));

Deno.exit(await main(Deno.args));

function fail(error: unknown): never {
  console.error(error);
  Deno.exit(4);
}
