/** Where distributions put programs, for those whose PATH lacks it. */
const USUAL = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];

/** The path of a program of this host, if it has it. */
export function findProgram(name: string): string | undefined {
  const folders = (Deno.env.get("PATH") ?? "").split(":").filter((folder) =>
    folder.startsWith("/")
  );
  return [...folders, ...USUAL].map((folder) => `${folder}/${name}`).find(isFile);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
