"""A first `daft.yml`: what a fresh worktree of such a project needs, told by its files."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from attrs import field, frozen

from ..hooktypes import HOOK_TYPES

POST_CREATE = "worktree-post-create"


@frozen(kw_only=True)
class Step:
    """One job of a starter. needs: of the same ecosystem."""

    name: str
    run: str
    description: str
    background: bool = False
    needs: tuple[str, ...] = ()


@frozen(kw_only=True)
class Ecosystem:
    """A tool that prepares a working tree.

    family: of tools that do the same; only the first that fits counts. markers: any of these
    files tells of it. also: and all of these must be there.
    """

    name: str
    family: str
    markers: tuple[str, ...]
    steps: tuple[Step, ...]
    also: tuple[str, ...] = field(default=())


def _tool(
    name: str,
    family: str,
    markers: tuple[str, ...],
    run: str,
    *,
    also: tuple[str, ...] = (),
    build: str | None = None,
) -> Ecosystem:
    install = Step(name=name, run=run, description=f"Dependencies, with {name}")
    steps: tuple[Step, ...] = (install,)
    if build is not None:
        warm = Step(
            name=f"{name}-build",
            run=build,
            description="A first build, while you begin",
            background=True,
            needs=(name,),
        )
        steps = (install, warm)
    return Ecosystem(name=name, family=family, markers=markers, also=also, steps=steps)


ECOSYSTEMS = (
    _tool("pnpm", "node", ("pnpm-lock.yaml",), "pnpm install --frozen-lockfile"),
    _tool("yarn", "node", ("yarn.lock",), "yarn install --immutable", also=(".yarnrc.yml",)),
    _tool("yarn", "node", ("yarn.lock",), "yarn install --frozen-lockfile"),
    _tool("bun", "node", ("bun.lock", "bun.lockb"), "bun install --frozen-lockfile"),
    _tool("npm", "node", ("package-lock.json", "npm-shrinkwrap.json"), "npm ci"),
    _tool("deno", "node", ("deno.json", "deno.jsonc"), "deno install"),
    _tool("npm", "node", ("package.json",), "npm install"),
    _tool("uv", "python", ("uv.lock",), "uv sync"),
    _tool("poetry", "python", ("poetry.lock",), "poetry install"),
    _tool("pdm", "python", ("pdm.lock",), "pdm sync"),
    _tool("pipenv", "python", ("Pipfile.lock", "Pipfile"), "pipenv sync"),
    _tool(
        "pip",
        "python",
        ("requirements.txt",),
        "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
    ),
    _tool(
        "pip",
        "python",
        ("pyproject.toml", "setup.py"),
        "python3 -m venv .venv && .venv/bin/pip install -e .",
    ),
    _tool("cargo", "rust", ("Cargo.toml",), "cargo fetch", build="cargo build"),
    _tool("go", "go", ("go.mod",), "go mod download", build="go build ./..."),
    _tool("bundler", "ruby", ("Gemfile",), "bundle install"),
    _tool("composer", "php", ("composer.json",), "composer install"),
    _tool("mix", "elixir", ("mix.exs",), "mix deps.get", build="mix compile"),
    _tool("gradle", "java", ("gradlew",), "./gradlew --quiet assemble"),
    _tool("maven", "java", ("mvnw",), "./mvnw --quiet dependency:resolve"),
    _tool("maven", "java", ("pom.xml",), "mvn --quiet dependency:resolve"),
    _tool("swift", "swift", ("Package.swift",), "swift package resolve"),
    _tool("dart", "dart", ("pubspec.yaml",), "dart pub get"),
)
_PLACEHOLDER = Step(
    name="setup",
    run="echo 'put the commands that get a worktree ready here'",
    description="What a fresh worktree needs",
)


def detected(files: Collection[str]) -> tuple[Ecosystem, ...]:
    """Return the tools that the files at the root of a project tell of, one of a family."""
    found: dict[str, Ecosystem] = {}
    for one in ECOSYSTEMS:
        fits = any(name in files for name in one.markers) and all(n in files for n in one.also)
        if fits and one.family not in found:
            found[one.family] = one
    return tuple(found.values())


def starter(hooks: Collection[str], files: Collection[str], *, head: str = "") -> str:
    """Return the text of a configuration with a job for each of `hooks`.

    files: names at the root of the project. head: lines to put first.
    """
    lines = [head] if head else []
    lines += ["# What daft does in the life of a worktree. Check it with: daft hooks validate", ""]
    return "\n".join([*lines, "hooks:", *_hooks(hooks, files), "", *_TASKS, ""])


def snippet(hook: str, files: Collection[str]) -> str:
    """Return the lines that define one hook, to be put below `hooks:`."""
    return "\n".join(_hooks([hook], files))


_TASKS = (
    "# tasks:",
    "#   test:                 # run it with: daft run test",
    "#     jobs:",
    "#       - run: make test",
)


def _hooks(hooks: Collection[str], files: Collection[str]) -> Iterator[str]:
    for hook in (name for name in HOOK_TYPES if name in hooks):
        yield f"  {hook}:"
        yield "    jobs:"
        tools = detected(files) if hook == POST_CREATE else ()
        steps = [step for tool in tools for step in tool.steps]
        if not steps:
            run = _PLACEHOLDER if hook == POST_CREATE else _placeholder(hook)
            steps = [run]
        for step in steps:
            yield from _job(step)


def _placeholder(hook: str) -> Step:
    name = hook.removeprefix("worktree-")
    return Step(name=name, run=f"echo 'put what {hook} does here'", description=f"At {hook}")


def _job(step: Step) -> Iterator[str]:
    yield f"      - name: {step.name}"
    yield f"        description: {step.description}"
    yield f"        run: {step.run}"
    if step.needs:
        yield f"        needs: [{', '.join(step.needs)}]"
    if step.background:
        yield "        background: true"
