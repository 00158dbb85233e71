"""The steps on one host: each as one repeatable deed over the connection. Which are done is decided elsewhere.

Scripts that change something run one at a time on a host: a command whose connection was cut goes on there, and the
next one waits for it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from shlex import quote

from deploy.build import CONSTRAINTS, Dependencies, Manifest
from deploy.connection import CommandFailed, HostConnection
from deploy.decide import Seen, Step, not_yet
from deploy.facts import Before, HostFacts, facts_of, look
from deploy.orchestrator import Orchestrator
from deploy.release import Release, prune
from deploy.rollout_file import Rollout
from deploy.supervisors import RULES, UDEV_INSTALL, as_agent, supervisor_of
from lab_inventory.clock import Clock
from lab_inventory.errors import Unavailable

LOCK_WAIT_S = 300
LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host that a release is brought to."""

    name: str
    connection: HostConnection
    rollout: Rollout
    manifest: Manifest
    release: Release
    orchestrator: Orchestrator
    clock: Clock

    @property
    def install(self) -> str:
        """The installation directory, quoted for a shell."""
        return quote(self.rollout.agent.install_dir)

    def deeds(self) -> Mapping[Step, Callable[[], Awaitable[None]]]:
        """What each step does."""
        return {
            Step.PREPARE: self._prepare,
            Step.UPLOAD: self._upload,
            Step.INSTALL: self._install_build,
            Step.RELEASE: self._write_release,
            Step.JOIN: self._join,
            Step.CHECK: self._check,
            Step.DRAIN: self._drain,
            Step.WAIT: self._wait,
            Step.SWITCH: lambda: self.switch_to(self.release.name),
            Step.START: self.start,
            Step.VERIFY: self._verify,
            Step.UNDRAIN: self.undrain,
        }

    async def facts(self, *, wait: bool) -> HostFacts:
        """What is true there; ``wait``: not before a command that was cut off is over. Raises CommandFailed."""
        script = look(self.rollout.agent)
        said = await (self._alone(script, "looking") if wait else self.connection.must(script, "looking"))
        facts = facts_of(said)
        if facts is None:
            raise CommandFailed("the host did not say to the end what it is")
        return facts

    async def _alone(self, script: str, what: str, *, told: str = "") -> str:
        """Run a script when no other runs; ``flock -o``: what it starts does not keep the lock."""
        locked = f"umask 022; exec flock -o -w {LOCK_WAIT_S} {self.install}/lock sh -c {quote(script)}"
        return await self.connection.must(locked, what, told=told)

    async def _prepare(self) -> None:
        user, work = quote(self.rollout.agent.user), quote(self.rollout.agent.work_dir)
        await self._alone(
            f"id -u {user} >/dev/null 2>&1 || "
            f"useradd --system --user-group --home-dir {work} --no-create-home --shell /usr/sbin/nologin {user}; "
            f"cd {self.install} && install -d -m 0755 . builds releases incoming && "
            f'install -d -m 0700 -o {user} -g "$(id -g {user})" {work}',
            "making user and directories",
        )

    async def _upload(self) -> None:
        """Send what is not there yet with the right digest; whatever was sent before a cut is not sent again."""
        build = quote(self.manifest.build)
        incoming = f"{self.install}/incoming"
        remote = f"{self.rollout.agent.install_dir}/incoming/{self.manifest.build}"
        await self._alone(
            f"cd {incoming} && find . -mindepth 1 -maxdepth 1 ! -name {build} -exec rm -rf {{}} + && mkdir -p {build}",
            "making room for uploads",
        )
        await self.connection.own(remote)
        sums = "".join(f"{file.digest.removeprefix('sha256:')}  {file.name}\n" for file in self.manifest.files)
        check = f"cd {quote(remote)} && sha256sum --check --strict"
        answer = await self.connection.run(f"{check} 2>/dev/null", told=sums)
        there = {line.removesuffix(": OK") for line in answer.out.splitlines() if line.endswith(": OK")}
        for file in self.manifest.files:
            if file.name not in there:
                await self.connection.upload(self.rollout.build / file.name, f"{remote}/{file.name}")
        await self.connection.must(f"{check} --quiet", "checking the digests of what was uploaded", told=sums)

    async def _install_build(self) -> None:
        manifest, agent = self.manifest, self.rollout.agent
        where = f"{self.install}/builds/{quote(manifest.build)}"
        incoming = f"{self.install}/incoming/{quote(manifest.build)}"
        wheel = next(file.name for file in manifest.files if file.name.startswith("assay_lab-"))
        also = "".join(f" {incoming}/{quote(name)}" for name in manifest.also)
        site = " --system-site-packages" if manifest.dependencies is Dependencies.HOST else ""
        version = "from importlib.metadata import version; print(version('assay-lab'))"
        await self._alone(
            f"set -e; cd /; [ ! -e {where}/.complete ] || exit 0; rm -rf {where}; "
            f"{quote(agent.python)} -m venv{site} {where}; "
            f"{where}/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-cache-dir "
            f"--no-index --find-links {incoming} --constraint {incoming}/{CONSTRAINTS} "
            f"{incoming}/{quote(wheel)}'[agent]'{also}; "
            f'[ "$({where}/bin/python -P -c {quote(version)})" = {quote(manifest.version)} ]; '
            f"sync -f {where}; touch {where}/.complete; rm -rf {incoming}",
            "installing the build",
        )

    async def _write_release(self) -> None:
        where = f"{self.install}/releases/{quote(self.release.name)}"
        await self._alone(f"rm -rf {where} && mkdir -p {where}", "making the release")
        for name, text in self.release.files.items():
            await self._alone(f"cat > {where}/{quote(name)}", f"writing {name}", told=text)
        await self._alone(
            f"cd {where} && ln -sfn ../../builds/{quote(self.release.build)} build && sync -f . && touch .complete",
            "making the release",
        )

    async def _join(self) -> None:
        """The token goes to the agent's standard input: it is in no argument, environment, file or log."""
        agent = self.rollout.agent
        token = await self.orchestrator.join_token(self.name)
        command = as_agent(agent, f"{agent.install_dir}/releases/{self.release.name}", "join")
        await self._alone(
            f"cd / && {supervisor_of(agent).stop()} </dev/null; exec {command}", "joining", told=f"{token}\n"
        )

    async def _check(self) -> None:
        """All but the slots: as long as another agent serves, those are its."""
        agent = self.rollout.agent
        command = as_agent(agent, f"{agent.install_dir}/releases/{self.release.name}", "doctor", "-o", "json")
        answer = await self.connection.run(f"cd / && {command}")
        try:
            findings = json.loads(answer.out)
            wrong = [
                f"{one['check']}: {one['detail']}" for one in findings if not one["ok"] and one["check"][:5] != "slot "
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise CommandFailed(f"the new build does not run there: {answer.err.strip()[-600:]}") from error
        if wrong:
            raise CommandFailed(f"the new build finds that it cannot serve there: {'; '.join(wrong)[:600]}")

    async def _drain(self) -> None:
        seen = await self.orchestrator.seen(self.name)
        before = Before(release=self.release.name, boot=seen.boot, units=seen.units)
        path = f"{self.install}/before"
        await self._alone(f"cat > {path}.new && mv -f {path}.new {path}", "noting what is there", told=before.line())
        if not seen.drained:
            await self.orchestrator.drain(self.name, f"bringing {self.release.name}")

    async def _wait(self) -> None:
        limit_s = self.rollout.limits.drain_wait_s
        until_s = self.clock.boottime_s() + limit_s
        while (runs := (await self.orchestrator.seen(self.name)).runs) > 0:
            if self.clock.boottime_s() > until_s:
                raise CommandFailed(f"{runs} run(s) were still going on after {limit_s:g} s of waiting")
            await asyncio.sleep(LOOK_AGAIN_S)

    async def switch_to(self, release: str) -> None:
        """Stop the agent and make a release that is whole the current one."""
        supervisor = supervisor_of(self.rollout.agent)
        rules = UDEV_INSTALL.format(rules=f"{self.install}/current/{RULES}")
        await self._alone(
            f"set -e; {supervisor.stop()}; [ -e {self.install}/releases/{quote(release)}/.complete ]; "
            f"{self._link('current', release)}; {supervisor.install()}; {rules}",
            "switching",
        )

    def _link(self, name: str, release: str) -> str:
        new = f"{self.install}/.{name}.new"
        return f"ln -sfn releases/{quote(release)} {new}; mv -Tf {new} {self.install}/{name}"

    async def start(self) -> None:
        """Start the agent of the current release anew, whichever runs."""
        supervisor = supervisor_of(self.rollout.agent)
        await self._alone(f"cd / && {supervisor.stop()}; {supervisor.start()}", "starting the agent")

    async def stop(self) -> None:
        """Stop the agent."""
        await self._alone(supervisor_of(self.rollout.agent).stop(), "stopping the agent")

    async def _verify(self) -> None:
        before = (await self.facts(wait=True)).before
        await self.verify(
            self.release.name,
            self.release.version,
            boot_before=before.boot if before else None,
            units_before=before.units if before else frozenset(),
        )

    async def verify(
        self, release: str, version: str, *, boot_before: str | None, units_before: frozenset[str]
    ) -> None:
        """Wait until the orchestrator hears the new agent with its units, twice; then the release is proven.

        Raises CommandFailed with what is missing when the time is over.
        """
        until_s = self.clock.boottime_s() + self.rollout.limits.verify_s
        good = 0
        while good < 2:
            try:
                seen = await self.orchestrator.seen(self.name)
                why = not_yet(seen, version=version, boot_before=boot_before, units_before=units_before)
            except Unavailable as error:
                why = error.detail
            good = 0 if why else good + 1
            if why and self.clock.boottime_s() > until_s:
                raise CommandFailed(f"after {self.rollout.limits.verify_s:g} s {why}{await self._last_words()}")
            await asyncio.sleep(LOOK_AGAIN_S)
        running = (await self.facts(wait=True)).running
        if running != release:
            raise CommandFailed(f"the agent that runs there is of {running or 'no release'}; expected {release}")
        await self._alone(f"set -e; {self._link('proven', release)}", "noting that the release serves")

    async def _last_words(self) -> str:
        """What the agent's log ends with, where it is a file of ours."""
        answer = await self.connection.run(f"tail -n 1 {self.install}/agent.log 2>/dev/null || true")
        said = "".join(c if c.isprintable() else " " for c in answer.out.strip()[-400:])
        return f"; its log ends: {said}" if said else ""

    async def undrain(self) -> None:
        """Put the host back in service, unless a person took it out; clear away what is no longer needed."""
        seen: Seen = await self.orchestrator.seen(self.name)
        if seen.drained_by_a_rollout:
            await self.orchestrator.undrain(self.name)
        await self._alone(f"rm -f {self.install}/before; {prune(self.rollout.agent.install_dir)}", "clearing away")
