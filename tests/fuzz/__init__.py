"""Coverage-guided fuzzing of everything that a stranger can send: `make fuzz COUNT=...`.

`facade` writes requests to the broker's one port, in memory, in a crowd of people; `crowd` has what
nobody but its owner may see or change, `watch` says after each request whether that held. `readers`
gives bytes to each parser behind those paths. atheris (libFuzzer) makes the inputs, beginning with
those in `seeds/`; whatever it once found is kept there too.
"""
