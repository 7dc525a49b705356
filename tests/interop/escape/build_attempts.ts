/** Builds the attempts, as a shared library. Throws with what the compiler says. */
export async function buildAttempts(library: string): Promise<void> {
  const source = new URL("attempts.c", import.meta.url).pathname;
  const { success, stderr } = await new Deno.Command("gcc", {
    args: [
      ...["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"],
      ...[source, "-o", library],
    ],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
