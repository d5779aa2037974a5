-- Which days of the export are not landed, or not as a whole?
--
-- One row per type × date, from the type's first landed date to its last, that is not in order:
-- `missing` (no landed day: the vendor has none, or `loader pull` was not told to land it),
-- `landed in part` (some experiments, some events, or without a bad file) or `empty` (ready, and
-- without a row). Days before the first and after the last: `loader status`.
--
-- Vars: `export_type` (`decisions` or `events`; both without it).
with

days as (
    select * from {{ ref('export_days') }}
),

final as (
    select
        export_date,
        export_type,
        case
            when is_missing then 'missing'
            when not is_complete then 'landed in part'
            else 'empty'
        end as problem,
        file_count,
        row_count,
        landed_at
    from days
    where
        {{ optimizely_e3.is_asked_for('export_type') }}
        and (is_missing or (is_landed and (not is_complete or row_count = 0)))
)

select * from final
order by export_date, export_type
