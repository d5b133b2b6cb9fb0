"""The ``governance`` command: words, options and exit codes; what the commands do is in :mod:`governance.commands`.

A contract (DESIGN §9). Exit codes: 0 yes · 1 could not be done · 2 no · 3 not decided. With ``--json`` one document on
standard output and nothing else there, also where the answer is an error. People get one message they can act on,
never a traceback; that of an unexpected error is written to a file, whose name is said.

Everything heavy is imported by the command that needs it: ``governance --help`` answers at once.
"""

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from governance.errors import GovernanceError, InputError, no_room

if TYPE_CHECKING:
    from governance.commands.answer import Answer
    from governance.settings import Settings

FAILED = InputError.exit_code
INTERRUPTED = 130

app = typer.Typer(
    help="Governs machine-learning models: what is governed, is it right, what serves, and who approved it.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
ledger_app = typer.Typer(help="The record: is it whole, and what does it say?", rich_markup_mode=None)
app.add_typer(ledger_app, name="ledger")
predictions_app = typer.Typer(help="What was predicted: is it whole, and what came true?", rich_markup_mode=None)
app.add_typer(predictions_app, name="predictions")


subject_app = typer.Typer(help="One person: which snapshots and models hold them, and erasure.", rich_markup_mode=None)
app.add_typer(subject_app, name="subject")


class ModelOrCommand(TyperGroup):
    """A group whose first word may be a model: ``governance lineage loan`` is ``governance lineage show loan``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take what is no command of the group for what ``show`` is asked."""
        first = args[0] if args else "--help"
        if first not in (*self.commands, "-h", "--help"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


lineage_app = typer.Typer(
    cls=ModelOrCommand,
    help="Lineage: where a model comes from and where it went (`governance lineage MODEL`), and its way to Marquez.",
    rich_markup_mode=None,
)
app.add_typer(lineage_app, name="lineage")

JSON = "--json"
Model = Annotated[str, typer.Argument(help="The model's name: its folder in include/models/.", show_default=False)]
Version = Annotated[str | None, typer.Argument(help="Semantic version, such as 1.2.0.", show_default=False)]
AsJson = Annotated[bool, typer.Option(JSON, help="One JSON document on standard output, nothing else.")]


@app.callback(invoke_without_command=True)
def _start(context: typer.Context) -> int:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
    return 0


@app.command(short_help="What is governed, what serves, and how it was last judged.")
def models(as_json: AsJson = False) -> int:
    """Say what is governed: name, owner, tier, champion, permit, last verdict, last drift.

    Example: governance models --json
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import folders

        return folders.models(settings)

    return _answer(ask, as_json)


@app.command(short_help="Is a model's folder right? Every fault, with its remedy.")
def check(
    model: Annotated[str | None, typer.Argument(help="The model's name; all by default.", show_default=False)] = None,
    data: Annotated[
        bool | None,
        typer.Option("--data/--no-data", help="Read the data, and run the contract on them; by default a quick look."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Say whether a model's folder is right: every fault with file, line and what to write instead.

    Example: governance check loan
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import folders

        return folders.check(settings, model, data)

    return _answer(ask, as_json)


@app.command(short_help="Write a model's folder from a data file: it passes `check` and reaches a verdict.")
def new(
    name: Annotated[str, typer.Argument(help="The model's name: small letters, digits and _.", show_default=False)],
    data: Annotated[str, typer.Option(help="A .csv or .parquet file, or a source such as python:a.b(c).")],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="What the model is to learn.")],
    task: Annotated[
        str | None,
        typer.Option(help="binary_classification, multiclass_classification or regression; told from the target."),
    ] = None,
    tier: Annotated[str | None, typer.Option(help="low, medium or high: how much it can harm.")] = None,
    protected: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Says what groups people belong to; repeat for more.", show_default=False),
    ] = None,
    no_persons: Annotated[
        str | None, typer.Option(metavar="REASON", help="Why the rows are about no persons.", show_default=False)
    ] = None,
    favourable: Annotated[
        str | None, typer.Option(metavar="VALUE", help="The target's value that is good for people.")
    ] = None,
    owner: Annotated[str | None, typer.Option(metavar="LOGIN", help="Who answers for it.")] = None,
    developer: Annotated[
        list[str] | None, typer.Option(metavar="LOGIN", help="Who builds it; repeat for more.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take every proposal; nobody is asked.")] = False,
    as_json: AsJson = False,
) -> int:
    """Write a model's folder from a data file; what the data cannot tell is marked `decide:` in it.

    Example: governance new credit --data credit.csv --target approved --protected sex
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import new as command

        return command.new(
            settings,
            command.request(
                name=name,
                data=data,
                target=target,
                task=task,
                tier=tier,
                protected=protected or [],
                no_persons=no_persons,
                favourable=favourable,
                owner=owner,
                developers=developer or [],
                yes=yes,
            ),
            as_json=as_json,
        )

    return _answer(ask, as_json)


@app.command("try", short_help="Fit, measure and judge on this machine, in seconds.")
def try_(
    model: Model,
    seed: Annotated[int | None, typer.Option(help="Instead of the spec's seed.", show_default=False)] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A training parameter; repeat for more.", show_default=False),
    ] = None,
    alternatives: Annotated[
        bool, typer.Option("--alternatives", help="Where only fairness rules fail, search for what passes.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Fit, measure and judge a model on this machine: no server, and nothing is written.

    Exits with 0 for pass and warn, 2 for block, 3 for not enough data.

    Example: governance try loan --set max_iter=80 --seed 1
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import folders

        parameters = dict(_setting(change) for change in changes or [])
        return folders.try_model(settings, model, parameters, seed, alternatives, _tell)

    return _answer(ask, as_json)


@app.command(short_help="How a file of predictions treats groups and intersections.")
def fairness(
    file: Annotated[str, typer.Argument(help="CSV or Parquet, one person a row.", show_default=False)],
    prediction: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="What was predicted or decided.", show_default=False)
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="What came true, where it is known.", show_default=False)
    ] = None,
    protected: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="A protected attribute; repeat for more.", show_default=False),
    ] = None,
    intersection: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A×B", help="Which to cross: A×B, repeated, or `none`; all by default.", show_default=False
        ),
    ] = None,
    favourable: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUE", help="Which value is favourable, where it is not 1.", show_default=False),
    ] = None,
    task: Annotated[str, typer.Option(help="Or multiclass_classification, or regression.")] = "binary_classification",
    count: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="How many people a row stands for.", show_default=False)
    ] = None,
    unknown: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUE", help="A group that means unknown; repeat for more.", show_default=False),
    ] = None,
    minimum_n: Annotated[int, typer.Option(min=1, help="Smaller groups are reported, not compared.")] = 30,
    local_law_144: Annotated[
        bool, typer.Option("--local-law-144", help="The tables of New York City's bias audit, too.")
    ] = False,
    score: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Scores, for the scoring rates of that law.", show_default=False),
    ] = None,
    exclude_small: Annotated[
        bool, typer.Option("--exclude-small", help="Its impact ratios without categories under 2 %.")
    ] = False,
    partly_known: Annotated[
        bool, typer.Option("--partly-known", help="Count people of unknown race by sex, and so on.")
    ] = False,
    decimals: Annotated[int, typer.Option(min=0, max=12, help="Decimals of its impact ratios.")] = 3,
    as_json: AsJson = False,
) -> int:
    """Measure by group, by intersection and between groups what a file of predictions holds; nothing is judged.

    Example: governance fairness f.csv --prediction p --label y --protected sex
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import fairness

        question = fairness.Question(
            file=file,
            label=label,
            prediction=prediction,
            score=score,
            count=count,
            protected=protected or [],
            intersections=intersection or [],
            favourable=favourable or [],
            unknown=unknown or [],
            task=task,
            minimum_n=minimum_n,
            local_law_144=local_law_144,
            exclude_small=exclude_small,
            partly_known=partly_known,
            decimals=decimals,
        )
        return fairness.fairness(question)

    return _answer(ask, as_json)


@app.command(short_help="How far current data are from a reference, and what follows.")
def drift(
    reference: Annotated[str, typer.Argument(help="What is usual: Parquet, CSV or a source.", show_default=False)],
    current: Annotated[str, typer.Argument(help="What came now; the same kinds.", show_default=False)],
    columns: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Only these; may be repeated. All by default.", show_default=False),
    ] = None,
    drifted_from: Annotated[float, typer.Option(metavar="SHARE", help="Drifted from this share of columns.")] = 0.1,
    severe_from: Annotated[float, typer.Option(metavar="SHARE", help="Severe from this share of columns.")] = 0.3,
    minimum_n: Annotated[int, typer.Option(metavar="N", min=1, help="Fewer rows decide nothing.")] = 30,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither use nor keep the sorted reference in the state folder.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Measure drift column by column, exactly and of all rows, and decide: nothing, retrain, or severe.

    Exits with 0 for no drift, 2 for drift, 3 for not enough data.

    Example: governance drift training.parquet today.parquet
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.processor import prefer_fast_sorting

        prefer_fast_sorting()  # before anything imports numpy
        from governance.commands import drift

        asked = drift.Question(
            reference=reference,
            current=current,
            columns=columns or [],
            retrain_from=drifted_from,
            severe_from=severe_from,
            minimum_n=minimum_n,
            cache=not no_cache,
        )
        return drift.drift(settings, asked)

    return _answer(ask, as_json)


@app.command(short_help="Measurements and verdict for a model trained anywhere.")
def validate(
    model_uri: Annotated[
        str, typer.Option(metavar="URI", help="models:/name/version, runs:/run/model, s3://…, a folder or a file.")
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="The governed model whose policy judges it.")],
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows it has not seen: .csv or .parquet; the spec's by default.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Decide at this score; the model's own by default.")
    ] = None,
    tracking_url: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="MLFLOW_TRACKING_URI", help="MLflow; GOVERNANCE_MLFLOW_URL by default."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML, one test case a rule.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a summary for the pull request.")] = None,
    as_json: AsJson = False,
) -> int:
    """Judge a model that was trained anywhere: no Airflow, no ledger, no signatures, and nothing is registered.

    Exits with 0 for pass and warn, 2 for block, 3 for not enough data. Pickled models are refused, never opened.

    Example: governance validate --model-uri models:/credit/3 --model loan --junit governance.xml
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import validate as command
        from governance.validation import Asked

        asked = Asked(model_uri, tracking_url, data, threshold)
        return command.validate(settings, model, asked, command.Reports(junit, markdown), _tell)

    return _answer(ask, as_json)


