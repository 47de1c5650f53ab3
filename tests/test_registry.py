from __future__ import annotations

from pathlib import Path

import pytest

from noisyclean.base.files import sha256_file
from noisyclean.detect.signal import signals
from noisyclean.errors import UsageError
from noisyclean.registry import Registry, load_plugin, plugins

PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar
from noisyclean.detect.signal import signals, squash
from noisyclean.types import SignalScore

@signals.register("{name}")
@dataclass(frozen=True)
class Mine:
    """The loss, by a plugin."""
    needs: ClassVar[frozenset[str]] = frozenset({{"loss_EN"}})
    def __call__(self, evidence, *, device):
        raw = evidence.loss_EN.mean(axis=0)
        return SignalScore(raw_N=raw, suspicion_N=squash(raw))
'''


def test_a_file_outside_the_package_is_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(name="from_plugin"))
    with plugins([path]) as modules:
        assert "from_plugin" in signals.names()
        assert (signals.get("from_plugin").__doc__ or "").startswith("The loss")
        assert signals.defined_in(modules[0]) == ["from_plugin"]
        assert signals.outside() == {"from_plugin": sha256_file(path)}
    assert "from_plugin" not in signals.names()
    assert not signals.outside()


def test_a_taken_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(name="logit_margin"))
    with pytest.raises(UsageError, match="two signals are named logit_margin"):
        load_plugin(path)
    assert not signals.outside()


def test_a_class_of_the_same_name_does_not_slip_in(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(name="logit_margin").replace("class Mine", "class LogitMargin"))
    with pytest.raises(UsageError, match="two signals are named logit_margin"):
        load_plugin(path)


def test_what_a_broken_plugin_had_registered_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(PLUGIN.format(name="half") + "1 / 0\n")
    with pytest.raises(UsageError, match="ZeroDivisionError"), plugins([path]):
        pass
    assert "half" not in signals.names()


@pytest.mark.parametrize("content", ["import nothing_of_this_name", "1 / 0", "def broken("])
def test_a_broken_plugin_says_what_is_wrong(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"broken\.py: \w+Error"):
        load_plugin(path)


def test_a_missing_plugin_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_plugin(tmp_path / "nowhere.py")


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UsageError, match="There are annotator_disagreement, division, knn_disagreement"):
        signals.get("nonsense")


def test_an_empty_registry_has_no_names() -> None:
    empty: Registry[type] = Registry("thing", package="noisyclean.export", entry_points="none.such")
    assert empty.names() == []
