"""A Prometheus server of a test's own: a process on a loopback port with its own data, stopped by its process id."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.faults.lab import until
from tests.ports import free_ports

RULES = Path(__file__).parents[1] / "deploy" / "prometheus"
EVERY = "1s"
READY_S = 30.0


def program(name: str) -> str | None:
    """``prometheus`` or ``promtool``, where it is installed (Debian: prometheus)."""
    return shutil.which(name)


class PrometheusServer:
    """Scrapes ``targets`` under the shipped rules, as the shipped configuration does, but every second."""

    def __init__(self, folder: Path, targets: Sequence[str], token: str) -> None:
        folder.mkdir()
        (folder / "assay-token").write_text(token)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (port,) = free_ports(1)
        self._address = f"127.0.0.1:{port}"
        config = yaml.safe_load((RULES / "prometheus.yml").read_text())
        config["global"] = dict.fromkeys(config["global"], EVERY)
        config["rule_files"] = [str(RULES / name) for name in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"] = [{"targets": list(targets)}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._http = httpx.Client(base_url=f"http://{self._address}", timeout=10)

    def start(self) -> None:
        """Until it answers."""
        found = program("prometheus")
        assert found is not None
        flags = [f"--config.file={self._folder}/prometheus.yml", f"--storage.tsdb.path={self._folder}/data"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [found, *flags, f"--web.listen-address={self._address}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        until("Prometheus is ready", lambda: self._http.get("/-/ready").is_success, READY_S)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """What an expression gives now: labels and value of each series."""
        answer = self._http.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", (expression, answer)
        return [(entry["metric"], float(entry["value"][1])) for entry in answer["data"]["result"]]

    def get(self, path: str) -> Any:
        """An answer of its API."""
        return self._http.get(path).json()["data"]

    def stop(self) -> None:
        """Gone."""
        self._http.close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def log(self) -> str:
        """What it wrote."""
        return (self._folder / "log").read_text(errors="replace")
