-- The first step of a funnel, which is one event, is reached by those who converted by that event,
-- counted another way. Returns the experiments × funnels × variations where it is not.
with

first_steps as (
    select
        definitions.metric_name,
        min(metric_events.match_value) as event_name
    from {{ ref('stg_registry__metric_events') }} as metric_events
    inner join {{ ref('int_metric_definitions') }} as definitions
        on metric_events.metric_name = definitions.metric_name
    where
        metric_events.clause = 'step'
        and metric_events.part = 1
        and definitions.window_microseconds is null
        and (definitions.within_microseconds is null or definitions.within_from = 'first_step')
    group by definitions.metric_name
    having
        count(*) = 1
        and min(metric_events.match_field) = 'event_name'
        and count(metric_events.tag_name) = 0
),

converted as (
    select
        exposures.experiment_id,
        first_steps.metric_name,
        exposures.variation_id,
        count(distinct exposures.visitor_id) as visitors
    from {{ ref('fct_attributed_conversions') }} as conversions
    inner join first_steps on conversions.event_name = first_steps.event_name
    inner join {{ ref('int_counted_exposures') }} as exposures
        on
            conversions.experiment_id = exposures.experiment_id
            and conversions.visitor_id = exposures.visitor_id
    where
        not conversions.is_bot
        and conversions.attribution_source in ('both', '{{ var("attribution") }}')
        and conversions.seconds_since_exposure >= 0
    group by exposures.experiment_id, first_steps.metric_name, exposures.variation_id
),

reached as (
    select
        report.experiment_id,
        report.metric_name,
        report.variation_id,
        report.visitors
    from {{ ref('funnel_report') }} as report
    inner join first_steps on report.metric_name = first_steps.metric_name
    where report.step = 1 and report.visitors > 0
)

select
    coalesce(converted.experiment_id, reached.experiment_id) as experiment_id,
    coalesce(converted.metric_name, reached.metric_name) as metric_name,
    coalesce(converted.variation_id, reached.variation_id) as variation_id,
    converted.visitors as converted_visitors,
    reached.visitors as reached_visitors
from converted
full outer join reached
    on
        converted.experiment_id = reached.experiment_id
        and converted.metric_name = reached.metric_name
        and converted.variation_id = reached.variation_id
where converted.visitors is distinct from reached.visitors
