-- depends_on: {{ ref('int_event_observations') }}
{%- set outside = var('observation_models') %}

with

caps as (
    select * from {{ ref('int_metric_caps') }}
),

funnels as (
    select *
    from {{ ref('int_metric_definitions') }}
    where metric_type = 'funnel'
),

funnel_steps as (
    select * from {{ ref('fct_funnel_steps') }}
),

-- Who did not get through has 0, as has everybody without an observation.
completions as (
    select
        funnel_steps.experiment_id,
        funnel_steps.visitor_id,
        funnel_steps.variation_id,
        funnel_steps.metric_name,
        cast(1 as double) as value,
        cast(funnel_steps.exposed_at as date) as exposed_on,
        cast(funnel_steps.reached_at as date) as observed_on
    from funnel_steps
    inner join funnels
        on
            funnel_steps.metric_name = funnels.metric_name
            and funnel_steps.step = funnels.step_count
),

declared as (
    select * from {{ ref('int_declared_observations') }}
),

{%- if var('automatic_metrics') %}

automatic as (
    select * from {{ ref('int_event_observations') }}
),

{%- endif %}

observed as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        metric_name,
        'declared' as metric_origin,
        value,
        previous_value,
        denominator,
        previous_denominator,
        conversion_count,
        is_latest,
        exposed_on,
        observed_on
    from declared
    union all
    select
        experiment_id,
        visitor_id,
        variation_id,
        metric_name,
        'declared' as metric_origin,
        value,
        cast(0 as double) as previous_value,
        cast(null as double) as denominator,
        cast(null as double) as previous_denominator,
        cast(null as bigint) as conversion_count,
        true as is_latest,
        exposed_on,
        observed_on
    from completions
    {%- for model in outside %}
    union all
    select
        observations.experiment_id,
        observations.visitor_id,
        exposures.variation_id,
        observations.metric_name,
        'outside' as metric_origin,
        cast(observations.value as double) as value,
        cast(0 as double) as previous_value,
        cast(observations.denominator as double) as denominator,
        case when observations.denominator is not null then cast(0 as double) end
            as previous_denominator,
        cast(null as bigint) as conversion_count,
        true as is_latest,
        cast(exposures.exposed_at as date) as exposed_on,
        cast(null as date) as observed_on
    from {{ ref(model) }} as observations
    inner join {{ ref('int_counted_exposures') }} as exposures
        on
            observations.experiment_id = exposures.experiment_id
            and observations.visitor_id = exposures.visitor_id
    {%- endfor %}
    {%- if var('automatic_metrics') %}
    {%- for metric in optimizely_e3.automatic_metrics() %}
    union all
    select
        experiment_id,
        visitor_id,
        variation_id,
        event_key || ': {{ metric.measure }}' as metric_name,
        'automatic' as metric_origin,
        cast({{ metric.value | format('') }} as double) as value,
        cast({{ metric.value | format('previous_') }} as double) as previous_value,
        cast(null as double) as denominator,
        cast(null as double) as previous_denominator,
        conversion_count,
        is_latest,
        exposed_on,
        observed_on
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
        observed.metric_origin,
        observed.value as uncapped_value,
        least(observed.value, coalesce(caps.cap, observed.value)) as value,
        least(observed.previous_value, coalesce(caps.cap, observed.previous_value))
            as previous_value,
        observed.denominator,
        observed.previous_denominator,
        observed.conversion_count,
        observed.is_latest,
        observed.exposed_on,
        observed.observed_on
    from observed
    left join caps
        on
            observed.experiment_id = caps.experiment_id
            and observed.metric_name = caps.metric_name
)

select * from final
