import { type Need, needs, type Purpose } from "./needs.ts";

/** An ordinary user's PATH lacks the sbin folders. */
const folders = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];

/** The packages of these purposes of which something that we use is not there. */
export function findMissing(purposes: readonly Purpose[]): Need[] {
  return needs.filter((need) =>
    need.purposes.some((purpose) => purposes.includes(purpose)) && !isThere(need)
  );
}

function isThere({ programs = [], files = [], isStatic = false }: Need): boolean {
  return files.every(exists) && programs.every((program) => {
    const path = folders.map((folder) => `${folder}/${program}`).find(exists);
    return path !== undefined && (!isStatic || !isDynamic(path));
  });
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether a program names a dynamic loader; the name is near its beginning. */
function isDynamic(path: string): boolean {
  using file = Deno.openSync(path);
  const head = new Uint8Array(4096);
  file.readSync(head);
  return new TextDecoder("latin1").decode(head).includes("/ld-linux");
}
