import assert from "node:assert/strict";
import { describeMessages } from "../msg/mod.ts";
import { workerMessages } from "./worker_messages.ts";

Deno.test("docs/messages.md has the messages of a worker as they are declared", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/messages.md", import.meta.url));
  const words = (text: string) => text.replaceAll(/\s+/g, " ");
  assert(
    words(page).includes(words(describeMessages(workerMessages))),
    `The page should have:\n\n${describeMessages(workerMessages)}`,
  );
});
