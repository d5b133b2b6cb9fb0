"""The Monitoring pages: the worst first, why each window was decided so, and the same as JSON."""

import html
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from governance_airflow.web import monitoring_history, monitoring_page
from governance_airflow.web.monitoring_history import Brief, Recent, Watched
from tests.unit.plugins import example, watched

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
ALL, LOAN = "/governance/monitoring", "/governance/monitoring/loan"


def shown(answer) -> str:
    """Return the words of a page, without tags, as one line."""
    text = re.sub(r"<(script|style|title|desc)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    text = re.sub(r"</?(b|strong|code|a|em)\b[^>]*>", "", text)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)))


@pytest.fixture
def page(office, as_login):
    """Return the words of a page as somebody sees it."""
    return lambda path=LOAN, login="tom": shown(as_login(login).get(path))


@pytest.fixture
def monitor(office):
    """A monitor of the loan model, whose version 1.0.0 serves."""
    made = watched.Monitor(office.ledger)
    made.release("1.0.0", office.waiting_attempt(), at=made.until - timedelta(days=3))
    return made


# --- one model -----------------------------------------------------------------------------------------------------


def test_before_a_release_there_is_nothing_to_watch_and_the_page_says_so(page):
    text = page()

    assert "nothing serves" in text
    assert "Nothing of loan serves: nothing is watched. The first window follows the first release." in text


def test_before_the_first_window_the_page_says_who_decides_it(monitor, page):
    text = page()

    assert "champion 1.0.0" in text
    assert "No window of loan 1.0.0 has been decided yet. monitor_loan decides on its schedule" in text


def test_windows_of_a_day_are_told_by_their_day_and_shorter_ones_by_their_time_as_well(monitor, as_login):
    monitor.window()
    assert "windows by day" in as_login("tom").get(LOAN).text
    monitor.window(length=timedelta(minutes=20))
    answer = as_login("tom").get(LOAN)
    assert "windows by their end" in answer.text
    ends = [entry.data["until"] for entry in monitor.ledger.find(kind="monitoring")]
    day, moment = (datetime.fromisoformat(end) for end in ends)

    assert f">{day:%a} {day.day} {day:%b}</a>" in answer.text
    assert f">{moment:%a} {moment.day} {moment:%b} {moment:%H:%M}</a>" in answer.text
    assert f">{moment:%H:%M}</text>" in answer.text


def test_one_window_is_a_history_too(monitor, as_login):
    monitor.window()
    answer = as_login("tom").get(LOAN)

    assert answer.status_code == 200
    assert answer.text.count('class="pick"') == 1
    assert "No feature has drifted." in shown(answer)


def test_the_page_tells_the_story_of_a_model(office, as_login):
    watched.three_months(office)
    answer = as_login("tom").get(LOAN)
    text = shown(answer)

    assert answer.text.count('class="pick"') == 90
    for words in (
        "data fault",
        "retrain",
        "roll back",
        "labels not there yet",
        "Parity difference race",
        "marital status",
    ):
        assert words in text, words
    assert len(re.findall(r'class="change"', answer.text)) == 1  # 1.1.0 began to serve
    assert len(re.findall(r'class="change back"', answer.text)) == 1
    assert "rolled back" in text


def test_the_chart_shows_limits_and_what_was_signed(monitor, as_login):
    monitor.window()
    answer = as_login("tom").get(LOAN)

    for name in ("retrain", "roll back", "moved", "3 in a row", "signed"):
        assert f">{name}</text>" in answer.text, name
    assert 'class="signed"' in answer.text


def test_fewer_windows_are_shown_on_request_and_links_keep_it(office, as_login):
    watched.three_months(office)
    answer = as_login("tom").get(f"{LOAN}?last=30")

    assert answer.text.count('class="pick"') == 30
    assert all("?last=30#day" in link for link in re.findall(r'<a href="([^"]*)" class="pick"', answer.text))


@pytest.mark.parametrize("last", ["0", "91", "many"])
def test_another_number_of_windows_is_refused(monitor, as_login, last):
    assert as_login("tom").get(f"{LOAN}?last={last}").status_code in (404, 422)


def test_a_monitor_that_stopped_does_not_look_quiet(monitor, page):
    monitor.window()  # three months ago

    assert "not watched window until" in page()
    assert "no window has been decided since" in page(ALL)


def test_a_window_that_was_decided_again_later_counts_once(monitor, office, as_login):
    first = monitor.window(measured_with(monitor, answers=0.01))
    data = {**first.data, "as_of": (monitor.until + timedelta(days=2)).isoformat()}
    office.ledger.append("monitoring", "loan", data, actor="pipeline", key="monitoring:later")
    answer = as_login("tom").get(LOAN)

    assert answer.text.count('class="pick"') == 1
    assert f"ledger entry {first.seq + 1}" in shown(answer)


def measured_with(monitor, **kwargs):
    return watched.measured(monitor.rng, **kwargs)


def test_a_day_that_was_filled_in_later_stands_where_it_belongs(monitor):
    until = monitor.until
    monitor.until = until + timedelta(days=1)
    monitor.window()
    monitor.until = until
    monitor.window()
    desk = SimpleNamespace(ledger=monitor.ledger, settings=example.SETTINGS, policy=lambda _: example.POLICY)

    found = monitoring_history.history_of(desk, "loan")
    assert [one.until for one in found.windows] == [until + timedelta(days=1), until + timedelta(days=2)]


def test_limits_of_another_policy_are_said_to_be_so(monitor, page):
    monitor.window(policy="99" * 32)
    monitor.window()

    assert "1 of these 2 windows were decided by an earlier one." in page()


def test_a_model_whose_folder_is_gone_keeps_its_history_without_limits(office, as_login):
    gone = watched.Monitor(office.ledger, "gone")
    gone.release("1.0.0", "ab" * 32)
    gone.window()
    answer = as_login("tom").get(f"{ALL}/gone")

    assert answer.status_code == 200
    assert "No limits are drawn: there is no folder include/models/gone any more." in shown(answer)


@pytest.mark.parametrize("path", [f"{ALL}/nosuch", f"{LOAN}/1", f"{LOAN}/99999", f"{ALL}/nosuch/1"])
def test_what_is_not_there_is_not_found(monitor, as_login, path):
    monitor.window()

    assert as_login("tom").get(path).status_code == 404
    assert as_login("tom").get(path.replace("/governance/", "/governance/api/")).status_code == 404


def test_no_word_of_the_record_becomes_markup(monitor, as_login):
    monitor.window(faults=("<script>alert(1)</script> is null",), warnings=("<img src=x>",))
    text = as_login("tom").get(LOAN).text

    assert "<script>alert" not in text
    assert "<img" not in text
    assert "style=" not in text


# --- one window ----------------------------------------------------------------------------------------------------

SHIFT = {"obrat": 0.61, "loanamt": 0.43, "hrat": 0.27, "appinc": 0.12}


@pytest.fixture
def day(monitor, page):
    """Return a function that enters a window and returns the words of its page."""

    def of(*args, **kwargs):
        entry = monitor.window(*args, **kwargs)
        monitor.window()  # what is shown is not the last
        return page(f"{LOAN}/{entry.seq}")

    return of


def test_a_retraining_shows_what_moved_the_farthest_first(monitor, day):
    text = day(measured_with(monitor, moved=SHIFT, answers=0.19))

    assert ": retrain 1,000 predictions by loan 1.0.0" in text
    assert "12% of 25 features have drifted (obrat, loanamt, hrat)." in text
    assert "Feature drift, share 25 0.12 counted < 0.10 · severe 0.30 over" in text
    assert "Prediction drift, PSI 1,000 0.190 0.076 – 0.380 lower bound ≤ 0.05 over" in text
    assert (
        text.index("what the model says from 0.9: 9.9 % →")
        < text.index("obrat from 914.29: 9.9 % →")
        < text.index("loanamt from")
        < text.index("hrat from")
        < text.index("appinc from")
    )
    assert re.search(r"hrat from [^A-Za-z]* 0\.270 0\.173 0\.0 % < 0\.001 drifted", text)
    assert re.search(r"appinc from [^A-Za-z]* 0\.120 0\.115 0\.0 % < 0\.001 differs", text)
    assert "Harmless shift no · 0.19 of 0.05 Material shift retrain" in text


def test_distributions_are_drawn_then_and_now_and_their_numbers_stand_in_a_table(monitor, as_login):
    monitor.window(measured_with(monitor, moved=SHIFT, answers=0.19))
    answer = as_login("tom").get(LOAN)
    text = shown(answer)

    labels = re.findall(r'aria-label="([^"]*), reference and this window. The largest change: [^"]+"', answer.text)
    assert labels[:4] == ["what the model says", "obrat", "loanamt", "hrat"]
    assert len(labels) == 1 + len(watched.FEATURES)
    assert "self Bin Reference, 1,989 Window, 1,000 False 87.5 %" in text
    assert "Bins and values of fewer than five rows are put together." in text
    assert "style=" not in answer.text  # the pages' policy (CSP) allows none


def test_all_that_have_drifted_are_listed_before_the_rest_is_folded(monitor, as_login):
    monitor.window(measured_with(monitor, moved=dict.fromkeys(watched.FEATURES[:12], 0.4), answers=0.2))
    text = as_login("tom").get(LOAN).text

    assert text.index("13 more features, moved less") > text.rindex(">drifted</span>")


def test_a_window_that_was_measured_without_distributions_shows_how_far_features_moved(monitor, office, as_login):
    entry = monitor.window(measured_with(monitor, moved=SHIFT, answers=0.19))
    del office.ledger.get(entry.data["watched"]).data["shapes"]
    answer = as_login("tom").get(LOAN)

    assert "PSI beside 0.20" in answer.text
    assert "bin by bin" not in answer.text
    assert "obrat 0.610" in shown(answer)


def embedding(auc, low, p_value):
    """What is measured of a feature ``note`` of free text, and of its embedding."""
    return [
        watched.Measurement("drift.missing_change", 0.0, 1000, {"column": "note"}, -0.01, 0.01, "newcombe"),
        watched.Measurement("drift.classifier_two_sample_auc", auc, 500, {"embedding": "note"}, low, 0.9, "delong"),
        watched.Measurement("drift.classifier_two_sample_p_value", p_value, 500, {"embedding": "note"}),
    ]


@pytest.mark.parametrize(
    ("auc", "p_value", "outcome"), [(0.81, 0.0, "over"), (0.6, 0.0, "within"), (0.7, 0.3, "within")]
)
def test_an_embedding_stands_beside_what_makes_it_drifted(monitor, day, auc, p_value, outcome):
    text = day([*measured_with(monitor), *embedding(auc, auc - 0.05, p_value)])

    interval = f"{auc - 0.05:.3f} – 0.900"
    assert f"Embedding note, AUC 500 {auc:.3f} {interval} < 0.624, or by chance {outcome}" in text
    assert "note its embedding is judged, see above" in text


def test_numbers_of_the_folders_own_measure_are_shown_and_why_there_are_none(monitor, day):
    own = watched.Measurement("drift.custom.tail", 0.3, 1000, {}, 0.25, 0.35)
    failed = watched.Measurement("drift.custom", None, 1000, reason="drift.py: it took longer than 20 s")
    text = day([*measured_with(monitor), own, failed])

    assert "Own measure tail 1,000 0.300 0.250 – 0.350 –" in text
    assert "Own measure 1,000 drift.py: it took longer than 20 s" in text


def test_the_day_leads_to_the_run_that_carries_the_decision_out(monitor, as_login):
    entry = monitor.window(measured_with(monitor, moved=SHIFT, answers=0.19))
    text = as_login("tom").get(LOAN).text

    assert f'data-airflow="/dags/govern_loan/runs/retrain-{entry.leaf[:24]}"' in text


@pytest.mark.parametrize("quiet", [{}, {"moved": {"obrat": 0.61, "loanamt": 0.43, "hrat": 0.27}, "answers": 0.19}])
def test_a_decision_that_starts_nothing_leads_to_no_run(monitor, as_login, quiet):
    monitor.window(measured_with(monitor, **quiet), dry_run=bool(quiet))

    assert "Started" not in shown(as_login("tom").get(LOAN))


def test_the_day_leads_to_the_second_opinion_and_says_that_it_decided_nothing(monitor, office, as_login):
    entry = monitor.window(measured_with(monitor))
    watched.report(office.ledger, entry)
    answer = as_login("tom").get(LOAN)

    assert 'data-open="http://mlflow.test/#/experiments/4/runs/ab12/artifacts/evidently.html"' in answer.text
    assert "a second opinion; the numbers here decided." in shown(answer)
    assert "Made of 1,000 of 1,989 rows of the reference, all 1,000 of the window, seed 0." in shown(answer)
    told = as_login("tom").get(f"/governance/api/monitoring/loan/{entry.seq}").json()["report"]
    assert (told["sampled"], told["rows"], told["seed"]) == ([1000, 1000], [1989, 1000], 0)


def test_a_window_without_a_report_leads_to_none(monitor, as_login):
    entry = monitor.window(measured_with(monitor))

    assert "Evidently" not in as_login("tom").get(LOAN).text
    assert as_login("tom").get(f"/governance/api/monitoring/loan/{entry.seq}").json()["report"] is None


def test_questions_after_the_one_that_decided_were_not_asked(monitor, day):
    text = day(faults=("obrat is null in 212 rows",), warnings=("vr has a new value",))

    assert "The data break the contract: obrat is null in 212 rows." in text
    assert "Traffic yes · 1,000 predictions Data fault data fault Too few rows not asked" in text
    assert "The contract obrat is null in 212 rows vr has a new value" in text
    assert "Nothing is measured of data that break the contract." in text


def test_a_silent_window_says_that_nothing_was_asked(monitor, day):
    text = day(rows=0)

    assert "Nothing was asked of the model, so nothing was measured." in text
    assert "Traffic silent Data fault not asked" in text


def test_groups_that_are_treated_apart_are_shown_beside_limit_and_signature(monitor, day):
    text = day(measured_with(monitor, parity={"race": 0.27}))

    assert "Parity, race 1,000 0.270 0.220 – 0.330 < 0.15 · signed 0.088 over" in text
    assert "Fairness breach no · not yet in 3 windows in a row" in text


def test_a_measurement_that_is_missing_says_why(monitor, day):
    text = day(measured_with(monitor))

    assert "Loss rise 0 0 labels, 100 are needed lower bound ≤ 0.000 not enough data" in text
    assert "Measured loss no · too few labels" in text


def test_a_dry_run_says_that_nothing_was_started(monitor, day):
    assert "A dry run (model.yaml): decided and told, but nothing was started." in day(
        measured_with(monitor, moved=SHIFT, answers=0.19), dry_run=True
    )


def test_the_day_leads_to_its_run_in_airflow_and_to_the_days_beside_it(monitor, as_login):
    entries = [monitor.window() for _ in range(3)]
    text = as_login("tom").get(f"{LOAN}/{entries[1].seq}").text

    assert 'data-airflow="/dags/monitor_loan/runs/scheduled__' in text
    assert f'href="{LOAN}/{entries[0].seq}#day">window before' in text
    assert f'href="{LOAN}/{entries[2].seq}#day">window after' in text


# --- all models ----------------------------------------------------------------------------------------------------


def a_brief(
    action="nothing", *, until=NOW - timedelta(hours=3), wanting=(), tell=False, share=0.0, dry_run=False
) -> Brief:
    return Brief(7, until - timedelta(days=1), until, action, f"{action}.", wanting, tell, dry_run, "w", share, True)


def a_model(name="m", version="1.0.0", *windows: Brief, is_read=True) -> Watched:
    return Watched(name, version, windows, is_read)


def test_models_stand_the_worst_first_and_those_that_drift_more_before_others():
    models = [
        a_model("quiet", "1.0.0", a_brief(share=0.04)),
        a_model("quiet but moving", "1.0.0", a_brief(share=0.08)),
        a_model("unreleased", None),
        a_model("unwatched", "1.0.0"),
        a_model("silent", "1.0.0", a_brief("silent")),
        a_model("stopped", "1.0.0", a_brief(until=NOW - timedelta(days=9))),
        a_model("unfair", "1.0.0", a_brief(wanting=["unfair race"], tell=True)),
        a_model("shifted", "1.0.0", a_brief("retrain", share=0.2)),
        a_model("called", "1.0.0", a_brief("call")),
    ]

    ordered = [one.model for one in monitoring_page.worst_first(models, NOW)]

    assert ordered == [
        "called", "shifted", "unfair", "stopped", "silent", "unwatched", "quiet but moving", "quiet", "unreleased",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "word", "look"),
    [
        (a_model("m", "1.0.0", a_brief("data_fault")), "data fault", True),
        (a_model("m", "1.0.0", a_brief("roll_back")), "roll back", True),
        (a_model("m", "1.0.0", a_brief("retrain")), "retrain", False),
        (a_model("m", "1.0.0", a_brief("retrain", dry_run=True)), "retrain", True),
        (a_model("m", "1.0.0", a_brief(wanting=["loss", "unfair x"])), "loss and unfairness watched", False),
        (a_model("m", "1.0.0", a_brief(tell=True)), "quiet", True),
        (a_model("m", "1.0.0", a_brief("silent", tell=True)), "silent", True),
        (a_model("m", "1.0.0", a_brief()), "quiet", False),
        (a_model("m", "1.0.0", a_brief(until=NOW - timedelta(days=4))), "not watched", True),
        (a_model("m", "1.0.0"), "no window yet", False),
        (a_model("m", None), "nothing serves", False),
        (a_model("m", None, a_brief()), "nothing serves", False),
        (a_model("m", None, a_brief("call")), "must look", True),
        (a_model("m", None, is_read=False), "not read yet", False),
    ],
)  # fmt: skip
def test_a_model_has_a_state_in_a_word_and_says_whether_somebody_must_look(model, word, look):
    state = monitoring_page.state_of(model, NOW)

    assert (state.word, bool(state.look)) == (word, look)


