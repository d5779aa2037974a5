-- Waits for what names a missing column. depends_on: {{ ref('int_metric_mistakes') }}
with

source as (
    select * from {{ ref('metrics') }}
),

renamed as (
    select
        -- strings
        metric_name,
        {{ optimizely_e3.blank_is_null('metric_type') }} as metric_type,
        coalesce({{ optimizely_e3.blank_is_null('value') }}, 'events') as measure,
        coalesce({{ optimizely_e3.blank_is_null('within_from') }}, 'first_step') as within_from,
        coalesce({{ optimizely_e3.blank_is_null('scope') }}, 'visitor') as scope,
        coalesce({{ optimizely_e3.blank_is_null('direction') }}, 'increase') as direction,
        coalesce({{ optimizely_e3.blank_is_null('role') }}, 'secondary') as role,
        {{ optimizely_e3.blank_is_null('description') }} as description,

        -- numerics
        {{ optimizely_e3.declared_microseconds('window_hours', 3600) }} as window_microseconds,
        {{ optimizely_e3.declared_microseconds('within_seconds', 1) }} as within_microseconds,
        -- Not a double: 0.55 of 100 observations are 55.
        nullif(try_cast(cap_quantile as decimal(12, 10)), 0) as cap_quantile,
        nullif(try_cast(non_inferiority_margin as double), 0) as non_inferiority_margin
    from source
)

select * from renamed
