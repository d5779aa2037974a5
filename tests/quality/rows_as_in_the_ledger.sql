-- The staging tables hold of each day as many rows as the ledger says. Returns the days that do
-- not.
with

days as (
    select
        export_type,
        export_date,
        row_count
    from {{ ref('export_days') }}
    where is_landed
),

landed as (
    select
        'decisions' as export_type,
        _export_date as export_date,
        count(*) as row_count
    from {{ ref('stg_optimizely__decisions') }}
    group by _export_date
    union all
    select
        'events' as export_type,
        _export_date as export_date,
        count(*) as row_count
    from {{ ref('stg_optimizely__conversions') }}
    group by _export_date
)

select
    days.row_count as rows_in_the_ledger,
    landed.row_count as landed_rows,
    coalesce(days.export_type, landed.export_type) as export_type,
    coalesce(days.export_date, landed.export_date) as export_date
from days
full outer join landed
    on days.export_type = landed.export_type and days.export_date = landed.export_date
where
    days.export_date is null
    or days.row_count <> coalesce(landed.row_count, 0)