def test_the_list_of_all_says_how_many_must_be_looked_at(office, page):
    watched.three_months(office)
    bad = watched.Monitor(office.ledger, "wage")
    bad.release("2.3.0", "ab" * 32)
    bad.window(measured_with(bad, moved=dict.fromkeys(watched.FEATURES[:9], 0.4), answers=0.2))

    text = page(ALL)

    assert "Somebody must look at 1 of 3 models." in text
    assert text.index("must look wage 2.3.0") < text.index("quiet loan 1.0.0") < text.index("nothing serves digits")
    assert "36% of 25 features have drifted" in text
    assert "Yes nothing was done: a person decides" in text


def test_the_list_is_reached_from_every_page_and_beside_each_model(office, as_login):
    text = as_login("tom").get("/governance/inbox").text

    assert f'<a href="{ALL}">Monitoring</a>' in text
    assert f'href="{LOAN}"' in text


def test_the_monitoring_pages_ask_later_how_much_waits(monitor, as_login):
    assert "data-waiting" in as_login("tom").get(ALL).text
    assert as_login("tom").get("/governance/api/waiting").json() == {"waiting": 1}
    assert as_login("omar").get("/governance/api/waiting").json() == {"waiting": 0}


def test_a_ledger_that_does_not_answer_is_said(office, as_login):
    office.ledger.away = True

    for path in (ALL, LOAN):
        assert as_login("tom").get(path).status_code == 503


