"""The whole project on a cluster: a master, two workers, and a Thrift server that dbt speaks to."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.measure import dbt_command
from loader.demo import write_export
from loader.landing.warehouse import open_warehouse
from tests.models.project import LAKE, ROOT, Project, fill_lake
from tests.spark.comparison import differences, spark_table
from tests.spark.session import what_is_missing, with_zone

MARTS = [path.stem for path in sorted((ROOT / "models" / "marts").rglob("*.sql"))]
VIEWS = {"fct_metric_observations"}
HOST = "127.0.0.1"

pytestmark = [
    pytest.mark.skipif(
        "PYTEST_XDIST_WORKER" in os.environ, reason="with the rest of Spark's tests"
    ),
    pytest.mark.skipif(what_is_missing() is not None, reason=what_is_missing() or ""),
]


def free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def thrift_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where the Thrift server listens; everything ends with the module."""
    import pyspark

    folder = tmp_path_factory.mktemp("cluster")
    home = Path(pyspark.__file__).parent
    environment = os.environ | {"SPARK_LOCAL_IP": HOST, "SPARK_NO_DAEMONIZE": "1"}
    master, thrift = free_port(), free_port()
    deploy = [str(home / "bin" / "spark-class"), "org.apache.spark.deploy"]
    settings = {
        "spark.sql.warehouse.dir": folder / "tables",
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={folder / 'metastore'};create=true"
        ),
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
        "spark.executor.memory": "1g",
        "spark.sql.shuffle.partitions": "4",
        "spark.ui.enabled": "false",
    }
    submit = [str(home / "bin" / "spark-submit"), "--master", f"spark://{HOST}:{master}"]
    submit += ["--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"]
    submit += [text for pair in settings.items() for text in ("--conf", f"{pair[0]}={pair[1]}")]
    submit += ["spark-internal", "--hiveconf", f"hive.server2.thrift.port={thrift}"]
    submit += ["--hiveconf", f"hive.server2.thrift.bind.host={HOST}"]
    worker = [deploy[0], f"{deploy[1]}.worker.Worker", "--cores", "1", "--memory", "1g"]
    commands = [
        [
            *(deploy[0], f"{deploy[1]}.master.Master", "--host", HOST, "--port", str(master)),
            *("--webui-port", str(free_port())),
        ],
        *(
            [
                *(*worker, "--work-dir", str(folder / name), "--webui-port", str(free_port())),
                f"spark://{HOST}:{master}",
            ]
            for name in ("one", "two")
        ),
        submit,
    ]
    with ExitStack() as stack:
        for number, command in enumerate(commands):
            log = stack.enter_context((folder / f"{number}.log").open("wb"))
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        deadline = time.monotonic() + 600  # beside other work it has taken more than two minutes
        while True:
            try:
                socket.create_connection((HOST, thrift), timeout=1).close()
                break
            except OSError:
                runs = process.poll() is None and time.monotonic() < deadline
                assert runs, (folder / "3.log").read_text()
                time.sleep(0.5)
        yield thrift


def test_every_mart_is_the_same(thrift_port: int, tmp_path: Path) -> None:
    project, lake = Project(tmp_path), tmp_path / "lake"
    write_export(tmp_path / "export", days=4, visitors=120, events=1_500)
    fill_lake(lake, tmp_path / "export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LAKE, str(lake))
        project.build()
    done = subprocess.run(
        dbt_command(
            *("build", "--resource-type=seed", "--resource-type=model", "--target=thrift"),
            project=ROOT,
            profiles=ROOT / "tests" / "profiles",
            work=tmp_path / "dbt",
        ),
        env=os.environ
        | {LAKE: str(lake), "OPTIMIZELY_E3_SPARK_PORT": str(thrift_port)}
        | {"OPTIMIZELY_E3_SPARK_SCHEMA": "thrift"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [database] = tmp_path.parent.rglob("tables/thrift.db")
    for mart in MARTS:
        if mart not in VIEWS:
            with open_warehouse(project.warehouse, read_only=True) as connection:
                rows, on_spark = (
                    with_zone(connection.sql(f"from {table}").to_arrow_table())
                    for table in (f"main.{mart}", spark_table(database / mart))
                )
            assert differences(rows, on_spark) == [], mart
