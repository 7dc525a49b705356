// `deno task setup [PURPOSE…]`: installs what is missing for some purposes, by default for `dev` and `test`.
import { needs, type Purpose } from "./setup/needs.ts";
import { requireTools } from "./setup/mod.ts";

const known = new Set<Purpose>(needs.flatMap((need) => need.purposes));
const isPurpose = (word: string): word is Purpose => (known as Set<string>).has(word);
const words = Deno.args.filter((word) => word !== "--");
const unknown = words.find((word) => !isPurpose(word));
if (unknown !== undefined) {
  console.error(
    `There is no purpose "${unknown}". Those that there are: ${[...known].join(", ")}.`,
  );
  Deno.exit(1);
}
const purposes = words.filter(isPurpose);
await requireTools(purposes.length > 0 ? purposes : ["build", "guest", "lab", "test"]);
console.error("All that is needed is there.");
