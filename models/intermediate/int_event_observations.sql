{{ optimizely_e3.visitor_config() }}

with

conversions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_attributed_conversions')) }}
),

exposures as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_counted_exposures')) }}
),

countable as (
    select
        *,
        {{ optimizely_e3.event_key('event_name', 'entity_id') }} as event_key
    from conversions
    where
        not is_bot
        and attribution_source in ('both', '{{ var("attribution") }}')
        and seconds_since_exposure >= 0
),

final as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        countable.event_key,
        count(*) as conversion_count,
        cast(coalesce(sum(cast(countable.revenue_cents as decimal(38, 0))), 0) as double)
            as revenue_cents,
        coalesce(sum(countable.value), cast(0 as double)) as value
    from exposures
    inner join countable
        on
            exposures.experiment_id = countable.experiment_id
            and exposures.visitor_id = countable.visitor_id
    where countable.event_key is not null
    group by
        exposures.experiment_id, exposures.visitor_id, exposures.variation_id, countable.event_key
)

select * from final
