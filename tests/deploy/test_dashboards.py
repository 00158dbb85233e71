"""What is shipped for Prometheus and Grafana: rules that hold, and a dashboard that shows what really ran."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.lab import Lab, Limits, until
from tests.first_person import let_in
from tests.prometheus import PrometheusServer, program

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "assay-lab.json"
PAGE = ROOT / "docs" / "how-to" / "dashboards.md"
GOLDEN = ROOT / "tests" / "golden" / "metrics.txt"
RULES_TEST = Path(__file__).parent / "prometheus" / "rules_test.yml"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
RUNS = 3
VARIABLES = {"$job": ".+", "$__rate_interval": "10m", "$__range": "10m"}

pytestmark = pytest.mark.skipif(
    program("prometheus") is None and "CI" not in os.environ,
    reason="Prometheus is not installed (Debian: apt-get install prometheus)",
)


def promtool(*arguments: str) -> str:
    """What promtool says; fails where it finds anything wrong."""
    found = program("promtool")
    assert found is not None
    asked = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    return asked.stdout


def golden() -> dict[str, tuple[str, set[str]]]:
    """Each exposed metric by the name that is written in queries: its type and its labels."""
    found = {}
    for line in GOLDEN.read_text().splitlines():
        kind, name, *labels = line.split()
        found[name + ("_total" if kind == "counter" else "")] = (kind, set(labels))
    return found


def series_names() -> set[str]:
    return {name.removesuffix("_total") + suffix for name, (kind, _) in golden().items() for suffix in SUFFIXES[kind]}


def rules() -> list[dict[str, Any]]:
    files = [yaml.safe_load((PROMETHEUS / name).read_text()) for name in ("recording.yml", "alerts.yml")]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD.read_text())["panels"]  # type: ignore[no-any-return]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]] + [rule["expr"] for rule in rules()]


# Rules


def test_the_configuration_and_its_rules_are_valid(tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS, tmp_path / "prometheus")
    (tmp_path / "prometheus" / "assay-token").write_text("asy_user_x")
    said = promtool("check", "config", str(tmp_path / "prometheus" / "prometheus.yml"))
    assert "2 rule files found" in said


def test_the_rules_say_what_they_should_of_labs_that_are_well_and_that_are_not() -> None:
    assert "SUCCESS" in promtool("test", "rules", str(RULES_TEST))


def test_every_alert_is_tried_and_has_its_runbook() -> None:
    tried = RULES_TEST.read_text()
    page = PAGE.read_text()
    for alert in alerts():
        name = alert["alert"]
        assert f'alertname="{name}"' in tried
        assert alert["annotations"]["runbook"] == f"{PAGE.relative_to(ROOT)}#{name.lower()}"
        what_to_do = re.search(rf"^### {name}\n\n(.+)", page, re.M)
        assert what_to_do is not None, name
        assert len(what_to_do[1].split()) > 8, name
    assert set(re.findall(r"^### (Assay\w+)$", page, re.M)) == {alert["alert"] for alert in alerts()}


def test_every_metric_that_is_asked_for_is_there() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for expression in expressions():
        for name in re.findall(r"(?<![:\w])assay_\w+", expression):
            assert name in series_names(), expression
        for name in re.findall(r"(?:lab|job):\w+(?::\w+)?", expression):
            assert name in recorded, expression


def test_what_every_server_says_alike_is_never_summed_over_servers() -> None:
    of_the_lab = [name for name, (_, labels) in golden().items() if "lab" in labels]
    assert of_the_lab
    for expression in expressions():
        for name in of_the_lab:
            plain = name.removesuffix("_total")
            for at in re.finditer(rf"(?<![:\w]){plain}(?:_total|_bucket|_sum|_count)?\b", expression):
                before = expression[: at.start()]
                assert re.search(r"max without \(instance\) \((?:\w+\()?$", before), (name, expression)


def test_the_page_lists_the_metrics_as_they_are_exposed() -> None:
    rows = re.findall(r"^\| `(assay_\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), re.M)
    listed = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, _, labels, _ in rows}
    assert len(listed) == len(rows)
    assert listed == golden()
    for name, _, unit, _, _ in rows:
        assert ("seconds" in unit) == ("_seconds" in name), name


# The dashboard over what really ran


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, PrometheusServer]]:
    """A real server, agent and run processes under a Prometheus: three runs were completed, one was killed before."""
    folder = tmp_path_factory.mktemp("dashboards")
    lab = Lab(folder, Limits(scale=0.1))
    server: PrometheusServer | None = None
    try:
        lab.start()
        # Only now: of ports that nobody listens at yet it would be given the same as the lab.
        token = let_in(lab.data)
        server = PrometheusServer(folder / "prometheus", [lab.address.removeprefix("http://")], token)
        server.start()
        scrapes = "count_over_time(assay_runs_completed_total[1m])"
        until("it was scraped before anything ran", lambda: any(n > 1 for _, n in server.query(scrapes)), 30)
        batch = _submit(lab)
        until("every run has measured something", lambda: _cases_ended(lab, batch) >= 1, 60)
        assert lab.kill("run", 0.0), "no run process was there to be killed"
        until("the batch is judged", lambda: lab.call("GET", f"/v1/batches/{batch}")["state"] == "completed", 120)
        until("it was scraped after all had run", lambda: _seen(server), 30)
        yield lab, server
    except AssertionError:
        print((folder / "server.log").read_text(errors="replace")[-3000:], server.log()[-3000:] if server else "")
        raise
    finally:
        if server is not None:
            server.stop()
        lab.stop()
        lab.free()


@pytest.fixture(scope="module")
def prometheus(watched: tuple[Lab, PrometheusServer]) -> PrometheusServer:
    return watched[1]


def _submit(lab: Lab) -> str:
    submission = {
        "vendor": "Witness",
        "product": {"maker": "Witness", "model": "One", "firmware": "1.0"},
        "hardware_revision": "A",
        "mode": "wideband",
        "profile": "digital",
        "ics": {"audio": "wideband", **dict.fromkeys(("codec.pcmu", "codec.pcma", "codec.g722", "hold"), True)}
        | {"dtmf.events": True},
    }
    submissions = [{**submission, "title": f"phone {number}"} for number in range(RUNS)]
    body = {"title": "dashboards", "programme": "ip-phone-basic", "submissions": submissions}
    answer = lab.http.post("/v1/batches", json=body, headers={"Idempotency-Key": "dashboards"})
    assert answer.is_success, answer.text
    return str(answer.json()["batch"])


def _cases_ended(lab: Lab, batch: str) -> int:
    """How many cases have ended in the run that is least far."""
    entries = lab.call("GET", f"/v1/batches/{batch}")["entries"]
    return min(run["cases_ended"] for entry in entries for run in entry["runs"])


def _seen(server: PrometheusServer) -> bool:
    """Whether all that ran was scraped, and the rules were applied to it."""
    wanted = {
        'max(assay_certificates{state="granted"})': RUNS,
        "max(assay_runs_active)": 0,
    }
    if any([value for _, value in server.query(query)] != [wanted[query]] for query in wanted):
        return False
    return any(value > RUNS * 0.9 for _, value in server.query("lab:assay_runs_completed:per_hour_1h"))


def some(low: float, high: float = 1e6, **labels: str) -> tuple[dict[str, str], float, float]:
    """A series with these labels has a value between the two."""
    return labels, low, high


MOVED = (RUNS * 0.9, RUNS * 1.5)
"""What Prometheus makes of three in a window: it stretches an increase to the ends of the window's samples."""

