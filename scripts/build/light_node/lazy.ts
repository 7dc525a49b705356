/** A module of Node that is loaded when one of its members is used. */
export function lazy<T extends object>(name: string): T {
  return new Proxy({} as T, {
    get: (_, member) => Reflect.get(process.getBuiltinModule(name) ?? {}, member),
  });
}
