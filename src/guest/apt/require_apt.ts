import { KEYRING } from "./apt_sources.ts";
import { FetchError } from "../fetch_error.ts";
import { tryRun } from "../run.ts";

/**
 * Makes sure that Debian's packages can be downloaded and unpacked here.
 *
 * @param what what is to be fetched, for the message
 * @param otherwise what to do where there is no apt
 * @throws {FetchError}
 */
export async function requireApt(what: string, otherwise = ""): Promise<void> {
  for (const tool of ["apt-get", "apt-cache", "dpkg-deb"]) {
    if (await tryRun(tool, ["--version"]) === undefined) {
      throw new FetchError(
        `Cannot fetch ${what}: there is no ${tool} on this machine. ${otherwise}`.trimEnd(),
      );
    }
  }
  try {
    await Deno.stat(KEYRING);
  } catch {
    throw new FetchError(
      `Cannot fetch ${what}: the archive's keys, ${KEYRING}, are missing. ` +
        "Install the package debian-archive-keyring.",
    );
  }
}
