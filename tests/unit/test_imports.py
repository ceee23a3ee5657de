"""The import table: each layer imports only what stands left of it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gridclear

SOURCES = Path(gridclear.__file__).parent
LAYERS = ("errors", "cores", "case", "io", "network", "powerflow", "optimise", "jobs", "report", "cli")
# Outside libraries that belong to one part of the house; every other one is NumPy, pandas or SciPy.
RESERVED = {
    "click": ("cli",),
    "highspy": ("optimise.highs",),
    "llvmlite": ("powerflow",),
    "matplotlib": ("report.figures", "report.map_figures", "report.region_figures"),
    "numba": ("powerflow",),
    "pandapower": ("network",),
    "pyarrow": ("io",),
    "pyomo": ("optimise.algebraic",),
    "threadpoolctl": ("jobs",),
    "simbench": ("io",),
    "tqdm": ("report.progress",),
}
KERNEL = "from gridclear.powerflow.jit import kernel"
EVERYWHERE = {"numpy", "pandas", "scipy"}
COMPILES = {f"gridclear.powerflow.jit.{name}" for name in ("kernel", "inner", "allocating")}
# The face of the package: these may name every layer.
FACES = ("__init__", "__main__")


def imported_names(path: Path) -> list[tuple[int, str]]:
    """Line and dotted name of every import in a file, those inside functions and type-checking blocks too."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


def broken_rules(root: Path) -> list[str]:
    """Every import under `root` (the folder of the package gridclear) that the table forbids."""
    modules = {module_of(path, root): imported_names(path) for path in sorted(root.rglob("*.py"))}
    kernels = {module for module, names in modules.items() if COMPILES & {name for _, name in names}}
    return [
        f"{module}:{line} imports {name}: {rule}"
        for module, names in modules.items()
        for line, name in names
        if (
            rule := broken_rule(module, name)
            or (broken_kernel_rule(name, kernels) if module in kernels else "")
        )
    ]


def module_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def broken_rule(module: str, name: str) -> str:
    """Say which rule forbids `module` (dotted, below gridclear) to import `name`; "" if none does."""
    if name.startswith("."):
        return "write imports out in full"
    first, *rest = name.split(".")
    if first == "gridclear":
        return "" if module in FACES else broken_order(module.partition(".")[0], rest[0] if rest else "")
    if first in RESERVED:
        homes = RESERVED[first]
        return (
            ""
            if any(module == home or module.startswith(home + ".") for home in homes)
            else f"only {homes} may"
        )
    return "" if first in EVERYWHERE | sys.stdlib_module_names else "not among the libraries of the house"


def broken_order(layer: str, target: str) -> str:
    if layer not in LAYERS:
        return f"'{layer}' has no place in the table"
    if target not in LAYERS:
        # `from gridclear import read_case`: the public face, for the command line only.
        return "" if layer == "cli" else "only the command line goes through the public face"
    return f"{target} stands right of {layer}" if LAYERS.index(target) > LAYERS.index(layer) else ""


def broken_kernel_rule(name: str, kernels: set[str]) -> str:
    """Kernels, which are the files that compile something, stand on arrays and on one another."""
    first, _, rest = name.partition(".")
    if first == "gridclear":
        allowed = kernels | {"powerflow.jit", "powerflow.simd", "powerflow.tiles", "powerflow.arrays"}
        return (
            "" if any(rest.startswith(other + ".") for other in allowed) else "kernels know only one another"
        )
    return "" if first in {"numpy", "numba", "__future__", "typing"} else "kernels know NumPy and numba alone"


def test_every_import_goes_left():
    assert broken_rules(SOURCES) == []


def test_every_module_has_its_place():
    parts = {
        path.stem if path.is_file() else path.name for path in SOURCES.iterdir() if path.name != "__pycache__"
    }
    assert parts - {*LAYERS, *FACES, "py"} == set()


def test_kernels_are_found():
    kernels = [
        path.name for path in SOURCES.rglob("*.py") if COMPILES & {name for _, name in imported_names(path)}
    ]
    assert {"fixed_point.py", "batch.py"} <= set(kernels)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("case/case.py", "from gridclear.network.compile import compile_network"),
        ("case/case.py", "import pandapower"),
        ("io/folder.py", "from gridclear.jobs import flow"),
        ("io/folder.py", "from gridclear import cli"),
        ("jobs/flow.py", "from . import qualify"),
        ("jobs/flow.py", "import click"),
        ("network/compile.py", "def f():\n    from gridclear.powerflow import solve"),
        ("powerflow/solve.py", "from gridclear import power_flow"),
        ("powerflow/fixed_point.py", f"{KERNEL}\nimport pandas as pd"),
        ("powerflow/fixed_point.py", f"{KERNEL}\nfrom gridclear.network.network import Network"),
        ("powerflow/fixed_point.py", f"{KERNEL}\nfrom gridclear.powerflow.solve import solve_batch"),
        ("report/tables.py", "import requests"),
        ("elsewhere.py", "from gridclear.errors import Issue"),
    ],
)
def test_guard_sees_a_wrong_import(tmp_path, file, line):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line + "\n")
    assert len(broken_rules(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("case/case.py", "from gridclear.errors import CaseError"),
        ("cli/lights.py", "from gridclear import read_case"),
        ("network/convert.py", "def f():\n    import pandapower"),
        (
            "powerflow/fixed_point.py",
            f"{KERNEL}\nimport numpy as np\nfrom gridclear.powerflow.simd import LANES",
        ),
        ("powerflow/solve.py", "from gridclear.network.network import Network\nimport pandas as pd"),
    ],
)
def test_guard_allows_a_right_import(tmp_path, file, line):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line + "\n")
    assert broken_rules(tmp_path) == []


def test_help_does_not_wait_for_heavy_libraries():
    code = (
        "import sys\n"
        "from gridclear.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'numba', 'numpy', 'pandas', 'pandapower', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {sorted(heavy)}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Exit codes" in done.stdout


def test_the_package_does_not_load_pandapower():
    code = "import sys, gridclear; sys.exit('pandapower' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
