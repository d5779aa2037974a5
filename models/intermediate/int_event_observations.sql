{{ optimizely_e3.visitor_config() }}

with

conversions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_attributed_conversions')) }}
),

-- What is counted is sorted and joined by numbers, which is far faster than by names.
exposures as (
    select
        *,
        {{ optimizely_e3.row_key(['experiment_id', 'visitor_id']) }} as exposure_key
    from ({{ optimizely_e3.rows_to_rebuild(ref('int_counted_exposures')) }}) as rebuilt
),

countable as (
    select
        *,
        {{ optimizely_e3.event_key('event_name', 'entity_id') }} as event_key
    from conversions
    where
        {{ optimizely_e3.is_counted('conversions') }}
),

days as (
    select
        exposures.exposure_key,
        countable.event_key,
        cast(countable.occurred_at as date) as observed_on,
        count(*) as conversion_count,
        coalesce(sum(cast(countable.revenue_cents as decimal(38, 0))), 0) as revenue_cents,
        sum(countable.value) as value
    from countable
    inner join exposures
        on
            countable.experiment_id = exposures.experiment_id
            and countable.visitor_id = exposures.visitor_id
    where countable.event_key is not null
    group by
        exposures.exposure_key, countable.event_key, cast(countable.occurred_at as date)
),

observed as (
    select
        exposure_key,
        event_key,
        observed_on,
        conversion_count as added_conversion_count,
        revenue_cents as added_revenue_cents,
        sum(conversion_count) over by_day as conversion_count,
        sum(revenue_cents) over by_day as revenue_cents,
        coalesce(sum(value) over by_day, cast(0 as double)) as value,
        -- Not the difference to what the day adds: that of doubles is rounded.
        coalesce(sum(value) over before_day, cast(0 as double)) as previous_value,
        lead(observed_on) over by_day is null as is_latest
    from days
    {{ optimizely_e3.windows_by_day(['exposure_key', 'event_key']) }}
),

final as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        observed.event_key,
        cast(observed.conversion_count as bigint) as conversion_count,
        cast(observed.revenue_cents as double) as revenue_cents,
        observed.value,
        cast(observed.conversion_count - observed.added_conversion_count as bigint)
            as previous_conversion_count,
        cast(observed.revenue_cents - observed.added_revenue_cents as double)
            as previous_revenue_cents,
        observed.previous_value,
        observed.is_latest,
        cast(exposures.exposed_at as date) as exposed_on,
        observed.observed_on
    from observed
    inner join exposures on observed.exposure_key = exposures.exposure_key
)

select * from final
