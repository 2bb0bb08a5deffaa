"""What the services share: agent loop, transport, configuration, logs, heartbeats."""
