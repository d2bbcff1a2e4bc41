"""Attack the command line and report what broke a promise.

    scripts/torture --minutes 60 --seed 7
    scripts/torture --case '{"kind": "values", ...}'      # one case again, as a report shows it

The promises are in `tests/hostile/oracle.py` and `kills.py`: an error is one clear line and an
exit code, never "unexpected"; nothing hangs; nobody's files change; after a failure or a kill
the old output is whole or the new one is, and the same command run again works. Linux only.
"""

import argparse
import contextlib
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hostile.case import Case
from hostile.session import KINDS, Session, torture


def main():
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=2.0, metavar="N", help="(default 2)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(default 0)")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, help="kinds of cases")
    parser.add_argument("--case", metavar="JSON", help="run this one case")
    args = parser.parse_args()
    began = time.monotonic()
    with Session() as session, contextlib.suppress(KeyboardInterrupt):
        if args.case:
            session.check(Case.of(args.case))
        else:
            _attack(session, args.seed, 60 * args.minutes, tuple(args.only))
    report = session.report
    print(f"seed {args.seed}, {(time.monotonic() - began) / 60:.1f} minutes")
    for line in report.lines():
        print(line)
    return 1 if report.violations else 0


def _attack(session, seed, seconds, kinds):
    """Show the progress, and each violation as soon as it is found."""
    began, shown = time.monotonic(), 0
    for report in torture(session, seed, seconds, kinds):
        print(_progress(report, began), file=sys.stderr, flush=True)
        for found, case in [*report.violations.values()][shown:]:
            print(f"{found}\n{case.to_json()}", file=sys.stderr, flush=True)
        shown = len(report.violations)


def _progress(report, began):
    return (
        f"{(time.monotonic() - began) / 60:6.1f} min {report.cases.total():6d} cases"
        f" {report.kills.total():4d} kills {len(report.violations):3d} violations"
    )


if __name__ == "__main__":
    sys.exit(main())
