"""A small world in which a model was trained, judged and signed: real files, keys, snapshot and skops model.

``World.make(folder)`` builds a checkout with one model ``tiny``; ``train`` fits and signs it; ``judge`` writes its
evidence; ``approve`` signs; ``lay_out`` puts ``model/`` and ``permit/`` side by side, as MLflow would hand them out.
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from governance import canonical
from governance.catalog import ModelSpec, People, find_spec, people_of
from governance.code import code_state, provenance
from governance.data import snapshots
from governance.keys import PublicKeys, Signer
from governance.policy import Policy, load_policy
from governance.records import Measurement
from governance.release.bundle import CONTRACT
from governance.review import approvals, evidence, permit
from governance.review.approvals import SignedDecision
from governance.settings import Settings, load_settings
from governance.training import mlmodel
from governance.training.artifacts import Description, Feature, Manifest, write_artifact

MODEL = "tiny"
FEATURES = {"income": "Monthly income, $", "age": "Age, years", "kind": "Kind of loan", "debt": "Debt, $"}

SPEC = """\
name: tiny
title: Tiny loans
purpose: Recommends approve or deny on a tiny loan.
owner: {team: Lending, person: olga}
developers: [dana]
tier: high
task: binary_classification
use: tests
data: {source: "csv:tiny.csv", purposes: [tests], contract: contract.json}
target: {column: approve, favourable: 1, meaning: It was approved., known_bias: It is made up for a test.}
limitations: Made up for a test.
assumptions: Rows arrive complete, mostly.
protected: {group: group}
features:
  income: Monthly income, $
  age: Age, years
  kind: Kind of loan
  debt: Debt, $
training:
  seed: 0
  parameters: {}
  trusted_types:
    - sklearn._loss.link.Interval
    - sklearn._loss.link.LogitLink
    - sklearn._loss.loss.HalfBinomialLoss
    - sklearn.ensemble._hist_gradient_boosting.binning._BinMapper
    - sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor
"""

POLICY = "model: tiny\nversion: 1.0.0\nextends: high\n"

TIER = """\
tier: high
version: 1.0.0
summary: A tier for tests.
approvals: {roles: {model_risk: 1, compliance: 1}, expire_after_days: 7, checklist: [I read it.]}
permit: {valid_days: 30, when_expired: %s}
not_enough_data: stops
minimum_n: 10
uncommitted_changes: block
unknown_authors: block
alternatives: {search: false, never_with_protected_attributes: true}
rules:
  accuracy: {title: Accuracy, measure: performance.accuracy, at_least: 0.7}
"""

PEOPLE = """\
roles: {model_risk: Model risk, compliance: Compliance}
people:
  - {login: dana, id: p-0d0d, name: Dana Developer, roles: [model_risk], emails: [dana@bank.example]}
  - {login: ada, id: p-0ada, name: Ada Author, roles: [model_risk], emails: [ada@bank.example]}
  - {login: sam, id: p-0505, name: Sam Starter, roles: [compliance], emails: [sam@bank.example]}
  - {login: maria, id: p-0aaa, name: Maria Alvarez, roles: [model_risk], emails: [maria@bank.example]}
  - {login: tom, id: p-0bbb, name: Tom Okafor, roles: [compliance], emails: [tom@bank.example]}
  - {login: olga, id: p-0ccc, name: Olga Owner, roles: [], emails: [olga@bank.example]}
