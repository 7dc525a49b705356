/**
 * Serves {@link HostileWl} for a monitor, as a backend that somebody else runs. Arguments: the path of its socket, how many
 * lies to tell, a seed, which of its features to offer (a mask, or "all"), and "whole-rings" when it is to break none.
 */

import { listenUnix, Window } from "../../../src/os/mod.ts";
import { DeviceLoop } from "../../../src/vhost/mod.ts";
import { HostileWl } from "./hostile_wl.ts";

const [path, lies, seed, features = "all", rings] = Deno.args;
const window = Window.reserve();
const log = (text: string) => console.error(`hostile: ${text}`);
const device = new HostileWl(window, {
  ...{ enough: Number(lies), seed: Number(seed), log },
  features: features === "all" ? undefined : BigInt(features),
  breaksRings: rings !== "whole-rings",
});
const loop = new DeviceLoop(device, { window, log: console.error });
const listening = listenUnix(path);
log(`ready, seed ${seed}`);
loop.serveEach(listening);
