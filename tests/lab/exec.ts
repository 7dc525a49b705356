import assert from "node:assert/strict";
import type { LabResult } from "../../scripts/lab/mod.ts";
import { type Bench, fromSource } from "./machine.ts";

/** By hand `SPECTRUM_EXEC_MIB=1024`. */
const MIB = Number(Deno.env.get("SPECTRUM_EXEC_MIB") ?? 8);
const SNAPSHOT = "/scratch/exec-snapshot";

/** A root file system with busybox and its init, which knows nothing of a power button. */
function makeRoot(folder: string): string {
  return `mkdir -p ${folder} && cd ${folder} && mkdir bin sbin etc proc sys dev tmp root srv
cp "$(readlink -f "$(command -v busybox)")" bin/busybox
for name in $(busybox --list); do ln -s busybox bin/$name; done
ln -s ../bin/busybox sbin/init
printf 'root:x:0:0::/root:/bin/sh\\ndaemon:x:1:1::/tmp:/bin/sh\\n' >etc/passwd
printf 'root:x:0:\\ndaemon:x:1:\\nmore:x:50:daemon\\n' >etc/group
echo ::sysinit:/bin/true >etc/inittab
cd ..`;
}

/** Commands in a small guest, whose agent our init has started. */
export async function execTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "exec and cp", async (t) => {
    const sh = async (script: string): Promise<LabResult> =>
      await bench.sh(`S="${fromSource.join(" ")}"\ncd /scratch\n${script}`, 600 + MIB);
    const good = async (script: string): Promise<string> => {
      const { status, stdout, stderr } = await sh(script);
      assert.equal(status, 0, `${script}: ${stderr}${stdout}`);
      return stdout.trim();
    };
    const restore = () => good(`$S run --detach --restore ${SNAPSHOT}`);
    /** Starts a command, and goes on when it runs; `said` has its process id and the guest's wall clock. */
    const start = (command: string, first = "true") =>
      `rm -f said; $S exec --timeout 60 box sh -c '${first}; echo ready $$ $(date +%s); ${command}' >said 2>why &
while ! grep -qs ready said; do sleep 0.1; done
off=$(($(cut -d' ' -f3 said) - $(date +%s)))`;

    await t.step("a guest that boots is waited for", async () => {
      await good(`rm -rf ${SNAPSHOT} root; ${makeRoot("root")}
mke2fs -q -t ext4 -d root exec.img $((2 * ${MIB} + 64))M
cat >exec.toml <<END
name = "box"
kernel = "${bench.small.kernel}"
cmdline = "quiet"
root = "disk0"
memory = "256M"
[[disk]]
path = "exec.img"
[vsock]
[rng]
END
$S run --detach exec.toml`);
      assert.equal(await good("$S exec --timeout 200 box -- cat /proc/1/comm"), "init");
    });

    await t.step(`${MIB} MiB through standard input to sha256sum`, async () => {
      const sums = await good(`head -c $((${MIB} << 20)) /dev/urandom >in
sha256sum <in; $S exec box -- sha256sum <in`);
      const [here, there] = sums.split("\n");
      assert.equal(there, here);
    });

    await t.step("status, outputs, user, environment", async () => {
      assert.equal(
        await good(`$S exec box -- sh -c 'echo out; echo err >&2; exit 7' 2>err; echo $?; cat err
$S exec -u daemon -w /srv -e A=b box sh -c 'echo $(id -un) $(id -G) $PWD $A $HOME'`),
        "out\n7\nerr\ndaemon 1 50 /srv b /tmp",
      );
    });

    await t.step("kill -TERM, and kill -KILL", async () => {
      const killed = (signal: string) =>
        `${start("exec sleep 1000")}\nkill -${signal} $!; wait $!; echo $?`;
      assert.equal(
        await good(`${killed("TERM")}
${killed("KILL")}
$S exec box sh -c "kill -0 $(cut -d' ' -f2 said) 2>/dev/null || echo gone"`),
        "143\n137\ngone",
      );
    });

    await t.step("an interactive shell under tmux, resized", async () => {
      const screen = await good(`export LC_ALL=C.UTF-8 TERM=xterm
cat >shell <<END
$S exec box sh
echo status \\$?
stty -a | grep -o -- '-*icanon'
sleep 100
END
tmux -u -L exec new-session -d -x 80 -y 24 sh shell
shows() { n=0; until tmux -L exec capture-pane -p | grep -q -- "$1"; do sleep 0.2; n=$((n + 1)); [ $n -lt 300 ] || { tmux -L exec capture-pane -p; exit 1; }; done; }
keys() { tmux -L exec send-keys "$@"; }
shows '#'
keys 'stty size' Enter; shows '^24 80'
tmux -L exec resize-window -x 111 -y 33
keys 'sleep 100' Enter; sleep 1; keys C-c
keys 'stty size; tty' Enter; shows '33 111'
keys 'exit 5' Enter; shows 'status 5'; shows icanon
tmux -L exec capture-pane -p; tmux -L exec kill-server`);
      assert.match(screen, /\/dev\/pts\/\d[^]*status 5\nicanon/);
    });

    await t.step("cp both ways", async () => {
      await good(
        `rm -rf tree back && mkdir -p tree/sub && ln -s ../in tree/sub/link && cp in tree/in
$S cp tree box:/srv && $S cp box:/srv/tree back
[ "$(readlink back/sub/link)" = ../in ] && cmp in back/in`,
      );
    });

    /** What becomes of a command when something is done while it runs, behind how far the guest's clock is off. */
    const during = async (act: string) =>
      // The monitor has the clock set beside us.
      await good(`${start("exec sleep 1000", "sleep 2")}
${act}
wait $!; echo $off $?; cat why`);
    const ended = /^[-]?[012] 125\nerror: The VM "box" ended while the command ran\.$/;

    await t.step(
      "a killed monitor, after a pause, which the clock has caught up with",
      async () => {
        await good(`$S pause box; sleep 6; $S snapshot box ${SNAPSHOT}
cp --sparse=always exec.img exec-saved.img; $S resume box`);
        assert.match(
          await during(
            `kill -9 $($S info --json box | sed -n 's/.*"pid": \\([0-9]*\\),.*/\\1/p' | head -1)`,
          ),
          ended,
        );
      },
    );

    await t.step(
      "a killed guest, after it went on from its snapshot, at the right time",
      async () => {
        await good("mv exec-saved.img exec.img");
        await restore();
        assert.match(
          await during(
            `$S exec box sh -c 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger' 2>/dev/null`,
          ),
          ended,
        );
      },
    );

    await t.step("a guest that is deaf to its power button powers off all the same", async () => {
      await restore();
      const started = performance.now();
      await good("$S stop --grace 120 box");
      assert.ok(performance.now() - started < 100_000);
      assert.match(
        await good("cat $XDG_RUNTIME_DIR/spectrum/box/console.log"),
        /reboot: Power down/,
      );
    });
  });
}
