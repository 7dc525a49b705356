import { run } from "../run.ts";

/** Debian 12: the release whose kernel is the stock kernel of the guests, and whose packages make their images. */
export const RELEASE = "bookworm";

/** Key ring of Debian's archive, from the package of the same name, which every Debian has. */
export const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** A release on a mirror. */
interface Source {
  readonly uri: string;
  readonly suite: string;
}

/** Which packages are wanted. */
export interface DebianRelease {
  /** By default {@linkcode RELEASE}. */
  readonly release?: string;
  /** Address of an archive to use instead of this machine's. */
  readonly mirror?: string;
}

/**
 * Lines of a `sources.list` for one release of Debian only: the mirrors that this machine uses for it, else Debian's own.
 * Third parties' archives are left out, as they can only slow us down or fail.
 */
export async function debianSources(
  { release = RELEASE, mirror }: DebianRelease = {},
): Promise<string[]> {
  const sources = mirror === undefined
    ? await configuredSources(release)
    : [{ uri: mirror, suite: release }];
  return (sources.length === 0 ? ownSources(release) : sources)
    .map(({ uri, suite }) => `deb [arch=amd64 signed-by=${KEYRING}] ${uri} ${suite} main`);
}

function ownSources(release: string): Source[] {
  return [
    { uri: "http://deb.debian.org/debian", suite: release },
    { uri: "http://deb.debian.org/debian-security", suite: `${release}-security` },
  ];
}

async function configuredSources(release: string): Promise<Source[]> {
  const output = await run("apt-get", [
    "indextargets",
    "--format",
    "$(REPO_URI) $(RELEASE) $(COMPONENT)",
    "Created-By: Packages",
  ]);
  if (!output.success) return [];
  const seen = new Map<string, Source>();
  for (const line of output.stdout.split("\n")) {
    const [uri, suite, component] = line.split(" ");
    if (component !== "main" || uri === undefined || suite === undefined) continue;
    if (![release, `${release}-security`, `${release}-updates`].includes(suite)) continue;
    seen.set(`${uri} ${suite}`, { uri, suite });
  }
  // Without the release itself (a newer Debian with backports, say) the list would be no use.
  return [...seen.values()].some(({ suite }) => suite === release) ? [...seen.values()] : [];
}
