"""A run: `orchestrator`, its `folder` and `journal`, `workers` doing `work`, `progress`, `register`."""
