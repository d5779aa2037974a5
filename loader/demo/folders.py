"""Names of folders and files, as Spark writes them."""

import hashlib
import uuid

HIVE_DEFAULT = "__HIVE_DEFAULT_PARTITION__"
ESCAPED = frozenset("\"#%'*/:=?\\{[]^\x7f") | frozenset(map(chr, range(1, 32)))


def experiment_folder(experiment_id: str | None) -> str:
    """Folder of an experiment's decisions; Spark has one for both NULL and the empty text."""
    return f"experiment={escape(experiment_id) if experiment_id else HIVE_DEFAULT}"


def event_folder(event_name: str | None) -> str:
    """Folder of an event's conversions; the vendor writes NULL as a word."""
    return f"event={'NULL' if event_name is None else escape(event_name)}"


def escape(value: str) -> str:
    """Spark's escaping of a partition value."""
    return "".join(f"%{ord(char):02X}" if char in ESCAPED else char for char in value)


def part_name(number: int, *job: object) -> str:
    """Name of a part file; the same job always has the same name."""
    digest = hashlib.sha256(repr(job).encode()).digest()
    job_id = uuid.UUID(bytes=digest[:16], version=4)
    return f"part-{number:05d}-{job_id}.c000.snappy.parquet"
