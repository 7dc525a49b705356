import { payload } from "../os/mod.ts";

/**
 * A module as small as can be, which takes the thread's script as its first message: a script that comes as a module is
 * parsed once more by the runtime, before the engine does. And a file would need a permission to read it.
 */
const BOOTSTRAP =
  'data:text/javascript,addEventListener("message",({data})=>(0,eval)(data),{once:true})';

/** Threads that wait for a vCPU. They start while their machine is built, as that takes the runtime a while. */
export class SpareThreads implements Disposable {
  readonly #count: number;
  /** It is told where everything is, so that it needs no place of its own. */
  readonly #script = Deno.readTextFileSync(payload().vcpu);
  #threads: Worker[];

  constructor(count: number) {
    this.#count = count;
    this.#threads = this.#spawn();
  }

  /** The threads of one machine, which are the taker's from here on. */
  take(): Worker[] {
    const threads = this.#threads.length > 0 ? this.#threads : this.#spawn();
    this.#threads = [];
    return threads;
  }

  #spawn(): Worker[] {
    return Array.from({ length: this.#count }, (_, i) => {
      const worker = new Worker(BOOTSTRAP, { type: "module", name: `vcpu${i}` });
      worker.postMessage(this.#script);
      return worker;
    });
  }

  /** Ends those that nobody took. */
  [Symbol.dispose](): void {
    for (const worker of this.#threads) worker.terminate();
    this.#threads = [];
  }
}
