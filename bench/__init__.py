"""Every figure that is claimed for credbroker, measured the same way.

`python -m bench` takes each figure in the same run as the peer or limit it is held against, in turn,
several rounds, and keeps them in `bench/results/latest.json`; `docs/performance.md` is written from
that file and by nobody else.
"""
