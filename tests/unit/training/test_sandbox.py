"""What the folder's code gets, what it does not get, and how each way of going wrong is told."""

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import psutil
import pytest

from governance.catalog import Limits
from governance.errors import InputError
from governance.training import skopsfile
from governance.training.fits import TrainingSet
from governance.training.sandbox import Job, Sandbox
from tests.unit.training.conftest import PAID

FITTED = "return LogisticRegression().fit(frame.drop(columns='paid'), frame['paid'])"

Open = Callable[..., Sandbox]
MakeFolder = Callable[[str], Path]


def source(body: str, above: str = "") -> str:
    lines = [
        "import json, os, signal, subprocess, sys, time",
        "import numpy as np",
        "from sklearn.linear_model import LogisticRegression",
        *dedent(above).splitlines(),
        "def fit(frame, params):",
        *(f"    {line}" for line in dedent(body).splitlines()),
    ]
    return "\n".join(lines)


def job_of(rows: TrainingSet, positions: object = None, **params: object) -> Job:
    frame = rows.features.assign(paid=rows.target)
    chosen = np.arange(len(frame)) if positions is None else np.asarray(positions)
    return Job(frame, chosen, {"seed": 0, **params})


def ends(process: psutil.Process) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


# --- what it gets --------------------------------------------------------------------------------------------------


def test_fit_gets_exactly_the_rows_that_train(make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet, tmp_path):
    seen = tmp_path / "seen.json"
    folder = make_folder(source(f"json.dump(frame['age'].tolist(), open({str(seen)!r}, 'w'))\n{FITTED}"))
    positions = [5, 3, 80, 41, 0, 1, 2, 9, 10, 11, 12]
    open_sandbox(folder).fit(job_of(rows, positions))
    assert seen.read_text() == str(rows.features["age"].to_numpy()[positions].tolist())


def test_no_file_with_rows_is_left_when_the_folders_code_is_imported(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet, tmp_path
):
    seen = tmp_path / "seen.json"
    listing = f"""
        found = [os.path.join(d, f) for d, _, fs in os.walk(os.path.dirname(os.getcwd())) for f in fs]
        json.dump([f for f in found if f.endswith('.parquet')], open({str(seen)!r}, 'w'))
    """
    open_sandbox(make_folder(source(FITTED, above=listing))).fit(job_of(rows))
    assert seen.read_text() == "[]"


def test_fit_gets_the_types_of_the_data_unchanged(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet, tmp_path
):
    seen = tmp_path / "seen"
    folder = make_folder(source(f"open({str(seen)!r}, 'w').write(str(frame.dtypes.to_dict()))\n{FITTED}"))
    open_sandbox(folder).fit(job_of(rows))
    assert seen.read_text() == str(rows.features.assign(paid=rows.target).dtypes.to_dict())


def test_fit_gets_none_of_our_environment(make_folder: MakeFolder, rows: TrainingSet, tmp_path, monkeypatch):
    monkeypatch.setenv("GOVERNANCE_ARTIFACT_KEY", "canary-1")
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "canary-2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-3")
    seen = tmp_path / "seen"
    body = f"""
        with open({str(seen)!r}, 'w') as file:
            file.write(json.dumps(dict(os.environ)))
            file.write(open('/proc/self/environ').read())
        {FITTED}
    """
    with Sandbox(make_folder(source(body)), target="paid", task=PAID, workers=1) as started_with_secrets_around:
        started_with_secrets_around.fit(job_of(rows))
    assert "canary" not in seen.read_text()
    assert "AIRFLOW" not in seen.read_text()


def test_fit_has_only_a_few_harmless_variables(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet, tmp_path
):
    seen = tmp_path / "seen.json"
    folder = make_folder(source(f"json.dump(sorted(os.environ), open({str(seen)!r}, 'w'))\n{FITTED}"))
    open_sandbox(folder).fit(job_of(rows))
    threads = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"}
    known = {"PATH", "LANG", "HOME", "TMPDIR", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "TRAINER"}
    names = set(json.loads(seen.read_text()))
    # Libraries that were imported may set variables of their own.
    assert known | threads <= names
    assert len(names) < 25


