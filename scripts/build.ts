// `deno task build [PRODUCT…]`: brings build/ up to date.
import { build, BuildError, products } from "./build/mod.ts";
import { requireTools } from "./setup/mod.ts";

const names = Deno.args.filter((name) => name !== "--");
const unknown = names.filter((name) => !products.some((product) => product.name === name));
if (unknown.length > 0) {
  const all = products.map(({ name }) => name).join(", ");
  console.error(`There is no product ${unknown.join(", ")}. Those that there are: ${all}.`);
  Deno.exit(1);
}
await requireTools(["build"]);
try {
  const made = await build(names.length > 0 ? names : undefined, (line) => console.error(line));
  if (made.length === 0) console.error("build/ is up to date.");
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message);
  Deno.exit(1);
}
