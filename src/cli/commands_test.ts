import assert from "node:assert/strict";
import { ServedVm } from "../control/testing.ts";
import { root } from "../../scripts/root.ts";

/** Runs the command line from source, where it finds a fake VM. */
async function spectrum(base: string, words: readonly string[], input?: string) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--no-prompt", `${root}main.ts`, ...words],
    env: { XDG_RUNTIME_DIR: base, NO_COLOR: "1" },
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("commands show and drive a VM", async (t) => {
  await using served = await ServedVm.start({ name: "app" });
  const run = (...words: string[]) => spectrum(served.base, words);
  const good = async (...words: string[]) => {
    const { code, stdout, stderr } = await run(...words);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  await t.step("ps", async () => {
    assert.match(await good("ps"), /^NAME .*\napp +running +\d+ +\d+ s +2 +512 MiB\n$/);
    assert.equal(await good("ps", "--quiet"), "app\n");
    const [row] = JSON.parse(await good("ps", "--json"));
    assert.deepEqual([row.name, row.state, row.cpus], ["app", "running", 2]);
  });
  await t.step("info", async () => {
    assert.match(await good("info", "app"), /kernel: +\/boot\/fake[^]*disk0 +blk +worker 4242/);
    assert.equal(JSON.parse(await good("info", "--json", "app")).name, "app");
  });
  await t.step("pause, resume, reset, snapshot", async () => {
    await good("pause", "app");
    const refused = await run("reset", "app");
    assert.deepEqual([refused.code, refused.stderr], [
      1,
      "error: The VM is paused, not running.\n",
    ]);
    await good("snapshot", "app", "/tmp/x");
    assert.deepEqual(served.vm.snapshots, ["/tmp/x"]);
    await good("resume", "app");
    await good("reset", "app");
    assert.equal(served.vm.info().resets, 1);
  });
  await t.step("restart-device", async () => {
    assert.equal(
      await good("restart-device", "app", "disk0"),
      "disk0 has a new backend: process 4242\n",
    );
    const wrong = await run("restart-device", "app", "disc0");
    assert.deepEqual([wrong.code, wrong.stderr], [
      1,
      'error: There is no device "disc0". Did you mean "disk0"? Those that there are: disk0.\n',
    ]);
    served.vm.backendComesBack = false;
    const away = await run("restart-device", "--wait", "0", "app", "disk0");
    assert.equal(away.code, 2);
    assert.match(away.stderr, /^error: disk0 is still away: no backend has come within 0 s\. /);
    served.vm.backendComesBack = true;
  });
  await t.step("metrics", async () => {
    assert.match(await good("metrics", "app"), /^# HELP/);
  });
  await t.step("console without a terminal", async () => {
    const { code, stdout } = await spectrum(served.base, ["console", "app"], "hello\n");
    assert.equal(code, 0);
    assert.match(stdout, /^fake guest[^]*you said: hello/);
  });
  await t.step("logs", async () => {
    const none = await run("logs", "app");
    assert.equal(none.code, 1);
    assert.match(none.stderr, /keeps no monitor log/);
    await Deno.writeTextFile(`${served.vm.runtimeDir}/log`, "from the log\n");
    await Deno.writeTextFile(`${served.vm.runtimeDir}/console.log.1`, "older ");
    await Deno.writeTextFile(`${served.vm.runtimeDir}/console.log`, "newer");
    assert.equal(await good("logs", "app"), "from the log\n");
    assert.equal(await good("logs", "--console", "app"), "older newer");
  });
  await t.step("a wrong name", async () => {
    const { code, stderr } = await run("stop", "apq");
    assert.equal(code, 1);
    assert.equal(stderr, 'error: No VM named "apq" runs. Did you mean "app"?\n');
  });
  await t.step("events and stop", async () => {
    const events = run("events", "app");
    while (served.vm.listeners === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await good("stop", "app");
    assert.match((await events).stdout, /^\S+ power-button\n\S+ ended\n$/);
  });
});

Deno.test("check names file, line, key, reason and the nearest key", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/app.toml`;
    await Deno.writeTextFile(file, 'kernel = "debian"\nmemroy = "1G"\n');
    const { code, stderr } = await spectrum(folder, ["check", file]);
    assert.equal(code, 1);
    assert.match(stderr, /app\.toml:2: memroy: unknown key "memroy"; did you mean "memory"\?/);
    await Deno.writeTextFile(`${folder}/vmlinux`, "");
    await Deno.writeTextFile(file, 'kernel = "vmlinux"\nmemory = "1G"\n');
    const good = await spectrum(folder, ["check", "--json", file]);
    assert.equal(JSON.parse(good.stdout).config.memory, 2 ** 30, good.stderr);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a VM that cannot start detached says why, with its status, and leaves nothing", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const words = ["run", "--detach", "--name", "x", "--kernel", "/nowhere"];
    const { code, stderr } = await spectrum(folder, words);
    // Which of the two is looked at first depends on this host's KVM.
    assert.ok(code === 1 || code === 2, stderr);
    assert.match(stderr, /error: .*(\/nowhere|\/dev\/kvm)/);
    assert.deepEqual([...Deno.readDirSync(`${folder}/spectrum`)], []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("doctor says what is there, as data, too", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { stdout, code } = await spectrum(folder, ["doctor", "--json"]);
    const findings: { what: string; verdict: string; mend?: string }[] = JSON.parse(stdout);
    assert.ok(findings.some(({ what }) => what === "/dev/kvm"));
    assert.equal(code, findings.some(({ verdict }) => verdict === "bad") ? 2 : 0);
    for (const { verdict, mend } of findings) assert.equal(mend === undefined, verdict === "ok");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("who reads only the beginning of a command's output ends it without an error", async (t) => {
  await using served = await ServedVm.start({ name: "app" });
  /** Runs a command, does something, reads once and goes away. */
  const readOnce = async (words: readonly string[], meanwhile: () => void) => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--no-prompt", `${root}main.ts`, ...words],
      env: { XDG_RUNTIME_DIR: served.base, NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const something = setInterval(meanwhile, 10);
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    const [{ code }, stderr] = await Promise.all([
      child.status,
      new Response(child.stderr).text(),
    ]);
    clearInterval(something);
    assert.deepEqual([code, stderr], [0, ""]);
  };
  await t.step("logs", async () => {
    Deno.writeTextFileSync(`${served.vm.runtimeDir}/log`, "a line\n".repeat(100_000));
    await readOnce(["logs", "app"], () => {});
  });
  await t.step("events", async () => {
    await readOnce(["events", "app"], () => served.vm.tell("reset"));
  });
});
