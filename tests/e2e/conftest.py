"""One Ray cluster for all submitted jobs."""

from collections.abc import Iterator

import pytest

from tests.submissions import Cluster, job_cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with job_cluster(tmp_path_factory.mktemp("head")) as started:
        yield started
