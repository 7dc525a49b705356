// The lab host itself: statuses, output, users, and that nothing of it is left behind.
import assert from "node:assert/strict";
import { join } from "node:path";
import { LabDiedError, LabSession, runInLab, TREE } from "../../scripts/lab/mod.ts";

Deno.test("commands in one lab host", async (t) => {
  await using lab = await LabSession.start({ memory: 2048 });

  await t.step("status and output come back, apart", async () => {
    const result = await lab.run({ command: ["sh", "-c", "echo out; echo err >&2; exit 7"] });
    assert.deepEqual(result, { status: 7, stdout: "out\n", stderr: "err\n" });
  });

  await t.step("output is there before the command has ended", async () => {
    let seen = (_: string) => {};
    const first = new Promise<string>((resolve) => seen = resolve);
    const process = await lab.spawn({
      command: ["sh", "-c", "echo early; read line; exit 3"],
      onOutput: (bytes) => seen(new TextDecoder().decode(bytes)),
    });
    assert.equal(await first, "early\n");
    await process.write("go\n");
    assert.equal(await process.status, 3);
  });

  await t.step("signals, unknown commands and time limits have the shell's statuses", async () => {
    assert.equal((await lab.run({ command: ["sh", "-c", "kill -11 $$"] })).status, 139);
    assert.equal((await lab.run({ command: ["no-such-program"] })).status, 127);
    assert.equal((await lab.run({ command: ["/etc/passwd"] })).status, 126);
    assert.equal((await lab.run({ command: ["sleep", "60"], timeout: 0.5 })).status, 124);
  });

  await t.step("input of many frames arrives whole", async () => {
    const data = new Uint8Array(1 << 20).map((_, index) => index * 7);
    const hash = await crypto.subtle.digest("SHA-256", data);
    const { stdout } = await lab.run({ command: ["sha256sum"], stdin: data });
    assert.equal(stdout.slice(0, 64), new Uint8Array(hash).toHex());
  });

  await t.step("the ordinary user may use KVM and little else", async () => {
    const script =
      "id -un; id -Gn; test -w /dev/kvm && echo kvm; test -w /etc/passwd || echo no; touch ~/x /scratch/x";
    const result = await lab.run({ command: ["sh", "-c", script], user: true });
    assert.deepEqual(result, { status: 0, stdout: "user\nuser kvm\nkvm\nno\n", stderr: "" });
  });

  await t.step("the tree, Deno and the guest kernel are where they are outside", async () => {
    const { stdout } = await lab.run({
      command: ["deno", "eval", "console.log(Deno.execPath(), Deno.cwd())"],
    });
    assert.equal(stdout, `${Deno.execPath()} ${TREE}\n`);
    const same = await lab.run({ command: ["cat", join(TREE, "deno.json")] });
    assert.equal(same.stdout, await Deno.readTextFile(join(TREE, "deno.json")));
  });

  await t.step("the ordinary user finds the guest kernels, too", async () => {
    const script = "ls ~/.cache/spectrum/kernels/*/boot/vmlinuz-* && mkdir ~/.cache/spectrum/x";
    const { status, stderr } = await lab.run({ command: ["sh", "-c", script], user: true });
    assert.equal(status, 0, stderr);
  });

  await t.step("KVM is there, and /scratch takes O_DIRECT", async () => {
    const result = await lab.run({
      command: [
        "sh",
        "-c",
        "test -c /dev/kvm && dd if=/dev/zero of=/scratch/f bs=4096 count=4 oflag=direct",
      ],
    });
    assert.equal(result.status, 0, result.stderr);
  });

  await t.step("a terminal is one, of the size asked for", async () => {
    let output = "";
    const process = await lab.spawn({
      command: ["sh", "-c", "tty; stty size"],
      terminal: { rows: 33, columns: 77 },
      onOutput: (bytes) => output += new TextDecoder().decode(bytes),
    });
    assert.equal(await process.status, 0);
    assert.equal(output, "/dev/pts/0\r\n33 77\r\n");
  });

  await t.step("folders come out", async () => {
    const folder = await Deno.makeTempDir();
    try {
      await lab.run({ command: ["sh", "-c", "mkdir -p /out/a && echo b >/out/a/c"] });
      await lab.copyOut("/out", join(folder, "new"));
      assert.equal(await Deno.readTextFile(join(folder, "new/a/c")), "b\n");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  await t.step("its death ends every command, with the reason", async () => {
    const waiting = lab.run({ command: ["sleep", "1000"] });
    const crash = lab.run({ command: ["sh", "-c", "echo c >/proc/sysrq-trigger"] });
    for (const end of await Promise.allSettled([waiting, crash])) {
      assert.ok(end.status === "rejected" && end.reason instanceof LabDiedError);
      assert.match(end.reason.reason, /^kernel panic: .*sysrq/);
      assert.match(end.reason.console, /Call Trace/);
    }
  });
});

Deno.test("runInLab returns the status", async () => {
  assert.deepEqual(await runInLab({ command: ["sh", "-c", "exit 42"], memory: 1024 }), {
    status: 42,
  });
});

const main = join(TREE, "scripts/lab/main.ts");

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGKILL", 137]] as const) {
  Deno.test(`${signal} leaves no QEMU behind`, async () => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", main, "--memory", "1024", "--", "sh", "-c", "echo up; sleep 1000"],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = child.stdout.getReader();
    assert.equal(new TextDecoder().decode((await reader.read()).value), "up\n");
    const qemu = await childOf(child.pid);
    child.kill(signal);
    const ended = await child.status;
    assert.equal(ended.code, status);
    await reader.cancel();
    for (let tries = 0; await isAlive(qemu); tries++) {
      assert.ok(tries < 100, `QEMU, ${qemu}, still runs`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
}

async function childOf(pid: number): Promise<number> {
  const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
  assert.match(children, /^\d+ $/);
  return Number(children);
}

async function isAlive(pid: number): Promise<boolean> {
  try {
    return !/^State:\s+[ZX]/m.test(await Deno.readTextFile(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}
