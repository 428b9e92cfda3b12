"""The tests of credbroker, in order of reach: unit, contract, integration, interop."""
