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

days as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        countable.event_key,
        cast(exposures.exposed_at as date) as exposed_on,
        cast(countable.occurred_at as date) as observed_on,
        count(*) as conversion_count,
        sum(cast(countable.revenue_cents as decimal(38, 0))) as revenue_cents,
        sum(countable.value) as value
    from exposures
    inner join countable
        on
            exposures.experiment_id = countable.experiment_id
            and exposures.visitor_id = countable.visitor_id
    where countable.event_key is not null
    group by
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        countable.event_key,
        cast(exposures.exposed_at as date),
        cast(countable.occurred_at as date)
),

final as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        event_key,
        {%- for prefix, frame in [('', 'by_day'), ('previous_', 'before_day')] %}
        cast(coalesce(sum(conversion_count) over {{ frame }}, 0) as bigint)
            as {{ prefix }}conversion_count,
        cast(coalesce(sum(revenue_cents) over {{ frame }}, 0) as double)
            as {{ prefix }}revenue_cents,
        coalesce(sum(value) over {{ frame }}, cast(0 as double)) as {{ prefix }}value,
        {%- endfor %}
        lead(observed_on) over by_day is null as is_latest,
        exposed_on,
        observed_on
    from days
    {{ optimizely_e3.windows_by_day(['experiment_id', 'visitor_id', 'event_key']) }}
)

select * from final
