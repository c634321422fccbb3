"""The rules of the house: who may import whom, and what a functional core must not touch."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "daft_protocol": "daft-protocol",
    "daft_store": "daft-store",
    "daft_coordinator": "daft-coordinator",
    "daft_hooks": "daft-hooks",
    "daft_worktree": "daft-worktree",
    "daft_cli": "daft-cli",
}
MAY_IMPORT = {
    "daft_protocol": set(),
    "daft_store": set(),
    "daft_worktree": set(),
    "daft_coordinator": {"daft_protocol"},
    "daft_hooks": {"daft_protocol", "daft_coordinator"},
    "daft_cli": set(PACKAGES) - {"daft_cli"},
}
# These may use the store as well; nothing else of their packages may.
STORE_DOORS = ("daft_coordinator.adapters", "daft_hooks.adapters")
IMPURE = {
    "os", "io", "socket", "subprocess", "time", "random", "logging", "apsw", "psutil",
    "selectors", "threading", "asyncio", "shutil", "tempfile", "pathlib", "secrets",
}  # fmt: skip
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}


def source(package: str) -> Path:
    return ROOT / "packages" / PACKAGES[package] / "src" / package


def modules(package: str) -> list[tuple[str, ast.Module]]:
    found = []
    for path in sorted(source(package).rglob("*.py")):
        parts = path.relative_to(source(package).parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        found.append((name, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def imported(tree: ast.AST) -> set[str]:
    """Return the absolute modules a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
    return found


def forbidden(package: str, module: str, tree: ast.AST) -> set[str]:
    """Return what `module` imports of our packages and must not."""
    allowed = {package, *MAY_IMPORT[package]}
    if module.startswith(STORE_DOORS):
        allowed.add("daft_store")
    roots = {name.split(".")[0] for name in imported(tree)}
    if module == "daft_coordinator.__main__":
        return set()  # the leader's wiring; it reaches the store through the adapters only
    return {name for name in roots if name.startswith("daft_")} - allowed


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_down(package: str) -> None:
    wrong = {
        module: bad
        for module, tree in modules(package)
        if (bad := forbidden(package, module, tree))
    }

    assert wrong == {}


def test_the_rule_notices_an_arrow_that_points_up() -> None:
    tree = ast.parse("def f():\n    from daft_coordinator.ports import Clock\n")

    assert forbidden("daft_protocol", "daft_protocol.jobs", tree) == {"daft_coordinator"}
    assert forbidden("daft_hooks", "daft_hooks.firing", ast.parse("import daft_store")) == {
        "daft_store"
    }
    assert forbidden("daft_hooks", "daft_hooks.adapters.x", ast.parse("import daft_store")) == set()


def test_the_worktree_library_needs_nothing_but_python() -> None:
    import sys

    for module, tree in modules("daft_worktree"):
        roots = {name.split(".")[0] for name in imported(tree)} - {"daft_worktree"}
        assert roots <= set(sys.stdlib_module_names), module


def impure(tree: ast.AST) -> set[str]:
    return {name.split(".")[0] for name in imported(tree)} & IMPURE


@pytest.mark.parametrize("package", PACKAGES)
def test_a_functional_core_touches_nothing(package: str) -> None:
    cores = [(name, tree) for name, tree in modules(package) if ".domain" in name]
    wrong = {name: bad for name, tree in cores if (bad := impure(tree))}
    clocks = [
        name
        for name, tree in cores
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today", "environ")
    ]

    assert wrong == {}
    assert clocks == []


def test_the_purity_rule_notices_a_clock() -> None:
    assert impure(ast.parse("import time\nfrom os import environ")) == {"time", "os"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_has_a_name_that_says_nothing(package: str) -> None:
    names = {part for module, _ in modules(package) for part in module.split(".")}

    assert not names & BANNED_NAMES


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "daft_cli"])
def test_each_package_has_one_base_error(package: str) -> None:
    tree = dict(modules(package))[f"{package}.errors"]
    roots = ("Exception", "FactualError")
    bases = [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id in roots for base in node.bases)
    ]

    assert len(bases) == 1
    assert bases[0].endswith("Error")


