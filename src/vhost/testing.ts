/** For tests: a backend that answers byte for byte as it is told, and a frontend that says what it is told. */

export { RawFrontend, type RawReply } from "./raw_frontend.ts";
export { reply, type Script, ScriptedBackend, type ScriptedOptions } from "./scripted_backend.ts";
