"""Reading and signing in a real browser, inside Airflow's own frame."""

import pytest
from playwright.sync_api import expect, sync_playwright

pytestmark = pytest.mark.browser

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


@pytest.fixture
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


def test_a_reviewer_confirms_every_point_signs_and_the_model_is_released(world, runs, page_of):
    run = runs["browser"].wait_until_asked()
    frame = review(world, page_of("maria"), run)

    approve = frame.get_by_role("button", name="Approve")
    expect(approve).to_have_attribute("aria-disabled", "true")
    for box in frame.locator("input[type=checkbox]").all():
        box.check()
    approve.click()
    expect(frame.locator("body")).to_contain_text("the permit is complete", timeout=30_000)

    assert run.wait_until_ended() == "success"
    assert len(run.released()) == 1
