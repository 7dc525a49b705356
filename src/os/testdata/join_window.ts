import { Window, type WindowToken } from "../mod.ts";

declare const self: DedicatedWorkerGlobalScope;
interface DedicatedWorkerGlobalScope {
  onmessage: (event: MessageEvent<{ token: WindowToken; offset: number }>) => void;
  postMessage(message: unknown): void;
}

self.onmessage = ({ data: { token, offset } }) => {
  const window = Window.join(token);
  const saw = window.view.getUint32(offset, true);
  window.view.setUint32(offset, saw + 1, true);
  let refused = false;
  try {
    window.allocate(1);
  } catch {
    refused = true;
  }
  self.postMessage({ saw, base: window.base, refused });
};
