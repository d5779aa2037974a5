-- Which visitors of an experiment did a metric, when, and in which variation?
--
-- One row per visitor × metric of one experiment, of visitors with something to observe: together
-- they are the numerator in experiment_results. `first_event_at` and `last_event_at` are of the
-- visitor's counted conversions that are events of the metric, whatever its window and its tags; of
-- a funnel, when its first and its last step were reached. NULL for metrics of your own models.
--
-- Vars: `experiment_id` (without it, the experiment with the most visitors), `metric_name`,
-- `variation_id`, `visitor_id` (all without them).
with

experiment as (
    {{ optimizely_e3.experiment_in_question() }}
),

all_observations as (
    select * from {{ ref('fct_metric_observations') }}
),

exposures as (
    select * from {{ ref('int_counted_exposures') }}
),

variations as (
    select * from {{ ref('dim_variations') }}
),

declared_events as (
    select * from {{ ref('stg_registry__metric_events') }}
),

funnel_steps as (
    select * from {{ ref('fct_funnel_steps') }}
),

counted_conversions as (
    {{ optimizely_e3.counted_conversions() }}
),

observations as (
    select all_observations.*
    from all_observations
    inner join experiment on all_observations.experiment_id = experiment.experiment_id
    where
        (all_observations.value <> 0 or all_observations.denominator <> 0)
        and {{ optimizely_e3.is_asked_for('all_observations.metric_name') }}
        and {{ optimizely_e3.is_asked_for('all_observations.variation_id') }}
        and {{ optimizely_e3.is_asked_for('all_observations.visitor_id') }}
),

conversions as (
    select counted_conversions.*
    from counted_conversions
    inner join experiment on counted_conversions.experiment_id = experiment.experiment_id
),

metric_conversions as (
    select
        conversions.visitor_id,
        declared_events.metric_name,
        conversions.occurred_at
    from conversions
    inner join declared_events
        on
            declared_events.match_value = case declared_events.match_field
                when 'event_name' then conversions.event_name
                when 'entity_id' then conversions.entity_id
                else conversions.event_type
            end
    where declared_events.clause not in ('none_of', 'step')
    union all
    select
        funnel_steps.visitor_id,
        funnel_steps.metric_name,
        funnel_steps.reached_at as occurred_at
    from funnel_steps
    inner join experiment on funnel_steps.experiment_id = experiment.experiment_id
    {%- for metric in optimizely_e3.automatic_metrics() %}
    union all
    select
        visitor_id,
        event_key || ': {{ metric.measure }}' as metric_name,
        occurred_at
    from conversions
    {%- endfor %}
),

moments as (
    select
        visitor_id,
        metric_name,
        min(occurred_at) as first_event_at,
        max(occurred_at) as last_event_at
    from metric_conversions
    group by visitor_id, metric_name
),

final as (
    select
        observations.metric_name,
        observations.visitor_id,
        observations.variation_id,
        observations.value,
        exposures.exposed_at,
        moments.first_event_at,
        moments.last_event_at,
        observations.denominator,
        observations.is_mature,
        variations.variation_name,
        observations.experiment_id
    from observations
    inner join exposures
        on
            observations.experiment_id = exposures.experiment_id
            and observations.visitor_id = exposures.visitor_id
    left join variations
        on
            observations.experiment_id = variations.experiment_id
            and observations.variation_id = variations.variation_id
    left join moments
        on
            observations.visitor_id = moments.visitor_id
            and observations.metric_name = moments.metric_name
)

select * from final
order by metric_name, first_event_at nulls last, visitor_id
