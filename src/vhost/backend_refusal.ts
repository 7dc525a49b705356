/** A frontend asked for what this backend cannot do; the request fails and changes nothing, the connection goes on. */
export class BackendRefusal extends Error {
  override readonly name = "BackendRefusal";
}