@pytest.mark.parametrize("package", PACKAGES)
def test_there_is_no_cycle_of_imports(package: str) -> None:
    graph = grimp.build_graph(package, cache_dir=None)
    cycles = []
    for module in graph.modules:
        for target in graph.find_modules_directly_imported_by(module):
            lazy = all(
                detail["line_contents"].startswith((" ", "\t"))
                for detail in graph.get_import_details(importer=module, imported=target)
            )
            chain = graph.find_shortest_chain(importer=target, imported=module)
            if chain and not lazy:
                cycles.append((module, *chain))
    # Roots name their modules for lazy loading only.
    real = [cycle for cycle in cycles if package not in cycle and not _typing_only(cycle)]

    assert real == []


def _typing_only(cycle: tuple[str, ...]) -> bool:
    """True when some arrow of the cycle exists for the type checker alone."""
    for importer, target in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
        package = importer.split(".")[0]
        tree = dict(modules(package)).get(importer)
        if tree is None or importer == target:
            continue
        last = target.split(".")[-1]
        at_run_time = [
            node
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            and (
                (node.module or "").split(".")[-1] == last
                or any(alias.name == last for alias in node.names)
            )
        ]
        if not at_run_time:
            return True
    return False


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_complete(package: str) -> None:
    folder = ROOT / "packages" / PACKAGES[package]
    lines = (folder / "README.md").read_text(encoding="utf-8").strip().split("\n")

    assert (source(package) / "py.typed").exists()
    assert 10 <= len(lines) <= 30


def calls(tree: ast.AST, names: set[str]) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in names
        for node in ast.walk(tree)
    )


def test_processes_are_started_and_signalled_in_one_place() -> None:
    starts = {"posix_spawn", "posix_spawnp", "Popen", "fork", "execv", "system"}
    signals = {"kill", "killpg", "pidfd_send_signal"}
    found = {name for name, tree in modules("daft_coordinator") if calls(tree, starts | signals)}

    # Leaders and what else outlives us start in one place; every job goes through the adapter.
    assert found == {"daft_coordinator.adapters.processes", "daft_coordinator.detaching"}


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_forks(package: str) -> None:
    """A copy of a process with threads may wait for ever for a lock nobody holds any more."""
    for name, tree in modules(package):
        assert not calls(tree, {"fork", "forkpty"}), name
        words = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
        assert "preexec_fn" not in words, name
        assert "multiprocessing" not in ast.dump(tree), name


def test_sql_is_fixed_text() -> None:
    for name, tree in modules("daft_store"):
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr == "execute" and node.args:
                statement = node.args[0]
                assert not isinstance(statement, (ast.JoinedStr, ast.BinOp)), name
                if isinstance(statement, ast.Call):
                    raise AssertionError(f"{name}: SQL is computed")


@pytest.mark.parametrize("package", PACKAGES)
def test_sql_names_its_columns(package: str) -> None:
    """A newer daft may add columns while an older one has the file open."""
    unnamed = re.compile(r"SELECT\s+([\w.]+\s*,\s*)*([\w]+\.)?\*|INSERT\s+INTO\s+\w+\s+VALUES")
    texts = [
        (name, node.value)
        for name, tree in modules(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]

    assert unnamed.search("SELECT rowid, * FROM jobs")
    assert unnamed.search("INSERT INTO jobs\nVALUES (?)")
    assert [(name, text) for name, text in texts if unnamed.search(text)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_name_hides_behind_a_module_of_that_name(package: str) -> None:
    """Importing a submodule binds its name in the package: a lazy name of that kind would vanish."""
    tree = dict(modules(package))[package]
    lazy = any(
        isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body
    )
    names = {path.stem for path in source(package).iterdir()}
    public = {
        element.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
        and isinstance(node.value, ast.List)
        for element in node.value.elts
        if isinstance(element, ast.Constant)
    }

    assert not lazy or not names & public
