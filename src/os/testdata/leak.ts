// Leaves one descriptor open, and closes another.
import { openFile, reportLeaksAtExit } from "../mod.ts";

function forgetful() {
  return openFile("/dev/null");
}

function careful() {
  using _file = openFile("/dev/null");
}

reportLeaksAtExit();
careful();
if (forgetful().closed) console.error("closed");