# --- what is kept in memory ----------------------------------------------------------------------------------------


class Counted:
    """A ledger that counts what is read of it."""

    def __init__(self, ledger) -> None:
        self._ledger = ledger
        self.read = 0

    def find(self, **kwargs):
        found = self._ledger.find(**kwargs)
        self.read += len(found)
        return found

    def get(self, key):
        return self._ledger.get(key)


@pytest.fixture
def many(office):
    """Forty models of forty windows each."""
    monitors = [watched.Monitor(office.ledger, f"m{number:02}", seed=number) for number in range(40)]
    for one in monitors:
        one.release("1.0.0", "ab" * 32)
    for _ in range(40):
        for one in monitors:
            one.window([])
    return [one.model for one in monitors]


def test_an_entry_is_read_once(office, many):
    ledger, recent = Counted(office.ledger), Recent()
    for _ in range(20):
        recent.read(ledger, many)
    before = ledger.read
    again = recent.read(ledger, many)

    assert ledger.read == before
    assert all(len(one.windows) == monitoring_history.SPARK for one in again)
    assert {one.version for one in again} == {"1.0.0"}


def test_what_one_request_reads_is_bounded_and_the_next_reads_on(office, many, monkeypatch):
    monkeypatch.setattr(monitoring_history, "MODELS_AT_ONCE", 10)
    monkeypatch.setattr(monitoring_history, "MEASURED_AT_ONCE", 50)
    ledger, recent = Counted(office.ledger), Recent()
    first = recent.read(ledger, many)

    assert all(one.last for one in first)  # the last word on each is there at once
    assert sum(one.is_read for one in first) == 10
    assert ledger.read < 2 * 40 + 30 + 10 * 30 + 50 + 30 + 40 + 1
    for _ in range(3):
        last = recent.read(ledger, many)
    assert all(one.is_read and len(one.windows) == monitoring_history.SPARK for one in last)


