import assert from "node:assert/strict";
import { socketPair } from "../../src/os/mod.ts";
import { Programs, resultOf } from "./messages/processes.ts";

/** SPECTRUM_MESSAGES=1000000 for a run by hand. */
const COUNT = Number(Deno.env.get("SPECTRUM_MESSAGES") ?? 50_000);
const SEED = Number(Deno.env.get("SPECTRUM_SEED") ?? Math.floor(Math.random() * 2 ** 31));

Deno.test("random messages through a proxy that fragments and delays: each arrives once, intact, in order", async () => {
  console.log(`${COUNT} messages, SPECTRUM_SEED=${SEED}`);
  await using programs = new Programs();
  const [a, b] = socketPair();
  const [c, d] = socketPair();
  const began = performance.now();
  const receiver = await programs.start("receiver.ts", [`${SEED}`], [d]);
  const proxy = await programs.start("proxy.ts", [`${SEED + 1}`], [b, c]);
  const sender = await programs.start("sender.ts", [`${COUNT}`, `${SEED}`], [a]);
  for (const fd of [a, b, c, d]) fd.close();
  const { messages, descriptors, bytes, ...rest } = await resultOf(sender);
  assert.deepEqual(rest, { wrong: "", leaked: 0, leakedBySender: 0 });
  assert.equal(messages, COUNT);
  for (const { exited } of [receiver, proxy]) assert.deepEqual(await exited, { status: 0 });
  for (const { output } of [receiver, proxy]) assert.equal(await output, "");
  const seconds = (performance.now() - began) / 1000;
  const rate = Number(bytes) / 1e6 / seconds;
  console.log(
    `${messages} messages, ${descriptors} descriptors, ${(Number(bytes) / 1e6).toFixed(0)} MB in ${
      seconds.toFixed(1)
    } s: ${rate.toFixed(0)} MB/s`,
  );
});

Deno.test("throughput, beside JSON lines on the same kind of socket", async () => {
  console.log("bytes      messages             JSON lines (base64)");
  for (const [size, count] of [[100, 20_000], [4096, 10_000], [65536, 2000], [1 << 20, 150]]) {
    const columns: string[] = [];
    for (const form of ["messages", "json"]) {
      await using programs = new Programs();
      const [a, b] = socketPair();
      const words = [form, `${count}`, `${size}`];
      const receiver = await programs.start("throughput.ts", ["receive", ...words], [b]);
      const sender = await programs.start("throughput.ts", ["send", ...words], [a]);
      for (const fd of [a, b]) fd.close();
      const { came, ms } = await resultOf(sender);
      assert.equal(came, count);
      assert.deepEqual(await receiver.exited, { status: 0 });
      assert.equal(await receiver.output, "");
      const rate = (count / Number(ms)) * 1000;
      columns.push(`${rate.toFixed(0)}/s ${((rate * size) / 1e6).toFixed(1)} MB/s`.padEnd(20));
    }
    console.log(`${size}`.padEnd(10), ...columns);
  }
});