"""

DANA, ADA, SAM, MARIA, TOM = "p-0d0d", "p-0ada", "p-0505", "p-0aaa", "p-0bbb"
SIGNERS = ((MARIA, "model_risk"), (TOM, "compliance"))


def expect(kind: str, column: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_column_values_to_{kind}", "kwargs": {"column": column, **kwargs}, "severity": "critical"}


CONTRACT_BODY = canonical.to_bytes(
    {
        "name": "tiny",
        "expectations": [
            expect("be_of_type", "income", type_="float64"),
            expect("be_between", "income", min_value=0, max_value=100_000),
            expect("be_of_type", "age", type_="int64"),
            expect("not_be_null", "age"),
            expect("be_between", "age", min_value=18, max_value=110),
            expect("be_of_type", "kind", type_="int64"),
            expect("not_be_null", "kind"),
            expect("be_in_set", "kind", value_set=[0, 1, 2]),
            expect("be_of_type", "debt", type_="float64"),
            expect("not_be_null", "debt"),
        ],
    }
)


def rows(count: int = 200) -> pd.DataFrame:
    """Made-up rows with a rule that a model can learn; a twentieth of the incomes are missing."""
    random = np.random.default_rng(0)
    income, debt = random.uniform(500, 9_000, count).round(2), random.uniform(0, 5_000, count).round(2)
    frame = pd.DataFrame(
        {
            "income": income,
            "age": random.integers(18, 80, count),
            "kind": random.integers(0, 3, count),
            "debt": debt,
            "group": random.choice(["a", "b"], count),
            "approve": (income > debt).astype(int),
        }
    )
    frame.loc[frame.index % 20 == 3, "income"] = np.nan
    return frame


@dataclass
class World:
    """A checkout, its keys, and where things are."""

    root: Path
    more: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, root: Path, *, when_expired: str = "stop") -> "World":
        """Write the checkout, commit it as Ada, and make the keys."""
        world = cls(root)
        folder = root / "include" / "models" / MODEL
        for path, text in {
            folder / "model.yaml": SPEC,
            folder / "policy.yaml": POLICY,
            folder / CONTRACT: CONTRACT_BODY.decode(),
            folder / "train.py": "def fit(frame, params): ...\n",
            root / "include" / "policies" / "high.yaml": TIER % when_expired,
            root / "include" / "people.yaml": PEOPLE,
            root / "include" / "governance" / "shared.py": "SHARED = 1\n",
            root / "requirements.txt": "numpy==1\n",
            root / ".gitignore": ".state\n",
        }.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        world.git("init", "-q")
        world.commit("Begin")
        for name in ("artifact", "review"):
            world.make_key(name)
        return world

    def git(self, *arguments: str) -> None:
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@bank.example", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(self.root), *who, *arguments], check=True, capture_output=True)

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def make_key(self, name: str, folder: Path | None = None) -> Signer:
        """Make a key pair; its public half is known to this world unless it goes to another folder."""
        key = Ed25519PrivateKey.generate()
        private = (folder or self.settings.state / "keys" / "private") / f"{name}.pem"
        public = (folder or self.settings.public_keys) / f"{name}{'-public' if folder else ''}.pem"
        for path in (private, public):
            path.parent.mkdir(parents=True, exist_ok=True)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        private.chmod(0o600)
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return Signer.from_file(private, name)

    @property
    def settings(self) -> Settings:
        return load_settings({"GOVERNANCE_ROOT": str(self.root), **self.more})

    def with_services(self, **more: str) -> "World":
        """Return the same world with more settings, such as ``GOVERNANCE_MLFLOW_URL``."""
        return replace(self, more={**self.more, **more})

    @property
    def spec(self) -> ModelSpec:
        return find_spec(self.settings, MODEL)

    @property
    def people(self) -> People:
        return people_of(self.settings)

    @property
    def policy(self) -> Policy:
        return load_policy(self.spec.folder, self.settings.policies)

    @property
    def keys(self) -> PublicKeys:
        return PublicKeys.from_folder(self.settings.public_keys)

    def signer(self, name: str) -> Signer:
        return Signer.from_file(self.settings.state / "keys" / "private" / f"{name}.pem", name)

    @cached_property
    def snapshot(self) -> snapshots.Snapshot:
        root = self.settings.snapshots
        return snapshots.freeze(rows(), model=MODEL, root=root, protected_columns=["group"])

    def train(self, folder: Path, *, seed: int = 0) -> Manifest:
        """Fit a model, and write and sign its files."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        frame = snapshots.load(self.snapshot)
        model = HistGradientBoostingClassifier(random_state=seed, max_iter=30 + seed, max_leaf_nodes=4)
        model.fit(frame[list(FEATURES)], frame["approve"])
        types = frame.dtypes
        description = Description(
            name=MODEL,
            purpose=self.spec.purpose,
            features=tuple(Feature(name, str(types[name]), meaning) for name, meaning in FEATURES.items()),
            task="binary_classification",
            target="approve",
            favourable=1,
            meaning="It was approved.",
            threshold=0.4,
        )
        beside = mlmodel.files(description, frame)
        return write_artifact(folder, model, description, signer=self.signer("artifact"), beside=beside)

    def judge(self, manifest: Manifest, **changes: Any) -> dict[str, Any]:
        """Write the evidence of a candidate; ``changes`` are fields of :class:`evidence.Facts`, ``accuracy``, and what
        else was ``measured``."""
        facts = evidence.Facts(
            version="1.0.0",
            attempt=1,
            registry_version=1,
            environment=self.settings.environment,
            lock={"lock": "0" * 64, "python": "3.11", "packages": 1},
            data={
                "source": self.spec.data.source,
                "snapshot": self.snapshot.digest,
                "rows": self.snapshot.rows,
                "columns": len(self.snapshot.columns),
                "contract": {"digest": canonical.digest_of_bytes(CONTRACT_BODY), "expectations": 10, "failed": 0},
            },
            training={"parameters": {}, "seed": 0, "threshold": 0.4, "attempts": 1},
            artifact={"manifest": manifest.digest, "files": list(manifest.files), "trusted_types": []},
            request={"reason": "A test needs it.", "bump": "minor"},
            started_by=SAM,
        )
        measured = [Measurement("performance.accuracy", changes.pop("accuracy", 0.9), 200, low=0.85, high=0.95)]
        measured += changes.pop("measured", [])
        code = code_state(self.settings, self.spec)
        measured += provenance(code, self.people)
        document, _ = evidence.compose(replace(facts, **changes), self.spec, self.policy, self.people, code, measured)
        return document

    def decide(
        self, document: dict[str, Any], person: str, role: str, answer: str = "approve", **changes: Any
    ) -> SignedDecision:
        """Sign a decision as the review desk does; ``changes`` are made before it is signed."""
        decision = {
            "format": approvals.FORMAT,
            "evidence": canonical.digest(document),
            "model": document["model"]["name"],
            "version": document["model"]["version"],
            "registry_version": document["model"]["registry_version"],
            "environment": document["model"]["environment"],
            "policy": document["policy"]["digest"],
            "people": document["people"]["digest"],
            "spec": document["spec"]["digest"],
            "role": role,
            "person": person,
            "answer": answer,
            "confirmed": ["I read it."],
            "comment": None,
            "decided_at": datetime.now(UTC).isoformat(),
        } | changes
        return SignedDecision(decision, self.signer("review").sign(decision, approvals.PURPOSE))

    def approve(
        self,
        document: dict[str, Any],
        decisions: Sequence[SignedDecision] | None = None,
        *,
        now: datetime | None = None,
        signer: Signer | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        """Sign a permit as the review key would; ``changes`` are made before it is signed, whatever they break."""
        proper = [self.decide(document, person, role) for person, role in SIGNERS]
        signer = signer or self.signer("review")
        arguments = (document, proper, {SAM: ["started"]}, self.policy, self.people)
        issued = permit.issue(*arguments, self.signer("review"), now or datetime.now(UTC))["permit"]
        given = proper if decisions is None else decisions
        issued = {**issued, "decisions": [one.to_dict() for one in given], **changes}
        return {"permit": issued, "signature": signer.sign(issued, permit.PURPOSE)}

    def permit_files(self, document: dict[str, Any], issued: dict[str, Any]) -> dict[str, bytes]:
        """Return the files of ``permit/`` by name."""
        own, tier = self.policy.documents
        bundle = permit.Bundle(
            canonical.to_bytes(document),
            canonical.to_bytes(issued),
            own.body,
            tier.body,
            self.settings.people.read_bytes(),
            self.spec.document.body,
        )
        return {**bundle.files(), CONTRACT: CONTRACT_BODY}

    def lay_out(self, folder: Path, document: dict[str, Any], issued: dict[str, Any]) -> Path:
        """Write ``permit/`` beside ``model/`` in a folder."""
        (folder / "permit").mkdir(parents=True, exist_ok=True)
        for name, body in self.permit_files(document, issued).items():
            (folder / "permit" / name).write_bytes(body)
        return folder
