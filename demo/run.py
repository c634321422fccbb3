"""The demo: the whole idea on a real repository, in a throw-away home.

It prints what a user would type and what they see, checks that it is as it should be, and ends
with 1 if anything is not. The README shows exactly this, so the two are compared as well, times
and ids aside; `--record` writes what was seen into the README.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- demo -->\n```console\n", "```\n<!-- /demo -->"
BRANCH = "fix/typo"

# What differs from run to run, and the word that stands for it when runs are compared.
VARYING = (
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "DATE"),
    (re.compile(r"\[[0-9a-f]{4,16}\]"), "[ID]"),
    (re.compile(r"@[0-9a-f]{8}/"), "@ID/"),
    (re.compile(r"\bpid=\d+"), "pid=N"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}/[0-9a-f]{16}"), "REPOSITORY/INVOCATION"),
    (re.compile(r"\b\d+[smhdw] ago"), "N ago"),
    (re.compile(r"\b\d+(\.\d+)?\s?(ms|KB|MB|B)\b"), "N"),
    (re.compile(r"\b(\d+h)?(\d+m)?\d+(\.\d+)?s\b(\.\.\.)?"), "N"),
    (re.compile(r"daft \d+\.\d+\.\d+"), "daft VERSION"),
    (re.compile(r" {2,}"), "  "),
)


class Demo:
    """A user at a shell, and what they see."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cwd = home
        self.seen: list[str] = []
        self.wrong: list[str] = []
        self.environment = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "DAFT_DEMO": "1",
            "DAFT_NO_LOG_CLEAN": "1",  # it would outlive the demo, and its home
            "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        }
        for name in os.environ:
            # Where packages come from, and through what, is this machine's business.
            if name.startswith(("PIP_", "SSL_", "REQUESTS_")) or name.lower().endswith("_proxy"):
                self.environment[name] = os.environ[name]

    def type(self, line: str) -> str:
        """Run a line in a shell, print it and what came of it; return the latter."""
        self.show(f"$ {line}")
        if line.startswith("cd "):
            self.cwd = (self.cwd / line[3:]).resolve()
            return ""
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=self.cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        text = done.stdout.replace(str(self.home), "~").rstrip("\n")
        self.show(text)
        return text

    def ask(self, *arguments: str) -> list[dict[str, object]]:
        """Return what daft says to a program."""
        done = subprocess.run(
            ["daft", *arguments, "--format", "json"],
            cwd=self.cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=60,
            check=True,
        )
        rows: list[dict[str, object]] = json.loads(done.stdout)
        return rows

    def show(self, text: str) -> None:
        """Print, and remember."""
        print(text, flush=True)
        self.seen.append(text)

    def expect(self, holds: bool, what: str) -> None:
        """Note it when something is not as it should be."""
        if not holds:
            self.wrong.append(what)


