/** For tests: a backend that answers byte for byte as it is told. */

export { reply, type Script, ScriptedBackend, type ScriptedOptions } from "./scripted_backend.ts";