def test_a_new_window_and_a_new_version_are_seen_at_the_next_request(office, monitor):
    recent = Recent()
    monitor.window()
    recent.read(office.ledger, ["loan"])
    monitor.window(rows=0)
    monitor.release("2.0.0", "cd" * 32)

    found = recent.read(office.ledger, ["loan"])[0]

    assert (found.last.action, found.version, len(found.windows)) == ("silent", "2.0.0", 2)


def test_a_share_that_the_decision_holds_is_not_looked_up(office, monitor):
    entry = monitor.window()
    entry.data["share_drifted"] = 0.24
    entry.data["watched"] = "gone"

    assert Recent().read(office.ledger, ["loan"])[0].last.share == 0.24


def test_a_ledger_that_lost_its_end_is_read_anew(office, monitor):
    recent = Recent()
    monitor.window()
    monitor.window(rows=0)
    recent.read(office.ledger, ["loan"])
    del office.ledger.entries[-3:]  # the server crashed before the last window was on disk

    assert [one.action for one in recent.read(office.ledger, ["loan"])[0].windows] == ["nothing"]


def test_a_window_that_was_lost_and_decided_again_is_read_anew(office, monitor):
    recent = Recent()
    monitor.window(rows=0)
    monitor.window(rows=0)
    recent.read(office.ledger, ["loan"])
    del office.ledger.entries[-6:]
    monitor.until -= timedelta(days=1)
    monitor.window()

    assert [one.action for one in recent.read(office.ledger, ["loan"])[0].windows] == ["nothing"]


