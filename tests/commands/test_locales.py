"""Names that a locale cannot spell are names all the same."""

from __future__ import annotations

from typing import Any


def test_a_locale_without_unicode_hides_no_branch(home: Any, until: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {jobs: [{name: fg, run: 'echo \"<$PYTHONUTF8>\" > told'},"
        "{name: bg, run: touch done, background: true}]}}\n"
    )
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    tree = home.root / "project.grün"

    done = home.daft("start", "grün", cwd=project, **plain)
    shown = [
        home.daft(*words, cwd=project, **plain)
        for words in (("list",), ("go", "grün"), ("hooks", "status"), ("jobs",), ("env",))
    ]
    unknown = home.daft("go", "weiß", "--local", cwd=project, **plain)

    assert done.returncode == 0, done.stderr
    assert (tree / "told").read_text() == "<0>\n"  # the job has the environment that was given
    until((tree / "done").exists, "the background job ran")
    assert [one.returncode for one in shown] == [0] * 5, [one.stderr for one in shown]
    assert "grün" in shown[0].stdout
    assert unknown.returncode == 1
    assert "weiß" in unknown.stderr
    assert "unforeseen" not in unknown.stderr
