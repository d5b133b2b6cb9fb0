"""What the person on call reads beside each task: what is normal, how long it takes, what to do when it is red.

Times are for the loan model on two cores.
"""

from __future__ import annotations

_TASKS = {
    "ingest": """Reads the data that `model.yaml` (or the trigger form) names and freezes them as a snapshot.
**Normal**: 1–3 s. The same content twice gives the same digest and no second copy.
**Red**: the source is missing, unreadable, or lacks a column that the spec names: the last line says which.
Mend the source and clear this task.""",
    "validate": """Runs the data contract (Great Expectations) on the snapshot.
**Normal**: 3–9 s, most of it the library's import.
**Red**: the data break the contract. The snapshot is in quarantine; the page named in the log shows the failing rows,
masked. Do not fill or drop values to get past it: mend the data at its source and trigger a new run, or change
the contract in a reviewed commit and clear this task.""",
    "train": """Runs the folder's `train.fit` in a process without our secrets, evaluates it, signs and registers it.
**Normal**: 10–25 s. One registered version, however often it is cleared; an alternative, where one
is made, is the run's second.
**Red**: `train.py` raised, took too long or too much memory (see the log), or MLflow does not answer.""",
    "measure": """Measures one family; adds numbers, judges nothing.
**Normal**: 3–15 s. **Red**: the measure could not be computed. A missing measurement blocks, so nothing is at risk:
mend and clear.""",
    "judge": """Applies the policy to the measurements and writes the evidence that people sign.
**Normal**: 2–3 s. **Red**: the verdict is *block*: the version is tagged rejected and people are told which rule
failed. That is an answer, not a fault: change the model or the data and trigger a new run. Clearing gives the same
verdict.""",
    "search": """Where only fairness rules failed: searches a fairer alternative, and registers it.
**Normal**: skipped, or 20–50 s. **Red**: none passes every rule; the ledger and the review page list all that were
tried and what each would have cost.""",
    "standing": """Asks whether a standing approval covers the first candidate: people signed in advance that a version
trained again may go live where it is no worse than the champion. The API server decides by rule and issues the permit.
**Normal**: 2–3 s; skipped where none covers it, and then people sign: the log says why. **Red**: the API server does
not answer. Clear this task when it does.""",
    "approve": """Waits for the people of one role to sign on the review page. Holds no worker slot.
**Normal**: deferred (purple) for hours or days, and for as long as the ledger does not answer. **Red**: rejected,
expired, or the policy changed meanwhile: the log says by whom or since when, the page that it links to says why.
Nothing is approved by waiting. Marking this task successful releases nothing.""",
    "release": """Recomputes every digest from the bytes, verifies the permit, moves `champion`, waits until the scoring
service serves it, and tests it live; moves back if that fails.
**Normal**: 5–15 s. **Red**: the permit is missing or something changed after it was signed (nothing was moved), or the
smoke test failed (the former champion serves again). The log says which byte or which row.""",
    "collect": """Takes the window from the prediction log, freezes it, and runs the contract on it.
**Normal**: seconds, most of them Great Expectations' import; skipped where nothing serves. Broken data are no red task:
they are a decision. **Red**: the ledger's database or the snapshots' disk does not answer: clear it when they do.""",
    "watch": """Measures the window beside what the champion was trained on and validated with.
**Normal**: seconds. **Red**: the reference is gone or changed, or MLflow does not answer. Nothing is decided without
it.""",
    "decide": """Applies the monitoring part of the policy, in its order, and records the decision with its reason.
**Normal**: seconds; longer where versions to go back to are tried on the window. **Red**: see the last line; clear it:
one window is decided once.""",
    "retain": """Lets go of predictions and frozen windows that are older than each model's policy keeps them.
**Normal**: seconds. **Red**: see the DAG's own page, and clear it.""",
    "report": """Keeps Evidently's report of the window in MLflow, a second opinion: our own numbers decided already,
and what was decided is being done whatever becomes of this task.
**Normal**: 15–30 s, a third of it the library's import; skipped where nothing was measured. It comes last of all: the
decisions of other models go first. **Red**: MLflow does not answer, or Evidently does not cope with the data. Clear it
when you like; there is one report of a window.""",
    "act": """Starts the DAG that carries the decision out, with its reason and its key. Once, also after a clear.
**Normal**: skipped on most days. **Red**: the other DAG is paused or unknown: unpause it, and clear this task.""",
    "announce": """Writes the model card beside the released version; people were told by `release`.
**Normal**: 2–4 s. **Red**: nothing is undone by it: what was released serves on. Clear this task.""",
    "choose": """Says what serves and is to be left, and which versions may come back, the first choice first.
**Normal**: 1–2 s. **Red**: there is no reason, or the decision that asked for it is about a version that serves no
more. Nothing was moved.""",
    "restore": """Verifies the version from its bytes, moves `champion`, waits until the scoring service serves it, and
tests it live; goes on with the next version where one fails. Where none is left, does what the tier says.
**Normal**: 3–10 s. **Red**: a version that was named cannot come back, another one serves than when the rollback was
asked for, or a service does not answer (tried five times). What served before serves.""",
    "drill": """Starts a second scoring service, and goes back on it to the last version whose permit is valid.
**Normal**: half a minute; what serves does not change. **Red**: there is no version to go back to, or none that still
verifies: the last line says why. A rollback would end as the tier says.""",
    "incident": """Opens an incident, with its timeline, and tells people. **Normal**: 1–2 s.
**Red**: there was no version to go back to. The message says whether the model serves on or is stopped. Act now:
release a new version, or stop it.""",
}


def for_task(name: str) -> str:
    """Return the text for one kind of task."""
    return _TASKS[name]