# --- as JSON -------------------------------------------------------------------------------------------------------


def test_the_history_as_json_says_the_same(office, as_login):
    watched.three_months(office)
    found = as_login("tom").get("/governance/api/monitoring/loan").json()

    assert found["serves"] == "1.0.0"
    assert found["limits"]["drifted_share"] == example.POLICY.monitoring.drifted_share
    assert len(found["windows"]) == 90
    assert {"data_fault", "retrain", "roll_back", "silent"} <= {one["decision"]["action"] for one in found["windows"]}
    assert [one["kind"] for one in found["changes"]] == ["serves", "serves", "rollback"]
    assert found["windows"][0]["signed_parity"]["race"] == pytest.approx(0.088, abs=0.001)
    assert {one["name"] for one in found["windows"][0]["measurements"]} == {
        "drift.share_drifted",
        "drift.prediction_psi",
        "performance.loss_rise",
        "fairness.demographic_parity_difference",
    }


def test_a_day_as_json_has_every_measurement(monitor, as_login):
    entry = monitor.window(measured_with(monitor, moved=SHIFT, answers=0.19), labelled=12)
    found = as_login("tom").get(f"/governance/api/monitoring/loan/{entry.seq}").json()

    assert [one["column"] for one in found["features"][:2]] == ["obrat", "loanamt"]
    assert found["features"][0]["psi"]["value"] == 0.61
    assert (found["rows"], found["labelled"], found["by_version"]) == (1000, 12, {"1.0.0": 1000})
    assert found["decision"]["rule"] == "drifted_share"


