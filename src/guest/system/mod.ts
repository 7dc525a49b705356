// Systems that VMs boot: Debian as a read-only image that many share, and what each VM writes on top of it.
export { buildImage, type ImageBuildOptions } from "./build_image.ts";
export { ImageError } from "./image_error.ts";
export { type ImageRecord } from "./image_record.ts";
export { ImageStore, type ListedImage, type ListedOverlay } from "./image_store.ts";
export { VmSystem } from "./vm_system.ts";
