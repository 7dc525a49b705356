/** Where the agent is in an image that has it installed. */
export const AGENT_PATH = "/usr/lib/spectrum/agent";

/** Name of its systemd unit. */
export const AGENT_UNIT_NAME = "spectrum-agent.service";

/**
 * The text of its systemd unit. Where our init has started an agent already, the one of the unit ends at once, which is no
 * failure.
 */
export const AGENT_UNIT = `[Unit]
Description=Commands and copies for the host of this virtual machine
ConditionVirtualization=vm

[Service]
ExecStart=${AGENT_PATH}
Restart=on-failure
RestartSec=1

[Install]
WantedBy=multi-user.target
`;
