"""Landed rows as Parquet files that engines share, with the ledger beside them.

Below the lake's address, every name is written once and never again:

    commits/<version>.json                           the folder of each table of the ledger
    ledger/<table>/<version>-<token>/                a table of the ledger or of names
    decisions/export_date=<date>/<load>-<token>/     one landed day, sorted by visitor
    conversions/export_date=<date>/<load>-<token>/   the same

A reader takes the commit with the highest version. What no commit names yet, or names no more, is
not part of the lake.
"""
