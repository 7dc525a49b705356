import { Log } from "../../machine/mod.ts";
import { guestServe } from "./guest_serve.ts";

await guestServe(new Log({ format: "text", level: "info" }));
