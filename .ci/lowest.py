"""Print constraints: the lowest version that pyproject.toml allows of each direct dependency."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"].values()
requirements = {*project["dependencies"], *(each for extra in extras for each in extra)}
bounds = (re.match(r"([\w-]+)(?:\[[^]]*])?>=([\d.]+)", each) for each in sorted(requirements))
sys.stdout.writelines(f"{bound[1]}=={bound[2]}\n" for bound in bounds if bound)