@app.command(short_help="Have the pipeline take on a model trained elsewhere.")
def register(
    model_uri: Annotated[
        str, typer.Option(metavar="URI", help="models:/name/version, models:/name@alias or runs:/run/model.")
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="The governed model that it becomes a version of.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why: a reviewer reads it.")] = "",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Decide at this score; the model's own by default.")
    ] = None,
    login: Annotated[
        str | None, typer.Option(metavar="NAME", envvar="AIRFLOW_LOGIN", help="Airflow's login of yours.")
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(metavar="TEXT", envvar="AIRFLOW_PASSWORD", help="Its password; better in the environment."),
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="TEXT", envvar="AIRFLOW_TOKEN", help="Airflow's token, instead of both.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check a model that was trained elsewhere, and start the pipeline on it, as the person who asks.

    Exits with 0 once the run is started; with 3 where Airflow cannot be asked from here: then it says how to start it.

    Example: governance register --model-uri models:/credit/3 --model loan --reason Recalibrated
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import register as command
        from governance.validation import Asked

        access = command.Access(token, login, password)
        return command.register(settings, model, Asked(model_uri, None, None, threshold), reason, access, _tell)

    return _answer(ask, as_json)


@app.command(short_help="What was signed.")
def evidence(
    model: Model,
    version: Version = None,
    attempt: Annotated[int | None, typer.Option(help="Which attempt; the last by default.", show_default=False)] = None,
    digest: Annotated[bool, typer.Option("--digest", help="The digest alone: what people sign.")] = False,
    as_json: AsJson = False,
) -> int:
    """Say what was signed; by default of the version that serves, else of the last that was judged.

    Example: governance evidence loan --digest
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import records

        return records.evidence(settings, model, version, attempt, digest)

    return _answer(ask, as_json)


@app.command(short_help="Is it permitted now, verified from the bytes, and by whom?")
def permit(model: Model, version: Version = None, as_json: AsJson = False) -> int:
    """Say whether a version is permitted now, verified from the bytes, and by whom; by default the one that serves.

    Example: governance permit loan
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import records

        return records.permit(settings, model, version)

    return _answer(ask, as_json)


@app.command(short_help="Which versions may go live unread, within which limits, and on whose word.")
def standing(model: Model, as_json: AsJson = False) -> int:
    """Say which standing approvals a low-tier model has: margins, how many versions, last day, who signed.

    People sign on the page in Airflow. Exits 0 where one is in force, else 2.

    Example: governance standing digits
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import records

        return records.standing(settings, model)

    return _answer(ask, as_json)


@app.command(short_help="Which rules give way, until when, why, and on whose word.")
def waivers(model: Model, as_json: AsJson = False) -> int:
    """Say which signed waivers a model has: rule, reason, last day, who signed. People sign on the page in Airflow.

    Example: governance waivers loan
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import records

        return records.waivers(settings, model)

    return _answer(ask, as_json)


@app.command(short_help="What serves, or served then, and on whose word.")
def live(
    model: Model,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="2026-03-03T14:00 (UTC without a zone); now by default.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Say what served then, who approved it, on what evidence, trained on which data.

    Example: governance live loan --at 2026-03-03T14:00
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import records

        return records.live(settings, model, at)

    return _answer(ask, as_json)


@app.command(short_help="What was decided about a watched model, by which rule and why.")
def decision(
    model: Model,
    day: Annotated[str | None, typer.Argument(help="When the window ended: 2026-03-03.", show_default=False)] = None,
    history: Annotated[int | None, typer.Option(min=1, help="List the last so many, a line each.")] = None,
    as_json: AsJson = False,
) -> int:
    """Say what was decided about a model that serves, and why.

    Exit code 0: nothing to do; 2: a fault, or something was done about it; 3: too little was seen to decide.

    Example: governance decision loan 2026-03-03
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import decision as command

        return command.decision(settings, model, day, history=history)

    return _answer(ask, as_json)


@app.command(short_help="Take a model out of service, within seconds.")
def stop(
    model: Model,
    reason: Annotated[str, typer.Option(help="Why: in the record, and told to whoever asks for a prediction.")],
    login: Annotated[
        str | None, typer.Option(metavar="NAME", envvar="AIRFLOW_LOGIN", help="Who you are, for the record.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Take a model out of service: it serves nothing, whatever the alias says, until a release or a rollback.

    Exits with 1 where the scoring service did not confirm it, and says what did not answer.

    Example: governance stop loan --reason "It denies everybody over sixty."
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import incidents

        return incidents.stop(settings, model, reason, login)

    return _answer(ask, as_json)


@app.command(short_help="Is there a way back, and how long does it take? Tried on a shadow.")
def drill(
    model: Annotated[
        str | None, typer.Argument(help="The model's name; each that serves by default.", show_default=False)
    ] = None,
    login: Annotated[
        str | None, typer.Option(metavar="NAME", envvar="AIRFLOW_LOGIN", help="Who you are, for the record.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Roll back to the last version whose permit is valid, on a second scoring service: what serves does not change.

    Says how long each step took. Exits with 2 where no version can come back.

    Example: governance drill loan
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import incidents

        return incidents.drill(settings, model, login)

    return _answer(ask, as_json)


@app.command(short_help="Run the scoring service.")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 5002,
) -> int:
    """Run the scoring service until it is stopped.

    Example: governance serve --port 5002
    """
    import uvicorn

    uvicorn.run("governance.serving.app:app", host=host, port=port, access_log=False)
    return 0


@ledger_app.command("verify", short_help="Is the record whole?")
def ledger_verify(
    anchor: Annotated[
        str | None, typer.Option(metavar="NUMBER:CHAIN", help="A head that was noted earlier and must still be there.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Recompute the whole chain from the stored bytes, and name every entry that was changed.

    Example: governance ledger verify
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import ledger

        return ledger.verify(settings, anchor)

    return _answer(ask, as_json)


@ledger_app.command("witness", short_help="Is it still the record that was signed? Sign how far it is whole.")
def ledger_witness(
    every: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=1, help="Look again so often; once by default.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Verify the record beside what was remembered outside of it, and sign its head, as the witness.

    Finds what no look at the database alone can: a record that was rewritten or cut consistently. With --every it ends
    only when that has happened.

    Example: governance ledger witness --every 60
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import ledger

        return ledger.witness(settings)

    return _answer(ask, as_json) if every is None else _answer_again(ask, as_json, every)


@ledger_app.command("show", short_help="The last entries, or one in full.")
def ledger_show(
    entry: Annotated[int | None, typer.Argument(help="One entry in full.", show_default=False)] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind: evidence, decision, release …")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the last entries.")] = 20,
    as_json: AsJson = False,
) -> int:
    """Show the last entries, or one of them in full.

    Example: governance ledger show --kind decision --limit 5
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import ledger

        return ledger.show(settings, kind, model, limit, entry)

    return _answer(ask, as_json)


@ledger_app.command("export", short_help="The whole record, one entry a line.")
def ledger_export(
    file: Annotated[Path | None, typer.Argument(help="Standard output by default.", show_default=False)] = None,
    as_json: AsJson = False,
) -> int:
    """Write the whole record, one entry a line, with the exact text that is hashed.

    Example: governance ledger export ledger.jsonl
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import ledger

        return ledger.export(settings, file)

    return _answer(ask, as_json)


@predictions_app.command("verify", short_help="Are the predictions those that were logged?")
def predictions_verify(
    model: Annotated[str | None, typer.Argument(help="The model's name; all by default.", show_default=False)] = None,
    as_json: AsJson = False,
) -> int:
    """Recompute every segment's digest from the tables, and name each that differs from the ledger.

    Example: governance predictions verify loan
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import predictions

        return predictions.verify(settings, model)

    return _answer(ask, as_json)


@predictions_app.command("labels", short_help="Say what came true, from a file or by SQL.")
def predictions_labels(
    model: Model,
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="CSV or Parquet, or sql:<database>/<table>.", show_default=False)
    ],
    as_json: AsJson = False,
) -> int:
    """Take labels: columns request_id, row (0 without it), label, and protected ones. The same again changes nothing.

    Example: governance predictions labels loan repaid.csv
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import predictions

        return predictions.labels(settings, model, source)

    return _answer(ask, as_json)


@lineage_app.command("show", short_help="Where a model comes from, where it went; or which models used something.")
def lineage_show(
    model: Annotated[str | None, typer.Argument(help="The model's name.", show_default=False)] = None,
    version: Annotated[
        str | None, typer.Argument(help="Such as 1.2.0; what serves by default.", show_default=False)
    ] = None,
    uses: Annotated[
        str | None,
        typer.Option(metavar="DATASET[.COLUMN]", help="Which models used it? Or a digest.", show_default=False),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="tree, mermaid, dot or json.")] = "tree",
    as_json: AsJson = False,
) -> int:
    """Say where a model comes from and where it went: raw data, snapshot, version, evidence, permit, endpoint, windows.

    Exits with 0 where the way back to raw data is whole, 2 where a link is missing; with `--uses` 0 where a model used
    it, 2 where none did.

    Example: governance lineage loan --format mermaid
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import lineage_graph

        if (model is None) == (uses is None):
            raise InputError("Expected a model, or --uses DATASET[.COLUMN], such as: governance lineage loan.")
        return lineage_graph.used(settings, uses) if uses else lineage_graph.show(settings, str(model), version, form)

    return _answer(ask, as_json)


