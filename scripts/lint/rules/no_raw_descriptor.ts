import { root } from "../../root.ts";
import { placeOf } from "../rooms.ts";

/** Descriptor numbers and native libraries stay inside `src/os`. */
export const noRawDescriptor: Deno.lint.Rule = {
  create(context) {
    if (placeOf(context.filename, root)?.room === "os") return {};
    return {
      CallExpression(node) {
        const { callee } = node;
        if (callee.type !== "MemberExpression" || callee.property.type !== "Identifier") return;
        const name = callee.property.name;
        if (name === "raw" && node.arguments.length === 0) {
          context.report({
            node,
            message: "The number of a descriptor is known to src/os alone.",
            hint: "Hand the Fd to a function of src/os.",
          });
        }
        const onDeno = callee.object.type === "Identifier" && callee.object.name === "Deno";
        if (name === "dlopen" && onDeno) {
          context.report({
            node,
            message: "Native libraries are loaded by src/os alone.",
            hint: "Add a function to ffi/shim.c and src/os.",
          });
        }
      },
    };
  },
};
