import assert from "node:assert/strict";
import { cacheDir, fetchDebianKernel, showProgress } from "../../src/guest/mod.ts";
import { Feature, featureNames, VsockFeature } from "../../src/virtio/mod.ts";
import { guestProgram } from "../lab/guest_program.ts";
import {
  callGuest,
  connectGuest,
  dropGuest,
  echoAt,
  holdGuest,
  RefusedError,
} from "../vsock/host.ts";
import { DeviceProcess } from "./device_process.ts";
import { canRunQemu, negotiated, runQemuGuest } from "./qemu_guest.ts";

const kernel = await fetchDebianKernel(cacheDir(), showProgress());
const ignore = !await canRunQemu();
const CID = 42;
const PATIENCE_MS = 5000;
const CONNECTIONS = Number(Deno.env.get("SPECTRUM_VSOCK_CONNECTIONS") ?? 60);
/** More than a connection has room for, in either buffer. */
const LARGE = 3_000_000;
const SMALL = 10_000;

/** One boot: connections both ways, which end in all ways; then one that the host ends, and one that ends with the guest. */
const SCRIPT = `
say features $(cat /sys/bus/virtio/devices/virtio0/features)
vsock serve 5000 &
vsock call 6000 2 ${LARGE}
vsock call 6000 ${CONNECTIONS} ${SMALL}
say called yes
vsock drop 6000 8
vsock call 6001 1 1 | grep -q '1 of 1 failed' && say refused yes
vsock hold 7000
`;

/** How many descriptors a process and its children have, when these are no more than so many, or have not become so. */
async function openDescriptors(pid: number, most: number): Promise<number> {
  const children = (pid: number): number[] => {
    const list = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).split(" ").filter(
      Boolean,
    );
    return list.map(Number).flatMap((child) => [child, ...children(child)]);
  };
  const count = () =>
    children(pid).reduce(
      (sum, child) => sum + [...Deno.readDirSync(`/proc/${child}/fd`)].length,
      0,
    );
  const begin = performance.now();
  while (count() > most && performance.now() - begin < (most === 0 ? 500 : PATIENCE_MS)) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return count();
}

Deno.test({
  name: "QEMU as frontend: connections each way carry what they should, and end as they should",
  ignore,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "spectrum-vsock-" });
    try {
      const path = `${folder}/guest`;
      const words = ["--cid", String(CID), "--uds-path", path];
      await using vsock = await DeviceProcess.start("vsock", `${folder}/vsock.sock`, words);
      using _echoes = echoAt(path, 6000);
      using last = Deno.listen({ transport: "unix", path: `${path}_7000` });
      const host = async () => {
        const held = await last.accept();
        // One connection is open now, and at the end another.
        const before = await openDescriptors(vsock.pid, 0);
        await callGuest(path, 5000, 2, LARGE);
        await callGuest(path, 5000, CONNECTIONS, SMALL);
        await dropGuest(path, 5000, 8);
        await assert.rejects(connectGuest(path, 5001), RefusedError);
        const holds = Promise.withResolvers<void>();
        const ended = holdGuest(path, 5000, holds.resolve);
        await holds.promise;
        assert.equal(await openDescriptors(vsock.pid, before + 1), before + 1);
        held.close();
        return await ended;
      };
      const [result, ended] = await Promise.all([
        runQemuGuest({
          kernel,
          cpus: 2,
          modules: ["virtio_pci", "vmw_vsock_virtio_transport"],
          files: [await guestProgram("vsock", new URL("../vsock/vsock_guest.c", import.meta.url))],
          script: SCRIPT,
          arguments: [
            ...["-chardev", `socket,id=vsock,path=${vsock.socket}`],
            ...["-device", "vhost-user-vsock-pci,chardev=vsock"],
          ],
        }),
        host(),
      ]);
      const { reports } = result;
      const features = negotiated(result);
      console.log(`negotiated: ${featureNames(features, VsockFeature).join(", ")}`);
      assert.notEqual(features & Feature.EventIdx, 0n);
      assert.equal(reports.get("called"), "yes", result.output);
      assert.doesNotMatch(result.output, /vsock: /);
      assert.equal(reports.get("refused"), "yes", result.output);
      assert.equal(reports.get("ended"), "end", "what the guest reads when the host closes");
      assert.equal(ended, "end", "what the host reads when the guest is gone");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
