"""What is governed, and who is who: the model folders and ``people.yaml``, read and typed.

This module knows the shape of these files. Whether a folder is *right* (a leak among the features, a role that nobody
holds) is the question of :mod:`governance.check`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, field_validator, model_validator

from governance import yamlfile
from governance.errors import InputError
from governance.settings import Settings
from governance.yamlfile import Document, Strict

Tier = Literal["high", "medium", "low"]
TaskName = Literal["binary_classification", "multiclass_classification", "regression"]
Value = bool | int | str
"""A value of the target that names a class."""
PersonalKind = Literal["name", "email", "phone", "card", "social_security", "identifier", "other"]
"""What a column with personal data holds."""


class Owner(Strict):
    """Who answers for the model: a team, and the person in it."""

    team: str
    person: str


class DataSpec(Strict):
    """Where the data come from, what they may be used for, and the contract that they must meet.

    Attributes:
        source: One line, as :mod:`governance.data.sources` reads it.
        purposes: What the data may be used for; the model's ``use`` must be among them.
        contract: The contract's file, in the model's folder.
        subject: The column that says whom a row is about, such as the number of an application: kept apart like
            protected columns, never a feature. With it, one person's rows can be found and erased.
        personal: Columns with personal data, and of what kind they are. They never reach a model.
        not_personal: Columns that look like personal data and are none, with the reason.
    """

    source: str
    purposes: list[str] = Field(min_length=1)
    contract: str
    subject: str | None = None
    personal: dict[str, PersonalKind] = Field(default_factory=dict)
    not_personal: dict[str, Annotated[str, Field(min_length=10)]] = Field(default_factory=dict)


class Target(Strict):
    """The column that the model learns, and what is wrong with it.

    Attributes:
        column: Its name.
        favourable: The value that is good for the person concerned. Needed where two classes are told apart; of more
            classes it may be named, and groups are then compared by who gets it.
        classes: All classes, in the order of the scores, where there are more than two.
        unit: Of the number that a regression predicts.
        meaning: What it means.
        known_bias: What is wrong with it.
    """

    column: str
    favourable: Value | None = None
    classes: list[Value] | None = None
    unit: str | None = None
    meaning: str
    known_bias: str


class Protected(Strict):
    """A protected attribute: indicators (group → column), or one column with its values or its bands.

    Four forms are written in ``model.yaml``: ``race: {Black: black, otherwise: white}`` (indicators),
    ``sex: {column: male, values: {men: 1, women: 0}}``, ``age: {column: age, bands: [40, 62]}`` (numbers, cut where
    the law cuts: under 40, 40 to under 62, 62 and over), and ``region: region`` (a column of names).
    """

    indicators: dict[str, str] | None = None
    otherwise: str | None = None
    column: str | None = None
    values: dict[str, Any] | None = None
    bands: list[int | float] | None = Field(default=None, min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _forms(cls, written: Any) -> Any:
        if isinstance(written, str):
            return {"column": written}
        if isinstance(written, dict) and not {"column", "values", "bands", "indicators"} & set(written):
            indicators = {group: column for group, column in written.items() if group != "otherwise"}
            return {"indicators": indicators, "otherwise": written.get("otherwise")}
        return written

    @model_validator(mode="after")
    def _one_form(self) -> "Protected":
        if not self.indicators and not self.column:
            raise ValueError("name a column, or a column for each group.")
        if self.indicators and (self.column or self.values):
            raise ValueError("name a column with its values, or a column for each group, not both.")
        if self.bands and (self.indicators or self.values or self.otherwise):
            raise ValueError("`bands` cut one column of numbers: write them with `column` alone.")
        if self.bands and sorted(set(self.bands)) != self.bands:
            raise ValueError("`bands` are numbers that ascend, such as [40, 62].")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the data that it is made from."""
        return (self.column,) if self.column else tuple((self.indicators or {}).values())


class Evaluation(Strict):
    """How the estimates are made: a sealed holdout, or out-of-fold predictions for small data (§10.8)."""

    method: Literal["holdout", "cross_validation"] = "holdout"
    folds: int = Field(default=5, ge=2, le=50)
    repetitions: int = Field(default=3, ge=2, le=50)
    test_share: float = Field(default=0.3, gt=0, lt=1)


class Limits(Strict):
    """What one call of the folder's ``fit`` may use."""

    seconds: int = Field(default=600, gt=0)
    memory_mb: int = Field(default=4096, gt=0)


