"""The parts together, and with the real things they stand on."""
