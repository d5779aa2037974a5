{{ optimizely_e3.visitor_config(by_metric=true) }}
-- depends_on: {{ ref('int_vendor_attributions') }}

{%- set by_vendor = var('attribution') == 'vendor' %}
{%- set since = optimizely_e3.microseconds_between(
    'exposures.exposed_at', 'matching_events.occurred_at'
) %}

with

exposures as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_counted_exposures')) }}
),
{% if by_vendor %}
attributions as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_vendor_attributions')) }}
),
{% endif %}
metric_events as (
    select * from {{ ref('stg_registry__metric_events') }}
),

metrics as (
    select *
    from {{ ref('int_metric_definitions') }}
    where metric_type <> 'funnel'
),

parts as (
    select
        metric_events.*,
        metrics.metric_number,
        {{ optimizely_e3.is_changed_metric('metrics.metric_name') }} as is_changed
    from metric_events
    inner join metrics on metric_events.metric_name = metrics.metric_name
),

{{ optimizely_e3.kinds_of_events(optimizely_e3.countable_conversions()) }},

matching_events as (
    {{ optimizely_e3.matching_events(
        optimizely_e3.countable_conversions(),
        [
            'visitor_id', 'session_key', 'event_id', 'occurred_at', 'revenue_cents', 'value',
            'quantity',
        ],
    ) }}
),
{% if by_vendor %}
attributed_events as (
    select distinct
        visitor_id,
        event_id,
        experiment_id
    from attributions
    where not is_holdback
),
{% endif %}
counted_events as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        cast(exposures.exposed_at as date) as exposed_on,
        cast(matching_events.occurred_at as date) as observed_on,
        metrics.metric_number,
        case when metrics.scope = 'session' then matching_events.session_key end as session_key,
        matching_events.clause,
        matching_events.part,
        matching_events.min_count,
        case
            when metrics.metric_type = 'retention'
                then
                    {{ since }} >= metrics.window_microseconds
                    and (
                        metrics.within_microseconds is null
                        or {{ since }} < metrics.window_microseconds + metrics.within_microseconds
                    )
            else coalesce({{ since }} <= metrics.window_microseconds, true)
        end as is_in_time,
        -- Whole numbers are added up as such: doubles would round the large ones.
        case metrics.measure
            when 'revenue' then cast(matching_events.revenue_cents as decimal(38, 0))
            when 'quantity' then cast(matching_events.quantity as decimal(38, 0))
        end as whole_amount,
        case when metrics.measure = 'value' then matching_events.value end as amount
    from matching_events
    inner join metrics on matching_events.metric_number = metrics.metric_number
    inner join exposures
        on
            matching_events.visitor_id = exposures.visitor_id
            and matching_events.occurred_at >= exposures.exposed_at
    {%- if by_vendor %}
    inner join attributed_events
        on
            exposures.visitor_id = attributed_events.visitor_id
            and exposures.experiment_id = attributed_events.experiment_id
            and matching_events.event_id = attributed_events.event_id
    {%- endif %}
    where
        exposures.is_attributable
        and coalesce(matching_events.occurred_at <= exposures.attributed_until, true)
),

-- One row per experiment × visitor × metric × session (or none) × part × day.
part_days as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        exposed_on,
        observed_on,
        metric_number,
        session_key,
        clause,
        part,
        min_count,
        count_if(is_in_time) as event_count,
        sum(case when is_in_time then whole_amount end) as whole_amount,
        sum(case when is_in_time then amount end) as amount
    from counted_events
    group by
        experiment_id,
        visitor_id,
        variation_id,
        exposed_on,
        observed_on,
        metric_number,
        session_key,
        clause,
        part,
        min_count
    having {{ optimizely_e3.is_computed_once() }}
),

compound_part_days as (
    select
        part_days.*,
        sum(part_days.event_count) over (
            partition by
                part_days.experiment_id,
                part_days.visitor_id,
                part_days.metric_number,
                part_days.session_key,
                part_days.clause,
                part_days.part
            order by part_days.observed_on
        ) as events_so_far
    from part_days
    inner join metrics on part_days.metric_number = metrics.metric_number
    where metrics.metric_type = 'compound'
),

held_parts as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        exposed_on,
        metric_number,
        session_key,
        clause,
        part,
        min(observed_on) as held_on
    from compound_part_days
    where events_so_far >= min_count
    group by
        experiment_id,
        visitor_id,
        variation_id,
        exposed_on,
        metric_number,
        session_key,
        clause,
        part
),