ONE = (0.9, 1.5)
IP_PHONE = {"category": "ip-phone"}

SHOWN: dict[str, list[list[tuple[dict[str, str], float, float]]]] = {
    "Runs completed per hour": [[some(*MOVED, lab="faults")]],
    "Runs that wait": [[some(0, 0, lab="faults")]],
    "Longest wait now": [[some(0, 0, lab="faults")]],
    "Runs on a bench": [[some(0, 0, lab="faults")]],
    "Certificates by state": [[some(RUNS, RUNS, state="granted")]],
    "Units and benches in quarantine": [[some(0, 0, kind="device"), some(0, 0, kind="bench")]],
    "Throughput and lab errors per hour": [[some(*MOVED, lab="faults")], [some(*ONE, lab="faults")]],
    "Share of runs that end by the lab's fault": [[some(0.2, 0.3, lab="faults")]],
    "Lab errors by class": [[some(*ONE, **{"class": "run"}), some(0, 0, **{"class": "lapsed"})]],
    "Verdicts by category and level": [
        [some(*MOVED, level=level, verdict="pass", **IP_PHONE) for level in ("works-with", "certified")]
    ],
    "Levels met": [[some(*MOVED, level="certified", **IP_PHONE), some(0, 0, level="measurable", **IP_PHONE)]],
    "Requirements that passed only after a fail": [[some(0, 0, **IP_PHONE)]],
    "Wait in the queue": [[some(0.001, 15, **IP_PHONE)], [some(0.001, 15, **IP_PHONE)]],
    "Dispatch latency": [[some(0.001, 10, lab="faults")], [some(0.001, 10, lab="faults")]],
    "Duration of runs": [[some(0.1, 60, **IP_PHONE)], [some(0.1, 60, **IP_PHONE)]],
    "Units by state": [[some(5, 5, state="idle"), some(0, 0, state="held")]],
    "Time of units by state": [[some(0.01, 5, state="busy"), some(0.01, 5, state="idle")]],
    "Share of usable units that are busy": [[some(0.01, 0.99, job="assay")]],
    "Lapses and reports that came late or do not count": [
        [some(0, 0)],
        [some(0, 0, outcome="recorded"), some(0, 0, outcome="quarantined")],
        [some(0, 0)],
    ],
    "Taken out by the lab itself": [[some(0, 0, kind="device")]],
    "Passes of the loop": [[some(0.0001, 5)], [some(0.0001, 5)]],
    "Passes of the loop that broke off": [[some(0, 0)]],
    "Which server leads": [[some(1, 1)]],
    "Servers that read their database": [[some(1, 1)]],
}
"""For each panel and each of its queries: what must be there after three runs were completed and one was killed."""


