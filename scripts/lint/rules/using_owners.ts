/** Calls that return something which the caller has to dispose of. */
const makers = new Set([
  "EventFd.create",
  "Fd.inherited",
  "Kvm.open",
  "Machine.create",
  "MachineMemory.create",
  "Starter.spawn",
  "acceptUnix",
  "connectUnix",
  "listenUnix",
  "memfd",
  "openFile",
  "processDescriptor",
]);

/** Functions that return an array of such things. */
const pairMakers = new Set(["socketPair"]);

/** Methods that do so, whatever they are called on. */
const makingMethods = new Set(["createVcpu", "createVm", "dup"]);

/** Classes whose `new` does so. */
const owners = new Set(["Poller", "Reactor", "Frontend"]);

/**
 * What owns a descriptor is bound by `using`, unless it goes somewhere else. A `const` is reported only when
 * all that happens to it is a use of its members: then nobody can ever dispose of it.
 */
export const usingOwners: Deno.lint.Rule = {
  create(context) {
    return {
      VariableDeclaration(node) {
        if (node.kind !== "const" && node.kind !== "let") return;
        if (node.parent.type === "ExportNamedDeclaration") return;
        for (const { id, init } of node.declarations) {
          const block = context.sourceCode.getAncestors(node).at(-1);
          // What a module declares lives as long as the program.
          if (block === undefined || block.type === "Program") continue;
          for (const name of owned(id, init)) {
            if (mayBePassedOn(block, name.name, name)) continue;
            context.report({
              node: name,
              message: `Nothing disposes of ${name.name}.`,
              hint: `Bind it by \`using\`.`,
            });
          }
        }
      },
      ExpressionStatement(node) {
        if (!makesOwner(node.expression)) return;
        context.report({
          node,
          message: "What this returns is owned by nobody: it is never closed.",
          hint: "Bind it by `using`, or hand it on.",
        });
      },
    };
  },
};

/** The names that a declaration binds to new owners. */
function owned(id: Deno.lint.Node, init: Deno.lint.Expression | null): Deno.lint.Identifier[] {
  if (id.type === "Identifier") return makesOwner(init) ? [id] : [];
  if (id.type !== "ArrayPattern" || init?.type !== "CallExpression") return [];
  if (init.callee.type !== "Identifier" || !pairMakers.has(init.callee.name)) return [];
  return id.elements.filter((element) => element?.type === "Identifier");
}

function makesOwner(node: Deno.lint.Expression | null): boolean {
  if (node?.type === "AwaitExpression") return makesOwner(node.argument);
  if (node?.type === "NewExpression") {
    return node.callee.type === "Identifier" && owners.has(node.callee.name);
  }
  if (node?.type !== "CallExpression") return false;
  const { callee } = node;
  if (callee.type === "Identifier") return makers.has(callee.name);
  if (callee.type !== "MemberExpression" || callee.property.type !== "Identifier") return false;
  if (makingMethods.has(callee.property.name)) return true;
  return callee.object.type === "Identifier" &&
    makers.has(`${callee.object.name}.${callee.property.name}`);
}

/** Whether a name occurs otherwise than to use a member of it that leaves it with its owner. */
function mayBePassedOn(within: Deno.lint.Node, name: string, declared: Deno.lint.Node): boolean {
  for (const child of childrenOf(within)) {
    if (child.type === "Identifier" && child.name === name && !isSame(child, declared)) {
      if (isPropertyName(within, child)) continue;
      if (!isPlainMemberUse(within, child)) return true;
      continue;
    }
    if (mayBePassedOn(child, name, declared)) return true;
  }
  return false;
}

/** `name.member`, where the member is not what ends the ownership. */
function isPlainMemberUse(parent: Deno.lint.Node, name: Deno.lint.Node): boolean {
  return parent.type === "MemberExpression" && isSame(parent.object, name) && !parent.computed &&
    parent.property.type === "Identifier" &&
    !["move", "close", "dispose"].includes(parent.property.name);
}

/** `x.name` and `{ name: … }` mention the word, not the variable. */
function isPropertyName(parent: Deno.lint.Node, name: Deno.lint.Node): boolean {
  if (parent.type === "MemberExpression") return !parent.computed && isSame(parent.property, name);
  if (parent.type === "Property") {
    return !parent.computed && !parent.shorthand && isSame(parent.key, name) &&
      !isSame(parent.value, name);
  }
  return false;
}

function isSame(a: Deno.lint.Node, b: Deno.lint.Node): boolean {
  return a.range[0] === b.range[0] && a.range[1] === b.range[1] && a.type === b.type;
}

function childrenOf(node: Deno.lint.Node): Deno.lint.Node[] {
  const children: Deno.lint.Node[] = [];
  for (const key of keysOf(node)) {
    if (key === "parent") continue;
    const value: unknown = Reflect.get(node, key);
    for (const item of Array.isArray(value) ? value : [value]) {
      if (isNode(item)) children.push(item);
    }
  }
  return children;
}

/** The runtime's nodes have their fields as getters of their prototype. */
function keysOf(node: Deno.lint.Node): string[] {
  const own = Object.keys(node);
  const prototype: object | null = Object.getPrototypeOf(node);
  return prototype === null || prototype === Object.prototype
    ? own
    : [...own, ...Object.getOwnPropertyNames(prototype)];
}

function isNode(value: unknown): value is Deno.lint.Node {
  return typeof value === "object" && value !== null && "type" in value && "range" in value;
}
