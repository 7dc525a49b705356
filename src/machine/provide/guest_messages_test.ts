import assert from "node:assert/strict";
import { describeMessages } from "../../msg/mod.ts";
import { guestMessages, providerMessages } from "./guest_messages.ts";

Deno.test("docs/messages.md has the messages of guests that provide and their monitors as they are declared", async () => {
  const page = await Deno.readTextFile(new URL("../../../docs/messages.md", import.meta.url));
  const words = (text: string) => text.replaceAll(/\s+/g, " ");
  for (const messages of [guestMessages, providerMessages]) {
    const described = describeMessages(messages);
    assert(words(page).includes(words(described)), `The page should have:\n\n${described}`);
  }
});
