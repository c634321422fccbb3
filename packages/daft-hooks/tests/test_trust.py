"""Trust: the decision, the question, what is remembered, and the file it is kept in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_hooks import Answer, Consenting, FireStatus, allow, ask_each_time, deny, fire, load
from daft_hooks.adapters.registry import SqliteTrustRegistry
from daft_hooks.consent import forget, prune
from daft_hooks.domain.replay import SkippedFire, facts_to_replay
from daft_hooks.domain.trust import (
    TrustEntry,
    TrustLevel,
    Verdict,
    decide,
    differences,
    fits,
)
from daft_hooks.domain.urls import normalised_url
from daft_hooks.errors import RegistryUnavailable

HOOK = "hooks: {worktree-post-create: {jobs: [{name: a, run: 'echo a >> ran'}]}}\n"

ALLOWED = TrustEntry(
    level=TrustLevel.ALLOW, granted_at="", fingerprint="https://h/r", approved={"d1": {}}
)


@pytest.mark.parametrize(
    ("entry", "fingerprint", "digest", "verdict"),
    [
        (None, "https://h/r", "d1", Verdict.UNTRUSTED),
        (ALLOWED, "https://h/r", "d1", Verdict.ALLOWED),
        (ALLOWED, None, "d1", Verdict.ALLOWED),
        (ALLOWED, "https://h/other", "d1", Verdict.REMOTE_CHANGED),
        (ALLOWED, "https://h/r", "d2", Verdict.CONTENT_CHANGED),
        (TrustEntry(level=TrustLevel.DENY, granted_at=""), "x", "d1", Verdict.DENIED),
        (TrustEntry(level=TrustLevel.PROMPT, granted_at=""), "x", "d1", Verdict.PROMPT),
    ],
)
def test_consent(entry: TrustEntry | None, fingerprint: str, digest: str, verdict: Verdict) -> None:
    found = decide(entry, fingerprint=fingerprint, digest=digest)

    assert found.verdict is verdict
    assert found.allowed == (verdict is Verdict.ALLOWED)


def test_a_refusal_beats_every_pattern() -> None:
    denied = TrustEntry(level=TrustLevel.DENY, granted_at="")
    patterns = [("/p/*", TrustLevel.ALLOW)]

    assert decide(None, fingerprint=None, digest="d", patterns=patterns, common_dir="/p/a").allowed
    assert not decide(
        denied, fingerprint=None, digest="d", patterns=patterns, common_dir="/p/a"
    ).allowed
    assert not decide(
        None, fingerprint=None, digest="d", patterns=patterns, common_dir="/q"
    ).allowed


def test_urls_are_compared_without_credentials_and_spelling() -> None:
    same = {
        normalised_url(url)
        for url in ("https://me:pw@Host/o/r.git", "https://host/o/r/", "https://host/o/r")
    }

    assert same == {"https://host/o/r"}
    assert normalised_url("git@h:o/r.git") == normalised_url("ssh://git@h/o/r")
    assert normalised_url("/w/r.git/") == "/w/r"
    assert "pw" not in normalised_url("https://me:pw@host:port/r")


def test_differences_are_named() -> None:
    found = differences(
        {"h/a": "x\ny", "h/b": "y", "file s": "1"}, {"h/a": "x\nz", "h/c": "w", "file s": "2"}
    )

    assert found == (
        "changed h/a:", "  - y", "  + z", "added h/c:", "  + w", "changed file s", "removed h/b",
    )  # fmt: skip


def test_what_differs_only_beside_the_commands_is_said_so() -> None:
    assert differences({"h/a": "x"}, {"h/a": "x"}) == ("settings of jobs, none of their commands",)


@pytest.mark.parametrize(
    ("pattern", "path", "does"),
    [
        ("/w/*", "/w/a/.git", True),
        ("/w/*", "/w/a/b/.git", False),
        ("/w/**", "/w/a/b/.git", True),
        ("/w/**", "/w/.git", True),
        ("/w/**", "/wa/.git", False),
        ("/w/**/x", "/w/x/.git", True),
        ("/w/**/x", "/w/a/b/x/.git", True),
        ("/w/a*c", "/w/abc/.git", True),
        ("/w/a*c", "/w/a/c/.git", False),
        ("/w/[ab]", "/w/a/.git", False),
        ("/w/a.git", "/w/axgit", False),
        ("/w/bare.git", "/w/bare.git", True),
        ("**", "/anything/at/all/.git", True),
        ("**/x", "/a/x/.git", True),
        ("/w/a/", "/w/a/.git", True),
    ],
)
def test_patterns_are_compared_by_components(pattern: str, path: str, does: bool) -> None:
    assert fits(pattern, path) is does


@given(
    level=st.none() | st.sampled_from(TrustLevel),
    patterns=st.lists(st.sampled_from([TrustLevel.DENY, TrustLevel.PROMPT]), max_size=3),
    fingerprint=st.sampled_from([None, "x", "y"]),
    digest=st.sampled_from(["known", "other"]),
)
def test_nothing_but_a_grant_allows(
    level: TrustLevel | None, patterns: list[TrustLevel], fingerprint: Any, digest: str
) -> None:
    entry = None
    if level is not None:
        entry = TrustEntry(level=level, granted_at="", fingerprint="x", approved={"known": {}})

    found = decide(
        entry,
        fingerprint=fingerprint,
        digest=digest,
        patterns=[("**", one) for one in patterns],
        common_dir="/a",
    )

    granted = level is TrustLevel.ALLOW and digest == "known" and fingerprint in (None, "x")
    assert found.allowed == granted


# --- asking -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "runs_now", "runs_again"),
    [
        (Answer.ONCE, True, False),
        (Answer.ALWAYS, True, True),
        (Answer.NO, False, False),
        (Answer.NEVER, False, False),
    ],
)
def test_the_answer_counts_for_as_long_as_it_says(
    stage: Any, answer: Answer, runs_now: bool, runs_again: bool
) -> None:
    stage.repository.commit({"daft.yml": HOOK})
    ask_each_time(stage.registry, stage.common_dir)

    now = stage.fire(ask=lambda question: answer)
    again = stage.fire()

    assert (now.status is FireStatus.RAN) == runs_now
    assert (again.status is FireStatus.RAN) == runs_again
    if answer is Answer.NEVER:
        assert stage.registry.get(stage.common_dir).level is TrustLevel.DENY


def test_the_question_shows_what_would_run_and_what_has_changed(stage: Any) -> None:
    loaded = stage.repository.configured({"daft.yml": HOOK, "s.sh": "x"})
    allow(stage.registry, stage.common_dir, loaded, remote_url=None)
    stage.repository.write({"daft.yml": HOOK.replace("echo a", "echo b; sh s.sh; echo")})
    asked: list[Any] = []

    stage.fire(ask=lambda question: asked.append(question) or Answer.NO)

    (question,) = asked
    assert question.commands == {"a": "echo b; sh s.sh; echo >> ran"}
    assert question.changes == (
        "changed worktree-post-create/a:",
        "  - echo a >> ran",
        "  + echo b; sh s.sh; echo >> ran",
        "added file s.sh",
    )


def test_what_changes_while_the_question_is_open_does_not_run(stage: Any) -> None:
    files = {"daft.yml": HOOK.replace("echo a >> ran", "sh s.sh"), "s.sh": "echo good >> ran\n"}
    stage.repository.commit(files)
    ask_each_time(stage.registry, stage.common_dir)

    def answer(question: Any) -> Answer:
        stage.repository.write({"s.sh": "echo evil >> ran\n"})
        return Answer.ALWAYS

    assert stage.fire(ask=answer).status is FireStatus.FAILED
    assert stage.ran() == []
    assert stage.fire().consent is not None


@pytest.mark.parametrize("settle", ["untrusted", "denied", "prompt", "remote"])
def test_nobody_is_asked_who_did_not_want_to_be(stage: Any, settle: str) -> None:
    loaded = stage.repository.configured({"daft.yml": HOOK})
    if settle == "denied":
        deny(stage.registry, stage.common_dir)
    if settle == "prompt":
        ask_each_time(stage.registry, stage.common_dir)
    if settle == "remote":
        allow(stage.registry, stage.common_dir, loaded, remote_url="https://h/other")

    def ask(question: Any) -> Answer:
        raise AssertionError("nobody is there to answer")

    consenting = Consenting(
        registry=stage.registry, remote_url="https://h/r", ask=None if settle == "prompt" else ask
    )
    outcome = fire(stage.event(), load(str(stage.repository.path)), stage.firing(consenting))

    assert outcome.status is FireStatus.SKIPPED
    assert stage.ran() == []


# --- what was skipped -------------------------------------------------------------------------


def test_a_skipped_fire_is_remembered_until_the_hook_may_run(stage: Any) -> None:
    loaded = stage.repository.configured({"daft.yml": HOOK})

    stage.fire(is_new_branch=True, base_branch="dev")
    stage.fire(is_new_branch=True, base_branch="dev")
    (kept,) = stage.registry.skipped(stage.common_dir)

    assert (kept.hook, kept.reason) == ("worktree-post-create", "untrusted")
    assert facts_to_replay(kept)["is_new_branch"] is True
    assert facts_to_replay(kept)["base_branch"] == "dev"
    allow(stage.registry, stage.common_dir, loaded, remote_url=None)
    stage.fire()
    assert stage.registry.skipped(stage.common_dir) == ()


def test_hooks_that_guard_a_moment_are_not_kept_for_later(stage: Any) -> None:
    text = HOOK.replace("worktree-post-create", "worktree-pre-remove")
    stage.repository.commit({"daft.yml": text})

    assert stage.fire("worktree-pre-remove").status is FireStatus.SKIPPED

    assert stage.registry.skipped(stage.common_dir) == ()
    assert [one.skip_reason for one in stage.engine.skipped] == ["untrusted"]


def test_facts_of_a_foreign_hand_are_left_out() -> None:
    fire = SkippedFire(
        hook="h", worktree_id="", label="", path="", reason="", skipped_at="",
        facts={"is_new_branch": "yes", "base_branch": "b", "cwd": "/etc", "commit": True},
    )  # fmt: skip

    assert facts_to_replay(fire) == {"base_branch": "b"}


# --- the file ---------------------------------------------------------------------------------

ENTRY = TrustEntry(level=TrustLevel.ALLOW, granted_at="2026-01-01", approved={"d": {"h/a": "x"}})
FIRE = SkippedFire(
    hook="h", worktree_id="w", label="x", path="/x", reason="untrusted", skipped_at="1",
    facts={"base_branch": "b"},
)  # fmt: skip


def test_the_registry_keeps_what_it_is_given(tmp_path: Path) -> None:
    registry = SqliteTrustRegistry(str(tmp_path / "data"))
    assert registry.get("/r") is None
    assert not (tmp_path / "data").exists()

    registry.put("/r", ENTRY)
    for pattern, level in (("/a", "allow"), ("/b", "deny"), ("/a", "prompt")):
        registry.put_pattern(pattern, TrustLevel(level))
    registry.note_skipped("/r", FIRE)
    registry.note_skipped("/r", FIRE)

    again = SqliteTrustRegistry(str(tmp_path / "data"))
    assert again.get("/r") == ENTRY
    assert again.patterns() == (("/a", TrustLevel.PROMPT), ("/b", TrustLevel.DENY))
    assert again.skipped("/r") == (FIRE,)
    assert again.delete_pattern("/b")
    assert not again.delete_pattern("/b")
    assert again.forget_skipped("/r", hook="h", worktree_id="w")
    assert not again.forget_skipped("/r")
    again.reset()
    assert (again.entries(), again.patterns()) == ({}, ())


@pytest.mark.parametrize("name", ["", "registry.db", "registry.db-wal"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_a_registry_that_others_may_write_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    registry = SqliteTrustRegistry(str(tmp_path / "data"))
    registry.put("/r", ENTRY)
    path = tmp_path / "data" / name
    path.touch()
    path.chmod(path.stat().st_mode | mode)

    for use in (
        lambda: registry.get("/r"),
        lambda: registry.entries(),
        lambda: registry.put("/r", ENTRY),
        lambda: registry.skipped("/r"),
    ):
        with pytest.raises(RegistryUnavailable, match=r"written by other users.*chmod go-w"):
            use()

    path.chmod(path.stat().st_mode & ~mode)
    assert registry.get("/r") == ENTRY


def test_a_refused_registry_consents_to_nothing(stage: Any, tmp_path: Path) -> None:
    loaded = stage.repository.configured({"daft.yml": HOOK})
    stage.registry = SqliteTrustRegistry(str(tmp_path / "data"))
    allow(stage.registry, stage.common_dir, loaded, remote_url=None)
    (tmp_path / "data").chmod(0o777)

    outcome = stage.fire()

    assert outcome.consent is not None
    assert "written by other users" in outcome.consent.reason
    assert stage.ran() == []


def test_a_registry_of_the_first_release_is_read_and_brought_along(tmp_path: Path) -> None:
    from daft_store import REGISTRY, Lineage, bringup

    data = tmp_path / "data"
    first = Lineage(name="registry", steps=REGISTRY.steps[:1])
    db = bringup.open_writer(str(data / "registry.db"), first)
    db.execute(
        "INSERT INTO trust (common_dir, level, granted_at, content_json) VALUES (?, ?, ?, ?)",
        ("/r", "allow", "2026-01-01", json.dumps({"d": {"h/a": "x"}})),
    )
    db.close()
    registry = SqliteTrustRegistry(str(data))

    assert registry.skipped("/r") == ()
    assert registry.seeds("/r", "b") == {}
    assert registry.get("/r") == ENTRY
    registry.put_seed("/r", "b", "daft.yml", b"\xff")
    assert registry.seeds("/r", "b") == {"daft.yml": b"\xff"}
    registry.note_skipped("/r", FIRE)
    assert registry.skipped("/r") == (FIRE,)
    assert registry.get("/r") == ENTRY


def test_what_came_to_a_worktree_is_kept_per_branch_and_forgotten_with_it(
    tmp_path: Path,
) -> None:
    registry = SqliteTrustRegistry(str(tmp_path / "data"))
    registry.put_seed("/r", "b", "daft.yml", b"one")
    registry.put_seed("/r", "b", "daft.yml", b"two")
    registry.put_seed("/r", "c", "daft.yml", b"three")

    assert registry.seeds("/r", "b") == {"daft.yml": b"two"}
    assert registry.forget_seeds("/r", "b")
    assert not registry.forget_seeds("/r", "b")
    assert registry.seeds("/r", "c") == {"daft.yml": b"three"}


def test_a_damaged_registry_consents_to_nothing_and_is_kept_when_a_decision_is_made(
    tmp_path: Path,
) -> None:
    registry = SqliteTrustRegistry(str(tmp_path / "data"))
    registry.put("/r", ENTRY)
    (tmp_path / "data" / "registry.db").write_bytes(b"no database at all" * 100)

    with pytest.raises(RegistryUnavailable):
        registry.get("/r")
    with pytest.raises(RegistryUnavailable):
        registry.note_skipped("/r", FIRE)
    assert len(list((tmp_path / "data").glob("*corrupt*"))) == 0
    with pytest.raises(RegistryUnavailable, match=r"moved to .*corrupt"):
        registry.put("/r", ENTRY)

    assert registry.get("/r") is None
    registry.put("/r", ENTRY)
    assert registry.get("/r") == ENTRY


def test_words_of_a_newer_program_never_mean_more_than_nothing(tmp_path: Path) -> None:
    registry = SqliteTrustRegistry(str(tmp_path / "data"))
    registry.put("/r", ENTRY)
    registry.put_pattern("/p", TrustLevel.ALLOW)
    db = apsw.Connection(str(tmp_path / "data" / "registry.db"))
    db.execute("UPDATE trust SET level = 'always', content_json = '[1'")
    db.execute("UPDATE trust_patterns SET level = 'always'")
    db.close()

    found = registry.get("/r")
    assert found is not None
    assert (found.level, found.approved) == (TrustLevel.DENY, {})
    assert registry.patterns() == (("/p", TrustLevel.DENY),)


def test_processes_that_decide_at_once_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from daft_hooks.adapters.registry import SqliteTrustRegistry as R;"
        "from daft_hooks.domain.trust import TrustEntry, TrustLevel;"
        "[R(sys.argv[1]).put(f'/{sys.argv[2]}/{n}',"
        " TrustEntry(level=TrustLevel.ALLOW, granted_at='')) for n in range(5)]"
    )
    data = str(tmp_path / "data")
    running = [
        subprocess.Popen([sys.executable, "-c", code, data, str(n)], env={**os.environ})
        for n in range(4)
    ]

    assert [process.wait(60) for process in running] == [0] * 4
    assert len(SqliteTrustRegistry(data).entries()) == 20


# --- gates and what is gone -------------------------------------------------------------------


@pytest.mark.parametrize(("more", "stops"), [("", True), ("fail_mode: warn, ", False)])
def test_a_gate_without_consent_is_not_passed(stage: Any, more: str, stops: bool) -> None:
    text = f"hooks: {{pre-merge: {{{more}jobs: [{{name: a, run: 'echo a >> ran'}}]}}}}\n"
    stage.repository.commit({"daft.yml": text})

    outcome = stage.fire("pre-merge")

    assert outcome.status is FireStatus.FAILED
    assert outcome.must_stop == stops
    assert outcome.consent is not None
    assert stage.ran() == []


def test_a_refusal_outlives_a_path_that_is_out_of_reach(tmp_path: Path) -> None:
    registry = SqliteTrustRegistry(str(tmp_path / "data"))
    for path, level in (("/gone", "allow"), ("/no", "deny"), ("/here", "allow")):
        registry.put(path, TrustEntry(level=TrustLevel(level), granted_at=""))
    registry.note_skipped("/gone", FIRE)

    assert prune(registry, "/here".__eq__, keep_refusals=True) == ("/gone",)
    assert registry.skipped("/gone") == ()
    assert prune(registry, "/here".__eq__, keep_refusals=False) == ("/no",)
    assert set(registry.entries()) == {"/here"}


def test_another_repository_at_an_old_path_inherits_nothing(tmp_path: Path) -> None:
    registry = SqliteTrustRegistry(str(tmp_path / "data"))
    forget(registry, "/r")
    assert not (tmp_path / "data").exists()
    registry.put("/r", ENTRY)
    registry.note_skipped("/r", FIRE)

    forget(registry, "/r")

    assert registry.get("/r") is None
    assert registry.skipped("/r") == ()
