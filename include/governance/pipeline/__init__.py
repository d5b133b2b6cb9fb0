"""The steps of ``govern_<model>``, one file each, in the order in which the DAG runs them.

A step takes a :class:`~governance.pipeline.run.Run`, does its work with the stages below, records the result in the
ledger under a key made of its inputs, and returns a :class:`~governance.pipeline.run.Step`: a small summary, what it
read and wrote, and whom to tell. A step that runs again on unchanged inputs returns what it recorded (§10.1). Steps
find what earlier steps did in the ledger, never in what Airflow hands them: an edited XCom changes nothing.
"""

from governance.pipeline.alternatives import search_alternatives
from governance.pipeline.announce import announce
from governance.pipeline.ingest import ingest
from governance.pipeline.judge import judge_candidate
from governance.pipeline.measure import FAMILIES, measure
from governance.pipeline.release import release
from governance.pipeline.train import train
from governance.pipeline.validate import validate

STEPS = {
    "ingest": ingest,
    "validate": validate,
    "train": train,
    "measure": measure,
    "judge": judge_candidate,
    "search_alternatives": search_alternatives,
    "release": release,
    "announce": announce,
}
"""Step name → function, as the DAG names them."""

__all__ = ["FAMILIES", "STEPS"]
