"""Reading and signing in a real browser, inside Airflow's own frame."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect, sync_playwright

pytestmark = pytest.mark.browser

FINDING = "Ask the survey for the years after 1975."
TOMORROW = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()

OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page_of(world, chromium):
    """Return a function: login → a page of that person, logged in at Airflow."""
    contexts = []

    def log_in(login):
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{world.stack.url('airflow')}/auth/login/")
        page.fill("input[name=username]", login)
        page.fill("input[name=password]", world.stack.login(login))
        page.click("input[type=submit], button[type=submit]")
        page.wait_for_url(lambda url: "/auth/login" not in url)
        return page

    yield log_in
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def signed_on_condition(world, runs, page_of):
    """A run that Maria signed on its page, with a finding; what the page said before and after."""
    run = runs["browser"].wait_until_asked()
    frame = review(world, page_of("maria"), run)
    approve = frame.get_by_role("button", name="Approve")
    expect(approve).to_have_attribute("aria-disabled", "true")
    frame.get_by_text("Approve on condition").click()
    frame.get_by_label("Finding").fill(FINDING)
    frame.get_by_label("Who mends it").select_option("luis")
    frame.get_by_label("Until when").fill(TOMORROW)
    for box in frame.locator("input[type=checkbox]").all():
        box.check()
    approve.click()
    expect(frame.locator("body")).to_contain_text("the permit is complete", timeout=30_000)
    return run


def review(world, page, run):
    """Open the review page as Airflow's navigation does, and return its frame."""
    page.goto(f"{world.stack.url('airflow')}/plugin/governance/review/{run.model}/{run.version}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("h1")).to_contain_text(f"{run.model} {run.version}", timeout=30_000)
    return frame


def test_the_starter_reads_why_he_may_not_sign(world, runs, page_of):
    frame = review(world, page_of("ken"), runs["sign"].wait_until_asked())

    expect(frame.locator("body")).to_contain_text("You started this run: you may not sign it.")
    expect(frame.get_by_role("button", name="Approve")).to_have_count(0)


def test_the_developer_reads_why_he_may_not_sign(world, runs, page_of):
    frame = review(world, page_of("luis"), runs["sign"].wait_until_asked())

    expect(frame.locator("body")).to_contain_text("You trained this model: you may not sign it.")
    expect(frame.get_by_role("button", name="Approve")).to_have_count(0)


def test_a_reviewer_confirms_every_point_signs_and_the_model_is_released(signed_on_condition):
    assert signed_on_condition.wait_until_ended() == "success"
    assert len(signed_on_condition.released()) == 1


def exceptions(world, page, model):
    """Open the page of a model's exceptions as Airflow's navigation does, and return its frame."""
    page.goto(f"{world.stack.url('airflow')}/plugin/governance/waivers/{model}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("h1")).to_contain_text(f"Exceptions of {model}", timeout=30_000)
    return frame


def test_a_waiver_is_proposed_by_one_and_signed_by_another(world, page_of):
    frame = exceptions(world, page_of("dana"), "brief")
    frame.get_by_label("Rule", exact=True).select_option("disparate_impact")
    frame.get_by_label("Reason").fill("The survey is of one year; the next one is bought.")
    frame.get_by_label("Last day").fill(TOMORROW)
    frame.get_by_role("button", name="Propose").click()

    expect(frame.get_by_text("Nobody has signed.")).to_be_visible(timeout=30_000)
    expect(frame.get_by_role("button", name="Sign")).to_have_count(0)  # who proposed it does not sign

    frame = exceptions(world, page_of("maria"), "brief")
    frame.get_by_role("button", name="Sign").click()
    expect(frame.get_by_text("Maria Alvarez signed as Model risk")).to_be_visible(timeout=30_000)
    expect(frame.get_by_text("in force")).to_be_visible()


def test_a_waiver_that_is_refused_says_why_and_keeps_what_was_typed(world, page_of):
    frame = exceptions(world, page_of("dana"), "brief")
    frame.get_by_label("Reason").fill("short")
    frame.get_by_role("button", name="Propose").click()

    expect(frame.get_by_role("alert").filter(has_text="reason")).to_be_visible(timeout=30_000)
    expect(frame.get_by_label("Reason")).to_have_value("short")


def test_a_finding_is_closed_by_who_raised_it_and_not_by_who_mends_it(world, signed_on_condition, page_of):
    frame = exceptions(world, page_of("luis"), "quick")
    row = frame.locator("tr", has_text=FINDING)
    expect(row).to_contain_text("Model risk raised this finding, and closes it.")
    expect(row.get_by_role("button")).to_have_count(0)

    frame = exceptions(world, page_of("dana"), "quick")
    row = frame.locator("tr", has_text=FINDING)
    row.get_by_label("What was done").fill("The survey of 1979 is in the data.")
    row.get_by_role("button", name="Close").click()
    expect(frame.locator("tr", has_text=FINDING)).to_contain_text("closed by Dana Whitfield", timeout=30_000)
