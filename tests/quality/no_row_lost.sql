-- Every landed row is in the facts once, or repeats an earlier one. Returns the tables where rows
-- are missing.
with

landed as (
    select
        'decisions' as table_name,
        count(*) as row_count
    from (
        select distinct
            visitor_id,
            event_id
        from {{ ref('stg_optimizely__decisions') }}
    ) as events
    union all
    select
        'conversions' as table_name,
        count(*) as row_count
    from (
        select distinct
            visitor_id,
            event_id
        from {{ ref('stg_optimizely__conversions') }}
    ) as events
),

kept as (
    select
        'decisions' as table_name,
        count(*) as row_count
    from {{ ref('fct_decisions') }}
    union all
    select
        'conversions' as table_name,
        count(*) as row_count
    from {{ ref('fct_conversions') }}
)

select
    landed.table_name,
    landed.row_count as landed_events,
    kept.row_count as kept_events
from landed
inner join kept on landed.table_name = kept.table_name
where landed.row_count <> kept.row_count
