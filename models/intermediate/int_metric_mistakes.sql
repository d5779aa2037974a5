-- depends_on: {{ ref('metrics') }}, {{ ref('metric_events') }}
{{ config(pre_hook="{{ optimizely_e3.stop_at_missing_columns() }}") }}

{%- set longest = optimizely_e3.longest_funnel() %}

with

metrics as (
    select
        {{ optimizely_e3.text_columns(optimizely_e3.metric_columns()) }}
    from {{ ref('metrics') }}
),

metric_events as (
    select
        {{ optimizely_e3.text_columns(optimizely_e3.metric_event_columns()) }}
    from {{ ref('metric_events') }}
),

-- A name that stands twice must not make each of its events stand twice.
declared as (
    select
        metric_name,
        max(metric_type) as metric_type
    from metrics
    where metric_name is not null
    group by metric_name
),

typed_events as (
    select
        metric_events.*,
        declared.metric_type,
        declared.metric_name is not null as is_declared,
        try_cast(metric_events.position as double) as position_number,
        coalesce(try_cast(metric_events.min_count as double), 0) as count_number
    from metric_events
    left join declared on metric_events.metric_name = declared.metric_name
),

clause_counts as (
    select
        declared.metric_name,
        declared.metric_type,
        count(typed_events.metric_name) as row_count,
        count(case when typed_events.clause = 'numerator' then 1 end) as numerator_count,
        count(case when typed_events.clause = 'denominator' then 1 end) as denominator_count,
        count(case when typed_events.clause in ('all_of', 'any_of') then 1 end) as required_count
    from declared
    left join typed_events on declared.metric_name = typed_events.metric_name
    group by declared.metric_name, declared.metric_type
),

steps as (
    select distinct
        metric_name,
        cast(position_number as bigint) as step
    from typed_events
    where
        metric_type = 'funnel'
        and clause = 'step'
        and position_number between 1 and 1e6
        and position_number = floor(position_number)
),

ordered_steps as (
    select
        metric_name,
        step,
        lag(step) over (partition by metric_name order by step) as previous_step
    from steps
),

last_steps as (
    select
        metric_name,
        max(step) as last_step
    from steps
    group by metric_name
),

needed_counts as (
    select distinct
        metric_name,
        clause,
        case
            when clause = 'event' then ''
            when position_number between 1 and 1e6
                then ' ' || cast(cast(position_number as bigint) as string)
            else ' ' || position
        end as place,
        case when count_number = 0 then 1 else count_number end as needed_count
    from typed_events
    where metric_type in ('conversion', 'retention', 'compound')
),

primaries as (
    select metric_name
    from metrics
    where role = 'primary'
),

-- All rules of a row at once: a select for each of them would be dozens to plan.
broken_rules as (
    select
        'metrics.csv' as seed,
        metric_name,
        {{ optimizely_e3.each_element(
            optimizely_e3.list_of(optimizely_e3.broken_rules(optimizely_e3.rules_of_metrics()))
        ) }} as mistake
    from metrics
    union all
    select
        'metric_events.csv' as seed,
        metric_name,
        {{ optimizely_e3.each_element(
            optimizely_e3.list_of(
                optimizely_e3.broken_rules(optimizely_e3.rules_of_metric_events())
            )
        ) }} as mistake
    from typed_events
),

mistakes as (
    select *
    from broken_rules
    where mistake is not null
    union all
    select
        'metrics.csv' as seed,
        metric_name,
        'stands ' || cast(count(*) as string) || ' times' as mistake
    from metrics
    where metric_name is not null
    group by metric_name
    having count(*) > 1
    union all
    select
        'metrics.csv' as seed,
        metric_name,
        'role is "primary", and so it is in another metric: one can be primary' as mistake
    from metrics
    where role = 'primary' and (select count(*) from primaries) > 1
    union all
    select
        'metrics.csv' as seed,
        metric_name,
        'has no row in metric_events.csv' as mistake
    from clause_counts
    where row_count = 0
    union all
    select
        'metric_events.csv' as seed,
        metric_name,
        'has no numerator' as mistake
    from clause_counts
    where metric_type = 'ratio' and row_count > 0 and numerator_count = 0
    union all
    select
        'metric_events.csv' as seed,
        metric_name,
        'has no denominator' as mistake
    from clause_counts
    where metric_type = 'ratio' and row_count > 0 and denominator_count = 0
    union all
    select
        'metric_events.csv' as seed,
        metric_name,
        'has neither all_of nor any_of' as mistake
    from clause_counts
    where metric_type = 'compound' and row_count > 0 and required_count = 0
    union all
    select
        'metric_events.csv' as seed,
        metric_name,
        'step ' || cast(coalesce(previous_step, 0) + 1 as string) || ' is missing' as mistake
    from ordered_steps
    where step > coalesce(previous_step, 0) + 1
    union all
    select
        'metric_events.csv' as seed,
        metric_name,
        'ends with step ' || cast(last_step as string)
        || ', but a funnel has 2 to {{ longest }} steps' as mistake
    from last_steps
    where last_step < 2 or last_step > {{ longest }}
    union all
    select
        'metric_events.csv' as seed,
        metric_name,
        'min_count differs between the rows of ' || clause || place as mistake
    from needed_counts
    group by metric_name, clause, place
    having count(*) > 1
),

final as (
    select distinct seed || ': ' || coalesce(metric_name || ': ', '') || mistake as message
    from mistakes
)

select * from final
