{{ config(materialized='table_if_changed') }}

{%- set days = var('cuped_days') %}
{%- set events %}
    select
        *,
        true as is_touched
    from {{ ref('fct_conversions') }}
    where visitor_id is not null and occurred_at is not null and not is_bot
{%- endset %}
{%- set is_before %}
    matching_events.occurred_at < exposures.exposed_at
    and {{ optimizely_e3.microseconds_between(
        'matching_events.occurred_at', 'exposures.exposed_at'
    ) }} <= cast({{ days }} as bigint) * 86400000000
{%- endset %}

with

exposures as (
    select * from {{ ref('int_counted_exposures') }}
    {%- if days == 0 %}
    where false
    {%- endif %}
),

metrics as (
    select *
    from {{ ref('int_metric_definitions') }}
    where metric_type in ('conversion', 'count', 'sum')
),

caps as (
    select * from {{ ref('int_metric_caps') }}
),

parts as (
    select
        metric_events.*,
        metrics.metric_number,
        true as is_changed
    from {{ ref('stg_registry__metric_events') }} as metric_events
    inner join metrics on metric_events.metric_name = metrics.metric_name
),

{{ optimizely_e3.kinds_of_events(events) }},

matching_events as (
    {{ optimizely_e3.matching_events(
        events,
        ['visitor_id', 'event_id', 'occurred_at', 'revenue_cents', 'value', 'quantity'],
    ) }}
),

declared as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        metrics.metric_name,
        case
            when metrics.metric_type = 'conversion'
                then cast(cast(count(*) >= matching_events.min_count as int) as double)
            when metrics.measure = 'events' then cast(count(*) as double)
            when metrics.measure = 'value'
                then coalesce(sum(matching_events.value), cast(0 as double))
            else coalesce(cast(sum(
                case metrics.measure
                    when 'revenue' then cast(matching_events.revenue_cents as decimal(38, 0))
                    else cast(matching_events.quantity as decimal(38, 0))
                end
            ) as double), cast(0 as double))
        end as value
    from exposures
    inner join matching_events
        on exposures.visitor_id = matching_events.visitor_id and {{ is_before }}
    inner join metrics on matching_events.metric_number = metrics.metric_number
    group by
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        metrics.metric_name,
        metrics.metric_type,
        metrics.measure,
        matching_events.min_count
),
{% if var('automatic_metrics') %}
conversions as (
    {{- events }}
),

keyed_conversions as (
    select
        *,
        {{ optimizely_e3.event_key('event_name', 'entity_id') }} as event_key
    from conversions
),

automatic as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        matching_events.event_key,
        count(*) as conversion_count,
        cast(
            coalesce(sum(cast(matching_events.revenue_cents as decimal(38, 0))), 0) as double
        ) as revenue_cents,
        coalesce(sum(matching_events.value), cast(0 as double)) as value
    from exposures
    inner join keyed_conversions as matching_events
        on exposures.visitor_id = matching_events.visitor_id and {{ is_before }}
    where matching_events.event_key is not null
    group by
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        matching_events.event_key
),
{% endif %}
observed as (
    select * from declared
    {%- if var('automatic_metrics') %}
    {%- for metric in optimizely_e3.automatic_metrics() %}
    union all
    select
        experiment_id,
        visitor_id,
        variation_id,
        event_key || ': {{ metric.measure }}' as metric_name,
        cast({{ metric.value | format('') }} as double) as value
    from automatic
    {%- endfor %}
    {%- endif %}
),

final as (
    select
        observed.experiment_id,
        observed.visitor_id,
        observed.variation_id,
        observed.metric_name,
        least(observed.value, coalesce(caps.cap, observed.value)) as value
    from observed
    left join caps
        on
            observed.experiment_id = caps.experiment_id
            and observed.metric_name = caps.metric_name
)

select * from final
