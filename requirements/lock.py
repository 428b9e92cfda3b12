"""Write requirements/*.txt anew: exact versions with hashes, for every platform, and no address of any registry."""

import subprocess
import sys

COMMON = [
    "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--quiet",
    "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate", "pyproject.toml",
]  # fmt: skip

for name, extras in {
    "run": [],
    "demo": ["demo", "build"],
    "dev": ["demo", "build", "docs", "dev"],
    "kerberos": ["demo", "build", "docs", "dev", "kerberos"],
}.items():
    chosen = [word for extra in extras for word in ("--extra", extra)]
    subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "uv", *COMMON, *chosen, "-o", f"requirements/{name}.txt"], check=True
    )
