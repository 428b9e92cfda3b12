"""House rules that no ready-made tool checks; `python -m tests.house` prints what breaks them.

Each module holds checks of one sort. A check takes the project and yields findings, each one line
that says where and what; `__main__` has the table of them all.
"""
