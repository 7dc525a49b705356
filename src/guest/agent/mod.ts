// The agent in a guest: runs commands and copies files for the host. A static program in C; src/agent is its client.
export { AGENT_PATH, AGENT_UNIT, AGENT_UNIT_NAME } from "./unit.ts";
