/** What a VM is, as its user writes it: the TOML schema, its defaults, and errors that name the line. */

export { ConfigError } from "./config_error.ts";
export { contextIdOf } from "./context_id.ts";
export { nearest } from "./nearest.ts";
export { stableMac } from "./stable_mac.ts";
export { formatSize, parseSize } from "./size.ts";
export { parsePublish, type Publish } from "./publish.ts";
export { isKernelName, parseConfig, readConfig, type VmOverrides } from "./read_config.ts";
export {
  type ConsoleConfig,
  type DiskConfig,
  type NetConfig,
  type ProvidesConfig,
  type VmConfig,
  type VmInput,
  type VsockConfig,
  type WlConfig,
} from "./schema.ts";