class TrainingSpec(Strict):
    """How the model is trained."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    parameters: dict[str, Any] = Field(default_factory=dict)
    evaluation: Evaluation = Evaluation()
    limits: Limits = Limits()
    trusted_types: list[str] = Field(default_factory=list)


class AlternativesSpec(Strict):
    """What the search for a less discriminatory alternative may vary."""

    thresholds: list[float] = Field(default_factory=list)
    parameters: list[dict[str, Any]] = Field(default_factory=list)


def _known_zone(name: str) -> str:
    from zoneinfo import available_timezones

    if name not in available_timezones():
        raise ValueError(f"`{name}` is no time zone, such as UTC or Europe/Berlin.")
    return name


def _cron(text: str) -> str:
    from croniter import croniter

    if len(text.split()) != 5 or not croniter.is_valid(text):
        raise ValueError("a schedule has five parts: minute, hour, day of the month, month, day of the week.")
    return text


Zone = Annotated[str, AfterValidator(_known_zone)]
Cron = Annotated[str, AfterValidator(_cron)]


class MonitoringSpec(Strict):
    """When a served model is looked at, and whether what is decided is done.

    Attributes:
        schedule: Of the windows, as cron writes it; each reaches from one moment of it to the next.
        timezone: Of the schedule.
        dry_run: Whether decisions are taken and told, and nothing is done.
        report: Whether Evidently's report is kept with each window: some 20 seconds of work and 6 MB in MLflow.
        drill: When the way back is tried on a shadow, as cron writes it, in UTC; by hand only where nothing is said.
    """

    schedule: Cron = "0 6 * * *"
    timezone: Zone = "UTC"
    dry_run: bool = False
    report: bool = True
    drill: Cron | None = None


class RetrainingSpec(Strict):
    """How the model is trained again where no person asks for it: through every gate and signature, as the first time.

    Attributes:
        source: Where the newest outcomes are, one line as ``data.source``; none where that is renewed itself.
        schedule: When, as cron writes it; none where only a monitor or a person asks.
        timezone: Of the schedule.
    """

    source: str | None = None
    schedule: Cron | None = None
    timezone: Zone = "UTC"


class Grant(Strict):
    """A protected attribute or a leak that is a feature all the same, with the reason."""

    column: str
    reason: str = Field(min_length=10)


class ModelSpec(Strict):
    """``model.yaml``: one governed model."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")
    title: str
    purpose: str
    use: str | None = None  # demanded by `governance check` and by ingest; permits of older specs have none
    owner: Owner
    developers: list[str] = Field(min_length=1)
    tier: Tier
    task: TaskName
    trained: Literal["here", "elsewhere"] = "here"
    data: DataSpec
    target: Target
    limitations: str
    assumptions: str
    protected: dict[str, Protected] = Field(default_factory=dict)
    no_persons: str | None = Field(default=None, min_length=10)
    intersections: list[list[str]] = Field(default_factory=list)
    features: dict[str, str] = Field(min_length=1)
    proxies: list[str] = Field(default_factory=list)
    leaks: dict[str, str] = Field(default_factory=dict)
    granted: list[Grant] = Field(default_factory=list)
    training: TrainingSpec = TrainingSpec()
    alternatives: AlternativesSpec = AlternativesSpec()
    monitoring: MonitoringSpec = MonitoringSpec()
    retraining: RetrainingSpec = RetrainingSpec()
    _document: Any = PrivateAttr(default=None)

    def __eq__(self, other: object) -> bool:
        """Compare what is written; where it was read from holds the spec itself, and would be compared for ever."""
        return isinstance(other, ModelSpec) and self.model_dump() == other.model_dump()

    @model_validator(mode="after")
    def _target_of_task(self) -> "ModelSpec":
        target, task = self.target, self.task
        if task == "binary_classification":
            if target.favourable is None:
                raise ValueError("binary_classification needs `target.favourable`: the value that is good for people.")
            if target.classes is not None:
                raise ValueError("`target.classes` is for multiclass_classification; name `target.favourable` instead.")
        elif task == "regression":
            if target.favourable is not None or target.classes is not None:
                raise ValueError("a regression predicts a number: remove `favourable` and `classes` from `target`.")
        elif target.classes is None or len(set(target.classes)) < max(3, len(target.classes)):
            raise ValueError("multiclass_classification needs `target.classes`: three or more that differ.")
        elif target.favourable is not None and target.favourable not in target.classes:
            raise ValueError(f"`target.favourable: {target.favourable}` is not among `target.classes`.")
        return self

    @field_validator("purpose", "limitations", "assumptions")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if len(text.split()) < 3:
            raise ValueError("a sentence is expected here: a reviewer signs on it.")
        return text

    @property
    def document(self) -> Document["ModelSpec"]:
        """The file it was read from."""
        return self._document  # type: ignore[no-any-return]  # set by load_spec, always

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.document.path.parent

    @property
    def digest(self) -> str:
        """SHA-256 of ``model.yaml``."""
        return self.document.digest

    @property
    def contract(self) -> Path:
        """The contract's file."""
        return self.folder / self.data.contract

    @property
    def protected_columns(self) -> tuple[str, ...]:
        """Every column that a protected attribute is made from."""
        return tuple(column for attribute in self.protected.values() for column in attribute.columns)

    @property
    def apart_columns(self) -> tuple[str, ...]:
        """Every column that is kept apart from the features: those of protected attributes, and the subject."""
        return tuple(sorted({*self.protected_columns, *([self.data.subject] if self.data.subject else [])}))


