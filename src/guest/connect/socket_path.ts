import { isAbsolute, join } from "node:path";

/**
 * Where a guest's programs look for a socket of the host: for `wayland` where Wayland's do, otherwise by its name in the
 * runtime directory, or in `/run`.
 *
 * @param environment XDG_RUNTIME_DIR and WAYLAND_DISPLAY of it are looked at
 */
export function socketPath(
  name: string,
  environment: { get(key: string): string | undefined } = Deno.env,
): string {
  const file = name === "wayland" ? environment.get("WAYLAND_DISPLAY") || "wayland-0" : name;
  return isAbsolute(file) ? file : join(environment.get("XDG_RUNTIME_DIR") || "/run", file);
}
