// The image that a device VM boots from: our own program, in a file system that is read as it is used.
export { deviceImage } from "./device_image.ts";