class Person(Strict):
    """One person of ``people.yaml``."""

    login: str
    id: str = Field(pattern=r"^p-[0-9a-f]{4,}$")
    name: str
    roles: list[str] = Field(default_factory=list)
    emails: list[str] = Field(default_factory=list)


class PeopleFile(Strict):
    """``people.yaml``: role names and people."""

    roles: dict[str, str]
    people: list[Person]


@dataclass(frozen=True)
class People:
    """Who is who, by login, by pseudonymous id and by the e-mail of a commit."""

    document: Document[PeopleFile]

    @property
    def digest(self) -> str:
        """SHA-256 of ``people.yaml``."""
        return self.document.digest

    @property
    def everyone(self) -> list[Person]:
        """All people, in the order of the file."""
        return self.document.content.people

    def by_login(self, login: str) -> Person | None:
        """Return the person with this login of Airflow."""
        return next((person for person in self.everyone if person.login == login), None)

    def by_id(self, identity: str) -> Person | None:
        """Return the person with this pseudonymous id."""
        return next((person for person in self.everyone if person.id == identity), None)

    def by_email(self, email: str) -> Person | None:
        """Return the person who commits with this e-mail address."""
        wanted = email.strip().lower()
        return next((p for p in self.everyone if wanted in [known.lower() for known in p.emails]), None)

    def identity(self, login: str) -> str:
        """Return the pseudonymous id of a login.

        Raises:
            InputError: The login is not in the file.
        """
        person = self.by_login(login)
        if person is None:
            raise InputError(f"Expected the login {login!r} in {self.document.path}, found no such person. Add them.")
        return person.id

    def name(self, identity: str) -> str:
        """Return a person's name for display; the id where the person is no longer in the file."""
        person = self.by_id(identity)
        return person.name if person else identity

    def holders(self, role: str) -> list[Person]:
        """Return who holds a role."""
        return [person for person in self.everyone if role in person.roles]

    def role_title(self, role: str) -> str:
        """Return a role's name as people read it."""
        return self.document.content.roles.get(role, role)


def load_people(path: Path, body: bytes | None = None) -> People:
    """Read ``people.yaml``.

    Raises:
        FaultyFileError: With every fault in it: shape, unknown roles, logins, ids or e-mails that occur twice.
    """
    people = People(yamlfile.read(path, PeopleFile, body))
    faults = [*_unknown_roles(people), *_repeated(people)]
    if faults:
        raise yamlfile.FaultyFileError(faults)
    return people


def _unknown_roles(people: People) -> list[yamlfile.Fault]:
    known = people.document.content.roles
    return [
        people.document.fault(
            ("people", index, "roles"), f"Unknown role `{role}` of {person.login}.", f"Known: {', '.join(known)}."
        )
        for index, person in enumerate(people.everyone)
        for role in person.roles
        if role not in known
    ]


def _repeated(people: People) -> list[yamlfile.Fault]:
    faults, seen = [], set()
    for index, person in enumerate(people.everyone):
        for name in (person.login, person.id, *(email.lower() for email in person.emails)):
            if name in seen:
                remedy = "One person, one login, one id: two accounts of one person could sign twice."
                faults.append(people.document.fault(("people", index), f"`{name}` occurs twice.", remedy))
            seen.add(name)
    return faults


def load_spec(folder: Path) -> ModelSpec:
    """Read a model folder's ``model.yaml``.

    Raises:
        FaultyFileError: With every fault in its shape.
    """
    spec = spec_from_bytes(None, folder / "model.yaml")
    document = spec.document
    if spec.name != folder.name:
        raise yamlfile.FaultyFileError(
            [
                document.fault(
                    ("name",), f"The name `{spec.name}` is not the folder's, `{folder.name}`.", "Make them one."
                )
            ]
        )
    return spec


def spec_from_bytes(body: bytes | None, path: Path = Path("model.yaml")) -> ModelSpec:
    """Read a spec from the bytes that a permit carries, or from its file."""
    document = yamlfile.read(path, ModelSpec, body)
    spec = document.content
    spec._document = document
    return spec


def model_folders(settings: Settings) -> list[Path]:
    """Return the folders that hold a ``model.yaml``, by name."""
    return sorted(path.parent for path in settings.models.glob("*/model.yaml"))


def find_spec(settings: Settings, name: str) -> ModelSpec:
    """Return the spec of a model by its name.

    Raises:
        InputError: There is no such folder; the message lists those that there are.
    """
    folder = settings.models / name
    if not (folder / "model.yaml").is_file():
        known = ", ".join(path.name for path in model_folders(settings)) or "none"
        raise InputError(f"Expected a model folder {folder}, found none. Known models: {known}.")
    return load_spec(folder)


def people_of(settings: Settings) -> People:
    """Return the people in force."""
    return load_people(settings.people)


def names_of(people: People) -> Mapping[str, str]:
    """Return pseudonymous id → name, for display."""
    return {person.id: person.name for person in people.everyone}
