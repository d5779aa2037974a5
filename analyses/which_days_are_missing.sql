-- Which days of the export are not landed, or not as a whole?
--
-- One row per type × date, from the first landed date to the last, that is not in order:
-- `missing` (no landed day: the vendor has none, or `loader pull` was not told to land it),
-- `landed in part` (some experiments, some events, or without a bad file) or `empty` (ready, and
-- without a row). Days before the first and after the last: `loader status`.
--
-- Vars: `export_type` (`decisions` or `events`; both without it).
with

days as (
    select * from {{ source('optimizely_ledger', 'days') }}
),

limits as (
    select
        min(export_date) as first_date,
        {{ optimizely_e3.microseconds_between(
            'cast(min(export_date) as timestamp)', 'cast(max(export_date) as timestamp)'
        ) }} as span_microseconds
    from days
),

numbers as (
    select
        first_date,
        {{ optimizely_e3.each_number_to('cast(span_microseconds / 86400e6 as int) + 1') }} as number
    from limits
),

export_types as (
    select 'decisions' as export_type
    union all
    select 'events' as export_type
),

calendar as (
    select
        export_types.export_type,
        numbers.first_date + cast(numbers.number - 1 as int) as export_date
    from numbers
    cross join export_types
    where {{ optimizely_e3.is_asked_for('export_types.export_type') }}
),

final as (
    select
        calendar.export_date,
        calendar.export_type,
        case
            when days.export_date is null then 'missing'
            when not coalesce(days.is_complete, true) then 'landed in part'
            else 'empty'
        end as problem,
        days.file_count,
        days.row_count,
        days.landed_at
    from calendar
    left join days
        on
            calendar.export_type = days.export_type
            and calendar.export_date = days.export_date
    where
        days.export_date is null
        or not coalesce(days.is_complete, true)
        or days.row_count = 0
)

select * from final
order by export_date, export_type
