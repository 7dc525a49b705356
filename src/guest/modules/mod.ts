// Kernel modules: what each needs, and the order in which to load them.
export { ModuleIndex, ModuleMissingError, moduleName } from "./module_index.ts";
export { ModuleFormatError, type ModuleInfo, readModuleInfo } from "./module_info.ts";
export { writeModuleIndex } from "./write_module_index.ts";