@lineage_app.command("deliver", short_help="Send what waits in the outbox to Marquez.")
def lineage_deliver(
    follow: Annotated[bool, typer.Option("--follow", help="Go on until it is stopped.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything once more: to a Marquez that begins with an empty database.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Deliver every event that waits to Marquez (MARQUEZ_URL), in order; what it knows already does no harm.

    Exits with 0 where nothing waits, 1 where something could not be delivered, 2 where Marquez refused an event.

    Example: governance lineage deliver --all
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import lineage

        return lineage.deliver(settings, follow=follow, everything=everything)

    return _answer(ask, as_json)


WhoseRows = Annotated[
    str, typer.Argument(metavar="ID", help="Of data.subject; - reads it from standard input.", show_default=False)
]
Requests = Annotated[
    list[str] | None,
    typer.Option(
        "--request", metavar="ID", help="X-Request-Id about this person; repeat for more.", show_default=False
    ),
]
OneModel = Annotated[str | None, typer.Option(help="Only this model; all by default.", show_default=False)]


@subject_app.command("find", short_help="Which snapshots and model versions hold this person?")
def subject_find(person: WhoseRows, model: OneModel = None, request: Requests = None, as_json: AsJson = False) -> int:
    """Look through every recorded snapshot, and name those with this person's rows and what was made of them.

    Exits with 0 where some do, 2 where none does, 3 where none was found and not all could be looked through.

    Example: governance subject find A-1093 --request r-77
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import subject

        return subject.find(settings, person, request or [], model)

    return _answer(ask, as_json)


@subject_app.command("erase", short_help="Erase a person's rows; digests and evidence stay valid.")
def subject_erase(
    person: WhoseRows,
    reason: Annotated[str, typer.Option(help="Why, without naming anybody: it stays on record.", show_default=False)],
    model: OneModel = None,
    request: Requests = None,
    login: Annotated[str | None, typer.Option(help="Who erases, as they say.", show_default=False)] = None,
    as_json: AsJson = False,
) -> int:
    """Erase this person's rows from every snapshot that holds them, and say what was not touched.

    Exits with 0 where nothing holds them any more, 2 where nothing did, 3 where something could not be erased or looked
    through. Killed anywhere, it is run again.

    Example: governance subject erase A-1093 --reason "Asked for on 3 March, request 17."
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import subject

        return subject.erase(settings, person, request or [], model, reason, login)

    return _answer(ask, as_json)


@subject_app.command("finish", short_help="Delete what an erasure that was killed left behind.")
def subject_finish(
    model: OneModel = None,
    unrecorded: Annotated[
        bool, typer.Option("--unrecorded", help="Also files older than a day that this ledger does not name.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Delete files of rows whose erasure is on record and that are still there.

    With --unrecorded also what killed runs left: never where another ledger shares the folder of snapshots.

    Example: governance subject finish
    """

    def ask(settings: "Settings") -> "Answer":
        from governance.commands import subject

        return subject.finish(settings, model, unrecorded)

    return _answer(ask, as_json)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; nothing is raised."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        return int(app(given, prog_name="governance", standalone_mode=False) or 0)
    except GovernanceError as error:
        return _failed(str(error), error.exit_code, error, given)
    except typer.TyperException as error:
        return _failed(_usage(error), FAILED, error, given)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our answer had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        return _failed(str(no_room(error) or _unexpected(error)), FAILED, error, given)


def _answer(ask: "Callable[[Settings], Answer]", as_json: bool) -> int:
    from governance.settings import load_settings

    with redirect_stdout(sys.stderr):
        found = ask(load_settings())
    if as_json:
        print(json.dumps(found.document, ensure_ascii=False, allow_nan=False))
    else:
        from governance.commands.answer import console

        found.show(console(sys.stdout))
    sys.stdout.flush()
    return found.exit_code


def _answer_again(ask: "Callable[[Settings], Answer]", as_json: bool, seconds: float) -> int:
    """Ask again and again, until the answer is no; what is out of reach is asked again, too."""
    from governance.errors import UnavailableError

    while True:
        try:
            code = _answer(ask, as_json)
        except UnavailableError as error:
            print(error, file=sys.stderr, flush=True)
        else:
            if code != 0:
                return code
        time.sleep(seconds)  # the pace that was asked for, until somebody ends the service


def _failed(message: str, exit_code: int, error: BaseException, given: list[str]) -> int:
    if JSON in given:
        faults = [fault.to_dict() for fault in getattr(error, "faults", ())]
        document = {"kind": type(error).__name__, "message": message, "exit_code": exit_code}
        print(json.dumps({"error": {**document, **({"faults": faults} if faults else {})}}, ensure_ascii=False))
    print(message, file=sys.stderr)
    return exit_code


def _usage(error: Any) -> str:
    context = getattr(error, "ctx", None)
    hint = f" See `{context.command_path} --help`." if context else ""
    said = str(error.format_message() if hasattr(error, "format_message") else error)
    return f"{said.rstrip('.')}.{hint}".replace("?.", "?")


def _unexpected(error: Exception) -> str:
    handle, name = tempfile.mkstemp(prefix="governance-", suffix=".txt")
    with open(handle, "w") as file:
        traceback.print_exception(error, file=file)
    said = f"{type(error).__name__}: {error}".partition("\n")[0]
    return f"This is a fault of ours: {said}. What happened is written in {name}; report it with that file."


def _setting(change: str) -> tuple[str, Any]:
    """Read ``name=value``; the value as YAML reads it: 80 is a number, true is true."""
    import yaml

    name, equals, value = change.partition("=")
    if not equals or not name.isidentifier():
        raise InputError(f"Expected --set NAME=VALUE, such as max_iter=80, found {change!r}.")
    return name, yaml.safe_load(value)


def _tell(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)
