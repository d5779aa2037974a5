"""The command `dbt`, as a file that Spark can run."""

from dbt.cli.main import cli

cli()