def test_all_models_as_json_are_the_worst_first(office, monitor, as_login):
    monitor.window(faults=("obrat is null",))
    found = as_login("tom").get("/governance/api/monitoring").json()

    assert found[0]["model"] == "loan"
    assert found[0]["state"] == "data fault"
    assert found[0]["somebody_must_look"]
    assert found[-1]["state"] == "nothing serves"


def test_the_api_is_described(as_login):
    paths = as_login("tom").get("/governance/api/openapi.json").json()["paths"]

    assert {"/api/monitoring", "/api/monitoring/{model}", "/api/monitoring/{model}/{entry}"} <= set(paths)


def test_nobody_sees_anything_without_a_login(monitor, as_login):
    entry = monitor.window()

    for path in (ALL, LOAN, f"{LOAN}/{entry.seq}", "/governance/api/monitoring/loan"):
        assert as_login(None).get(path).status_code == 401
        assert as_login("outsider").get(path).status_code == 403


def test_of_a_window_that_was_let_go_the_page_says_when_and_by_which_rule(monitor, page):
    monitor.window()
    window = monitor.ledger.find(kind="window")[-1]
    assert "Let go" not in page()

    data = {"through": window.seq, "days": 762, "regulations": [], "policy": "f" * 64}
    monitor.ledger.append("let_go", "loan", data, actor="retention", key="let_go:1")

    assert "policy ffffffffffff of loan keeps them 762 days. What was measured of it and decided stays" in page()
