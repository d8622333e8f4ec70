"""cluster.yaml against the schema and the checks of `ray up`; nothing is started."""

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
START_COMMANDS = ("head_start_ray_commands", "worker_start_ray_commands")


def as_ray_up_sees_it(config: dict[str, Any]) -> dict[str, Any]:
    """Defaults of the provider filled in, then validated, as `ray up` does before it calls the cloud."""
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def test_ray_accepts_the_file_without_being_started() -> None:
    prepared = as_ray_up_sees_it(CONFIG)
    assert set(prepared["available_node_types"]) == {"head", "cpu", "gpu"}
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"max_worker": 3}, jsonschema.ValidationError),
        ({"max_workers": "many"}, jsonschema.ValidationError),
        ({"head_node_type": "absent"}, ValueError),
        ({"setup_commands": [{"run": "true"}]}, jsonschema.ValidationError),
    ],
)
def test_the_check_notices_a_broken_file(change: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        as_ray_up_sees_it(CONFIG | change)


def test_there_is_a_cpu_head_and_both_worker_groups_scale_from_zero() -> None:
    nodes = CONFIG["available_node_types"]
    assert "GPU" not in nodes[CONFIG["head_node_type"]]["resources"]
    assert "GPU" not in nodes["cpu"]["resources"]
    assert nodes["gpu"]["resources"]["GPU"] > 0
    for name in ("cpu", "gpu"):
        assert nodes[name]["min_workers"] == 0 < nodes[name]["max_workers"]
    assert CONFIG["max_workers"] == sum(nodes[name]["max_workers"] for name in ("cpu", "gpu"))
    assert all("ImageId" in node["node_config"] for node in nodes.values()), "Ray's default image cannot run torch"


@pytest.mark.parametrize("start", START_COMMANDS)
def test_every_node_starts_with_token_auth_storage_tracking_and_metrics(start: str) -> None:
    command = CONFIG[start][-1]
    for wanted in (
        "RAY_AUTH_MODE=token",
        "RAY_JOB_STOP_WAIT_TIME_S=",
        "GENOMICS_FM_STORAGE=/mnt/genomics-fm/",
        "GENOMICS_FM_TRACKING=http://",
        "--metrics-export-port=8080",
    ):
        assert wanted in command
    assert "~/.ray/auth_token" in CONFIG["file_mounts"]


def test_the_dashboard_is_not_open_to_the_network() -> None:
    assert "--dashboard-host=127.0.0.1" in CONFIG["head_start_ray_commands"][-1]


def test_mlflow_has_a_server_database_and_runs_no_jobs_of_its_own() -> None:
    (server,) = [command for command in CONFIG["head_setup_commands"] if "/mlflow" in command and " server " in command]
    assert '--backend-store-uri "postgresql://' in server
    assert "--artifacts-destination /mnt/genomics-fm/" in server
    assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false" in server


def test_installed_packages_are_pinned_and_mounted_files_exist() -> None:
    for command in CONFIG["setup_commands"] + CONFIG["head_setup_commands"]:
        if "pip install" in command and "-c ~/genomics-fm/constraints.txt" not in command:
            names = re.findall(
                r"(?<=\s)[a-z][\w-]*(?:==\S+)?(?=\s|$)", command.split("pip install", 1)[1].split("&&")[0]
            )
            assert names
            assert all("==" in name for name in names), command
    for local in CONFIG["file_mounts"].values():
        assert local.startswith("~") or (ROOT / local).exists()


def test_every_place_to_fill_in_is_named_in_the_docs() -> None:
    places = set(re.findall(r"[\w-]*REPLACE[\w.-]*", "\n".join(map(str, CONFIG.values()))))
    docs = (ROOT / "docs" / "cluster.md").read_text()
    assert places
    assert all(place.split(".efs")[0] in docs for place in places), places