@pytest.mark.training
def test_fit_computes_with_the_instructions_that_the_machines_owner_chose(
    make_folder: MakeFolder, rows: TrainingSet, tmp_path, monkeypatch
):
    """With others, the last bits of a model would differ from those of the same fit outside."""
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    seen = tmp_path / "seen"
    folder = make_folder(source(f"open({str(seen)!r}, 'w').write(os.environ['OPENBLAS_CORETYPE'])\n{FITTED}"))

    # Trainers that run already have the environment in which they were started.
    with Sandbox(folder, target="paid", task=PAID, workers=1) as sandbox:
        sandbox.fit(job_of(rows))

    assert seen.read_text() == "Haswell"


def test_fit_works_in_a_private_folder_that_is_gone_afterwards(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet, tmp_path
):
    seen = tmp_path / "seen"
    body = f"open({str(seen)!r}, 'w').write(os.getcwd() + ' ' + oct(os.stat('.').st_mode & 0o777))\n{FITTED}"
    open_sandbox(make_folder(source(body))).fit(job_of(rows))
    folder, mode = seen.read_text().split()
    assert mode == "0o700"
    assert not Path(folder).exists()


def test_fit_has_no_open_files_of_ours(make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet, tmp_path):
    seen = tmp_path / "seen"
    body = f"""
        found = [os.readlink('/proc/self/fd/' + n) for n in os.listdir('/proc/self/fd') if int(n) < 3]
        others = [n for n in os.listdir('/proc/self/fd') if int(n) > 3]
        open({str(seen)!r}, 'w').write(' '.join([str(len(others)), found[0].split(':')[0]]))
        {FITTED}
    """
    open_sandbox(make_folder(source(body))).fit(job_of(rows))
    assert seen.read_text() == "0 /dev/null"


def test_the_folder_stays_as_it_is(folder: Path, open_sandbox: Open, rows: TrainingSet):
    open_sandbox(folder).fit(job_of(rows))
    assert [path.name for path in folder.iterdir()] == ["train.py"]


def test_a_folder_may_have_modules_of_its_own(make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet):
    folder = make_folder("from recipe import fit")
    (folder / "recipe.py").write_text(source(FITTED))
    assert skopsfile.from_bytes(open_sandbox(folder).fit(job_of(rows)).body, []).classes_.tolist() == [0, 1]


# --- the same twice ------------------------------------------------------------------------------------------------


def test_unseeded_draws_of_the_folder_are_the_same_every_time(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet
):
    folder = make_folder(source("frame['age'] = np.random.rand(len(frame))\n" + FITTED))
    sandbox = open_sandbox(folder)
    one, other = sandbox.map([job_of(rows), job_of(rows)])
    assert one.body != b""
    assert np.array_equal(skopsfile.from_bytes(one.body, []).coef_, skopsfile.from_bytes(other.body, []).coef_)


def test_results_come_in_the_order_of_the_jobs(make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet):
    folder = make_folder(
        source("time.sleep(params['wait'])\nframe['age'] = params['n']\n" + FITTED.replace("()", "(C=params['n'])", 1))
    )
    jobs = [job_of(rows, n=n, wait=0.2 if n == 1 else 0) for n in (1, 2, 3, 4, 5, 6)]
    found = [skopsfile.from_bytes(trained.body, []).C for trained in open_sandbox(folder).map(jobs)]
    assert found == [1, 2, 3, 4, 5, 6]


# --- what can go wrong ---------------------------------------------------------------------------------------------

