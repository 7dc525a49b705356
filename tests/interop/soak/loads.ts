import { filterCalls } from "../../../src/os/mod.ts";
import { compileFilter, type SystemCall, systemCallNames } from "../../../src/sandbox/mod.ts";
import { BlkLoad } from "./blk_load.ts";
import { ConsoleLoad } from "./console_load.ts";
import type { Load } from "./load.ts";
import { NetLoad } from "./net_load.ts";
import { RngLoad } from "./rng_load.ts";
import { StreamPeer } from "./stream_peer.ts";
import { TapPeer } from "./tap_peer.ts";
import { VsockLoad } from "./vsock_load.ts";
import { WlLoad } from "./wl_load.ts";

/** What workers are put through, by name: what each kind of device does, by each way it has. */
export const loads: Readonly<Record<string, (folder: string) => Load>> = {
  "blk cached": (folder) => new BlkLoad({ path: `${folder}/disk.img`, direct: false }),
  "blk direct": (folder) => new BlkLoad({ path: `${folder}/disk.img`, direct: true }),
  "blk direct, no io_uring": (folder) => {
    refuse("io_uring_setup");
    return new BlkLoad({ path: `${folder}/disk.img`, direct: true });
  },
  "blk device": (folder) =>
    new BlkLoad({ path: `${folder}/device`, direct: true, isBlockDevice: true }),
  "console": (folder) => new ConsoleLoad(folder),
  "net stream": () => new NetLoad(new StreamPeer()),
  "net tap": () => new NetLoad(new TapPeer()),
  "rng": () => new RngLoad(),
  "vsock": (folder) => new VsockLoad(folder),
  "wl": () => new WlLoad(),
};

/** From here on neither this process nor what it starts has such a system call, as with a kernel that lacks it. */
function refuse(call: SystemCall): void {
  const calls = systemCallNames.filter((name) => name !== "" && name !== call) as SystemCall[];
  filterCalls(compileFilter([{ calls, why: "all but one" }], "refuse"));
}
