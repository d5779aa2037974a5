"""Brings days into the spool and checks them, some days ahead of the one that is landed."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from threading import Event
from types import TracebackType

from loader import privacy
from loader.errors import ExitCode, LoaderError
from loader.export.layout import Export, ExportDay, ExportFile, ListedDay, SourceChanged
from loader.landing.day import BadDay, FetchedDay, check_day, check_readable
from loader.landing.disk_space import require_space
from loader.landing.spool import empty_spool, spool_path

FETCHES_AT_ONCE = 3
"""How many days are fetched at once: of small days, listing and waiting take the longest."""

DAYS_AHEAD = 32
"""How many days the spool may hold, and thus how many may be landed together."""

SPOOL_BYTES = 2 * 1024**3
"""What the spool may hold; a larger day is fetched when it is the only one."""

DOWNLOADS_AT_ONCE = 16

BATCH_ROWS = 1_000_000
"""Days are landed together up to about so many rows.

A day smaller than DuckDB's row group is copied through the write-ahead log and into the last row
group, which each checkpoint then compresses anew: many small days cost a multiple of one large one.
"""

Outcome = FetchedDay | BadDay | SourceChanged
"""What became of a day: it is here, it is bad, or it is not as it was listed."""


class Fetcher:
    """Fetches days in order, some ahead; its threads end with the `with` block.

    To iterate over it gives the days in batches, which are to be landed before the next one is
    asked for: a day, and those behind it that are fetched already. It raises LoaderError where the
    source cannot be read or the disk is full.
    """

    def __init__(
        self,
        export: Export,
        spool: Path,
        days: Iterable[ListedDay],
        skip_bad_files: bool = False,
        settled: privacy.Privacy = privacy.NOTHING,
    ):
        """`skip_bad_files`: bad files are left out of a day, where they else are its end.

        `settled`: whatever is wrong with a file, values of these columns are not quoted.
        """
        self._export = export
        self._spool = spool
        self._waiting = deque(days)
        self._skip_bad_files = skip_bad_files
        self._settled = settled
        self._is_given_up = Event()
        self._days = ThreadPoolExecutor(FETCHES_AT_ONCE)
        self._downloads = ThreadPoolExecutor(DOWNLOADS_AT_ONCE)
        self._fetching: dict[ListedDay, Future[FetchedDay]] = {}

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._is_given_up.set()
        self._days.shutdown(cancel_futures=True)
        self._downloads.shutdown()

    def __iter__(self) -> Iterator[dict[ListedDay, Outcome]]:
        while self._waiting:
            self._look_ahead()
            first = self._first()
            batch = {self._waiting.popleft(): first}
            row_count = first.row_count if isinstance(first, FetchedDay) else 0
            while row_count < BATCH_ROWS and self._waiting and self._is_here(self._waiting[0]):
                day = self._waiting.popleft()
                fetched = self._fetching[day].result()
                row_count += fetched.row_count
                batch[day] = fetched
            self._look_ahead()
            yield batch
            for day in batch:
                self._remove(day)

    @property
    def is_done(self) -> bool:
        """Whether the last batch was given."""
        return not self._waiting

    def _first(self) -> Outcome:
        """Waits for the first day."""
        day = self._waiting[0]
        wait([self._fetching[day]])
        if _is_disk_full(self._fetching[day].exception()):
            # Other days may have had the space that this one needs.
            wait(self._fetching.values())
            for other in list(self._fetching):
                self._remove(other)
            self._begin(day)
        try:
            return self._fetching[day].result()
        except (BadDay, SourceChanged) as outcome:
            return outcome

    def _is_here(self, day: ListedDay) -> bool:
        """Whether a day is fetched, and nothing is wrong with it."""
        fetching = self._fetching.get(day)
        return fetching is not None and fetching.done() and fetching.exception() is None

    def _look_ahead(self) -> None:
        """Begins with the next days, as many as the spool may hold."""
        byte_count = sum(day.byte_count for day in self._fetching)
        for day in islice(self._waiting, DAYS_AHEAD):
            if day in self._fetching:
                continue
            if (self._fetching and byte_count + day.byte_count > SPOOL_BYTES) or self._has_failed():
                return
            byte_count += day.byte_count
            self._begin(day)

    def _begin(self, day: ListedDay) -> None:
        self._fetching[day] = self._days.submit(self._fetch, day)

    def _remove(self, day: ListedDay) -> None:
        del self._fetching[day]
        empty_spool(self._spool, day.unit)

    def _has_failed(self) -> bool:
        """Whether a day ended in an error that ends the pull."""
        return any(
            fetching.done() and not isinstance(fetching.exception(), BadDay | SourceChanged | None)
            for fetching in self._fetching.values()
        )

    def _fetch(self, listed: ListedDay) -> FetchedDay:
        """Lists the day again, for it may have waited long, fetches it, and lists it once more."""
        name = f"{listed.export_type} of {listed.export_date}"
        require_space(self._spool, listed.byte_count, name)
        day = self._export.day(*listed.unit, listed.selection)
        if not day.is_ready:
            raise SourceChanged(f"{name} is not ready any more: run the pull again")
        paths: dict[ExportFile, Path] = {}
        if not self._skip_bad_files and (suspects := listed.suspects.intersection(day.files)):
            # One bad file keeps its whole day from landing: it is looked at before the others.
            paths = self._download(day, suspects)
            check_readable(check_day(day.only(suspects), paths), self._settled)
        paths |= self._download(day, [file for file in day.files if file not in paths])
        fetched = check_day(day, paths, skip_bad_files=self._skip_bad_files)
        if self._export.day(*listed.unit, listed.selection) != day:
            raise SourceChanged(f"{name} was rewritten while it was downloaded: run the pull again")
        return fetched

    def _download(self, day: ExportDay, files: Collection[ExportFile]) -> dict[ExportFile, Path]:
        """Downloads files into the spool; the first failure keeps the others from beginning."""
        paths = {file: spool_path(self._spool, day.unit, file) for file in files}
        has_failed = Event()

        def download(file: ExportFile, path: Path) -> None:
            if self._is_given_up.is_set() or has_failed.is_set():
                return
            try:
                self._export.download(file, path)
            except BaseException:
                has_failed.set()  # at once: whoever waits for the results may be far behind
                raise

        downloads = [self._downloads.submit(download, *pair) for pair in paths.items()]
        wait(downloads)  # all of them: none writes into the spool after its day is given up
        for done in downloads:
            done.result()
        if self._is_given_up.is_set():
            raise CancelledError
        return paths


def _is_disk_full(error: BaseException | None) -> bool:
    return isinstance(error, LoaderError) and error.exit_code == ExitCode.NO_DISK_SPACE
