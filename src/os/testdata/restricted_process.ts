/**
 * A process that gives up paths while several of its threads run, and says what becomes of attempts on each of them.
 * Argument: a folder, which is allowed.
 */

import { connectUnix, listenUnix, openFile, OsError, pathOf, restrictPaths } from "../mod.ts";

const [folder] = Deno.args;
const worker = () =>
  new Worker(
    'data:text/javascript,addEventListener("message", ({ data }) => { try { Deno.openSync(data).close(); ' +
      'postMessage("opened") } catch (error) { postMessage(error.name) } })',
    { type: "module" },
  );
const answer = (worker: Worker, path: string) =>
  new Promise<string>((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.postMessage(path);
  });
const tried = (attempt: () => Disposable) => {
  try {
    using _done = attempt();
    return "done";
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return error.code;
  }
};

const outside = "/etc/passwd", inside = `${folder}/inside`;
Deno.writeTextFileSync(inside, "x");
using held = openFile(outside);
const early = Array.from({ length: 4 }, worker);
const before = await Promise.all(early.map((one) => answer(one, outside)));
restrictPaths([{ path: folder, rights: ["READ_FILE", "MAKE_SOCK", "REMOVE_FILE"] }]);
const late = worker();
const pool = await Promise.allSettled(Array.from({ length: 20 }, () => Deno.readFile(outside)));
console.log(JSON.stringify({
  before,
  main: tried(() => openFile(outside)),
  again: tried(() => openFile(pathOf(held))),
  memory: tried(() => openFile("/proc/self/mem")),
  write: tried(() => openFile(inside, { write: true })),
  inside: tried(() => openFile(inside)),
  socket: tried(() => listenUnix(`${folder}/socket`)),
  // Landlock does not keep from it.
  connected: tried(() => connectUnix(`${folder}/socket`)),
  early: await Promise.all(early.map((one) => answer(one, outside))),
  late: await answer(late, outside),
  pool: pool.map(({ status }) => status),
  workerInside: await answer(early[0], inside),
}));
Deno.exit();
