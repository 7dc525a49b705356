import assert from "node:assert/strict";
import type { LabResult } from "../../scripts/lab/mod.ts";
import { type Bench, fromSource, RunningGuest } from "./machine.ts";

/** Network namespace of the VM's host: an interface with a default route, behind which nobody is. */
const HOST_NETWORK = `ip netns delete web 2>/dev/null; modprobe -q veth
set -e
ip netns add web; ip link add up0 netns web type veth peer name far0 netns web
in_web="ip netns exec web"
for name in lo up0 far0; do $in_web ip link set $name up; done
$in_web ip addr add 10.77.0.2/24 dev up0; $in_web ip route add default via 10.77.0.1`;

const WEB_TOML = `name = "web"
image = "web"
memory = "512M"
cpus = 2
cmdline = "quiet"

[net]
`;

/** A shell in place of systemd, for what a whole boot is too long for. */
const SHELL = '--cmdline "quiet init=/bin/bash"';

/** Debian with systemd, from an image: what a new user tries. */
export async function systemdTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "an image", async (t) => {
    const prelude = `S="ip netns exec web ${fromSource.join(" ")}"
export XDG_DATA_HOME=${bench.imagesHome}\ncd /scratch`;
    const sh = (script: string): Promise<LabResult> => bench.sh(`${prelude}\n${script}`);
    const good = async (script: string): Promise<string> => {
      const { status, stdout, stderr } = await sh(script);
      assert.equal(status, 0, `${script}: ${stderr}${stdout}`);
      return stdout.trim();
    };
    /** What a shell in place of systemd prints that is told this on the console. */
    const inShell = async (flags: string, script: string): Promise<string> => {
      const guest = new RunningGuest();
      guest.process = await bench.stage.spawn({
        command: ["sh", "-c", `${prelude}\nexec $S run web.toml ${SHELL} ${flags}`],
        timeout: 300,
        onOutput: (bytes) => guest.see(bytes),
      });
      await guest.waitFor("/# ");
      await guest.run("stty -echo; bind 'set enable-bracketed-paste off'; PS1=");
      const output = await guest.run(script);
      await guest.process.write("sync; echo o >/proc/sysrq-trigger\n");
      assert.equal(await guest.process.status, 0, guest.output);
      return output.replaceAll("\r", "");
    };
    const console = async () =>
      (await sh("cat $XDG_RUNTIME_DIR/spectrum/web/console.log")).stdout.replaceAll("\r", "");

    await t.step("spectrum run --publish: no failed unit, and the page", async () => {
      await good(`${HOST_NETWORK}
rm -rf $XDG_DATA_HOME/spectrum/vms; printf '%s' '${WEB_TOML}' >web.toml
$S run --detach web.toml --publish 8080:80`);
      const started = performance.now();
      const state = await sh("$S exec --timeout 300 web -- systemctl is-system-running --wait");
      globalThis.console.log(
        `running after ${((performance.now() - started) / 1000).toFixed(1)} s`,
      );
      const failed = await sh("$S exec web -- systemctl --failed --plain --no-legend");
      assert.equal(state.stdout, "running\n", `${failed.stdout}${await console()}`);
      assert.equal(failed.stdout, "");
      assert.match(
        await good("ip netns exec web wget -q -O - http://127.0.0.1:8080/"),
        /Welcome to nginx/,
      );
    });

    await t.step("the system is the VM's own, and the console its owner's", async () => {
      assert.equal(
        await good("$S exec web -- sh -c 'hostname; uname -r; nproc; wc -c </etc/machine-id'"),
        `web\n${bench.small.version}\n2\n33`,
      );
      assert.equal(
        await good("$S exec web -- stat --file-system --format %T /"),
        "overlayfs",
      );
      // Its shell comes when nothing else is to be started.
      await good(`log=$XDG_RUNTIME_DIR/spectrum/web/console.log
for i in $(seq 300); do grep -q 'root@web:~#' $log && break; sleep 0.2; done`);
      assert.match(await console(), /web login: root \(automatic login\)/);
    });

    await t.step("spectrum stop: what was written stays", async () => {
      await good(
        "$S exec web -- sh -c 'echo kept >/root/kept; rm /etc/hosts; mv /usr/share/perl5 /usr/share/moved'",
      );
      await good("$S stop web");
      assert.match(await console(), /reboot: Power down/);
      assert.match(await good("$S image list"), /^web .* nginx-light +web \(/m);
    });

    await t.step("the next start finds it, in an overlay that has grown", async () => {
      const output = await inShell(
        "--overlay 20G",
        "cat /root/kept; ls -d /etc/hosts /usr/share/moved /usr/share/perl5; df -BG --output=size /",
      );
      assert.match(output, /^kept$/m);
      assert.match(output, /^\/usr\/share\/moved$/m);
      assert.match(output, /cannot access '\/etc\/hosts'/);
      assert.match(output, /cannot access '\/usr\/share\/perl5'/);
      assert.match(output, /^ *20G$/m);
    });

    await t.step("a disposable one begins anew, and leaves nothing", async () => {
      const output = await inShell("--name other --disposable", "ls /root/kept /etc/hosts");
      assert.match(output, /cannot access '\/root\/kept'/);
      assert.match(output, /^\/etc\/hosts$/m);
      assert.equal(await good("ls $XDG_DATA_HOME/spectrum/vms/other"), "");
    });
  });
}