BAD = {
    "raises": ("raise ValueError('no such column')", "ValueError: no such column"),
    "raises in a library": ("frame['nothing']", "KeyError: 'nothing'"),
    "asserts": ("assert False, 'never'", "AssertionError: never"),
    "sys.exit": ("sys.exit(3)", r"it called sys.exit\(3\)"),
    "os._exit": ("os._exit(4)", "its process ended by itself with exit code 4"),
    "kills itself": ("os.kill(os.getpid(), 9)", "its process was ended by signal -9"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "its process was ended by signal -11"),
    "needs memory": ("np.ones(1 << 30)", "it needed more than 1024 MB"),
    "returns nothing": ("pass", "it returned NoneType, which is not a model"),
    "returns a frame": ("return frame", "it returned DataFrame, which is not a model"),
    "returns what is not fitted": ("return LogisticRegression()", "it returned LogisticRegression that is not fitted"),
    "returns no probabilities": (
        "from sklearn.svm import LinearSVC\nreturn LinearSVC().fit(frame.drop(columns='paid'), frame['paid'])",
        "it returned LinearSVC without predict_proba",
    ),
    "returns a regression": (
        "from sklearn.linear_model import Ridge\nreturn Ridge().fit(frame.drop(columns='paid'), frame['paid'])",
        "it returned Ridge without predict_proba",
    ),
    "returns one of three classes": (
        "return LogisticRegression().fit(frame[['age']], np.arange(len(frame)) % 3)",
        r"it returned LogisticRegression for the classes \[0, 1, 2\]. Return a fitted classifier",
    ),
    "returns other classes": (
        "return LogisticRegression().fit(frame[['age']], np.where(frame['paid'] == 1, 'yes', 'no'))",
        "two classes, one of them 1",
    ),
    "returns what skops cannot save": (
        "model = LogisticRegression().fit(frame[['age']], frame['paid'])\nmodel.extra = (x for x in [])\nreturn model",
        "what it returned cannot be saved",
    ),
    "stops its watcher": ("os.kill(os.getppid(), 9)\ntime.sleep(60)", "the process that watches it was stopped"),
    "starts many processes": (
        "for _ in range(100):\n    if os.fork() == 0:\n        time.sleep(60)\n        os._exit(0)\ntime.sleep(60)",
        "it started more than 64 processes",
    ),
    "writes a lot": ("while True:\n    print('x' * 100_000)", "it wrote more than 16 MB of output"),
}


@pytest.mark.parametrize(("body", "sentence"), BAD.values(), ids=BAD.keys())
def test_a_fit_that_goes_wrong_is_told_in_one_sentence(
    body: str, sentence: str, make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet
):
    folder = make_folder(source(body))
    with pytest.raises(InputError, match=sentence) as told:
        open_sandbox(folder).fit(job_of(rows))
    assert str(told.value).startswith(f"Expected `fit` of {folder / 'train.py'} to return a model")


def test_a_fit_that_hangs_is_ended_at_its_limit(make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet):
    folder = make_folder(source("while True: pass"))
    with pytest.raises(
        InputError, match=r"it took longer than 1 s\. Make it faster, or raise training\.limits\.seconds"
    ):
        open_sandbox(folder, Limits(seconds=1)).fit(job_of(rows))


def test_a_fit_that_catches_everything_is_ended_all_the_same(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet
):
    stubborn = (
        "for n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass"
    )
    with pytest.raises(InputError, match="it took longer than 1 s"):
        open_sandbox(make_folder(source(f"{stubborn}\nwhile True: pass")), Limits(seconds=1)).fit(job_of(rows))


def test_an_error_is_told_with_the_lines_of_the_folders_own_code(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet
):
    folder = make_folder(
        "def helper(frame):\n    return frame['nothing']\n\ndef fit(frame, params):\n    helper(frame)\n"
    )
    with pytest.raises(InputError) as told:
        open_sandbox(folder).fit(job_of(rows))
    file = folder / "train.py"
    assert f"{file}:5 in fit: helper(frame)\n  {file}:2 in helper: return frame['nothing']" in str(told.value)
    assert "site-packages" not in str(told.value)


def test_a_folder_without_train_py_or_fit_is_told_what_to_write(
    tmp_path: Path, make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet
):
    for folder, found in ((tmp_path, "no such file"), (make_folder("x = 1"), "no function of that name")):
        with pytest.raises(InputError, match=rf"{found}. Write `def fit\(frame, params\)` there"):
            open_sandbox(folder).fit(job_of(rows))


def test_a_syntax_error_is_told_with_its_line(make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet):
    with pytest.raises(InputError, match=r"SyntaxError: .*train.py, line 1"):
        open_sandbox(make_folder("def fit(:\n")).fit(job_of(rows))


def test_the_last_output_is_shown_where_a_process_ended_without_a_word(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet
):
    with pytest.raises(InputError, match="Its last output:\n  reading the file\n  giving up"):
        open_sandbox(make_folder(source("print('reading the file\\ngiving up')\nos._exit(1)"))).fit(job_of(rows))


def test_a_link_instead_of_a_model_is_not_followed(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet, tmp_path
):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    body = f"""
        os.symlink({str(secret)!r}, 'model.skops')
        open('answer.json', 'w').write('{{"fault": null, "file": "model.skops", "classes": [0, 1]}}')
        os._exit(0)
    """
    with pytest.raises(InputError, match=r"Expected model\.skops from the training process"):
        open_sandbox(make_folder(source(body))).fit(job_of(rows))


