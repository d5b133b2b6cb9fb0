# syntax=docker/dockerfile:1
# One image for everything of ours: Airflow's processes, workers, MLflow, the scoring service and the command line. What
# runs in a container is its first argument (stack/container.py). `docker compose build` makes it.

ARG PYTHON=python:3.12.13-slim-bookworm

FROM ${PYTHON} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements.txt /
# The lock is complete, with the digest of every file; nothing else is resolved or built here.
RUN /opt/venv/bin/pip install --no-deps --only-binary :all: --require-hashes -r /requirements.txt

# Who wrote what is in force: reviewers must not sign what they wrote, and the image below has no history to ask.
FROM packages AS authorship
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN git config --global --add safe.directory /source \
    && PYTHONPATH=include /opt/venv/bin/python -m governance.code > /authorship.json

FROM ${PYTHON}
# OpenMP, which LightGBM and XGBoost compute with.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 50000 --user-group --no-create-home --home-dir /var/lib/governance governance \
    && for name in snapshots quarantine logs predictions witness backups; do \
        mkdir -p "/var/lib/governance/$name"; done \
    && chown -R governance:governance /var/lib/governance

COPY --from=packages /opt/venv /opt/venv
WORKDIR /opt/governance
COPY requirements.txt pyproject.toml LICENSE ./
COPY include include
COPY plugins plugins
COPY dags dags
COPY stack stack
COPY deploy deploy
COPY --from=authorship /authorship.json authorship.json
# The command `governance`; the code itself belongs to root, so that no process here can change it.
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation --editable . \
    && /opt/venv/bin/python -m compileall -q include plugins stack

ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/governance PYTHONDONTWRITEBYTECODE=1
USER 50000:50000
ENTRYPOINT ["python", "-m", "stack.container"]
CMD ["command-line"]
# Each service of docker-compose.yaml names its own check; this one is for who starts the image by itself.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s CMD ["python", "-m", "stack.container", "check", "serving"]
