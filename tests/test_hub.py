"""``torch.hub.load`` of a local copy gives what ``build_model`` gives, with no more than the dependencies that it states."""

import inspect
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import fullconv

ROOT = Path(__file__).parents[1]


def test_the_entry_points_are_the_four_nets() -> None:
    """torch.hub takes every public function of the file for one."""
    hubconf = runpy.run_path(str(ROOT / "hubconf.py"))
    entries = {name: value for name, value in hubconf.items() if inspect.isfunction(value) and not name.startswith("_")}
    assert set(entries) == {"fcn32s", "fcn16s", "fcn8s", "fcn4s"}
    assert all("backbone" in inspect.signature(entry).parameters and entry.__doc__ for entry in entries.values())


@pytest.mark.parametrize(("entry", "strides"), [("fcn32s", 1), ("fcn16s", 2), ("fcn8s", 3), ("fcn4s", 4)])
def test_a_net_from_the_hub_is_that_of_the_builder(entry: str, strides: int) -> None:
    torch.manual_seed(0)
    found = torch.hub.load(str(ROOT), entry, source="local", backbone="minivgg", classes={"semantic": 4, "geometric": 3})
    torch.manual_seed(0)
    expected = fullconv.build_model(f"{entry}-minivgg", classes={"semantic": 4, "geometric": 3})
    assert isinstance(found, fullconv.FCN)
    assert len(found.strides) == strides
    assert all(torch.equal(tensor, expected.state_dict()[name]) for name, tensor in found.state_dict().items())
    logits = found.eval()(torch.zeros(1, 3, 19, 33, dtype=torch.uint8))
    assert {head: tuple(values.shape) for head, values in logits.items()} == {
        "semantic": (1, 4, 19, 33),
        "geometric": (1, 3, 19, 33),
    }


def test_it_needs_no_more_than_it_states() -> None:
    """In a process of its own, where nothing else has imported anything."""
    code = (
        "import sys, torch\n"
        f"model = torch.hub.load({str(ROOT)!r}, 'fcn32s', source='local', backbone='minivgg', classes=2)\n"
        "print(sorted({'lightning', 'cyclopts', 'matplotlib', 'tensorboard'} & set(sys.modules)))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
