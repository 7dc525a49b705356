import assert from "node:assert/strict";
import { type Fd, openFile, read, setNonBlocking, socketPair, writeAll } from "../../os/mod.ts";
import { DeviceBench, ScratchFile, window } from "../testing.ts";
import { ConsoleDevice } from "./mod.ts";

const text = (value: string) => new TextEncoder().encode(value);

function scene() {
  const [input, typist] = socketPair();
  const [output, reader] = socketPair();
  const device = new ConsoleDevice(window, input, output);
  const bench = new DeviceBench(device);
  const receive = bench.driver(0);
  const send = bench.driver(1, 2 ** 21);
  setNonBlocking(reader, true);
  const ends = [input, typist, output, reader];
  const dispose = () => {
    bench[Symbol.dispose]();
    for (const end of ends) end[Symbol.dispose]();
  };
  return { bench, receive, send, typist, input, reader, [Symbol.dispose]: dispose };
}

function readAll(fd: Fd): string {
  const buffer = new Uint8Array(2 ** 20);
  let length = 0;
  for (let n = 0; (n = read(fd, buffer.subarray(length))) > 0;) length += n;
  return new TextDecoder().decode(buffer.subarray(0, length));
}

Deno.test("what the guest writes comes out in order", () => {
  using console = scene();
  console.send.add([text("hello "), text("wor")]);
  console.send.add([text("ld\n")], { indirect: true });
  console.bench.round();
  assert.equal(readAll(console.reader), "hello world\n");
  assert.deepEqual(console.send.takeUsed().map((used) => used.written), [0, 0]);
});

Deno.test("what is typed waits for the guest, and goes in", () => {
  using console = scene();
  writeAll(console.typist, text("ls\n"));
  console.bench.round();
  const first = console.receive.add([2]);
  const second = console.receive.add([100]);
  console.bench.round();
  assert.deepEqual(console.receive.takeUsed(), [
    { head: first.head, written: 2 },
    { head: second.head, written: 1 },
  ]);
  assert.equal(console.receive.bytes[first.addresses[0]], "l".charCodeAt(0));
  assert.equal(console.receive.bytes[second.addresses[0]], "\n".charCodeAt(0));
});

Deno.test("the end of input leaves the guest its buffers, and the console its output", () => {
  using console = scene();
  console.receive.add([10]);
  console.typist[Symbol.dispose]();
  console.bench.round();
  assert.equal(console.receive.usedIndex, 0);
  assert.equal(console.bench.queue(0).base, 0);
  assert(console.input.closed);
  console.send.add([text("bye")]);
  console.bench.round();
  assert.equal(readAll(console.reader), "bye");
});

Deno.test("output that nobody reads makes the guest wait, and goes on where it was", () => {
  using console = scene();
  const line = "x".repeat(9999) + "\n";
  for (let i = 0; i < 60; i++) console.send.add([text(line)]);
  console.bench.round();
  assert(console.send.usedIndex < 60);
  let got = "";
  for (let i = 0; i < 200 && console.send.usedIndex < 60; i++) {
    got += readAll(console.reader);
    console.bench.round();
  }
  got += readAll(console.reader);
  assert.equal(got, line.repeat(60));
});

Deno.test("output that nobody reads does not hold up the end", () => {
  using console = scene();
  for (let i = 0; i < 60; i++) console.send.add([new Uint8Array(10_000)]);
  console.bench.round();
  const before = console.send.usedIndex;
  console.bench.device.settle?.();
  assert.equal(console.send.usedIndex, before + 1);
});

Deno.test("a file takes output as well", () => {
  using file = new ScratchFile(0);
  using output = openFile(file.path, { write: true });
  using bench = new DeviceBench(new ConsoleDevice(window, undefined, output));
  const driver = bench.driver(1);
  driver.add([text("to a file")]);
  bench.round();
  assert.equal(Deno.readTextFileSync(file.path), "to a file");
});
