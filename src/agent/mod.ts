/** What a host says to the agent in a guest: commands, copies, clock and power, over the VM's vsock device. */

export { AgentError, AgentLostError, AgentProtocolError } from "./agent_error.ts";
export { type AgentWait, connectAgent, type ConnectOptions } from "./connect_agent.ts";
export { AgentConnection, type AgentSocket, type AgentStream } from "./connection.ts";
export { type CopyDestination, copyFromGuest } from "./copy_from_guest.ts";
export { type CopySource, copyToGuest, type GuestCopyOptions } from "./copy_to_guest.ts";
export { powerOffGuest, setGuestClock } from "./guest_machine.ts";
export {
  type GuestCommandOptions,
  GuestProcess,
  type GuestStatus,
  type TerminalSize,
} from "./guest_process.ts";
export { AGENT_PORT, VSOCK_SOCKET } from "./protocol.ts";
export { type GuestExecOptions, type GuestOutput, runCommand } from "./run_command.ts";
