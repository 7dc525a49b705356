import { join } from "node:path";
import { NetNamespace } from "../net_namespace.ts";
import { makeTap } from "./tap_peer.ts";

/** Loads whose surroundings only root can make. */
export const OF_ROOT: readonly string[] = ["net tap", "blk device"];

/** Runs a program and waits for its output. Throws with what it said when it fails. */
export async function output(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null" })
    .output();
  const text = new TextDecoder().decode(stdout);
  if (!success) throw new Error(`${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

/**
 * Has what a load needs around it: a tap in a network namespace, a block device in its folder.
 *
 * @param use runs the load, by a command that begins with those words
 */
export async function within<T>(
  load: string,
  folder: string,
  use: (enter: readonly string[]) => Promise<T>,
): Promise<T> {
  if (load === "net tap") {
    await using namespace = await NetNamespace.create();
    await namespace.run(makeTap);
    return await use(namespace.enter);
  }
  if (load !== "blk device") return await use([]);
  const image = join(folder, "image");
  await Deno.writeFile(image, new Uint8Array(2 ** 22));
  const device = (await output("losetup", "--find", "--show", image)).trim();
  try {
    await Deno.symlink(device, join(folder, "device"));
    return await use([]);
  } finally {
    await output("losetup", "--detach", device);
  }
}