held_clauses as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        exposed_on,
        metric_number,
        session_key,
        count_if(clause = 'all_of') as all_of_held,
        max(case when clause = 'all_of' then held_on end) as all_of_held_on,
        min(case when clause = 'any_of' then held_on end) as any_of_held_on,
        min(case when clause = 'none_of' then held_on end) as none_of_held_on
    from held_parts
    group by experiment_id, visitor_id, variation_id, exposed_on, metric_number, session_key
),

-- When a session (or the visitor) comes to have it all, and when no longer.
held_compounds as (
    select
        held_clauses.*,
        greatest(
            coalesce(held_clauses.all_of_held_on, held_clauses.any_of_held_on),
            coalesce(held_clauses.any_of_held_on, held_clauses.all_of_held_on)
        ) as held_from
    from held_clauses
    inner join metrics on held_clauses.metric_number = metrics.metric_number
    where
        held_clauses.all_of_held = metrics.all_of_count
        and (metrics.any_of_count = 0 or held_clauses.any_of_held_on is not null)
),

-- What a day adds to the observation; of a compound, to the number of sessions that have it all.
additions as (
    select
        part_days.experiment_id,
        part_days.visitor_id,
        part_days.variation_id,
        part_days.exposed_on,
        part_days.observed_on,
        part_days.metric_number,
        case when metrics.metric_type = 'compound' then 1 else part_days.min_count end as min_count,
        case
            when metrics.metric_type = 'compound' or part_days.clause = 'denominator' then 0
            when metrics.measure = 'events' then part_days.event_count
            else part_days.whole_amount
        end as whole_amount,
        case when part_days.clause <> 'denominator' then part_days.amount end as amount,
        case when part_days.clause = 'denominator' then part_days.event_count end as denominator,
        case
            when metrics.metric_type <> 'compound' and part_days.clause <> 'denominator'
                then part_days.event_count
        end as conversion_count
    from part_days
    inner join metrics on part_days.metric_number = metrics.metric_number
    {%- for held_on, sessions in [('held_from', 1), ('none_of_held_on', -1)] %}
    union all
    select
        experiment_id,
        visitor_id,
        variation_id,
        exposed_on,
        greatest(held_from, {{ held_on }}) as observed_on,
        metric_number,
        1 as min_count,
        {{ sessions }} as whole_amount,
        cast(null as double) as amount,
        cast(null as bigint) as denominator,
        cast(null as bigint) as conversion_count
    from held_compounds
    where {{ held_on }} is not null
    {%- endfor %}
),

days as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        exposed_on,
        observed_on,
        metric_number,
        max(min_count) as min_count,
        sum(cast(whole_amount as decimal(38, 0))) as whole_amount,
        sum(amount) as amount,
        sum(denominator) as denominator,
        sum(conversion_count) as conversion_count
    from additions
    group by experiment_id, visitor_id, variation_id, exposed_on, observed_on, metric_number
),

observed as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        exposed_on,
        observed_on,
        metric_number,
        min_count,
        {%- for prefix, frame in [('', 'by_day'), ('previous_', 'before_day')] %}
        coalesce(sum(whole_amount) over {{ frame }}, 0) as {{ prefix }}whole_amount,
        coalesce(sum(amount) over {{ frame }}, 0) as {{ prefix }}amount,
        coalesce(sum(denominator) over {{ frame }}, 0) as {{ prefix }}denominator,
        {%- endfor %}
        coalesce(sum(conversion_count) over by_day, 0) as conversion_count,
        lead(observed_on) over by_day is null as is_latest
    from days
    {{ optimizely_e3.windows_by_day(['experiment_id', 'visitor_id', 'metric_number']) }}
),

final as (
    select
        observed.experiment_id,
        observed.visitor_id,
        metrics.metric_name,
        observed.variation_id,
        {%- for prefix in ['', 'previous_'] %}
        case
            when metrics.metric_type in ('conversion', 'retention', 'compound')
                then cast(
                    cast(observed.{{ prefix }}whole_amount >= observed.min_count as int) as double
                )
            when metrics.measure = 'value' then observed.{{ prefix }}amount
            else cast(observed.{{ prefix }}whole_amount as double)
        end as {{ prefix }}value,
        case
            when metrics.metric_type = 'ratio'
                then cast(observed.{{ prefix }}denominator as double)
        end as {{ prefix }}denominator,
        {%- endfor %}
        case
            when metrics.metric_type <> 'compound' then cast(observed.conversion_count as bigint)
        end as conversion_count,
        observed.is_latest,
        observed.exposed_on,
        observed.observed_on
    from observed
    inner join metrics on observed.metric_number = metrics.metric_number
)

select * from final
