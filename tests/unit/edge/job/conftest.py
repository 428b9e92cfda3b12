"""A person's desk, for the commands that people run beside a job's."""

from tests.unit.cli.conftest import table

__all__ = ["table"]
