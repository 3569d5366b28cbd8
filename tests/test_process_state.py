"""No function of the library changes what belongs to the whole process; the command line may, once, at its start."""

import ast
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src" / "fullconv"
FORBIDDEN = {
    "os.umask",
    "os.chdir",
    "os.putenv",
    "os.environ.update",
    "os.environ.setdefault",
    "os.environ.pop",
    "warnings.catch_warnings",
    "warnings.filterwarnings",
    "warnings.simplefilter",
    "warnings.resetwarnings",
    "resource.setrlimit",
    "signal.signal",
    "locale.setlocale",
    "random.seed",
    "np.random.seed",
    "torch.manual_seed",
    "torch.set_num_threads",
    "torch.set_num_interop_threads",
    "torch.set_default_dtype",
    "torch.set_default_device",
    "torch.set_grad_enabled",
    "torch.set_float32_matmul_precision",
    "torch.use_deterministic_algorithms",
    "sys.setrecursionlimit",
    "sys.setswitchinterval",
    "multiprocessing.set_start_method",
    "matplotlib.use",
    "mpl.use",
    "plt.figure",
    "plt.subplots",
}
LAST = {name.rpartition(".")[2] for name in FORBIDDEN}
ALLOWED = {
    # a worker process of our own, not the caller's
    ("doctor/facts.py", "signal.signal"),
    ("doctor/facts.py", "warnings.filterwarnings"),
    # the process of a service, which has it to itself
    ("serve/process.py", "signal.signal"),
    ("serve/process.py", "torch.set_num_threads"),
    ("serve/server.py", "resource.setrlimit"),
    ("serve/batching.py", "torch.set_num_threads"),
    ("serve/workers.py", "signal.signal"),
    ("serve/workers.py", "os.environ[…]"),
    # a training is the main thread's work: Ctrl-C saves it, and its draws follow from seed and step alone
    ("training/interrupt.py", "signal.signal"),
    ("training/module.py", "torch.manual_seed"),
    ("training/start.py", "torch.manual_seed"),
    # what a training changes is put back when it ends
    ("training/process.py", "warnings.catch_warnings"),
    ("training/process.py", "warnings.filterwarnings"),
    # a net is converted once, one at a time; torch warns about its own parts meanwhile
    ("inference/engines/graph.py", "warnings.catch_warnings"),
    ("inference/engines/graph.py", "warnings.simplefilter"),
    # wandb and mlflow read some of their settings nowhere else; they are put back when a stage ends
    ("training/loggers.py", "os.environ.update"),
    ("training/loggers.py", "os.environ.pop"),
    ("training/loggers.py", "os.environ[…]"),
    # processes that read for ours; and torch's handler of their end, which it would raise from in the middle of a step
    ("data/workers.py", "signal.signal"),
    # processes that are ours alone, started to predict
    ("inference/processes.py", "os.environ.update"),
    ("inference/processes.py", "signal.signal"),
    ("inference/processes.py", "torch.set_num_threads"),
    ("inference/cluster.py", "torch.set_num_threads"),
    # Ray reads them when it starts, and nowhere else
    ("inference/cluster.py", "os.environ.setdefault"),
    # rasterio warns when it opens a file; under a lock, for as long as that takes
    ("data/rasters/library.py", "warnings.catch_warnings"),
    ("data/rasters/library.py", "warnings.simplefilter"),
    # experiments, which train
    ("paper/classifier.py", "torch.manual_seed"),
    ("paper/pretrained.py", "torch.manual_seed"),
    ("paper/sliding.py", "torch.manual_seed"),
}


def changes_in(text: str) -> set[str]:
    """Return the forbidden calls of a source, and assignments to ``os.environ[…]``."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LAST:
            found |= {ast.unparse(node.func)} & FORBIDDEN
        targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
        entries = (target for target in targets if isinstance(target, ast.Subscript))
        found |= {"os.environ[…]" for target in entries if ast.unparse(target).startswith("os.environ[")}
    return found


def test_no_source_outside_the_command_line_changes_the_process() -> None:
    found = {
        (path.relative_to(SOURCES).as_posix(), name)
        for path in SOURCES.rglob("*.py")
        if path.parent != SOURCES / "cli"
        for name in changes_in(path.read_text(encoding="utf-8"))
    }
    assert found - ALLOWED == set()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import os\nos.umask(0)", "os.umask"),
        ("with warnings.catch_warnings(action='ignore'):\n    pass", "warnings.catch_warnings"),
        ("os.environ['A'] = 'b'", "os.environ[…]"),
        ("def f():\n    resource.setrlimit(resource.RLIMIT_DATA, (1, 1))", "resource.setrlimit"),
    ],
)
def test_such_changes_are_seen(text: str, name: str) -> None:
    assert changes_in(text) == {name}
