/** For tests: a thread that borrows a vCPU, enters it once and reports. */
import { threadId, Window, type WindowToken } from "../os/mod.ts";
import { type SharedVcpu, Vcpu } from "./vcpu.ts";

/** What the thread is started with. */
export interface Start {
  vcpu: SharedVcpu;
  window: WindowToken;
}
/** What it says: first that it is about to enter, then how that ended. */
export type Report = { thread: number } | { result: number; exitReason: number };

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Start>) => void;
  postMessage(report: Report): void;
};
scope.onmessage = ({ data }) => {
  const vcpu = Vcpu.borrow(data.vcpu, Window.join(data.window));
  scope.postMessage({ thread: threadId() });
  const result = vcpu.enter();
  scope.postMessage({ result, exitReason: vcpu.run.exitReason });
};
