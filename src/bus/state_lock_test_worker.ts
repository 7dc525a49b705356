/** Adds to an unguarded counter under the lock, for state_lock_test.ts. */
import { SharedState } from "./shared_state.ts";
import { StateLock } from "./state_lock.ts";

/** What a Web Worker's global object has that a main thread's has not. */
const thread = globalThis as unknown as { postMessage(message: string): void };

addEventListener("message", (event) => {
  const { buffer, lock: at, counter, rounds } = (event as MessageEvent).data;
  const state = new SharedState(buffer);
  const lock = new StateLock(state, at);
  for (let i = 0; i < rounds; i++) {
    lock.acquire();
    try {
      // A plain read, work that the other thread could slip into, a plain write.
      const seen = state.view.getUint32(counter, true);
      for (let j = 0; j < 20; j++) state.view.setUint32(counter + 4, j, true);
      state.view.setUint32(counter, seen + 1, true);
    } finally {
      lock.release();
    }
  }
  thread.postMessage("done");
});
