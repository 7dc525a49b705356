import assert from "node:assert/strict";
import {
  openFile,
  receiveMessage,
  sendMessage,
  socketPair,
  testLock,
  tryLock,
  unlock,
} from "./mod.ts";

const path = Deno.makeTempFileSync();
globalThis.addEventListener("unload", () => Deno.removeSync(path));

Deno.test("two opens of one file exclude each other", () => {
  using one = openFile(path, { write: true });
  using two = openFile(path, { write: true });
  assert.equal(testLock(two, "write", 0, 0), true);
  assert.equal(tryLock(one, "write", 100, 1), true);
  assert.equal(tryLock(one, "write", 100, 1), true, "one's own lock is no obstacle");
  assert.equal(testLock(two, "read", 100, 1), false);
  assert.equal(tryLock(two, "write", 0, 0), false);
  assert.equal(tryLock(two, "write", 101, 1), true, "another range");
  unlock(one, 100, 1);
  assert.equal(tryLock(two, "write", 0, 0), true);
});

Deno.test("readers share", () => {
  using one = openFile(path);
  using two = openFile(path);
  using writer = openFile(path, { write: true });
  assert.equal(tryLock(one, "read", 0, 0), true);
  assert.equal(tryLock(two, "read", 0, 0), true);
  assert.equal(tryLock(writer, "write", 0, 0), false);
  assert.throws(() => tryLock(one, "write", 0, 0), { code: "EBADF" });
});

Deno.test("a lock goes with the descriptor and ends with its last copy", () => {
  const one = openFile(path, { write: true });
  using two = openFile(path, { write: true });
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  assert.equal(tryLock(one, "write", 0, 0), true);
  sendMessage(a, new Uint8Array(1), [one]);
  one[Symbol.dispose]();
  const [sent] = receiveMessage(b, new Uint8Array(1), 1).fds;
  assert.equal(testLock(two, "write", 0, 0), false);
  sent[Symbol.dispose]();
  assert.equal(testLock(two, "write", 0, 0), true);
});

Deno.test("another process that honours such locks is kept out", async () => {
  using one = openFile(path, { write: true });
  assert.equal(tryLock(one, "write", 0, 0), true);
  const code = "import fcntl,struct,sys\n" +
    "f=open(sys.argv[2],'r+')\n" +
    "try: fcntl.fcntl(f,37,struct.pack('hhqqixxxx',1,0,0,0,0))\n" +
    "except OSError as e: sys.exit(e.errno)\n";
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command("python3", { args: ["-c", code, "x", path] }).output();
  } catch {
    return; // no python3 here: the other tests stand
  }
  assert.equal(output.code, 11, new TextDecoder().decode(output.stderr));
});
