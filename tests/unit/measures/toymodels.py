"""Loaders that a fresh process imports: a good one, and every kind of bad one."""

import json
import os
import subprocess
import sys
import time


class Adds:
    def __init__(self, amount):
        self.amount = amount

    def predict(self, rows):
        return rows.sum(axis=1) + self.amount


def load(folder):
    return Adds(json.loads((folder / "model.json").read_text())["amount"])


def load_with(folder, arguments):
    if arguments != {"trusted_types": ["a.B"]}:
        raise ValueError(f"unexpected arguments {arguments}")
    return load(folder)


def load_slowly(folder):
    time.sleep(0.3)
    return load(folder)


def load_a_lot(folder):
    """Take 200 MB."""
    model = load(folder)
    model.weights = bytearray(200_000_000)
    model.weights[::4096] = b"x" * len(model.weights[::4096])
    return model


def fail(folder):
    raise ValueError("this file is broken")


def hang(folder):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(folder / "left-behind")])
    time.sleep(600)


def leave(folder):
    sys.exit(0)


def talk(folder):
    print("chatter " * 10_000)
    return load(folder)


def demand_our_environment(folder):
    """Fail with whatever of this process's environment came through."""
    leaked = {"GOVERNANCE_LEDGER_URL", "SECRET_KEY", "AIRFLOW_HOME"} & set(os.environ)
    raise ValueError(f"leaked: {sorted(leaked)}")
