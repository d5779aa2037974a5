-- Waits for what names a missing column. depends_on: {{ ref('int_metric_mistakes') }}
with

source as (
    select * from {{ ref('metric_events') }}
),

renamed as (
    select
        -- strings
        metric_name,
        clause,
        match_field,
        match_value,
        {{ optimizely_e3.blank_is_null('tag_name') }} as tag_name,
        {{ optimizely_e3.blank_is_null('tag_value') }} as tag_value,

        -- numerics
        -- In other clauses all rows are one part, whatever their position.
        case
            when clause in ('step', 'all_of', 'any_of', 'none_of')
                then cast(try_cast(position as double) as bigint)
            else 1
        end as part,
        coalesce(nullif(cast(try_cast(min_count as double) as bigint), 0), 1) as min_count
    from source
)

select * from renamed
