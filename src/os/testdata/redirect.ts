import { openFile, redirect } from "../mod.ts";

{
  using file = openFile(Deno.args[0], { writeOnly: true, append: true });
  redirect("error", file);
}
console.error("kept");
console.log("shown");
