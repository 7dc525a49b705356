// Read-only images: a file system of Linux that is read as it is used, and written here without root or mounts.
export { Erofs, type ErofsAttributes, type ErofsEntry, type ErofsOutput } from "./erofs.ts";
