import { shareInterface } from "../shared_interface.ts";

// Shares an interface twice, tells what there is then, and that again when one is over; then asks for one that is not there.
const links = () => new Deno.Command("ip", { args: ["-j", "address"] }).outputSync().stdout;
const seen = () => JSON.parse(new TextDecoder().decode(links()));

{
  using _first = shareInterface("eth0").tap;
  {
    using _second = shareInterface("eth0").tap;
    console.log(JSON.stringify(seen()));
  }
  console.log(JSON.stringify(seen()));
}
try {
  shareInterface("eth7");
} catch (error) {
  console.log(JSON.stringify((error as Error).message));
}
