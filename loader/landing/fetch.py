"""Brings days into the spool and checks them, some days ahead of the one that is landed."""

from collections.abc import Collection
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from types import TracebackType

from loader import privacy
from loader.errors import ExitCode, LoaderError
from loader.export.layout import Export, ExportDay, ExportFile, ListedDay, SourceChanged
from loader.landing.day import BadDay, FetchedDay, check_day, check_readable
from loader.landing.disk_space import require_space
from loader.landing.spool import empty_spool, spool_path

DAYS_AHEAD = 3
"""How many days are fetched at once: of small days, listing and waiting take the longest."""

SPOOL_BYTES = 2 * 1024**3
"""What the spool may hold; a larger day is fetched when it is the only one."""

DOWNLOADS_AT_ONCE = 16


class Fetcher:
    """Fetches days in order, a few ahead; its threads end with the `with` block."""

    def __init__(
        self,
        export: Export,
        spool: Path,
        skip_bad_files: bool = False,
        settled: privacy.Privacy = privacy.NOTHING,
    ):
        """`skip_bad_files`: bad files are left out of a day, where they else are its end.

        `settled`: whatever is wrong with a file, values of these columns are not quoted.
        """
        self._export = export
        self._spool = spool
        self._skip_bad_files = skip_bad_files
        self._settled = settled
        self._is_given_up = Event()
        self._days = ThreadPoolExecutor(DAYS_AHEAD)
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
        self._days.shutdown()
        self._downloads.shutdown()

    def fetched(self, days: list[ListedDay]) -> FetchedDay:
        """The first of `days`, once it is fetched; those behind it begin to be.

        Raises:
            BadDay: It holds files that cannot be landed.
            SourceChanged: It is not as it was listed.
            LoaderError: The source cannot be read, or the disk is full.
        """
        self._look_ahead(days)
        fetching = self._fetching[days[0]]
        wait([fetching])
        if _is_disk_full(fetching.exception()):
            # Other days may have had the space that this one needs.
            wait(self._fetching.values())
            for day in list(self._fetching):
                self.remove(day)
            self._look_ahead(days[:1])
            fetching = self._fetching[days[0]]
        return fetching.result()

    def remove(self, day: ListedDay) -> None:
        """Removes a day from the spool."""
        del self._fetching[day]
        empty_spool(self._spool, day.unit)

    def _look_ahead(self, days: list[ListedDay]) -> None:
        """Begins with the next days, as many as the spool may hold."""
        byte_count = sum(day.byte_count for day in self._fetching)
        for day in days[:DAYS_AHEAD]:
            if day in self._fetching:
                continue
            if (self._fetching and byte_count + day.byte_count > SPOOL_BYTES) or self._has_failed():
                return
            byte_count += day.byte_count
            self._fetching[day] = self._days.submit(self._fetch, day)

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
