/** Entropy for a guest, from the host's random number generator. */

export { RngDevice } from "./rng_device.ts";