def play(demo: Demo) -> None:
    """Do what a newcomer would do."""
    publish(demo)
    said = demo.type("daft clone daft.git")
    demo.expect("Untrusted repo" in said, "a fresh clone is not trusted")
    demo.type("cd daft")
    said = demo.type("daft hooks trust --force")
    demo.expect("Trusted" in said, "consent is recorded")

    began = time.monotonic()
    said = demo.type(f"daft start {BRANCH}")
    took = time.monotonic() - began
    demo.expect("✓ venv" in said, "the foreground job runs before the prompt is back")
    demo.expect("running in background" in said, "the background jobs are announced")
    demo.type("cd ../daft.fix-typo")
    demo.expect((demo.cwd / ".venv").is_dir(), "the foreground job has made the environment")
    early = {row["name"]: row["status"] for row in demo.ask("jobs")}
    # Its leader may just be starting: then it is queued yet.
    is_open = early.get("long") in ("queued", "running")
    demo.expect(is_open, "the prompt is back before a background job has ended")

    demo.type("daft jobs wait check after-broken")
    demo.type("daft jobs")
    rows = {str(row["name"]): row for row in demo.ask("jobs")}
    wanted = {
        "venv": "completed",
        "install": "completed",
        "check": "completed",
        "broken": "failed",
        "after-broken": "skipped",
        "long": "running",
    }
    for name, status in wanted.items():
        found = rows.get(name, {}).get("status")
        demo.expect(found == status, f"job {name} is {status} (it is {found})")
    installed, checked = rows["install"]["finished_at"], rows["check"]["started_at"]
    demo.expect(str(checked) >= str(installed), "check starts after the end of install")
    said = demo.type("daft jobs logs broken")
    demo.expect("this job fails on purpose" in said, "the log holds what the job printed")

    long_uid = str(rows["long"]["job_uid"])
    demo.expect(bool(carriers(long_uid)), "the long job has a process")
    demo.type("cd ../daft")
    said = demo.type(f"daft remove {BRANCH}")
    demo.expect("Deleted" in said, "the worktree is removed")
    demo.expect(not (demo.home / "daft.fix-typo").exists(), "its directory is gone")
    demo.expect(not carriers(long_uid), "no process of its jobs is left")
    demo.type(f"daft jobs --worktree {BRANCH}")
    final = {row["name"]: row["status"] for row in demo.ask("jobs", "--worktree", BRANCH)}
    demo.expect(final.get("long") == "cancelled", "the record says that the long job was cancelled")
    demo.expect(took < 60, "the prompt was back within a minute")


def publish(demo: Demo) -> None:
    """Put what is committed here where it can be cloned from, as branch `main`."""
    bare = demo.home / "daft.git"
    for arguments in (
        ["init", "--quiet", "--bare", "--initial-branch=main", str(bare)],
        ["push", "--quiet", str(bare), "HEAD:refs/heads/main"],
    ):
        subprocess.run(["git", *arguments], cwd=ROOT, env=demo.environment, check=True)


def carriers(job_uid: str) -> list[int]:
    """Return the processes that carry a job's mark, where the system tells."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"DAFT_JOB_ID={job_uid}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def comparable(text: str) -> list[str]:
    """Return the lines of `text` with everything replaced that differs from run to run."""
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return [line.rstrip() for line in text.strip().split("\n")]


def compare_with_readme(seen: str) -> list[str]:
    """Return what is different in the README, as messages."""
    _, found, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    if not found:
        return ["the README has no demo"]
    shown = comparable(rest.partition(END)[0])
    actual = comparable(seen)
    if shown == actual:
        return []
    place = next(
        (i for i, pair in enumerate(zip(shown, actual, strict=False)) if pair[0] != pair[1]), 0
    )
    in_readme = shown[place] if place < len(shown) else "(nothing)"
    in_demo = actual[place] if place < len(actual) else "(nothing)"
    hint = "the README shows something else, `nox -s demo -- --record` renews it; first at"
    return [f"{hint}\n    README: {in_readme}\n    seen:   {in_demo}"]


def record(seen: str) -> None:
    """Write what was seen into the README."""
    head, found, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    assert found, "the README has no place for the demo"
    README.write_text(f"{head}{BEGIN}{seen.strip()}\n{END}{tail}", encoding="utf-8")


def main() -> int:
    """Play the demo; 1 when anything was not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the output into the README")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="daft-demo-")).resolve()
    (home / "gitconfig").write_text(
        "[user]\n\tname = You\n\temail = you@localhost\n[init]\n\tdefaultBranch = main\n"
        "[safe]\n\tdirectory = *\n",
        encoding="utf-8",
    )
    demo = Demo(home)
    try:
        play(demo)
        seen = "\n".join(text for text in demo.seen if text)
        if options.record:
            record(seen)
        else:
            demo.wrong += compare_with_readme(seen)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    for what in demo.wrong:
        print(f"NOT SO: {what}", file=sys.stderr)
    print("demo: not as it should be" if demo.wrong else "demo: all as it should be")
    return 1 if demo.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
