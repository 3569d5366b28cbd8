"""How a service starts: nothing is imported that it does not need, as that is most of the time to its first answer."""

import subprocess
import sys
from pathlib import Path

HEAVY = (
    "torchvision",
    "torch._dynamo",
    "sympy",
    "scipy",
    "matplotlib",
    "lightning",
    "jinja2",
    "fullconv.training",
    "fullconv.doctor",
)


def imported(code: str, *arguments: str) -> list[str]:
    """Return what of the heavy a process has imported after running code."""
    whole = f"import sys\n{code}\nprint(*sorted({{*{HEAVY!r}, 'torch', 'fastapi'}} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", whole, *arguments], capture_output=True, text=True, check=True)
    return found.stdout.split()


def test_a_service_that_has_loaded_its_model_has_imported_torch_and_fastapi_and_nothing_else_that_is_heavy(
    checkpoint: Path,
) -> None:
    code = (
        "import fullconv.serve.process\n"
        "from fullconv.serve.service import Service\n"
        "from fullconv.serve.settings import Settings\n"
        "service = Service(Settings((('net', sys.argv[1]),), device='cpu'))\n"
        "service.load()  # with a first image\n"
        "service.stop()"
    )
    assert imported(code, str(checkpoint)) == ["fastapi", "torch"]


def test_what_only_keeps_workers_imports_neither() -> None:
    assert imported("import fullconv.serve.server") == []
