"""``python -m benchmarks [NAME …]``: every promise, or those named, one after the other, and a table at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def main() -> int:
    here = Path(__file__).parent
    names = sys.argv[1:] or sorted(p.stem for p in here.glob("[a-z]*.py"))
    results: list[dict[str, object]] = []
    failed = []
    for name in names:
        print(f"\n== {name}", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], stdout=subprocess.PIPE, text=True, check=False
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        results += lines
        if done.returncode != 0 and all(line.get("kept") for line in lines):
            failed.append(name)
    print("\n| promise | against | ratio | target | kept |\n| --- | --- | --- | --- | --- |")
    for r in results:
        print(f"| {r['promise']} | {r['against']} | {r['ratio']} | {r['target']} | {'yes' if r['kept'] else 'NO'} |")
    for name in failed:
        print(f"benchmarks/{name}.py ended with an error", file=sys.stderr)
    return 1 if failed or not all(r["kept"] for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
