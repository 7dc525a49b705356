import { EventFd, Poller, threadId } from "../mod.ts";

declare const self: { postMessage(message: unknown): void };

const poller = new Poller();
const event = EventFd.create();
poller.add(event.fd, 1);
self.postMessage(threadId());
const start = performance.now();
poller.wait(10_000);
self.postMessage(performance.now() - start);
