import { run } from "../run.ts";

/** The release whose kernel is the stock kernel of the guests. */
const RELEASE = "bookworm";

/** Key ring of Debian's archive, from the package of the same name, which every Debian has. */
export const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

const DEFAULT_SOURCES = [
  { uri: "http://deb.debian.org/debian", suite: RELEASE },
  { uri: "http://deb.debian.org/debian-security", suite: `${RELEASE}-security` },
];

/**
 * Lines of a `sources.list` for Debian 12 only: the mirrors that this machine uses for it, else Debian's own.
 * Third parties' archives are left out, as they can only slow us down or fail.
 */
export async function debianSources(): Promise<string> {
  const sources = await configuredSources();
  return (sources.length === 0 ? DEFAULT_SOURCES : sources)
    .map(({ uri, suite }) => `deb [arch=amd64 signed-by=${KEYRING}] ${uri} ${suite} main\n`)
    .join("");
}

async function configuredSources(): Promise<{ uri: string; suite: string }[]> {
  const output = await run("apt-get", [
    "indextargets",
    "--format",
    "$(REPO_URI) $(RELEASE) $(COMPONENT)",
    "Created-By: Packages",
  ]);
  if (!output.success) return [];
  const seen = new Map<string, { uri: string; suite: string }>();
  for (const line of output.stdout.split("\n")) {
    const [uri, suite, component] = line.split(" ");
    if (component !== "main" || uri === undefined || suite === undefined) continue;
    if (![RELEASE, `${RELEASE}-security`, `${RELEASE}-updates`].includes(suite)) continue;
    seen.set(`${uri} ${suite}`, { uri, suite });
  }
  // Without the release itself (a newer Debian with backports, say) the list would be no use.
  return [...seen.values()].some(({ suite }) => suite === RELEASE) ? [...seen.values()] : [];
}
