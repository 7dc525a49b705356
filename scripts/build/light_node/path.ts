/** `node:path` for POSIX, as far as we use it. */

export const sep = "/";

export function isAbsolute(path: string): boolean {
  return path.startsWith("/");
}

/** Without `.`, `..` and double slashes; a slash at the end stays. */
export function normalize(path: string): string {
  if (path === "") return ".";
  const absolute = isAbsolute(path);
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (!absolute) parts.push("..");
  }
  const inside = parts.join("/");
  const end = path.endsWith("/") && inside !== "" ? "/" : "";
  if (absolute) return `/${inside}${end}`;
  return inside === "" ? (path.endsWith("/") ? "./" : ".") : inside + end;
}

export function join(...paths: string[]): string {
  return normalize(paths.filter((path) => path !== "").join("/"));
}

export function resolve(...paths: string[]): string {
  let path = "";
  for (const part of paths.toReversed()) {
    if (part === "") continue;
    path = path === "" ? part : `${part}/${path}`;
    if (isAbsolute(part)) break;
  }
  if (!isAbsolute(path)) path = `${Deno.cwd()}/${path}`;
  const normal = normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

export function dirname(path: string): string {
  const name = path.search(/[^/]+\/*$/);
  if (name <= 1) return isAbsolute(path) ? "/" : ".";
  if (name === 2 && path.startsWith("//")) return "//";
  return path.slice(0, name - 1);
}

export function basename(path: string, suffix = ""): string {
  const name = /([^/]*)\/*$/.exec(path)?.[1] ?? "";
  return suffix !== "" && name !== suffix && name.endsWith(suffix)
    ? name.slice(0, -suffix.length)
    : name;
}

export function extname(path: string): string {
  const name = basename(path);
  const dot = name.lastIndexOf(".");
  return dot <= 0 || name === ".." ? "" : name.slice(dot);
}

export function relative(from: string, to: string): string {
  const split = (path: string) => resolve(path).split("/").filter((part) => part !== "");
  const [start, end] = [split(from), split(to)];
  let same = 0;
  while (same < start.length && same < end.length && start[same] === end[same]) same++;
  return [...start.slice(same).map(() => ".."), ...end.slice(same)].join("/");
}

export default { sep, isAbsolute, normalize, join, resolve, dirname, basename, extname, relative };
