/**
 * Serves {@link HostileWl} for a monitor, as a backend that somebody else runs. Arguments: the path of its socket, how many
 * lies to tell, a seed, and which of its features to offer (a mask).
 */

import { listenUnix, Window } from "../../../src/os/mod.ts";
import { DeviceLoop } from "../../../src/vhost/mod.ts";
import { HostileWl } from "./hostile_wl.ts";

const [path, lies, seed = `${Date.now() % 2 ** 31}`, features] = Deno.args;
const window = Window.reserve();
const mask = features === undefined ? undefined : BigInt(features);
const log = (text: string) => console.error(`hostile: ${text}`);
const device = new HostileWl(window, Number(lies), Number(seed), log, mask);
const loop = new DeviceLoop(device, { window, log: console.error });
const listening = listenUnix(path);
log(`ready, seed ${seed}`);
loop.serveEach(listening);
