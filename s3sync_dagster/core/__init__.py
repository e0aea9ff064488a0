"""Pure decisions of the sync: no framework, no client, no clock of its own."""
