import assert from "node:assert/strict";
import { BuildError } from "../build/mod.ts";
import { sourceChanges } from "./source_changes.ts";
import { watchWorkers } from "./watch_workers.ts";

/** A watch whose source is a number, or a text that does not build. */
class FakeWatch {
  source: number | string = 0;
  builds = 0;
  readonly restarted: number[] = [];
  readonly reports: string[] = [];
  /** What the next restart fails for. */
  failure: string | undefined;
  #changed = () => {};
  /** Nothing will change any more. */
  end = () => {};
  readonly #changes = new ReadableStream<void>({
    start: (controller) => {
      this.#changed = () => controller.enqueue();
      this.end = () => controller.close();
    },
  });
  readonly over = watchWorkers({
    changes: this.#changes,
    rebuild: () => {
      this.builds++;
      if (typeof this.source === "string") {
        return Promise.reject(new BuildError("device.js", this.source));
      }
      return Promise.resolve(Uint8Array.of(this.source));
    },
    restart: ([bundle]) => {
      if (this.failure !== undefined) return Promise.reject(new Error(this.failure));
      this.restarted.push(bundle);
      return Promise.resolve();
    },
    report: (line) => this.reports.push(line),
  });

  /** Saves the source, and waits until that has been dealt with. */
  async save(source: number | string, times = 1): Promise<void> {
    const { builds } = this;
    this.source = source;
    for (let i = 0; i < times; i++) this.#changed();
    while (this.builds === builds) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

Deno.test("workers are restarted when their bundle is another one, once for files saved together", async () => {
  const watch = new FakeWatch();
  await watch.save(1, 5);
  await watch.save(2);
  assert.deepEqual([watch.restarted, watch.builds, watch.reports], [[1, 2], 3, []]);
  await watch.save(2);
  assert.deepEqual(watch.restarted, [1, 2]);
  assert.match(watch.reports[0], /^that changes no worker/);
  watch.end();
  await watch.over;
});

Deno.test("what does not build is shown, and the workers stay; a restart that failed is tried again", async () => {
  const watch = new FakeWatch();
  await watch.save("line 7: no such thing");
  assert.deepEqual(watch.restarted, []);
  assert.match(watch.reports[0], /Cannot build device\.js:\nline 7: no such thing/);
  assert.equal(watch.reports[1], "the workers stay as they are");
  watch.failure = "the VM has ended";
  await watch.save(1);
  assert.equal(watch.reports[2], "the VM has ended");
  watch.failure = undefined;
  await watch.save(1);
  assert.deepEqual(watch.restarted, [1]);
  watch.end();
  await watch.over;
});

Deno.test("sources that are saved are noticed, tests and other files are not", async () => {
  const folder = Deno.makeTempDirSync();
  const abort = new AbortController();
  const seen: string[] = [];
  const watching = (async () => {
    for await (const path of sourceChanges(folder, abort.signal)) seen.push(path);
  })();
  const noticed = async (name: string) => {
    Deno.writeTextFileSync(`${folder}/${name}`, "");
    while (!seen.some((path) => path.endsWith(name))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  Deno.mkdirSync(`${folder}/blk`);
  await noticed("first.ts");
  Deno.writeTextFileSync(`${folder}/disk_test.ts`, "");
  Deno.writeTextFileSync(`${folder}/.disk.ts.swp`, "");
  await noticed("blk/disk.ts");
  assert.ok(seen.every((path) => /(first|disk)\.ts$/.test(path)), seen.join());
  abort.abort();
  await watching;
  Deno.removeSync(folder, { recursive: true });
});