def test_it_is_known_of_every_panel_what_it_must_show() -> None:
    assert {panel["title"]: len(panel["targets"]) for panel in panels()} == {
        title: len(queries) for title, queries in SHOWN.items()
    }


@pytest.mark.e2e
@pytest.mark.parametrize("title", SHOWN)
def test_a_panel_shows_what_really_ran(prometheus: PrometheusServer, title: str) -> None:
    (panel,) = [panel for panel in panels() if panel["title"] == title]
    for target, wanted in zip(panel["targets"], SHOWN[title], strict=True):
        expression = target["expr"]
        for variable, stands_for in VARIABLES.items():
            expression = expression.replace(variable, stands_for)
        assert "$" not in expression
        found = prometheus.query(expression)
        for labels, low, high in wanted:
            values = [value for has, value in found if labels.items() <= has.items()]
            assert len(values) == 1, (expression, labels, found)
            assert low <= values[0] <= high, (expression, labels, found)


@pytest.mark.e2e
def test_prometheus_scraped_without_a_complaint_and_no_rule_is_in_trouble(prometheus: PrometheusServer) -> None:
    (target,) = prometheus.get("/api/v1/targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    found = [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert len(found) == len(rules())
    assert {rule["health"] for rule in found} == {"ok"}
    assert prometheus.query('ALERTS{alertstate="firing"}') == []


@pytest.mark.e2e
def test_a_server_that_is_killed_and_comes_back_has_lost_no_count_and_adds_none(
    watched: tuple[Lab, PrometheusServer],
) -> None:
    lab, prometheus = watched
    assert lab.kill("server", 0.0)
    # What the process counts itself begins again: by that it is seen that the new one was scraped.
    began_again = "resets(assay_loop_pass_seconds_count[10m])"
    until("the new server was scraped", lambda: any(n > 0 for _, n in prometheus.query(began_again)), 60)
    of_the_lab = [name for name, (kind, labels) in golden().items() if kind == "counter" and "lab" in labels]
    for name in of_the_lab:
        found = prometheus.query(f"resets({name}[10m])")
        assert found
        assert {value for _, value in found} == {0}, name
    (completed,) = [value for _, value in prometheus.query('assay_runs_completed_total{category="ip-phone"}')]
    assert completed == RUNS
    (increase,) = [
        value for _, value in prometheus.query('increase(assay_runs_completed_total{category="ip-phone"}[10m])')
    ]
    assert MOVED[0] <= increase <= MOVED[1]
