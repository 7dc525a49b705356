import { root } from "../../root.ts";
import { placeOf } from "../rooms.ts";

/** Descriptor numbers and native libraries stay inside `src/os`. */
export const noRawDescriptor: Deno.lint.Rule = {
  create(context) {
    if (placeOf(context.filename, root)?.room === "os") return {};
    return {
      MemberExpression(node) {
        const { property } = node;
        if (
          !node.computed && property.type === "Identifier" && property.name === "sharedDescriptor"
        ) {
          context.report({
            node,
            message:
              "What a shared descriptor holds is the number itself, which src/os alone knows.",
            hint: "Hand the token to Fd.borrow.",
          });
        }
      },
      Property(node) {
        if (node.key.type === "Identifier" && node.key.name === "sharedDescriptor") {
          context.report({
            node,
            message: "A descriptor made from a number has no owner.",
            hint: "Share one by fd.share().",
          });
        }
      },
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
        if (name === "own" && callee.object.type === "Identifier" && callee.object.name === "Fd") {
          context.report({
            node,
            message: "Only src/os knows that a number has no owner yet.",
            hint: "Use a function of src/os that returns an Fd, or Fd.inherited.",
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