@pytest.mark.parametrize(
    "answer", ["[1]", "nonsense", '{"fault": ["x"]}', "[" * 60_000, '{"other": 1}', "5"], ids=lambda text: text[:20]
)
def test_a_nonsensical_answer_is_told_as_a_process_that_ended(
    answer: str, make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet, tmp_path: Path
):
    (tmp_path / "answer").write_text(answer)
    body = f"import shutil; shutil.copy({str(tmp_path / 'answer')!r}, 'answer.json'); os._exit(0)"
    with pytest.raises(InputError, match="its process ended by itself"):
        open_sandbox(make_folder(source(body))).fit(job_of(rows))


def test_a_forged_answer_is_text_at_most(make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet):
    body = 'open(\'answer.json\', \'w\').write(\'{"fault": "raised", "detail": "\\\\u001b[2J{seconds}"}\')\nos._exit(0)'
    with pytest.raises(InputError) as told:
        open_sandbox(make_folder(source(body))).fit(job_of(rows))
    assert "\x1b" not in str(told.value)
    assert "{seconds}" in str(told.value)


# --- what is left --------------------------------------------------------------------------------------------------

LEAVES = {
    "a child": "subprocess.Popen(['sleep', '311'])",
    "a session of its own": "subprocess.Popen(['sleep', '312'], start_new_session=True)",
    "a daemon": """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execvp('sleep', ['sleep', '313'])
            os._exit(0)
        os.wait()
    """,
}


def sleepers(mark: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline() == ["sleep", mark] and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


@pytest.mark.parametrize("leaving", LEAVES.values(), ids=LEAVES.keys())
def test_no_process_of_a_fit_is_left(leaving: str, make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet):
    folder = make_folder(source(f"{dedent(leaving)}\n{FITTED}"))
    open_sandbox(folder).fit(job_of(rows))
    assert not [pid for mark in ("311", "312", "313") for pid in sleepers(mark)]


def test_what_a_fit_started_before_it_stopped_its_watcher_is_not_left(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet, tmp_path
):
    pid = tmp_path / "pid"
    body = f"""
        started = subprocess.Popen(['sleep', '300'], start_new_session=True)
        open({str(pid)!r}, 'w').write(str(started.pid))
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(300)
    """
    with pytest.raises(InputError, match="the process that watches it was stopped"):
        open_sandbox(make_folder(source(body))).fit(job_of(rows))
    assert not psutil.pid_exists(int(pid.read_text())) or ends(psutil.Process(int(pid.read_text())))


def test_the_sandbox_goes_on_after_its_watcher_was_stopped(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet
):
    sandbox = open_sandbox(make_folder(source(f"if params['bad']: os.kill(os.getppid(), 9)\n{FITTED}")))
    with pytest.raises(InputError):
        sandbox.fit(job_of(rows, bad=True))
    assert sandbox.fit(job_of(rows, bad=False))


def test_a_failing_job_ends_the_map_and_leaves_the_sandbox_usable(
    make_folder: MakeFolder, open_sandbox: Open, rows: TrainingSet
):
    sandbox = open_sandbox(make_folder(source(f"if params['bad']: raise ValueError('bad')\n{FITTED}")))
    with pytest.raises(InputError, match="ValueError: bad"):
        list(sandbox.map([job_of(rows, bad=False), job_of(rows, bad=True), job_of(rows, bad=False)]))
    assert sandbox.fit(job_of(rows, bad=False))


def test_a_closed_sandbox_leaves_no_process_and_no_folder(folder: Path, rows: TrainingSet):
    others = {process.pid for process in psutil.Process().children()}
    with Sandbox(folder, target="paid", task=PAID, workers=1) as sandbox:
        sandbox.fit(job_of(rows))
        private = sandbox._private
        trainers = [process for process in psutil.Process().children() if process.pid not in others]
    assert len(trainers) == 1
    assert all(ends(process) for process in trainers)
    assert not private.exists()


def test_a_trainer_ends_when_the_pipeline_is_gone(folder: Path, rows: TrainingSet, make_folder: MakeFolder):
    with Sandbox(make_folder(source("time.sleep(300)")), target="paid", task=PAID, workers=1) as sandbox:
        trainer = sandbox._idle.get()
        sandbox._idle.put(trainer)
        trainer._await_start()
        process = psutil.Process(trainer._process.pid)
        os.close(trainer._requests)
        assert ends(process)
        trainer._requests = os.open(os.devnull, os.O_RDONLY)
