"""`datasets` and `doctor`: what this machine has."""

import dataclasses
import json

from keras_ganvae import runtime
from keras_ganvae.cli import command


def add(commands):
    add_datasets(commands)
    add_doctor(commands)


def add_datasets(commands):
    parser = command(
        commands, "datasets", run_datasets, "which data sets are on disk or can be fetched"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps data sets")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run_datasets(args):
    runtime.start(args.debug)
    from keras_ganvae import data

    found = data.available(args.data_dir)
    if args.json:
        print(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
        return
    for each in found:
        state = "on disk" if each.on_disk else "fetchable" if each.fetchable else "-"
        print(f"{each.spec:18} {state:10} {each.note}")


def add_doctor(commands):
    parser = command(commands, "doctor", run_doctor, "versions, devices, and what is missing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run_doctor(args):
    runtime.start(args.debug)
    from keras_ganvae.cli.doctor import examine

    report = examine()
    if args.json:
        print(json.dumps(report, indent=2))
        return
    for name, value in report.items():
        print(f"{name:22} {value}")
