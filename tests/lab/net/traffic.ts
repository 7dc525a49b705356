import assert from "node:assert/strict";
import type { RunningGuest } from "../machine.ts";
import { addresses, type HostNetwork } from "./host_network.ts";

const { outside } = addresses;
/** What is copied each way. */
const MIB = Number(Deno.env.get("SPECTRUM_NET_MIB") ?? 4);
/** What is kept of it in the guest's memory, and sent again and again. */
const PIECE = Math.min(MIB, 32);
/** Seconds of a measurement. */
const SECONDS = Number(Deno.env.get("SPECTRUM_NET_SECONDS") ?? 2);
/**
 * Descriptor 9 is an input that neither ends nor says anything: a guest that has closed its own direction of a connection
 * gets data from passt of Debian 12 more than once.
 */
const QUIET_INPUT = "mkfifo /tmp/quiet; exec 9<>/tmp/quiet";
/** A port outside for each copy. */
let port = 7000;

/** A network of a guest, however it is made: load, copies that are verified, both IP versions, names. */
export async function trafficTests(
  t: Deno.TestContext,
  guest: RunningGuest,
  network: HostNetwork,
): Promise<void> {
  await guest.run(QUIET_INPUT);
  await t.step("both versions of IP, and names", async () => {
    const said = await guest.run(
      `ping -c 1 -W 5 ${outside.v4}; ping -6 -c 1 -W 5 ${outside.v6}; nslookup web.test; nslookup nothing.test`,
    );
    assert.equal(said.match(/1 packets received|1 received/g)?.length, 2, said);
    assert.match(said, /Address.*: 10\.77\.0\.1\s/, said);
    assert.match(said, /Address.*: fd77::1\s/, said);
    assert.match(said, /can't resolve|NXDOMAIN/i, said);
  });

  await t.step("iperf3 both directions, both versions of IP", async () => {
    for (const [what, words] of Object.entries(measurements)) {
      const said = await guest.run(`iperf3 -t ${SECONDS} -f m ${words} | grep receiver`);
      const [, rate] = /([0-9.]+) Mbits\/sec/.exec(said) ?? [];
      assert.ok(Number(rate) > 1, `${what}: ${said}`);
      console.log(`    ${what}: ${rate} Mbit/s`);
    }
  });

  await t.step(`${MIB} MiB each way, verified`, async () => {
    const wanted = hash(
      await guest.run(
        `head -c ${PIECE * 2 ** 20} /dev/urandom >/tmp/piece; ${
          repeated("/tmp/piece")
        } | sha256sum`,
      ),
    );
    const up = ++port, down = ++port;
    // busybox' nc ends when its input does, and with its peer's; what it runs does not.
    const copy = "/tmp/spectrum-net-copy";
    // It greets: passt of Debian 12 resets connections on which the server is silent (docs/net.md).
    const received = network.outside(
      `busybox nc -l -p ${up} -e sh -c 'echo hello; cat >${copy}'; sha256sum ${copy}`,
    );
    // A connection that breaks leaves the guest trying.
    await Promise.all([
      received.then((said) => assert.equal(hash(said), wanted, "what came out of the guest")),
      guest.run(
        `until ${
          repeated("/tmp/piece")
        } | nc ${outside.v4} ${up} >/dev/null 2>&1; do sleep 0.2; done`,
      ),
    ]);
    const sent = network.outside(`busybox nc -l -p ${down} -e cat ${copy}; rm ${copy}`);
    // More than the guest has memory.
    const seen = await guest.run(
      `set -o pipefail; until nc ${outside.v6} ${down} <&9 2>/dev/null | sha256sum >/tmp/sum; do sleep 0.2; done; ` +
        "set +o pipefail; cat /tmp/sum; rm /tmp/sum /tmp/piece",
    );
    await sent;
    assert.equal(hash(seen), wanted);
  });
}

/** What `iperf3` is told. */
const measurements = {
  "from the guest, IPv4": `-c ${outside.v4}`,
  "to the guest, IPv6": `-R -c ${outside.v6}`,
};

/**
 * A connection of the guest that survives what is done to its device meanwhile: what comes by it is complete.
 *
 * @param harm called once some of it has come; the rest is sent when it has resolved
 */
export async function connectionSurvives(
  guest: RunningGuest,
  network: HostNetwork,
  harm: () => Promise<void>,
): Promise<void> {
  const from = ++port;
  const piece = "/tmp/spectrum-net-slow", rest = "/tmp/spectrum-net-rest";
  const sent = network.outside(`
    head -c 4194304 /dev/urandom >${piece}; rm -f ${rest}
    busybox nc -l -p ${from} -e sh -c 'cat ${piece}; until [ -e ${rest} ]; do sleep 0.1; done; cat ${piece}'
    cat ${piece} ${piece} | sha256sum; rm ${piece} ${rest}`);
  const begun = guest.output.length;
  // In one line: busybox' shell ends when a job in the background does while it waits for the next one.
  const received = guest.run(
    `until nc ${outside.v4} ${from} <&9 2>/dev/null >/tmp/slow; do sleep 0.2; done & copy=$!; ` +
      'until [ -s /tmp/slow ]; do sleep 0.1; done; echo some-has""-come; ' +
      "wait $copy; sha256sum /tmp/slow; rm /tmp/slow",
  );
  const harmed = async () => {
    await guest.until(() => guest.output.slice(begun).includes("some-has-come"));
    await harm();
    await network.outside(`touch ${rest}`);
  };
  const [seen, wanted] = await Promise.all([received, sent, harmed()]);
  assert.equal(hash(seen), hash(wanted));
}

function repeated(file: string): string {
  const times = Math.ceil(MIB / PIECE);
  return times === 1 ? `cat ${file}` : `{ for i in $(seq ${times}); do cat ${file}; done; }`;
}

function hash(text: string): string {
  return /[0-9a-f]{64}/.exec(text)?.[0] ?? `no hash in: ${text}`;
}
