-- Waits for the declarations, as every mart does. depends_on: {{ ref('int_metric_definitions') }}
{%- set dates = optimizely_e3.dates_between('first_date', 'last_date') %}

with

landed_days as (
    select * from {{ source('optimizely_ledger', 'days') }}
),

loads as (
    select * from {{ source('optimizely_ledger', 'loads') }}
),

quarantined_files as (
    select * from {{ source('optimizely_ledger', 'quarantined_files') }}
),

decisions as (
    select * from {{ ref('stg_optimizely__decisions') }}
),

conversions as (
    select * from {{ ref('stg_optimizely__conversions') }}
),

exported_rows as (
    select
        'decisions' as export_type,
        _export_date as export_date,
        occurred_at,
        processed_at
    from decisions
    union all
    select
        'events' as export_type,
        _export_date as export_date,
        occurred_at,
        processed_at
    from conversions
),

received as (
    select
        export_type,
        export_date,
        cast(count_if(cast(occurred_at as date) < export_date) as bigint) as late_row_count,
        max({{ optimizely_e3.seconds_between('occurred_at', 'processed_at') }})
            as longest_delay_seconds,
        min(processed_at) as first_processed_at,
        max(processed_at) as last_processed_at
    from exported_rows
    group by export_type, export_date
),

landings as (
    select
        export_type,
        export_date,
        cast(count_if(reason not in ('pruned', 'forgotten')) as bigint) as landing_count,
        max_by(reason, load_id) = 'pruned' as is_pruned
    from loads
    group by export_type, export_date
),

quarantined as (
    select
        export_type,
        export_date,
        count(*) as quarantined_file_count
    from quarantined_files
    group by export_type, export_date
),

known_days as (
    select
        export_type,
        export_date
    from landings
    union all
    select
        export_type,
        export_date
    from quarantined
),

known_range as (
    select
        min(export_date) as first_date,
        max(export_date) as last_date
    from known_days
),

export_types as (
    select 'decisions' as export_type
    union all
    select 'events' as export_type
),

all_dates as (
    select {{ optimizely_e3.each_element(dates) }} as export_date
    from known_range
),

all_days as (
    select
        export_types.export_type,
        all_dates.export_date
    from export_types
    cross join all_dates
),

-- A gap is told by the days around it, and those that were pruned since were landed too.
landed_ranges as (
    select
        landings.export_type,
        min(landings.export_date) as first_date,
        max(landings.export_date) as last_date,
        max(case when coalesce(landed_days.is_complete, true) then landed_days.export_date end)
            as latest_complete_date
    from landings
    left join landed_days
        on
            landings.export_type = landed_days.export_type
            and landings.export_date = landed_days.export_date
    group by landings.export_type
),

final as (
    select
        all_days.export_type,
        all_days.export_date,
        landed_days.row_count,
        landed_days.file_count,
        landed_days.byte_count,
        case when landed_days.export_date is not null then coalesce(received.late_row_count, 0) end
            as late_row_count,
        received.longest_delay_seconds,
        coalesce(landings.landing_count, 0) as landing_count,
        coalesce(quarantined.quarantined_file_count, 0) as quarantined_file_count,
        {{ optimizely_e3.seconds_between(
            "cast(all_days.export_date as timestamp) + interval '24' hour",
            'landed_days.landed_at'
        ) }} / cast(3600 as double) as landed_after_hours,
        landings.export_date is not null or quarantined.export_date is not null as is_ready,
        landed_days.export_date is not null as is_landed,
        landed_days.export_date is not null and coalesce(landed_days.is_complete, true)
            as is_complete,
        coalesce(landings.is_pruned, false) as is_pruned,
        landings.export_date is null
        and coalesce(
            all_days.export_date between landed_ranges.first_date and landed_ranges.last_date, false
        ) as is_missing,
        coalesce(all_days.export_date = landed_ranges.latest_complete_date, false)
            as is_latest_complete,
        received.first_processed_at,
        received.last_processed_at,
        landed_days.landed_at
    from all_days
    left join landed_days
        on
            all_days.export_type = landed_days.export_type
            and all_days.export_date = landed_days.export_date
    left join landings
        on
            all_days.export_type = landings.export_type
            and all_days.export_date = landings.export_date
    left join quarantined
        on
            all_days.export_type = quarantined.export_type
            and all_days.export_date = quarantined.export_date
    left join received
        on
            all_days.export_type = received.export_type
            and all_days.export_date = received.export_date
    left join landed_ranges on all_days.export_type = landed_ranges.export_type
)

select * from final
