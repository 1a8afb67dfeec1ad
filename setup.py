"""What pyproject.toml cannot say: the wheel holds configs/, which lies beside the package, as idgen/configs."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("base.yaml", "tiny.yaml", "recipes/*.yaml", "bases/*.yaml")
"""The demo's file is not among them: its weights and its manifest are in the repository only."""


class BuildWithConfigs(build_py):
    """Copies them beside the modules, but not for an editable install, which reads them in the checkout."""

    def run(self) -> None:
        """Copy them after the package."""
        super().run()
        for source, target in self._configs().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return the files of the package and these."""
        return [*super().get_outputs(include_bytecode), *self._configs().values()]

    def _configs(self) -> dict[str, str]:
        """Where a file is -> where it goes."""
        if self.editable_mode:
            return {}
        folder, package = Path("configs"), Path(self.build_lib) / "idgen" / "configs"
        files = [path for pattern in SHIPPED for path in sorted(folder.glob(pattern))]
        return {str(path): str(package / path.relative_to(folder)) for path in files}


setup(cmdclass={"build_py": BuildWithConfigs})
