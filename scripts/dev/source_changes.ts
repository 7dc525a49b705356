/** The sources below a folder that are changed from now on, until the signal comes. */
export async function* sourceChanges(folder: string, signal: AbortSignal): AsyncGenerator<string> {
  using watcher = Deno.watchFs(folder);
  const close = () => watcher.close();
  signal.addEventListener("abort", close, { once: true });
  for await (const { kind, paths } of watcher) {
    if (kind === "access") continue;
    for (const path of paths) {
      if (/\.ts$/.test(path) && !/_test\.ts$/.test(path)) yield path;
    }
  }
}
